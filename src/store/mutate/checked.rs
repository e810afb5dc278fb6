//! Records as a commit keeps them: the bytes, and the message that they were made from.
//!
//! Must not know the store, or which mutation the record comes from.

use crate::{
    model::RecordKind,
    proto::record::Record,
    store::error::{Result, StoreError},
};

/// Reads a body that was encoded here.
pub(crate) fn decode(kind: RecordKind, body: &[u8]) -> Result<Record> {
    (kind.resource_type().decode)(body).map_err(|error| {
        StoreError::internal(format!("a {} that was encoded here cannot be decoded: {error}", kind.singular()))
    })
}
