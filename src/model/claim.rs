//! Claim: one proposition, in its own words, by one origin, passed on through one chain of hops.
//!
//! Knows `Claim`: its rules and indexes. Must not know whether a claim is true, nor which claims contradict it.

use prost::Message as _;

use super::{
    FieldPath, IndexPart, RecordIndex, RecordKind, Resource, ResourceType, Violations, citation, header::Header, name, rating,
    text, time,
};
use crate::{
    limits,
    proto::{self, record::Record},
};

/// The type, as the store uses it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: RecordKind::Claim,
    indexes: INDEXES,
    joined: &[],
    decode: |bytes| proto::Claim::decode(bytes).map(Record::Claim),
};

const INDEXES: &[RecordIndex] = &[
    RecordIndex { number: 1, parts: &[IndexPart::Exact("external_ids")], serves: "the record with this external id" },
    RecordIndex { number: 2, parts: &[IndexPart::Exact("labels")], serves: "claims by tag" },
    RecordIndex {
        number: 3,
        parts: &[IndexPart::Exact("topic")],
        serves: "claims on one topic, which may contradict each other",
    },
    RecordIndex {
        number: 4,
        parts: &[IndexPart::Time("attribution.said_at.earliest")],
        serves: "claims by the time at which they were said",
    },
];

impl Resource for proto::Claim {
    fn complete(&mut self) {
        citation::complete_attribution(&mut self.attribution);
        self.as_of.iter_mut().for_each(time::complete);
        self.reference_time.iter_mut().for_each(time::complete);
        rating::complete(&mut self.ratings);
    }

    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        text::check_chars(&self.statement, limits::STATEMENT_CHARS_MAX, &at.field("statement"), violations);
        text::check_language(&self.language, &at.field("language"), violations);
        citation::check_attribution(&self.attribution, at, violations);
        citation::check_all(&self.citations, at, violations);
        for (index, about) in self.about.iter().enumerate() {
            let allowed = [RecordKind::Event, RecordKind::Actor, RecordKind::Claim, RecordKind::Estimate];
            name::check_kind(about, &allowed, &at.field("about").index(index), violations);
        }
        name::check_kind(&self.condition, &[RecordKind::Event, RecordKind::Claim], &at.field("condition"), violations);
        time::check_field(self.as_of.as_ref(), "as_of", at, violations);
        time::check_field(self.reference_time.as_ref(), "reference_time", at, violations);
        rating::check_all(&self.ratings, at, violations);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use crate::proto::{Attribution, Citation, Claim, Rating, TextSpan, TimeSpec};

    fn check(change: impl FnOnce(&mut Claim), expect: &[&str]) {
        let mut claim = testing::claim();
        change(&mut claim);
        testing::check(claim, expect);
    }

    #[test]
    fn a_statement_is_1_to_4096_characters() {
        check(|_| {}, &[]);
        check(|claim| claim.statement.clear(), &["statement"]);
        check(|claim| claim.statement = "폭".repeat(4096), &[]);
        check(|claim| claim.statement = "폭".repeat(4097), &["statement"]);
    }

    #[test]
    fn v4_a_claim_has_a_hop_and_a_citation() {
        check(|claim| claim.attribution.clear(), &["attribution"]);
        check(|claim| claim.citations.clear(), &["citations"]);
        check(|claim| claim.attribution.push(Attribution::default()), &["attribution[1]"]);
        check(|claim| claim.citations.push(Citation::default()), &["citations[1].source"]);
        check(|claim| claim.citations[0].span = Some(TextSpan { start: 2, end: 2 }), &["citations[0].span"]);
    }

    #[test]
    fn v12_kind_and_polarity_are_specified_and_known() {
        check(|claim| claim.kind = 0, &["kind"]);
        check(|claim| claim.kind = 99, &["kind"]);
        check(|claim| claim.polarity = 0, &["polarity"]);
        check(|claim| claim.polarity = 4, &["polarity"]);
        check(|claim| claim.basis = 0, &[]);
        check(|claim| claim.basis = 10, &["basis"]);
        check(|claim| claim.attribution[0].role = 5, &["attribution[0].role"]);
    }

    #[test]
    fn it_is_about_events_actors_claims_or_estimates_on_condition_of_an_event_or_claim() {
        let about = ["events/a", "actors/a", "claims/a", "estimates/a"];
        check(|claim| claim.about = about.map(str::to_owned).into(), &[]);
        check(|claim| claim.about = vec!["events/a".into(), "sources/a".into()], &["about[1]"]);
        check(|claim| claim.about = vec!["relations/a".into()], &["about[0]"]);
        check(|claim| claim.about = vec!["@label".into()], &["about[0]"]);
        check(|claim| claim.about = vec![String::new()], &["about[0]"]);
        check(|claim| claim.condition = "events/a".into(), &[]);
        check(|claim| claim.condition = "claims/a".into(), &[]);
        check(|claim| claim.condition = "actors/a".into(), &["condition"]);
        check(|claim| claim.condition = "events/A".into(), &["condition"]);
    }

    #[test]
    fn language_times_and_ratings_are_checked() {
        let soon = || Some(TimeSpec { edtf: "soon".into(), ..Default::default() });
        check(|claim| claim.language = "english language".into(), &["language"]);
        check(|claim| claim.as_of = soon(), &["as_of.edtf"]);
        check(|claim| claim.reference_time = soon(), &["reference_time.edtf"]);
        check(|claim| claim.attribution[0].said_at = soon(), &["attribution[0].said_at.edtf"]);
        check(
            |claim| {
                claim.ratings =
                    vec![Rating { code: "icd203.likelihood:likely".into(), assessed_at: soon(), ..Default::default() }];
            },
            &["ratings[0].assessed_at.edtf"],
        );
    }
}
