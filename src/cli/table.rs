//! Records, changes and times as rows and columns for people.
//!
//! Must not know where records come from.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{formats::values, model::RecordKind, proto::Change};

/// Converts a record to a row.
type Row = fn(&Value) -> Vec<String>;

/// The header of a list of records, and the function that makes a row.
pub(super) fn columns(kind: RecordKind) -> (&'static [&'static str], Row) {
    match kind {
        RecordKind::Source => (&["NAME", "KIND", "TITLE", "PUBLISHED", "REVISION"], |source| {
            let title = first(source, &["/title", "/uri"]);
            vec![
                text(source, "/name"),
                word(source, "/kind", "SOURCE_KIND_"),
                title,
                time_field(source, "/published"),
                text(source, "/revision"),
            ]
        }),
        RecordKind::Actor => (&["NAME", "KIND", "DISPLAY NAME", "COUNTRIES", "REVISION"], |actor| {
            let kind = word(actor, "/kind", "ACTOR_KIND_");
            vec![text(actor, "/name"), kind, text(actor, "/display_name"), text(actor, "/countries"), text(actor, "/revision")]
        }),
        RecordKind::Event => (&["NAME", "TIME", "TITLE", "PLACE", "TYPES", "REVISION"], |event| {
            let place = first(event, &["/places/0/display_name", "/places/0/country"]);
            vec![
                text(event, "/name"),
                time_field(event, "/time"),
                text(event, "/title"),
                place,
                text(event, "/types"),
                text(event, "/revision"),
            ]
        }),
        RecordKind::Claim => (&["NAME", "KIND", "STATEMENT", "BY", "REVISION"], |claim| {
            let by = first(claim, &["/attribution/0/actors/0", "/attribution/0/description"]);
            let kind = word(claim, "/kind", "CLAIM_KIND_");
            vec![text(claim, "/name"), kind, text(claim, "/statement"), by, text(claim, "/revision")]
        }),
        RecordKind::Estimate => (&["NAME", "MEASURE", "QUANTITY", "ASPECT", "AS OF", "SUBJECTS", "REVISION"], |estimate| {
            vec![
                text(estimate, "/name"),
                text(estimate, "/estimand/measure"),
                values::quantity_in_words(estimate.get("quantity")),
                word(estimate, "/aspect", "ASPECT_"),
                time_field(estimate, "/as_of"),
                text(estimate, "/estimand/subjects"),
                text(estimate, "/revision"),
            ]
        }),
        RecordKind::Relation => (&["NAME", "SUBJECT", "KIND", "OBJECT", "REVISION"], |relation| {
            let mut kind = word(relation, "/kind", "RELATION_KIND_");
            if relation.pointer("/revoked") == Some(&Value::Bool(true)) {
                kind.push_str(" (revoked)");
            }
            vec![
                text(relation, "/name"),
                text(relation, "/subject"),
                kind,
                text(relation, "/object"),
                text(relation, "/revision"),
            ]
        }),
    }
}

/// The fields of one record with their values. A nested value is JSON.
pub(super) fn fields(record: &Value) -> Vec<Vec<String>> {
    let empty = Map::new();
    let object = record.as_object().unwrap_or(&empty);
    let mut rows = Vec::new();
    for (name, value) in object {
        match value {
            // Lists of messages are easier to read with one message per line.
            Value::Array(elements) if elements.iter().any(Value::is_object) => {
                for (at, element) in elements.iter().enumerate() {
                    rows.push(vec![format!("{name}[{at}]"), shown(element)]);
                }
            }
            value => rows.push(vec![name.clone(), shown(value)]),
        }
    }
    rows
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            elements.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        value => value.to_string(),
    }
}

/// The change of a record, such as "MERGED into actors/b".
pub(super) fn change(change: &Change) -> String {
    let what = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_");
    match change.redirect_target.as_str() {
        "" => what.to_owned(),
        target => format!("{what} into {target}"),
    }
}

/// A time for people, in UTC and to the second.
pub(super) fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|time| Timestamp::new(time.seconds, 0).ok()).map(|time| time.to_string()).unwrap_or_default()
}

/// The field at a JSON pointer. Empty if it is not set.
fn text(record: &Value, pointer: &str) -> String {
    record.pointer(pointer).map(shown).unwrap_or_default()
}

fn first(record: &Value, pointers: &[&str]) -> String {
    pointers.iter().map(|pointer| text(record, pointer)).find(|text| !text.is_empty()).unwrap_or_default()
}

/// An enum value without the prefix of its type, as a filter accepts it.
fn word(record: &Value, pointer: &str, prefix: &str) -> String {
    text(record, pointer).trim_start_matches(prefix).to_owned()
}

fn time_field(record: &Value, pointer: &str) -> String {
    first(record, &[&format!("{pointer}/edtf"), &format!("{pointer}/verbatim"), &format!("{pointer}/earliest")])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_of_a_record_are_rows_and_messages_of_a_list_one_a_row() {
        let record = json!({"name": "events/e", "places": [{"country": "RUS"}, {"country": "UKR"}], "types": ["a:b", "c:d"]});
        let expected = [
            ["name", "events/e"],
            ["places[0]", r#"{"country":"RUS"}"#],
            ["places[1]", r#"{"country":"UKR"}"#],
            ["types", "a:b, c:d"],
        ];
        assert_eq!(fields(&record), expected);
    }

    #[test]
    fn times_are_in_utc_and_to_the_second() {
        let midnight = prost_types::Timestamp { seconds: 1_729_641_600, nanos: 5 };
        assert_eq!(time(Some(&midnight)), "2024-10-23T00:00:00Z");
    }

    #[test]
    fn every_type_has_a_row_as_long_as_its_header() {
        for kind in RecordKind::ALL {
            let (header, row) = columns(kind);
            assert_eq!(row(&json!({})).len(), header.len(), "{kind:?}");
        }
    }
}
