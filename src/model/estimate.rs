//! Estimate: one number, one range or the stated absence of a number, for one estimand.
//!
//! Knows `Estimate` and `Estimand`: their rules, links and indexes. Must not know the other numbers of a series.

use prost::Message as _;

use super::{
    FieldPath, IndexPart, JoinedIndex, LinkChain, RecordIndex, RecordKind, RecordLink, Resource, ResourceType, Violations,
    citation, code, header::Header, name, place, quantity, rating, time,
};
use crate::proto::{self, Estimand, EstimateMode, EstimateOrigin, record::Record};

/// The type, as the store uses it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: RecordKind::Estimate,
    indexes: INDEXES,
    joined: &[JoinedIndex { through: "claim", then: "attribution.actors", serves: "numbers in claims of an actor" }],
    decode: |bytes| proto::Estimate::decode(bytes).map(Record::Estimate),
};

/// Comparing projections with later counts needs no index of its own: one series is small, and every index costs
/// a key on each write.
const INDEXES: &[RecordIndex] = &[
    RecordIndex { number: 1, parts: &[IndexPart::Exact("external_ids")], serves: "the record with this external id" },
    RecordIndex { number: 2, parts: &[IndexPart::Exact("labels")], serves: "estimates by tag of a data set" },
    RecordIndex {
        number: 3,
        parts: &[IndexPart::Exact("estimand.series"), IndexPart::Exact("aspect"), IndexPart::Time("as_of.earliest")],
        serves: "how a number changed, what contradicts it, and whether a prediction was right",
    },
];

impl Resource for proto::Estimate {
    fn complete(&mut self) {
        self.quantity.iter_mut().for_each(quantity::complete);
        let unit = self.quantity.as_ref().map_or("", |quantity| quantity.unit.as_str());
        if let Some(estimand) = &mut self.estimand {
            estimand.series = series(estimand, unit);
        }
        self.as_of.iter_mut().for_each(time::complete);
        self.reference_time.iter_mut().for_each(time::complete);
        citation::complete_attribution(&mut self.attribution);
        rating::complete(&mut self.ratings);
    }

    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        if let Some(estimand) = &self.estimand {
            check_estimand(estimand, &at.field("estimand"), violations);
        }
        if let Some(quantity) = &self.quantity {
            quantity::check(quantity, self.aspect(), &at.field("quantity"), violations);
        }
        time::check_field(self.as_of.as_ref(), "as_of", at, violations);
        time::check_field(self.reference_time.as_ref(), "reference_time", at, violations);
        check_times(self, at, violations);
        check_inputs(self, at, violations);
        check_support(self, at, violations);
        citation::check_attribution(&self.attribution, at, violations);
        citation::check_all(&self.citations, at, violations);
        rating::check_all(&self.ratings, at, violations);
    }

    fn links(&self) -> Vec<RecordLink<'_>> {
        let link = |(index, to)| RecordLink { chain: LinkChain::Inputs, field: "inputs[]", index, from: "", to };
        self.inputs.iter().map(String::as_str).enumerate().map(link).collect()
    }
}

/// The key of the estimand: `measure|subjects|population|place|unit`. The subjects are sorted and joined by commas. `|`
/// and `%` inside a part become `%7C` and `%25`, so that no two estimands share a key.
fn series(estimand: &Estimand, unit: &str) -> String {
    let mut subjects: Vec<_> = estimand.subjects.iter().map(String::as_str).collect();
    subjects.sort_unstable();
    subjects.dedup();
    // A comma needs no escape: names contain none, and a subject that is not a name is refused.
    let subjects = subjects.join(",");
    [&estimand.measure, subjects.as_str(), &estimand.population, &estimand.place, unit]
        .map(|part| part.replace('%', "%25").replace('|', "%7C"))
        .join("|")
}

fn check_estimand(estimand: &Estimand, at: &FieldPath<'_>, violations: &mut Violations) {
    code::check(&estimand.measure, &at.field("measure"), violations);
    for (index, subject) in estimand.subjects.iter().enumerate() {
        name::check_kind(subject, &[RecordKind::Event, RecordKind::Actor], &at.field("subjects").index(index), violations);
    }
    code::check(&estimand.population, &at.field("population"), violations);
    let place = at.field("place");
    if estimand.place.contains(':') {
        code::check_external_id(&estimand.place, &place, violations);
    } else {
        place::check_country(&estimand.place, &place, violations);
    }
}

/// Checks V8: the reference time of a projection or a count against its `as_of`.
fn check_times(estimate: &proto::Estimate, at: &FieldPath<'_>, violations: &mut Violations) {
    let (Some(as_of), Some(reference_time)) = (&estimate.as_of, &estimate.reference_time) else { return };
    match estimate.mode() {
        EstimateMode::Projected if time::is_wholly_before(reference_time, as_of) => {
            violations
                .invalid(&at.field("reference_time"), "is wholly before as_of, but a PROJECTED number is about a later time");
        }
        EstimateMode::Counted if time::is_wholly_before(as_of, reference_time) => {
            violations.invalid(
                &at.field("reference_time"),
                "is wholly after as_of, but a COUNTED number cannot be about a later time",
            );
        }
        _ => {}
    }
}

