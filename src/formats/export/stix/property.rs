//! Values of properties that several objects have.
//!
//! Knows records in JSON. Must not know objects.

use serde_json::{Value, json};

use super::object::{Context, Property};

/// What the object of a record has beside its own, where it fits.
pub const COMMON: &[Property] = &[
    Property {
        name: "external_references",
        from: "`external_ids`: `source_name` and `external_id`",
        value: |r, _| references(r),
    },
    Property { name: "labels", from: "`labels`", value: |r, _| list(r, "labels") },
    Property {
        name: "object_marking_refs",
        from: "`labels`: STIX's own marking for `tlp:white`, `tlp:clear`, `tlp:green`, `tlp:amber`, `tlp:red`",
        value: |r, _| markings(r),
    },
    Property { name: "confidence", from: "`ratings`: the number of the first `stix.confidence:`", value: |r, _| confidence(r) },
];

/// A text that is there.
pub(super) fn text(value: &Value, field: &str) -> Option<Value> {
    str_of(value, field).map(|text| json!(text))
}

pub(super) fn str_of<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// A list that is not empty.
pub(super) fn list(value: &Value, field: &str) -> Option<Value> {
    value.get(field).filter(|list| list.as_array().is_some_and(|list| !list.is_empty())).cloned()
}

/// The values of a list of texts; none where there is no list.
pub(super) fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// An enum's value in STIX's way of writing: `ATTRIBUTION_ROLE_RELAY` without its type is `relay`.
pub(super) fn word(value: &Value, field: &str, prefix: &str) -> Option<String> {
    Some(str_of(value, field)?.trim_start_matches(prefix).to_lowercase().replace('_', "-"))
}

/// The object of a record that a field names.
pub(super) fn reference(value: &Value, field: &str, context: &Context<'_>) -> Option<Value> {
    str_of(value, field).map(|name| json!(context.ids.of_record(name)))
}

/// The objects of records, as a list that STIX takes.
pub(super) fn object_refs<'a>(names: impl IntoIterator<Item = &'a str>, context: &Context<'_>) -> Value {
    refs(names.into_iter().map(|name| context.ids.of_record(name)))
}

/// Ids, each once. Where there is none, that of the bundle's producer: STIX wants one at least.
pub(super) fn refs(ids: impl IntoIterator<Item = String>) -> Value {
    let mut all: Vec<String> = Vec::new();
    for id in ids {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    if all.is_empty() {
        all.push(super::extension::producer());
    }
    json!(all)
}

/// The records that a claim or an estimate is about, has it from, and can be read in.
pub(super) fn grounds(value: &Value) -> impl Iterator<Item = &str> {
    let each = |field: &str| value.get(field).and_then(Value::as_array).into_iter().flatten();
    let said_by = each("attribution").flat_map(|hop| texts(hop, "actors"));
    let read_in = each("citations").filter_map(|citation| str_of(citation, "source"));
    said_by.chain(read_in)
}

/// Beginning or end of the time that a field says.
pub(super) fn bound(value: &Value, field: &str, bound: &str) -> Option<Value> {
    text(value.get(field)?, bound)
}

/// Ids elsewhere. Those that look like a vulnerability's are only what they are where STIX expects them.
pub(super) fn references(record: &Value) -> Option<Value> {
    let reference = |id: &str| {
        let (scheme, value) = id.split_once(':')?;
        let key = if ["cve", "capec"].contains(&scheme) || value.starts_with("CVE-") || value.starts_with("CAPEC-") {
            "description"
        } else {
            "external_id"
        };
        let scheme = if key == "description" { format!("annals.{scheme}") } else { scheme.to_owned() };
        Some(json!({"source_name": scheme, key: value}))
    };
    let references: Vec<_> = texts(record, "external_ids").filter_map(reference).collect();
    (!references.is_empty()).then(|| json!(references))
}

/// The markings that STIX defines for the Traffic Light Protocol.
const TLP: [(&str, &str); 5] = [
    ("tlp:white", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    ("tlp:clear", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    ("tlp:green", "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    ("tlp:amber", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"),
    ("tlp:red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
];

fn markings(record: &Value) -> Option<Value> {
    let marking = |label: &str| TLP.iter().find(|(known, _)| label.eq_ignore_ascii_case(known)).map(|(_, id)| *id);
    let markings: Vec<_> = texts(record, "labels").filter_map(marking).collect();
    (!markings.is_empty()).then(|| json!(markings))
}

fn confidence(record: &Value) -> Option<Value> {
    let ratings = record.get("ratings")?.as_array()?;
    let number = |rating: &Value| str_of(rating, "code")?.strip_prefix("stix.confidence:")?.parse::<u8>().ok();
    ratings.iter().find_map(number).map(|number| json!(number))
}
