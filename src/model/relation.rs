//! Relation: a judgement that links two records.
//!
//! Knows `Relation`: its rules, links and indexes. Must not know the records that it links.

use prost::Message as _;

use super::{
    FieldPath, IndexPart, LinkChain, RecordIndex, RecordKind, RecordLink, Resource, ResourceType, Violations, citation,
    header::Header, name, rating, time,
};
use crate::proto::{self, RelationKind, record::Record};

/// The type, as the store uses it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: RecordKind::Relation,
    indexes: INDEXES,
    joined: &[],
    decode: |bytes| proto::Relation::decode(bytes).map(Record::Relation),
};

/// The reference keys of `subject` and `object` find the relations of a record. The index of `kind` is
/// needed because mentions are many and contradictions few: without it, a search for contradictions would read all mentions.
const INDEXES: &[RecordIndex] = &[
    RecordIndex { number: 1, parts: &[IndexPart::Exact("external_ids")], serves: "the record with this external id" },
    RecordIndex { number: 2, parts: &[IndexPart::Exact("labels")], serves: "relations by tag" },
    RecordIndex {
        number: 3,
        parts: &[IndexPart::Exact("kind")],
        serves: "relations by kind: what contradicts what, and which records may be the same",
    },
];

impl Resource for proto::Relation {
    fn complete(&mut self) {
        self.effective.iter_mut().for_each(time::complete);
        rating::complete(self.rating.as_mut_slice());
    }

    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        check_ends(self, at, violations);
        if let Some(rating) = &self.rating {
            rating::check(rating, &at.field("rating"), violations);
        }
        citation::check_all(&self.citations, at, violations);
        time::check_field(self.effective.as_ref(), "effective", at, violations);
    }

    fn links(&self) -> Vec<RecordLink<'_>> {
        let supersedes = self.kind() == RelationKind::Supersedes && !self.revoked;
        let link =
            RecordLink { chain: LinkChain::Supersedes, field: "object", index: 0, from: &self.subject, to: &self.object };
        supersedes.then_some(link).into_iter().collect()
    }
}

/// Checks V11: the kinds of the two ends. An end that is missing or not a name is reported as such, and has no kind here.
fn check_ends(relation: &proto::Relation, at: &FieldPath<'_>, violations: &mut Violations) {
    let (at_subject, at_object) = (at.field("subject"), at.field("object"));
    let (subject, object) = (name::kind_of_reference(&relation.subject), name::kind_of_reference(&relation.object));
    let kind = relation.kind();
    if relation.subject.is_empty() {
        if kind != RelationKind::Rates {
            violations.invalid(&at_subject, "is required: only a RATES relation with a rating can be without it");
        }
    } else if relation.subject == relation.object {
        violations.invalid(&at_object, "is the same record as subject: a relation links two records");
    }
    if kind == RelationKind::Rates && relation.rating.is_none() && subject != Some(RecordKind::Claim) {
        violations.invalid(&at.field("rating"), "is required, unless subject is the claim that gives the rating in words");
    }
    let mut check_end = |reference: &str, allowed: &[RecordKind], at: &FieldPath<'_>| {
        name::check_kind(reference, allowed, at, violations);
    };
    match kind {
        RelationKind::Supersedes | RelationKind::Corrects | RelationKind::Retracts => {
            let allowed = [RecordKind::Claim, RecordKind::Estimate, RecordKind::Source];
            check_end(&relation.subject, &allowed, &at_subject);
            match subject {
                Some(subject) if allowed.contains(&subject) => check_end(&relation.object, &[subject], &at_object),
                _ => check_end(&relation.object, &allowed, &at_object),
            }
        }
        RelationKind::Mentions => {
            check_end(&relation.subject, &[RecordKind::Source], &at_subject);
            check_end(&relation.object, &[RecordKind::Event], &at_object);
        }
        RelationKind::Causes | RelationKind::Enables | RelationKind::RespondsTo => {
            check_end(&relation.subject, &[RecordKind::Event], &at_subject);
            check_end(&relation.object, &[RecordKind::Event], &at_object);
        }
        RelationKind::MaybeSameAs | RelationKind::NotSameAs => {
            if let (Some(subject), Some(_)) = (subject, object) {
                check_end(&relation.object, &[subject], &at_object);
            }
        }
        RelationKind::Unspecified
        | RelationKind::Repeats
        | RelationKind::Supports
        | RelationKind::Contradicts
        | RelationKind::Qualifies
        | RelationKind::AlternativeReadingOf
        | RelationKind::ContentOf
        | RelationKind::Disputes
        | RelationKind::Rates
        | RelationKind::ComponentOf => {}
    }
}

#[cfg(test)]
mod tests {
    use RelationKind::{
        AlternativeReadingOf, Causes, ComponentOf, ContentOf, Contradicts, Corrects, Disputes, Enables, MaybeSameAs, Mentions,
        NotSameAs, Qualifies, Rates, Repeats, RespondsTo, Retracts, Supersedes, Supports,
    };

    use super::super::testing;
    use super::*;
    use crate::proto::{Citation, Rating, Relation, TextSpan, TimeSpec};

