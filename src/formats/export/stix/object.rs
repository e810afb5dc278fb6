//! What an object is made of: its type, what it stands for, and a list of properties, from which the code and the documentation are made.
//!
//! Knows lists of properties. Must not know what any one property means.

use serde_json::{Map, Value, json};

use super::{
    id::{self, Ids},
    property,
};

/// A kind of object that records of one kind become.
#[derive(Debug)]
pub struct Object {
    /// Its type in STIX: `identity`.
    pub kind: &'static str,
    /// The repeated field of which each value is such an object. Empty: the record is one.
    pub each: &'static str,
    /// For which values there is one, in words. Empty: for all.
    pub only: &'static str,
    /// The same, as code.
    pub(super) applies: fn(&Value, &Context<'_>) -> bool,
    /// Whether it is what the record is, and holds it in the extension.
    pub is_record: bool,
    /// Of an observable, the properties that its id is made from. Empty: it is none.
    pub(super) observed_by: &'static [&'static str],
    /// Beside those that all objects have.
    pub properties: &'static [Property],
}

/// A property of an object.
#[derive(Debug)]
pub struct Property {
    /// Its name in STIX.
    pub name: &'static str,
    /// What it is made from, in words.
    pub from: &'static str,
    /// The same, as code. None: it is left out.
    pub(super) value: fn(&Value, &Context<'_>) -> Option<Value>,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) ids: &'a Ids,
    /// The record around it.
    pub(super) record: &'a Value,
    /// Its position in its field.
    pub(super) index: usize,
}

impl Object {
    /// One for a value, if there is one.
    pub(super) fn make(&self, value: &Value, context: &Context<'_>) -> Option<Map<String, Value>> {
        if !(self.applies)(value, context) {
            return None;
        }
        let mut own = Map::new();
        for property in self.properties {
            if let Some(value) = (property.value)(value, context) {
                own.insert(property.name.to_owned(), value);
            }
        }
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(self.kind));
        object.insert("spec_version".to_owned(), json!("2.1"));
        object.insert("id".to_owned(), json!(self.id(&own, context)));
        if self.observed_by.is_empty() {
            for (name, field) in [("created", "create_time"), ("modified", "update_time")] {
                object.extend(context.record.get(field).map(|time| (name.to_owned(), time.clone())));
            }
        }
        object.extend(own);
        if self.each.is_empty() && self.observed_by.is_empty() {
            for property in property::COMMON {
                // What an object has of its own goes before.
                if let Some(value) = (property.value)(value, context) {
                    object.entry(property.name).or_insert(value);
                }
            }
        }
        Some(object)
    }

    fn id(&self, own: &Map<String, Value>, context: &Context<'_>) -> String {
        if !self.observed_by.is_empty() {
            let contributing = self.observed_by.iter().filter_map(|name| Some(((*name).to_owned(), own.get(*name)?.clone())));
            return id::of_observable(self.kind, contributing.collect());
        }
        match self.each {
            _ if self.is_record => context.own_id_as(self.kind),
            "" => context.beside(self.kind),
            field => context.part(self.kind, field),
        }
    }
}

impl Context<'_> {
    fn name(&self) -> &str {
        self.record.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// The object that the record is.
    pub(super) fn own_id(&self) -> String {
        self.ids.of_record(self.name())
    }

    fn own_id_as(&self, kind: &str) -> String {
        self.ids.within(kind, self.name())
    }

    /// An object of this type that stands beside that of the record.
    pub(super) fn beside(&self, kind: &str) -> String {
        self.ids.within(kind, &format!("{}/{kind}", self.name()))
    }

    /// An object of this type that the value of a field is.
    pub(super) fn part(&self, kind: &str, field: &str) -> String {
        self.ids.within(kind, &format!("{}/{field}/{}/{kind}", self.name(), self.index))
    }
}

/// For all values.
pub(super) fn always(_: &Value, _: &Context<'_>) -> bool {
    true
}
