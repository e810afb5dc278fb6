//! Times as a report gives them: the bounds of their EDTF text, and the order of two times.
//!
//! Knows `TimeSpec`. Must not know which records have times, nor the clock.

use prost_types::Timestamp;

use super::{FieldPath, Violations, code, edtf, violation::quoted};
use crate::proto::{TimeQualifier, TimeSpec};

/// Sets the bounds from the EDTF text, if it is set and parses.
pub(super) fn complete(time: &mut TimeSpec) {
    if time.edtf.is_empty() {
        return;
    }
    if let Ok(bounds) = edtf::bounds(&time.edtf) {
        let timestamp = |seconds| Timestamp { seconds, nanos: 0 };
        time.earliest = bounds.earliest.map(timestamp);
        time.latest = bounds.latest.map(timestamp);
    }
}

/// Reports an EDTF text that does not parse (V7) and bounds in the wrong order.
pub(super) fn check(time: &TimeSpec, at: &FieldPath<'_>, violations: &mut Violations) {
    if !time.edtf.is_empty()
        && let Err(error) = edtf::bounds(&time.edtf)
    {
        violations.invalid(&at.field("edtf"), format!("{} {error}", quoted(&time.edtf)));
    } else if let (Some(earliest), Some(latest)) = (&time.earliest, &time.latest)
        && instant(earliest) >= instant(latest)
    {
        violations.invalid(
            &at.field("latest"),
            "is not after earliest: latest is exclusive, so it is after earliest even for a single moment",
        );
    }
    code::check(&time.precision_code, &at.field("precision_code"), violations);
}

/// Like [`check`], for a field that may be unset.
pub(super) fn check_field(time: Option<&TimeSpec>, name: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if let Some(time) = time {
        check(time, &at.field(name), violations);
    }
}

/// Seconds and nanoseconds. They have the same order as the times if both are well-formed.
type Instant = (i64, i32);

fn instant(timestamp: &Timestamp) -> Instant {
    (timestamp.seconds, timestamp.nanos)
}

/// Whether one time is certainly before the other: every instant that the first can mean is before every instant that the
/// second can mean. An unknown bound is unbounded. So is the side that a qualifier leaves open: SINCE a day has no end.
pub(super) fn is_wholly_before(one: &TimeSpec, other: &TimeSpec) -> bool {
    match (end(one), begin(other)) {
        (Some(end), Some(begin)) => end <= begin,
        _ => false,
    }
}

fn begin(time: &TimeSpec) -> Option<Instant> {
    match time.qualifier() {
        TimeQualifier::By | TimeQualifier::Before => None,
        _ => time.earliest.as_ref().map(instant),
    }
}

fn end(time: &TimeSpec) -> Option<Instant> {
    match time.qualifier() {
        TimeQualifier::After | TimeQualifier::Since => None,
        _ => time.latest.as_ref().map(instant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edtf(text: &str) -> TimeSpec {
        let mut time = TimeSpec { edtf: text.into(), ..Default::default() };
        complete(&mut time);
        time
    }

    fn bounded(earliest: Option<i64>, latest: Option<i64>) -> TimeSpec {
        let timestamp = |seconds| Timestamp { seconds, nanos: 0 };
        TimeSpec { earliest: earliest.map(timestamp), latest: latest.map(timestamp), ..Default::default() }
    }

    fn check_fields(time: &TimeSpec, expect: &[&str]) {
        let mut violations = Violations::default();
        check(time, &FieldPath::ROOT.field("time"), &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, expect, "{time:?}");
    }

    #[test]
    fn bounds_come_from_the_text_and_what_was_sent_beside_it_is_ignored() {
        let sent = TimeSpec { edtf: "1970-01-02/..".into(), ..bounded(Some(5), Some(1)) };
        let mut completed = sent.clone();
        complete(&mut completed);
        assert_eq!(completed, TimeSpec { edtf: sent.edtf, ..bounded(Some(86400), None) });
    }

    #[test]
    fn bounds_are_the_senders_without_a_text() {
        let sent = bounded(Some(5), None);
        let mut completed = sent.clone();
        complete(&mut completed);
        assert_eq!(completed, sent);
    }

    #[test]
    fn a_text_that_does_not_parse_is_kept_and_reported() {
        let time = TimeSpec { edtf: "soon".into(), ..bounded(Some(1), Some(2)) };
        let mut completed = time.clone();
        complete(&mut completed);
        assert_eq!(completed, time);
        check_fields(&completed, &["time.edtf"]);
        check_fields(&edtf("9999"), &["time.edtf"]);
    }

    #[test]
    fn earliest_is_before_latest() {
        check_fields(&TimeSpec::default(), &[]);
        check_fields(&bounded(Some(1), Some(2)), &[]);
        check_fields(&bounded(Some(2), None), &[]);
        check_fields(&bounded(None, Some(2)), &[]);
        check_fields(&bounded(Some(2), Some(2)), &["time.latest"]);
        check_fields(&bounded(Some(3), Some(2)), &["time.latest"]);
        let mut nanos = bounded(Some(2), Some(2));
        nanos.latest = Some(Timestamp { seconds: 2, nanos: 1 });
        check_fields(&nanos, &[]);
    }

    #[test]
    fn the_precision_code_is_a_code() {
        check_fields(&TimeSpec { precision_code: "ucdp.date_prec:2".into(), ..Default::default() }, &[]);
        check_fields(&TimeSpec { precision_code: "2".into(), ..Default::default() }, &["time.precision_code"]);
    }

    fn check_before(one: &str, qualifier: TimeQualifier, other: &str, expect: bool) {
        let one = TimeSpec { qualifier: qualifier.into(), ..edtf(one) };
        assert_eq!(is_wholly_before(&one, &edtf(other)), expect, "{one:?} before {other}");
    }

    #[test]
    fn before_is_wholly_and_with_both_bounds_known() {
        use TimeQualifier::{After, At, Before, By, Since, Unspecified};
        check_before("2024-10", Unspecified, "2024-11-01", true);
        check_before("2024-10", At, "2024-10-31", false);
        check_before("2024-10/..", At, "2024-12", false);
        check_before("2024-10", Since, "2024-12", false);
        check_before("2024-10", After, "2024-12", false);
        check_before("2024-10", By, "2024-12", true);
        check_before("2024-10", Before, "2024-12", true);
        check_before("2024-10", By, "../2024-12", false);
        let by = TimeSpec { qualifier: By.into(), ..edtf("2024-12") };
        assert!(!is_wholly_before(&edtf("2024-10"), &by));
    }
}
