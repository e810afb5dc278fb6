//! Source: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType =
    ResourceType { kind: Kind::Source, indexes: INDEXES, decode: |bytes| proto::Source::decode(bytes).map(Record::Source) };

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "records by tag" },
    Index { number: 3, parts: &[Part::Exact("uri")], serves: "which source is this document" },
    Index { number: 4, parts: &[Part::Exact("sha256")], serves: "which source is this text" },
];

impl Resource for proto::Source {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
