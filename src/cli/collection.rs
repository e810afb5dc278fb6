//! Collections as people name them.
//!
//! Knows the six kinds. Must not know what a record holds.

use crate::{model::Kind, proto::RecordType};

/// The kind that a word of the command line names: "events" or "event".
pub(super) fn parse(text: &str) -> Result<Kind, String> {
    Kind::from_collection(text)
        .or_else(|| Kind::ALL.into_iter().find(|kind| kind.singular() == text))
        .ok_or_else(|| "there are sources, actors, events, claims, estimates and relations".to_owned())
}

/// As a request takes them.
pub(super) fn types(kinds: &[Kind]) -> Vec<i32> {
    kinds.iter().map(|kind| RecordType::from(*kind).into()).collect()
}
