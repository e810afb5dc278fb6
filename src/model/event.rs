//! Event: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType =
    ResourceType { kind: Kind::Event, indexes: INDEXES, decode: |bytes| proto::Event::decode(bytes).map(Record::Event) };

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "records by tag" },
    Index { number: 3, parts: &[Part::Exact("types")], serves: "events by type" },
    Index { number: 4, parts: &[Part::Time("time.earliest")], serves: "events by time" },
    Index { number: 5, parts: &[Part::Exact("places.country")], serves: "events by place" },
];

impl Resource for proto::Event {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
