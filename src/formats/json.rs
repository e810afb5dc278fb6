//! proto3 JSON, as grpcurl and every protobuf library read and write it.
//!
//! It is written with proto field names (`update_fields`, not `updateFields`), so that output can be pasted into a filter.
//! 64-bit integers are strings, as the JSON mapping requires. Both kinds of field names are read. A field that is not in the
//! contract is an error: if it were ignored, the record would silently lack a fact.
//!
//! Must not know what any message means.

use std::{
    fmt,
    io::{self, BufRead},
    marker::PhantomData,
};

use prost::{Message, Name};
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions};
use serde::Deserializer;
use serde_json::Value;

use crate::{
    model,
    proto::{self, record::Record},
};

/// Why a text cannot be read as a message.
#[derive(Debug)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not JSON, or it does not fit the message.
    Invalid {
        /// The field, as a path from the message: `mutations[3].create.claim`. Empty for the message itself.
        field: String,
        /// Line of the text, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The text could not be read.
    Io(io::Error),
}

impl fmt::Display for JsonError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, line, message } if field.is_empty() => write!(to, "line {line}: {message}"),
            Self::Invalid { field, line, message } => write!(to, "line {line}: {field}: {message}"),
            Self::Io(error) => error.fmt(to),
        }
    }
}

impl std::error::Error for JsonError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Invalid { .. } => None,
        }
    }
}

/// A message in proto3 JSON, with the proto names of its fields.
pub fn to_value<M: Message + Name>(message: &M) -> Value {
    let mut dynamic = DynamicMessage::new(descriptor::<M>());
    dynamic.transcode_from(message).expect("a message fits its own descriptor");
    dynamic_value(&dynamic)
}

fn dynamic_value(message: &DynamicMessage) -> Value {
    let mut value = message
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new().use_proto_field_name(true))
        .expect("a message of the contract has a JSON form");
    sort_maps(&mut value, &message.descriptor());
    value
}

/// Sorts the entries of maps by key, so that equal messages have equal texts.
fn sort_maps(value: &mut Value, descriptor: &MessageDescriptor) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let Some(field) = descriptor.get_field_by_name(name) else { continue };
        if field.is_map() {
            if let Value::Object(entries) = value {
                entries.sort_keys();
            }
        } else if let prost_reflect::Kind::Message(inner) = field.kind() {
            match value {
                Value::Array(elements) => elements.iter_mut().for_each(|element| sort_maps(element, &inner)),
                value => sort_maps(value, &inner),
            }
        }
    }
}

/// A record as JSON, without the `Record` message around it.
pub fn record_value(record: &Record) -> Value {
    let descriptor = model::kind_of(record).descriptor().clone();
    let dynamic =
        DynamicMessage::decode(descriptor, model::encode(record).as_slice()).expect("a record fits its own descriptor");
    dynamic_value(&dynamic)
}

/// Reads a text that is exactly one message.
pub fn from_str<M: Message + Name + Default>(text: &str) -> Result<M, JsonError> {
    let mut messages = JsonReader::new(text.as_bytes());
    let message = messages
        .next()
        .unwrap_or_else(|| Err(JsonError::Invalid { field: String::new(), line: 1, message: "there is no message".into() }))?;
    match messages.next() {
        None => Ok(message),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => Err(JsonError::Invalid {
            field: String::new(),
            line: 1,
            message: "there is a second message after the first".into(),
        }),
    }
}

/// Reads a JSON value as a message.
pub fn from_value<M: Message + Name + Default>(value: Value) -> Result<M, JsonError> {
    read(value, descriptor::<M>())
}

/// Reads messages one after another, each on one line or on several. Ends at the first error, because the text after it cannot
/// be split into messages.
pub struct JsonReader<R: io::Read, M> {
    from: Option<serde_json::Deserializer<serde_json::de::IoRead<R>>>,
    descriptor: MessageDescriptor,
    message: PhantomData<fn() -> M>,
}

impl<R: BufRead, M: Message + Name + Default> JsonReader<R, M> {
    /// Reads messages from a text.
    pub fn new(from: R) -> Self {
        let from = Some(serde_json::Deserializer::from_reader(from));
        Self { from, descriptor: descriptor::<M>(), message: PhantomData }
    }
}