    fn relation(kind: RelationKind, subject: &str, object: &str) -> Relation {
        Relation { kind: kind.into(), subject: subject.into(), object: object.into(), ..Default::default() }
    }

    fn rated(kind: RelationKind, subject: &str, object: &str) -> Relation {
        Relation {
            rating: Some(Rating { code: "stix.confidence:70".into(), ..Default::default() }),
            ..relation(kind, subject, object)
        }
    }

    /// Checks which pairs of kinds of records a kind of relation may link, out of all 36.
    fn check_pairs(kind: RelationKind, allowed: impl Fn(RecordKind, RecordKind) -> bool) {
        for subject in RecordKind::ALL {
            for object in RecordKind::ALL {
                let sent = relation(kind, &format!("{}/s", subject.collection()), &format!("{}/o", object.collection()));
                assert_eq!(testing::refused(sent).is_empty(), allowed(subject, object), "{kind:?} {subject:?} {object:?}");
            }
        }
    }

    #[test]
    fn v11_the_types_of_the_ends_fit_the_kind() {
        for kind in [Supersedes, Corrects, Retracts] {
            check_pairs(kind, |subject, object| {
                subject == object && matches!(subject, RecordKind::Claim | RecordKind::Estimate | RecordKind::Source)
            });
        }
        check_pairs(Mentions, |subject, object| (subject, object) == (RecordKind::Source, RecordKind::Event));
        for kind in [Causes, Enables, RespondsTo] {
            check_pairs(kind, |subject, object| (subject, object) == (RecordKind::Event, RecordKind::Event));
        }
        for kind in [MaybeSameAs, NotSameAs] {
            check_pairs(kind, |subject, object| subject == object);
        }
        check_pairs(Rates, |subject, _| subject == RecordKind::Claim);
        for kind in [Repeats, Supports, Contradicts, Qualifies, AlternativeReadingOf, ContentOf, Disputes, ComponentOf] {
            check_pairs(kind, |_, _| true);
        }
    }

    #[test]
    fn v11_the_end_that_does_not_fit_is_named() {
        testing::check(relation(Mentions, "events/a", "sources/b"), &["subject", "object"]);
        testing::check(relation(Supersedes, "claims/a", "estimates/b"), &["object"]);
        testing::check(relation(Supersedes, "actors/a", "estimates/b"), &["subject"]);
        testing::check(relation(MaybeSameAs, "actors/a", "events/b"), &["object"]);
        testing::check(relation(Supports, "claims/a", "nothing"), &["object"]);
    }

    #[test]
    fn v11_the_ends_differ() {
        testing::check(relation(Supports, "claims/a", "claims/b"), &[]);
        testing::check(relation(Supports, "claims/a", "claims/a"), &["object"]);
        testing::check(relation(Supports, "claims/a", ""), &["object"]);
        testing::check(relation(Supports, "", "claims/a"), &["subject"]);
        testing::check(rated(Supports, "", "claims/a"), &["subject"]);
    }

    #[test]
    fn v11_rates_has_a_rating_or_a_claim_that_says_it_in_words() {
        testing::check(rated(Rates, "", "claims/a"), &[]);
        testing::check(rated(Rates, "claims/b", "claims/a"), &[]);
        testing::check(rated(Rates, "sources/b", "claims/a"), &[]);
        testing::check(relation(Rates, "claims/b", "claims/a"), &[]);
        testing::check(relation(Rates, "sources/b", "claims/a"), &["rating"]);
        testing::check(relation(Rates, "", "claims/a"), &["rating"]);
    }

    #[test]
    fn v12_the_kind_is_specified_and_known() {
        testing::check(Relation { kind: 0, ..relation(Supports, "claims/a", "claims/b") }, &["kind"]);
        testing::check(Relation { kind: 3, ..relation(Supports, "claims/a", "claims/b") }, &["kind"]);
        testing::check(Relation { kind: i32::MIN, ..relation(Supports, "claims/a", "claims/b") }, &["kind"]);
    }

    #[test]
    fn rating_citations_and_time_are_checked() {
        let soon = Some(TimeSpec { edtf: "soon".into(), ..Default::default() });
        let base = || relation(Mentions, "sources/a", "events/b");
        testing::check(Relation { effective: soon.clone(), ..base() }, &["effective.edtf"]);
        let rating = Rating { code: "stix.confidence:101".into(), assessed_at: soon, ..Default::default() };
        testing::check(Relation { rating: Some(rating), ..base() }, &["rating.code", "rating.assessed_at.edtf"]);
        let citation = Citation { source: "sources/a".into(), span: Some(TextSpan::default()), ..Default::default() };
        testing::check(Relation { citations: vec![citation], ..base() }, &["citations[0].span"]);
    }

    #[test]
    fn supersedes_is_a_link_from_subject_to_object_until_it_is_revoked() {
        let supersedes = relation(Supersedes, "claims/new", "claims/old");
        let link = RecordLink { chain: LinkChain::Supersedes, field: "object", index: 0, from: "claims/new", to: "claims/old" };
        assert_eq!(supersedes.links(), [link]);
        assert!(Relation { revoked: true, ..supersedes.clone() }.links().is_empty());
        assert!(Relation { kind: Corrects.into(), ..supersedes }.links().is_empty());
    }
}
