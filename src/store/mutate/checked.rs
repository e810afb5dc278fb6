//! One record, completed and held against the rules of its type.
//!
//! Knows the types' rules. Must not know the store, or which mutation the record comes from.

use crate::{
    model::{self, Path, RecordKind, Violations},
    proto::record::Record,
    store::error::{Result, StoreError},
};

/// A record that was completed and held against the rules of its type.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// Its body with what the server computes.
    pub(crate) body: Vec<u8>,
    /// What is wrong with it.
    pub(crate) violations: Violations,
    /// Whether it has links that could close a cycle.
    pub(crate) linked: bool,
}

/// Completes a record and holds it against the rules of its type. `at` is where it stands in the request.
pub(crate) fn check_record(mut record: Record, at: &Path<'_>) -> Checked {
    model::resource_mut(&mut record).complete();
    let encoded = model::encode(&record);
    let mut violations = Violations::default();
    model::check(&record, &encoded, at, &mut violations);
    Checked { body: encoded, violations, linked: !model::resource(&record).links().is_empty() }
}

/// Reads a body that was encoded here.
pub(crate) fn decode(kind: RecordKind, body: &[u8]) -> Result<Record> {
    (kind.resource_type().decode)(body).map_err(|error| {
        StoreError::internal(format!("a {} that was encoded here cannot be decoded: {error}", kind.singular()))
    })
}