/// Checks V9: a computed or apportioned number has inputs, a number as reported has none.
fn check_inputs(estimate: &proto::Estimate, at: &FieldPath<'_>, violations: &mut Violations) {
    let at = at.field("inputs");
    match (estimate.origin(), estimate.inputs.is_empty()) {
        (EstimateOrigin::Computed, true) => {
            violations.invalid(&at, "is required: a COMPUTED number is computed from other estimates");
        }
        (EstimateOrigin::Apportioned, true) => {
            violations.invalid(&at, "is required: an APPORTIONED number is a share of another estimate");
        }
        (EstimateOrigin::AsReported, false) => {
            violations.invalid(
                &at,
                "must be empty for an AS_REPORTED number: leave it out, or set origin to COMPUTED or APPORTIONED",
            );
        }
        _ => {}
    }
}

/// Checks V4: an estimate without a claim needs an attribution and citations of its own.
fn check_support(estimate: &proto::Estimate, at: &FieldPath<'_>, violations: &mut Violations) {
    if !estimate.claim.is_empty() {
        return;
    }
    if estimate.attribution.is_empty() {
        violations
            .invalid(&at.field("attribution"), "is required for an estimate without a claim: it says who gave the number");
    }
    if estimate.citations.is_empty() {
        violations.invalid(
            &at.field("citations"),
            "is required for an estimate without a claim: it says where the number can be read",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, completed};
    use super::*;
    use crate::proto::{Aspect, Attribution, Citation, Estimate, Quantity, TimeQualifier, TimeSpec};

    fn check(change: impl FnOnce(&mut Estimate), expect: &[&str]) {
        let mut estimate = testing::estimate();
        change(&mut estimate);
        testing::check(estimate, expect);
    }

    fn estimand(estimate: &mut Estimate) -> &mut Estimand {
        estimate.estimand.as_mut().unwrap()
    }

    #[test]
    fn estimand_quantity_aspect_mode_and_origin_are_required() {
        check(|_| {}, &[]);
        check(|estimate| estimate.estimand = None, &["estimand"]);
        check(|estimate| estimate.quantity = None, &["quantity"]);
        check(|estimate| estimate.aspect = 0, &["aspect"]);
        check(|estimate| estimate.mode = 0, &["mode"]);
        check(|estimate| estimate.origin = 0, &["origin"]);
        check(|estimate| estimate.aspect = 6, &["aspect"]);
        check(|estimate| estimate.mode = 7, &["mode"]);
        check(|estimate| estimate.origin = 6, &["origin"]);
        check(|estimate| estimate.quantity.as_mut().unwrap().unit.clear(), &["quantity.unit"]);
        check(|estimate| estimate.quantity.as_mut().unwrap().approximation = 5, &["quantity.approximation"]);
        check(|estimate| estimate.quantity.as_mut().unwrap().status = 6, &["quantity.status"]);
    }

    #[test]
    fn a_quantity_is_checked_with_its_aspect() {
        let best = |aspect: Aspect, best: f64| {
            move |estimate: &mut Estimate| {
                estimate.set_aspect(aspect);
                estimate.quantity = Some(Quantity { unit: "1".into(), best: Some(best), ..Default::default() });
            }
        };
        check(best(Aspect::Increment, -5.0), &[]);
        check(best(Aspect::Level, -5.0), &["quantity.best"]);
        check(best(Aspect::Share, 5.0), &["quantity.best"]);
        check(best(Aspect::Level, f64::NAN), &["quantity.best"]);
        check(best(Aspect::Level, f64::INFINITY), &["quantity.best"]);
    }

    #[test]
    fn an_estimand_counts_of_events_and_actors_or_a_place() {
        check(|estimate| estimand(estimate).measure.clear(), &["estimand.measure"]);
        check(|estimate| estimand(estimate).measure = "troops".into(), &["estimand.measure"]);
        check(|estimate| estimand(estimate).subjects = vec!["actors/a".into(), "claims/a".into()], &["estimand.subjects[1]"]);
        check(|estimate| estimand(estimate).subjects = vec!["sources/a".into()], &["estimand.subjects[0]"]);
        check(|estimate| estimand(estimate).subjects.clear(), &[]);
        check(|estimate| estimand(estimate).population = "military".into(), &["estimand.population"]);
        check(|estimate| estimand(estimate).place = "USA".into(), &[]);
        check(|estimate| estimand(estimate).place = "fips:01".into(), &[]);
        check(|estimate| estimand(estimate).place = "US".into(), &["estimand.place"]);
        check(|estimate| estimand(estimate).place = "FIPS:01".into(), &["estimand.place"]);
    }

    fn check_series(estimand: Estimand, unit: &str, expect: &str) {
        let quantity = Some(Quantity { unit: unit.into(), ..Default::default() });
        let estimate = completed(Estimate { estimand: Some(estimand), quantity, ..Default::default() });
        assert_eq!(estimate.estimand.unwrap().series, expect);
    }

    #[test]
    fn a_series_is_measure_sorted_subjects_population_place_and_unit() {
        let estimand = |measure: &str, subjects: &[&str], population: &str, place: &str| Estimand {
            measure: measure.into(),
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            population: population.into(),
            place: place.into(),
            series: "sent by the client".into(),
        };
        check_series(
            estimand("measure:troops", &["events/b", "actors/z", "events/a", "events/b"], "population:military", "RUS"),
            "1",
            "measure:troops|actors/z,events/a,events/b|population:military|RUS|1",
        );
        check_series(estimand("measure:km", &[], "", ""), "km", "measure:km||||km");
        check_series(estimand("x:a|b", &[], "x:50 %", "x:1"), "%7C", "x:a%7Cb||x:50 %25|x:1|%257C");
        assert_eq!(completed(Estimate::default()).estimand, None);
    }

    #[test]
    fn v4_an_estimate_without_a_claim_has_hops_and_citations() {
        let hop = || Attribution { description: "UCDP".into(), ..Default::default() };
        let citation = || Citation { source: "sources/ged".into(), locator: "id 1".into(), ..Default::default() };
        check(|estimate| estimate.claim.clear(), &["attribution", "citations"]);
        check(
            |estimate| {
                estimate.claim.clear();
                estimate.attribution = vec![hop()];
            },
            &["citations"],
        );
        check(
            |estimate| {
                estimate.claim.clear();
                estimate.attribution = vec![hop()];
                estimate.citations = vec![citation()];
            },
            &[],
        );
        check(|estimate| estimate.attribution = vec![Attribution::default()], &["attribution[0]"]);
    }

    fn check_times(mode: EstimateMode, as_of: &str, qualifier: TimeQualifier, reference_time: &str, ok: bool) {
        let expect: &[&str] = if ok { &[] } else { &["reference_time"] };
        check(
            |estimate| {
                estimate.set_mode(mode);
                estimate.as_of = Some(TimeSpec { edtf: as_of.into(), ..Default::default() });
                estimate.reference_time =
                    Some(TimeSpec { edtf: reference_time.into(), qualifier: qualifier.into(), ..Default::default() });
            },
            expect,
        );
    }

    #[test]
    fn v8_a_projection_is_not_of_the_past_and_a_count_not_of_the_future() {
        use EstimateMode::{Counted, Estimated, Planned, Projected};
        use TimeQualifier::{At, By, Since};
        check_times(Projected, "2024-10-23", By, "2024-12", true);
        check_times(Projected, "2024-10-23", At, "2024-10", true);
        check_times(Projected, "2024-10-23", At, "2024-10-22", false);
        check_times(Projected, "2024-10-23", By, "2024-09", false);
        check_times(Projected, "2024-10-23", Since, "2024-09", true);
        check_times(Projected, "2024-10-23", At, "2024-09/..", true);
        check_times(Projected, "2024-10/..", At, "2024-09", false);
        check_times(Counted, "2024-10-23", At, "2024-10-23", true);
        check_times(Counted, "2024-10-23", At, "2024", true);
        check_times(Counted, "2024-10-23", At, "2024-10-24", false);
        check_times(Counted, "2024-10-23", By, "2024-12", true);
        check_times(Counted, "../2024-10-23", At, "2024-11/..", false);
        check_times(Estimated, "2024-10-23", At, "2024-10-24", true);
        check_times(Planned, "2024-10-23", At, "2020", true);
    }

    #[test]
    fn v9_what_is_computed_has_inputs_and_what_is_reported_has_none() {
        use EstimateOrigin::{Apportioned, AsReported, Coded, Computed, Interpreted};
        let origin = |origin: EstimateOrigin, inputs: &[&str]| {
            let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
            move |estimate: &mut Estimate| {
                estimate.set_origin(origin);
                estimate.inputs = inputs;
            }
        };
        for source in [Computed, Apportioned] {
            check(origin(source, &["estimates/a"]), &[]);
            check(origin(source, &[]), &["inputs"]);
        }
        for source in [Coded, Interpreted] {
            check(origin(source, &["estimates/a"]), &[]);
            check(origin(source, &[]), &[]);
        }
        check(origin(AsReported, &[]), &[]);
        check(origin(AsReported, &["estimates/a"]), &["inputs"]);
    }

    #[test]
    fn every_input_is_a_link() {
        let estimate = Estimate { inputs: vec!["estimates/a".into(), "estimates/b".into()], ..Default::default() };
        let links: Vec<_> = estimate.links().iter().map(|link| (link.chain, link.path(), link.to.to_owned())).collect();
        assert_eq!(
            links,
            [
                (LinkChain::Inputs, "inputs[0]".to_owned(), "estimates/a".to_owned()),
                (LinkChain::Inputs, "inputs[1]".to_owned(), "estimates/b".to_owned()),
            ]
        );
    }
}
