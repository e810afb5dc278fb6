//! Actor: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType =
    ResourceType { kind: Kind::Actor, indexes: INDEXES, decode: |bytes| proto::Actor::decode(bytes).map(Record::Actor) };

const INDEXES: &[Index] = &[Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" }];

impl Resource for proto::Actor {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
