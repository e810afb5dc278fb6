//! Collections as people name them.
//!
//! Knows the six kinds. Must not know commands.

use crate::model::RecordKind;

/// The kind of a collection: "events", or "event".
pub(super) fn parse(text: &str) -> Result<RecordKind, String> {
    RecordKind::from_collection(text)
        .or_else(|| RecordKind::ALL.into_iter().find(|kind| kind.singular() == text))
        .ok_or_else(|| "there are sources, actors, events, claims, estimates and relations".to_owned())
}

/// The types of a request; none: all.
pub(super) fn types(kinds: &[RecordKind]) -> Vec<i32> {
    kinds.iter().map(|kind| *kind as i32).collect()
}