impl<R: BufRead, M: Message + Name + Default> Iterator for JsonReader<R, M> {
    type Item = Result<M, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.from.as_mut()?;
        // Anything except white space is another message, or an error that reading it reports.
        if from.end().is_ok() {
            self.from = None;
            return None;
        }
        let read = read(from, self.descriptor.clone());
        if read.is_err() {
            self.from = None;
        }
        Some(read)
    }
}

fn read<'de, M: Message + Default>(
    from: impl Deserializer<'de, Error = serde_json::Error>,
    descriptor: MessageDescriptor,
) -> Result<M, JsonError> {
    let mut track = serde_path_to_error::Track::new();
    let from = serde_path_to_error::Deserializer::new(from, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    match DynamicMessage::deserialize_with_options(descriptor, from, &options) {
        Ok(dynamic) => Ok(dynamic.transcode_to().expect("a message fits its own descriptor")),
        Err(error) if error.is_io() => Err(JsonError::Io(error.into())),
        Err(error) => {
            // "?" is a step that was not completed, "." is the message itself.
            let field = track.path().to_string().trim_end_matches(['?', '.']).to_owned();
            Err(JsonError::Invalid { field, line: error.line(), message: without_position(&error) })
        }
    }
}

/// The text of an error without the position at its end, which is reported separately.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

fn descriptor<M: Name>() -> MessageDescriptor {
    proto::descriptors().get_message_by_name(&M::full_name()).expect("the descriptors have every message of the contract")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proto::{CommitRequest, Event};

    fn check_refused(text: &str, field: &str, line: usize, message: &str) {
        match from_str::<CommitRequest>(text) {
            Err(JsonError::Invalid { field: found, line: at, message: says }) => {
                assert_eq!((found.as_str(), at), (field, line), "{text}: {says}");
                assert!(says.contains(message), "{text}: {says}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn both_kinds_of_field_names_are_read_and_proto_names_are_written_with_long_numbers_as_texts() {
        for text in [r#"{"name":"events/e","createRevision":"7"}"#, r#"{"name":"events/e","create_revision":7}"#] {
            let event: Event = from_str(text).expect("valid");
            assert_eq!(to_value(&event), json!({"name": "events/e", "create_revision": "7"}));
        }
    }

    #[test]
    fn maps_are_written_in_the_order_of_their_keys_at_every_depth() {
        let keys: Vec<_> = (10..40).map(|number| format!("k{number}")).collect();
        let metrics = keys.iter().map(|key| (key.clone(), 1.0)).collect();
        let commit = CommitRequest::of("a", [proto::Mutation::create(Event { metrics, ..Default::default() })]);
        let value = to_value(&commit);
        let written = value.pointer("/mutations/0/create/event/metrics").and_then(Value::as_object).expect("a map");
        assert!(written.keys().eq(&keys), "{written:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_path_and_line() {
        check_refused(
            "{\"request_id\":\"a\",\n\"mutations\":[{},{\"create\":{\"event\":{\"titel\":\"x\"}}}]}",
            "mutations[1].create.event",
            2,
            "titel",
        );
        check_refused(r#"{"mutations":[{"update":{"if_revision":"x"}}]}"#, "mutations[0].update.if_revision", 1, "invalid");
        check_refused(r#"{"mutations":[{"create":{"event":{"kind":"WAR"}}}]}"#, "mutations[0].create.event", 1, "kind");
        check_refused(r#"{"mutations":7}"#, "mutations", 1, "invalid type");
        check_refused(r#"{"request_id":"a"} x"#, "", 1, "expected value");
        check_refused(r#"{"request_id":"a"}{"request_id":"b"}"#, "", 1, "second");
        check_refused("{", "", 1, "EOF");
        check_refused("", "", 1, "no message");
    }

    #[test]
    fn objects_are_read_one_a_line_or_over_many_lines_and_an_error_ends_the_reading() {
        let ids = |text: &str| -> Vec<String> {
            JsonReader::<_, CommitRequest>::new(text.as_bytes())
                .map(|read| read.map_or_else(|_| "error".to_owned(), |request| request.request_id))
                .collect()
        };
        assert_eq!(ids("{\"request_id\":\"a\"}\n{\"request_id\":\"b\"}\n"), ["a", "b"]);
        assert_eq!(ids("\n{\n \"request_id\": \"a\"\n}\n\n{\"request_id\":\"b\"}"), ["a", "b"]);
        assert_eq!(ids("{\"request_id\":\"a\"}\n{\"nope\":1}\n{\"request_id\":\"b\"}"), ["a", "error"]);
        assert!(ids(" \n ").is_empty());
    }
}
