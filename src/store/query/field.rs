//! Resolves the name of a field in a filter or an order to field numbers and the kind of its values.
//!
//! Knows the descriptors of the contract. Must not know what a value is compared with.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind as FieldKind, MessageDescriptor};

use super::lexer::{self, Mistake};
use crate::model::{IndexPart, RecordKind};

/// The message in which the name of a field is resolved: a record, or a message inside one.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// The kind of the record, also if the message is inside it.
    pub(super) kind: RecordKind,
    /// The descriptor of the message.
    pub(super) message: MessageDescriptor,
    /// Field numbers from the record down to the message.
    pub(super) above: Vec<u32>,
}

impl Container {
    /// The container of the top-level fields of a record.
    pub(super) fn record(kind: RecordKind) -> Self {
        Self { kind, message: kind.schema().message.clone(), above: Vec::new() }
    }

    /// The container of the messages that a field of this container holds.
    pub(super) fn inside(&self, field: &FilterField, message: &MessageDescriptor) -> Self {
        let above = self.above.iter().chain(&field.numbers).copied().collect();
        Self { kind: self.kind, message: message.clone(), above }
    }
}

/// A field: the path to its values, and what they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FilterField {
    /// The name in the filter, in proto form.
    pub(super) name: String,
    /// Field numbers from the container down. If `key` is set, the last one is that of a map.
    pub(super) numbers: Vec<u32>,
    /// The key of a map.
    pub(super) key: Option<String>,
    /// Whether a record can have several values.
    pub(super) many: bool,
    /// Whether it has a value in every message that is present: a bool or number without `optional`.
    pub(super) always_set: bool,
    /// The kind of its values.
    pub(super) values: Values,
}

/// The kinds of values that a filter knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// Texts.
    Text,
    /// Names of records: of this kind, or of any kind if `None`.
    Reference(Option<RecordKind>),
    /// Bools.
    Bool,
    /// Whole numbers.
    Int,
    /// Floating-point numbers.
    Double,
    /// Values of an enum.
    Enum(EnumDescriptor),
    /// Times.
    Time,
    /// Messages with fields.
    Message(MessageDescriptor),
    /// The entries of a map as a whole.
    Map,
    /// The folded words of the texts at these paths from the record down.
    Words(Vec<Vec<u32>>),
}

impl FilterField {
    /// Finds a field by its name in proto or JSON form.
    pub(super) fn resolve(container: &Container, path: &lexer::FilterPath) -> Result<Self, Mistake> {
        let mut found = Self {
            name: String::new(),
            numbers: Vec::new(),
            key: None,
            many: false,
            always_set: false,
            values: Values::Message(container.message.clone()),
        };
        let mut names = path.names.iter();
        while let Some((at, name)) = names.next() {
            let Values::Message(message) = &found.values else {
                return Err(Mistake::new(*at, name, format!("an operator: {} has no fields", found.name)));
            };
            let field = message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name));
            let Some(field) = field else {
                return match words(container, name) {
                    Some(words) if found.numbers.is_empty() && path.word().is_some() => Ok(words),
                    _ => Err(Mistake::new(
                        *at,
                        name,
                        format!("a field of {}: {}", message.name(), field_names(container, message)),
                    )),
                };
            };
            found.step(&field, container);
            if field.is_map() {
                found.take_key(&field, names.as_slice(), path.key.as_ref())?;
                return Ok(found);
            }
        }
        match &path.key {
            Some((at, key)) => {
                Err(Mistake::new(*at, format!("{key:?}"), format!("an operator: {} is not a map and has no keys", found.name)))
            }
            None => Ok(found),
        }
    }

    /// Follows a field of the message reached so far.
    fn step(&mut self, field: &FieldDescriptor, container: &Container) {
        if !self.name.is_empty() {
            self.name.push('.');
        }
        self.name.push_str(field.name());
        self.numbers.push(field.number());
        self.many |= field.is_list();
        self.values = values(field.kind());
        self.always_set = matches!(self.values, Values::Bool | Values::Int | Values::Double)
            && !field.supports_presence()
            && !field.is_list();
        let from_record = || container.above.iter().chain(&self.numbers).copied();
        if let Some(reference) = container.kind.schema().references.iter().find(|r| from_record().eq(r.path.iter().copied())) {
            self.values = Values::Reference(reference.target);
        }
    }

    /// Takes the key of a map: the quoted key, or the rest of the path.
    fn take_key(
        &mut self,
        map: &FieldDescriptor,
        rest: &[(usize, String)],
        quoted: Option<&(usize, String)>,
    ) -> Result<(), Mistake> {
        let key = match (rest, quoted) {
            ([], None) => {
                self.values = Values::Map;
                return Ok(());
            }
            ([], Some((_, key))) => key.clone(),
            (rest, None) => rest.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("."),
            (_, Some((at, key))) => {
                return Err(Mistake::new(*at, format!("{key:?}"), "the whole key in quotes, or none of it"));
            }
        };
        if let FieldKind::Message(entry) = map.kind() {
            self.values = values(entry.map_entry_value_field().kind());
        }
        let plain = key.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        self.name = if plain { format!("{}.{key}", self.name) } else { format!("{}.{key:?}", self.name) };
        self.key = Some(key);
        Ok(())
    }
}

