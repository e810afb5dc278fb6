//! Estimate: rules, links, indexes.

use prost::Message as _;

use super::{Index, Kind, Part, Path, Resource, ResourceType, Violations};
use crate::proto::{self, record::Record};

/// The type as the store sees it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: Kind::Estimate,
    indexes: INDEXES,
    decode: |bytes| proto::Estimate::decode(bytes).map(Record::Estimate),
};

const INDEXES: &[Index] = &[
    Index { number: 1, parts: &[Part::Exact("external_ids")], serves: "which record is this id" },
    Index { number: 2, parts: &[Part::Exact("labels")], serves: "records by tag" },
    Index {
        number: 3,
        parts: &[Part::Exact("estimand.series"), Part::Exact("aspect"), Part::Time("as_of.earliest")],
        serves: "how did the estimate evolve",
    },
];

impl Resource for proto::Estimate {
    fn complete(&mut self) {}

    fn check(&self, _at: &Path<'_>, _violations: &mut Violations) {}
}
