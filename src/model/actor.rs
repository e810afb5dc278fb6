//! Actor: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType =
    ResourceType { kind: Kind::Actor, indexes: INDEXES, decode: |bytes| proto::Actor::decode(bytes).map(Record::Actor) };

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "records by tag" },
    Index { number: 3, parts: &[Part::Exact("types")], serves: "actors by type" },
    Index {
        number: 4,
        parts: &[Part::Words("name_tokens", &["display_name", "names.text"])],
        serves: "which actor is this name",
    },
];

impl Resource for proto::Actor {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