fn values(kind: FieldKind) -> Values {
    match kind {
        FieldKind::Bool => Values::Bool,
        FieldKind::Double => Values::Double,
        FieldKind::Enum(values) => Values::Enum(values),
        FieldKind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => Values::Time,
        FieldKind::Message(message) => Values::Message(message),
        FieldKind::Int32 | FieldKind::Int64 | FieldKind::Uint32 => Values::Int,
        // The contract has no other kinds, as a test shows.
        _ => Values::Text,
    }
}

/// The virtual field of an index over words.
fn words(container: &Container, name: &str) -> Option<FilterField> {
    let (name, paths) = virtual_fields(container).find(|(field, _)| *field == name || json_name(field) == name)?;
    let numbers = |dotted: &&str| {
        let path = dotted.split('.').map(|name| (0, name.to_owned())).collect();
        FilterField::resolve(container, &lexer::FilterPath { names: path, key: None }).map(|field| field.numbers)
    };
    Some(FilterField {
        name: name.to_owned(),
        numbers: Vec::new(),
        key: None,
        many: true,
        always_set: false,
        values: Values::Words(paths.iter().map(numbers).collect::<Result<_, _>>().ok()?),
    })
}

fn virtual_fields(container: &Container) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let indexes = if container.above.is_empty() { container.kind.resource_type().indexes } else { &[] };
    indexes.iter().flat_map(|index| index.parts).filter_map(|part| match part {
        IndexPart::Words(name, paths) => Some((*name, *paths)),
        _ => None,
    })
}

fn field_names(container: &Container, message: &MessageDescriptor) -> String {
    let mut names: Vec<String> = message.fields().map(|field| field.name().to_owned()).collect();
    if *message == container.message {
        names.extend(virtual_fields(container).map(|(name, _)| name.to_owned()));
    }
    names.join(", ")
}

/// The name of a field in the JSON form of a message.
fn json_name(name: &str) -> String {
    let mut json = String::new();
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            letter if upper => {
                json.extend(letter.to_uppercase());
                upper = false;
            }
            letter => json.push(letter),
        }
    }
    json
}

/// Visits every field that an order or a filter can name, and the messages that hold them.
#[cfg(test)]
pub(super) fn all_fields(message: &MessageDescriptor, visit: &mut dyn FnMut(&FieldDescriptor)) {
    for field in message.fields() {
        visit(&field);
        if let FieldKind::Message(inner) = field.kind()
            && !field.is_map()
            && inner.package_name() == "annals.v1"
        {
            all_fields(&inner, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_only_fields_that_a_filter_can_read() {
        for kind in RecordKind::ALL {
            all_fields(&kind.schema().message, &mut |field| {
                let known = match field.kind() {
                    FieldKind::Message(message) => {
                        field.is_map() || message.package_name() == "annals.v1" || message.name() == "Timestamp"
                    }
                    FieldKind::Bool | FieldKind::Double | FieldKind::Enum(_) | FieldKind::String => true,
                    other => matches!(other, FieldKind::Int32 | FieldKind::Int64 | FieldKind::Uint32),
                };
                assert!(known, "{}: add its values to `values` and to the evaluation", field.full_name());
                assert!(!field.is_packed(), "{}: the evaluation does not unpack", field.full_name());
                if field.is_map()
                    && let FieldKind::Message(entry) = field.kind()
                {
                    let of = entry.map_entry_value_field().kind();
                    assert_eq!(entry.map_entry_key_field().kind(), FieldKind::String);
                    assert!(matches!(of, FieldKind::String | FieldKind::Double), "{}", field.full_name());
                }
            });
        }
    }
}
