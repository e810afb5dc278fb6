//! Objects of a bundle as data: which records become one, its properties, and its id.
//!
//! The export and the table in the documentation both use the list of an object's properties.
//!
//! Must not know any single type of record.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

use crate::model::RecordKind;

/// A type of object that is made from the records of one type.
#[derive(Debug)]
pub struct StixObject {
    /// Its type in STIX: `identity`.
    pub kind: &'static str,
    /// The repeated field whose values each become such an object. Empty if the record becomes one.
    pub each: &'static str,
    /// For which values there is an object, as text for the documentation. Empty if for all.
    pub only: &'static str,
    /// The condition of `only`, as code.
    pub(super) applies: fn(&Value, &Context<'_>) -> bool,
    /// Whether it is the object of the record itself, with the extension.
    pub is_record: bool,
    /// The properties from which the id of an observable is made. Empty if the object is not an observable.
    pub(super) observed_by: &'static [&'static str],
    /// Its properties, without those that all objects have.
    pub properties: &'static [StixProperty],
}

/// Defaults of the object of the record itself.
pub(super) const RECORD: StixObject =
    StixObject { kind: "", each: "", only: "", applies: |_, _| true, is_record: true, observed_by: &[], properties: &[] };

/// Defaults of a further object of a record.
pub(super) const FURTHER: StixObject = StixObject { is_record: false, ..RECORD };

/// A property of an object.
#[derive(Debug)]
pub struct StixProperty {
    /// The name of the property in STIX.
    pub name: &'static str,
    value: PropertyValue,
}

/// Where the value of a property comes from. A path starts at the record, or at the value that becomes the object.
#[derive(Debug)]
enum PropertyValue {
    /// A field, unchanged.
    Field(&'static str),
    /// A field within a message field.
    Inner(&'static str, &'static str),
    /// The object of the record that a field names.
    Reference(&'static str),
    /// The id of the record's own object. The text is its name in the documentation.
    OwnId(&'static str),
    /// Anything else: a text for the documentation, and code. `None` leaves the property out.
    Computed(&'static str, fn(&Value, &Context<'_>) -> Option<Value>),
}

/// A property that is a field.
pub(super) const fn field(name: &'static str, field: &'static str) -> StixProperty {
    StixProperty { name, value: PropertyValue::Field(field) }
}

/// A property that is a field of a message.
pub(super) const fn inner(name: &'static str, message: &'static str, field: &'static str) -> StixProperty {
    StixProperty { name, value: PropertyValue::Inner(message, field) }
}

/// A property that refers to the object of a record.
pub(super) const fn reference(name: &'static str, field: &'static str) -> StixProperty {
    StixProperty { name, value: PropertyValue::Reference(field) }
}

/// A property that refers to the object of the record itself.
pub(super) const fn own_id(name: &'static str, words: &'static str) -> StixProperty {
    StixProperty { name, value: PropertyValue::OwnId(words) }
}

/// A property that is computed.
pub(super) const fn computed(
    name: &'static str,
    from: &'static str,
    value: fn(&Value, &Context<'_>) -> Option<Value>,
) -> StixProperty {
    StixProperty { name, value: PropertyValue::Computed(from, value) }
}

impl StixProperty {
    /// Where the value comes from, as text for the documentation.
    pub fn from(&self) -> Cow<'static, str> {
        match self.value {
            PropertyValue::Field(field) | PropertyValue::Reference(field) => format!("`{field}`").into(),
            PropertyValue::Inner(message, field) => format!("`{message}.{field}`").into(),
            PropertyValue::OwnId(words) | PropertyValue::Computed(words, _) => words.into(),
        }
    }

    /// Its value. `None` if there is none, or only an empty text or list.
    pub(super) fn value(&self, value: &Value, context: &Context<'_>) -> Option<Value> {
        match self.value {
            PropertyValue::Field(field) => present(value, field),
            PropertyValue::Inner(message, field) => present(value.get(message)?, field),
            PropertyValue::Reference(field) => str_of(value, field).map(|name| json!(context.ids.of_record(name))),
            PropertyValue::OwnId(_) => Some(json!(context.own_id())),
            PropertyValue::Computed(_, compute) => compute(value, context),
        }
    }
}

impl StixObject {
    /// The object made from a value. `None` if the value does not become one.
    pub(super) fn make(&self, value: &Value, context: &Context<'_>) -> Option<Map<String, Value>> {
        if !(self.applies)(value, context) {
            return None;
        }
        let mut own = Map::new();
        for property in self.properties {
            if let Some(value) = property.value(value, context) {
                own.insert(property.name.to_owned(), value);
            }
        }
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(self.kind));
        object.insert("spec_version".to_owned(), json!("2.1"));
        object.insert("id".to_owned(), json!(self.id(&own, context)));
        if !self.is_observable() {
            for (name, field) in [("created", "create_time"), ("modified", "update_time")] {
                object.extend(context.record.get(field).map(|time| (name.to_owned(), time.clone())));
            }
        }
        object.extend(own);
        Some(object)
    }

    /// Whether STIX makes its id from its content.
    pub(super) fn is_observable(&self) -> bool {
        !self.observed_by.is_empty()
    }

    fn id(&self, own: &Map<String, Value>, context: &Context<'_>) -> String {
        if self.is_observable() {
            let contributing = self.observed_by.iter().filter_map(|name| Some(((*name).to_owned(), own.get(*name)?.clone())));
            return observable_id(self.kind, contributing.collect());
        }
        match self.each {
            _ if self.is_record => context.ids.within(self.kind, context.name()),
            "" => context.further_id(self.kind),
            field => context.part_id(self.kind, field),
        }
    }
}

/// The record, and the position in it of the value that becomes an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) ids: &'a StixIds,
    /// The record in proto3 JSON.
    pub(super) record: &'a Value,
    /// The index of the value in its repeated field.
    pub(super) index: usize,
}

