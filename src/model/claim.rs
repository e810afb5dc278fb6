//! Claim: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType =
    ResourceType { kind: Kind::Claim, indexes: INDEXES, decode: |bytes| proto::Claim::decode(bytes).map(Record::Claim) };

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "records by tag" },
    Index { number: 3, parts: &[Part::Exact("topic")], serves: "what contradicts what" },
    Index { number: 4, parts: &[Part::Time("attribution.said_at.earliest")], serves: "claims by time" },
];

impl Resource for proto::Claim {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
