//! Ids of objects: UUIDs of version 5, made from names.
//!
//! Knows names and types. Must not know what an object holds.

use serde_json::{Map, Value};
use uuid::{Uuid, uuid};

use crate::model::RecordKind;

/// Under which all our names are.
const ANNALS: Uuid = uuid!("6d0b7a52-3c55-4d0e-9a37-0f6c9b1de2c4");

/// Under which STIX has the names of observables.
const OBSERVABLES: Uuid = uuid!("00abedb4-aa42-466c-9c01-fed23315a9b7");

/// The ids of a store's objects.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    store_id: String,
}

impl Ids {
    pub(super) fn of(store_id: &str) -> Self {
        Self { store_id: store_id.to_owned() }
    }

    /// The bundle of a revision.
    pub(super) fn bundle(&self, revision: i64) -> String {
        self.within("bundle", &format!("revisions/{revision}"))
    }

    /// The object that a record is, given its name.
    pub(super) fn of_record(&self, name: &str) -> String {
        let kind = RecordKind::from_collection(name.split('/').next().unwrap_or_default());
        let object = kind.map_or("note", |kind| super::objects(kind).first().map_or("note", |object| object.kind));
        self.within(object, name)
    }

    /// An object of a type, under a name that no other of the type has.
    pub(super) fn within(&self, kind: &str, name: &str) -> String {
        made(kind, ANNALS, &format!("{}/{name}", self.store_id))
    }
}

/// An id of our own, the same in all stores.
pub(super) fn fixed(kind: &str, name: &str) -> String {
    made(kind, ANNALS, name)
}

/// An observable's, which is made from what it holds. `contributing`: what STIX makes it from, in the order of names.
pub(super) fn of_observable(kind: &str, contributing: Map<String, Value>) -> String {
    made(kind, OBSERVABLES, &Value::Object(contributing).to_string())
}

fn made(kind: &str, namespace: Uuid, name: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&namespace, name.as_bytes()))
}
