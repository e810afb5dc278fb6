//! STIX 2.1: one bundle of objects, for tools that exchange threat reports.
//!
//! Each record is one object of the type that comes nearest, and perhaps further ones for what STIX keeps in objects of their own:
//! places, memberships, who took part. STIX has no words for most of what a record says, so the object of a record has all of it in an
//! extension, which the bundle declares: nothing is lost, and whoever knows Annals reads one place.
//!
//! Ids are made from the store's id and the record's name, so the same record is the same object in every export, and an object refers to
//! another without having seen it.
//!
//! Knows records in JSON and STIX's types. Must not know other formats.

mod actor;
mod claim;
mod estimate;
mod event;
mod extension;
mod id;
mod object;
mod property;
mod relation;
mod source;

use serde_json::{Value, json};

pub use self::{
    extension::EXTENSION,
    object::{Object, Property},
    property::COMMON,
};
use self::{
    extension::{created_by, definition},
    id::Ids,
    object::Context,
};
use super::Text;
use crate::{
    formats::json,
    model::{RecordKind, kind_of},
    proto::record::Record,
};

/// The objects that the records of a kind become: first the record itself.
pub const fn objects(kind: RecordKind) -> &'static [Object] {
    match kind {
        RecordKind::Source => source::OBJECTS,
        RecordKind::Actor => actor::OBJECTS,
        RecordKind::Event => event::OBJECTS,
        RecordKind::Claim => claim::OBJECTS,
        RecordKind::Estimate => estimate::OBJECTS,
        RecordKind::Relation => relation::OBJECTS,
    }
}

/// A bundle.
#[derive(Clone, Debug)]
pub struct Stix {
    ids: Ids,
}

impl Stix {
    /// The bundle of a store.
    pub fn of(store_id: &str) -> Self {
        Self { ids: Ids::of(store_id) }
    }
}

impl Text for Stix {
    fn head(&self, revision: i64, to: &mut Vec<u8>) {
        let id = self.ids.bundle(revision);
        to.extend_from_slice(format!("{{\"type\":\"bundle\",\"id\":\"{id}\",\"objects\":[\n").as_bytes());
        // Two that are always there, so that all others stand behind a comma.
        to.extend_from_slice(format!("{},\n{}", created_by(), definition()).as_bytes());
    }

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        let kind = kind_of(record);
        let record = json::record_value(record);
        for object in objects(kind) {
            let parts = match object.each {
                "" => std::slice::from_ref(&record),
                field => record.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice),
            };
            for (index, part) in parts.iter().enumerate() {
                let context = Context { ids: &self.ids, record: &record, index };
                if let Some(mut made) = object.make(part, &context) {
                    if object.is_record {
                        made.insert("extensions".to_owned(), json!({ EXTENSION: extension::of(&record) }));
                    }
                    to.extend_from_slice(b",\n");
                    to.extend_from_slice(Value::Object(made).to_string().as_bytes());
                }
            }
        }
    }

    fn tail(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"\n]}\n");
    }
}

#[cfg(test)]
mod tests;