impl Context<'_> {
    fn name(&self) -> &str {
        self.record.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The id of the record's own object.
    fn own_id(&self) -> String {
        self.ids.of_record(self.name())
    }

    /// The id of a further object of the record.
    pub(super) fn further_id(&self, kind: &str) -> String {
        self.ids.within(kind, &format!("{}/{kind}", self.name()))
    }

    /// The id of an object made from a value of a repeated field.
    pub(super) fn part_id(&self, kind: &str, field: &str) -> String {
        self.ids.within(kind, &format!("{}/{field}/{}/{kind}", self.name(), self.index))
    }
}

// ---------------------------------------------------------------------------------------------------- ids

/// The namespace of all ids that Annals makes.
const ANNALS: Uuid = uuid!("6d0b7a52-3c55-4d0e-9a37-0f6c9b1de2c4");

/// The namespace that STIX defines for observables.
const OBSERVABLES: Uuid = uuid!("00abedb4-aa42-466c-9c01-fed23315a9b7");

/// Makes the ids of the objects of a store: UUIDs of version 5, from the store's id and the names of records.
#[derive(Clone, Debug)]
pub(super) struct StixIds {
    store_id: String,
}

impl StixIds {
    pub(super) fn of(store_id: &str) -> Self {
        Self { store_id: store_id.to_owned() }
    }

    /// The id of the bundle of a revision.
    pub(super) fn bundle(&self, revision: i64) -> String {
        self.within("bundle", &format!("revisions/{revision}"))
    }

    /// The id of the object of the record with this name.
    pub(super) fn of_record(&self, name: &str) -> String {
        let kind = RecordKind::from_collection(name.split('/').next().unwrap_or_default());
        self.within(kind.map_or("note", record_type), name)
    }

    /// The ids of the objects of the records with these names, as a list that STIX accepts.
    pub(super) fn of_records<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Value {
        id_list(names.into_iter().map(|name| self.of_record(name)))
    }

    /// The id of an object of a type, from a name that is unique for the type.
    fn within(&self, kind: &str, name: &str) -> String {
        uuid_of(kind, ANNALS, &format!("{}/{name}", self.store_id))
    }
}

/// The type of the object that a record becomes.
pub(super) const fn record_type(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Source => "report",
        RecordKind::Actor => "identity",
        RecordKind::Event => "incident",
        RecordKind::Claim | RecordKind::Estimate => "note",
        RecordKind::Relation => "relationship",
    }
}

/// The id of the object that stands for this program, as the producer of bundles.
pub(super) fn producer() -> String {
    fixed_id("identity", "annals")
}

/// An id that is the same in all stores.
pub(super) fn fixed_id(kind: &str, name: &str) -> String {
    uuid_of(kind, ANNALS, name)
}

/// The id of an observable. STIX makes it from these properties in the order of their names.
fn observable_id(kind: &str, contributing: Map<String, Value>) -> String {
    uuid_of(kind, OBSERVABLES, &Value::Object(contributing).to_string())
}

fn uuid_of(kind: &str, namespace: Uuid, name: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&namespace, name.as_bytes()))
}

/// A list of ids without duplicates. STIX requires at least one, so an empty list becomes the id of the producer.
pub(super) fn id_list(ids: impl IntoIterator<Item = String>) -> Value {
    let mut all: Vec<String> = Vec::new();
    for id in ids {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    if all.is_empty() {
        all.push(producer());
    }
    json!(all)
}

// ---------------------------------------------------------------------------------------------------- fields

/// A field. `None` if it is an empty text or list.
pub(super) fn present(value: &Value, field: &str) -> Option<Value> {
    let is_empty = |value: &Value| value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty);
    value.get(field).filter(|value| !is_empty(value)).cloned()
}

/// A text field. `None` if it is empty.
pub(super) fn str_of<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// The texts of a repeated field.
pub(super) fn texts<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The value of an enum in the notation of STIX: `ATTRIBUTION_ROLE_RELAY` without its prefix is `relay`.
pub(super) fn word(value: &Value, field: &str, prefix: &str) -> Option<String> {
    Some(str_of(value, field)?.trim_start_matches(prefix).to_lowercase().replace('_', "-"))
}
