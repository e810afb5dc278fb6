//! Relation: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: Kind::Relation,
    indexes: INDEXES,
    decode: |bytes| proto::Relation::decode(bytes).map(Record::Relation),
};

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "records by tag" },
    Index { number: 3, parts: &[Part::Exact("kind")], serves: "relations of a kind" },
];

impl Resource for proto::Relation {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
