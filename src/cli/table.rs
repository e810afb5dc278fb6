//! Records, changes and times as rows and columns for people.
//!
//! Must not know where records come from.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::speakers::Speakers;
use crate::{formats::values, model::RecordKind, proto::Change};

/// Converts a record to a row. The speakers of a claim and of an estimate are shown by their display names.
type Row = fn(&Value, &Speakers) -> Vec<String>;

/// The header of a list of records, and the function that makes a row.
pub(super) fn columns(kind: RecordKind) -> (&'static [&'static str], Row) {
    match kind {
        RecordKind::Source => (&["NAME", "KIND", "TITLE", "PUBLISHED", "REVISION"], |source, _| {
            let title = first(source, &["/title", "/uri"]);
            vec![
                text(source, "/name"),
                word(source, "/kind", "SOURCE_KIND_"),
                title,
                time_field(source, "/published"),
                text(source, "/revision"),
            ]
        }),
        RecordKind::Actor => (&["NAME", "KIND", "DISPLAY NAME", "COUNTRIES", "REVISION"], |actor, _| {
            let kind = word(actor, "/kind", "ACTOR_KIND_");
            vec![text(actor, "/name"), kind, text(actor, "/display_name"), text(actor, "/countries"), text(actor, "/revision")]
        }),
        RecordKind::Event => (&["NAME", "ACTUALITY", "TIME", "TITLE", "PLACE", "TYPES", "REVISION"], |event, _| {
            let place = first(event, &["/places/0/display_name", "/places/0/country"]);
            vec![
                text(event, "/name"),
                word(event, "/actuality", "ACTUALITY_"),
                time_field(event, "/time"),
                text(event, "/title"),
                place,
                text(event, "/types"),
                text(event, "/revision"),
            ]
        }),
        RecordKind::Claim => (&["NAME", "KIND", "CERTAINTY", "STATEMENT", "BY", "REVISION"], |claim, speakers| {
            let kind = word(claim, "/kind", "CLAIM_KIND_");
            // How certain the words are: the content of a rumour is a FACT, too.
            let certainty = word(claim, "/certainty/level", "CERTAINTY_LEVEL_");
            let (statement, revision) = (text(claim, "/statement"), text(claim, "/revision"));
            vec![text(claim, "/name"), kind, certainty, statement, speakers.in_words(claim), revision]
        }),
        RecordKind::Estimate => (
            &["NAME", "MEASURE", "QUANTITY", "ASPECT", "MODE", "BY", "AS OF", "FOR", "SUBJECTS", "REVISION"],
            |estimate, speakers| {
                vec![
                    text(estimate, "/name"),
                    measure(estimate),
                    quantity(estimate),
                    word(estimate, "/aspect", "ASPECT_"),
                    mode(estimate),
                    speakers.in_words(estimate),
                    time_field(estimate, "/as_of"),
                    time_field(estimate, "/reference_time"),
                    text(estimate, "/estimand/subjects"),
                    text(estimate, "/revision"),
                ]
            },
        ),
        RecordKind::Relation => (&["NAME", "SUBJECT", "KIND", "OBJECT", "REVISION"], |relation, _| {
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

/// What the fields of a claim or of an estimate mean together, in words: rows for below its fields.
pub(super) fn meaning(kind: RecordKind, record: &Value, speakers: &Speakers) -> Vec<Vec<String>> {
    let rows = match kind {
        RecordKind::Claim => vec![("by", speakers.in_words(record))],
        RecordKind::Estimate => vec![
            ("number", [quantity(record), word(record, "/aspect", "ASPECT_"), mode(record)].join(", ")),
            ("of", measure(record)),
            ("by", speakers.in_words(record)),
            ("as of", time_field(record, "/as_of")),
            ("for", time_field(record, "/reference_time")),
        ],
        _ => Vec::new(),
    };
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| vec![name.to_owned(), value]).collect()
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

/// What a number counts, and which part of it: `measure:troops_deployed, population:military`.
fn measure(estimate: &Value) -> String {
    let parts = ["measure", "population", "place"].map(|field| text(estimate, &format!("/estimand/{field}")));
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The number. Also the words of the report, if they have no number.
fn quantity(estimate: &Value) -> String {
    let number = values::quantity_in_words(estimate.get("quantity"));
    let words = text(estimate, "/quantity/verbatim");
    let is_said = text(estimate, "/quantity/status") == "VALUE_STATUS_KNOWN"
        && text(estimate, "/origin") != "ESTIMATE_ORIGIN_INTERPRETED";
    if is_said || words.is_empty() { number } else { format!("{number} \"{words}\"") }
}

/// Whether it was counted, estimated or predicted, and where the number comes from if nobody said it: `ESTIMATED (COMPUTED)`.
fn mode(estimate: &Value) -> String {
    let mode = word(estimate, "/mode", "ESTIMATE_MODE_");
    match word(estimate, "/origin", "ESTIMATE_ORIGIN_").as_str() {
        "" | "AS_REPORTED" => mode,
        origin => format!("{mode} ({origin})"),
    }
}

/// A time with its relation to what it dates: `by 2024-12`. Words in place of a date are quoted.
fn time_field(record: &Value, pointer: &str) -> String {
    let field = |name: &str| text(record, &format!("{pointer}/{name}"));
    let (earliest, latest) = (field("earliest"), field("latest"));
    let time = match (field("edtf"), field("verbatim")) {
        (edtf, _) if !edtf.is_empty() => edtf,
        (_, words) if !words.is_empty() => format!("\"{words}\""),
        _ if latest.is_empty() => earliest,
        _ => format!("{}/{latest}", if earliest.is_empty() { ".." } else { &earliest }),
    };
    match word(record, &format!("{pointer}/qualifier"), "TIME_QUALIFIER_").as_str() {
        "" | "AT" => time,
        qualifier => format!("{} {time}", qualifier.to_lowercase()),
    }
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
    fn a_time_says_how_it_relates_to_what_it_dates() {
        let check = |time: Value, expected: &str| assert_eq!(time_field(&json!({"t": time}), "/t"), expected, "{time}");
        check(json!({"edtf": "2024-12", "verbatim": "by December", "qualifier": "TIME_QUALIFIER_BY"}), "by 2024-12");
        check(json!({"edtf": "2024-10-23", "qualifier": "TIME_QUALIFIER_AT"}), "2024-10-23");
        check(json!({"verbatim": "recently", "qualifier": "TIME_QUALIFIER_BEFORE"}), "before \"recently\"");
        check(json!({"latest": "2024-10-24T00:00:00Z"}), "../2024-10-24T00:00:00Z");
        check(json!({}), "");
    }

    #[test]
    fn what_decides_the_meaning_of_a_number_is_below_its_fields() {
        let estimate = json!({
            "estimand": {"measure": "measure:sites", "place": "RUS"},
            "quantity": {"unit": "1", "status": "VALUE_STATUS_VAGUE", "verbatim": "various"},
            "aspect": "ASPECT_LEVEL",
            "mode": "ESTIMATE_MODE_ESTIMATED",
            "origin": "ESTIMATE_ORIGIN_INTERPRETED",
            "attribution": [{"description": "reports"}],
        });
        let expected =
            [["number", "VAGUE \"various\", LEVEL, ESTIMATED (INTERPRETED)"], ["of", "measure:sites, RUS"], ["by", "reports"]];
        assert_eq!(meaning(RecordKind::Estimate, &estimate, &Speakers::default()), expected);
    }

    #[test]
    fn every_type_has_a_row_as_long_as_its_header() {
        for kind in RecordKind::ALL {
            let (header, row) = columns(kind);
            assert_eq!(row(&json!({}), &Speakers::default()).len(), header.len(), "{kind:?}");
        }
    }
}
