//! Ratings: judgements on published scales.
//!
//! Knows `Rating` and the codes of the scales that the contract names. Must not know who may judge, nor how to convert one
//! scale to another.

use super::{FieldPath, Violations, code, time, violation::quoted};
use crate::proto::Rating;

/// The likelihoods of ICD 203 (2015): seven degrees with their synonyms.
const ICD203_LIKELIHOOD: [&str; 15] = [
    "almost no chance",
    "remote",
    "very unlikely",
    "highly improbable",
    "unlikely",
    "improbable",
    "roughly even chance",
    "roughly even odds",
    "likely",
    "probable",
    "very likely",
    "highly probable",
    "almost certain",
    "almost certainly",
    "nearly certain",
];

/// Sets the bounds of the times of assessment.
pub(super) fn complete(ratings: &mut [Rating]) {
    ratings.iter_mut().filter_map(|rating| rating.assessed_at.as_mut()).for_each(time::complete);
}

/// Reports ratings that break V13 or contradict themselves.
pub(super) fn check_all(ratings: &[Rating], at: &FieldPath<'_>, violations: &mut Violations) {
    let at = at.field("ratings");
    for (index, rating) in ratings.iter().enumerate() {
        check(rating, &at.index(index), violations);
    }
}

/// Like [`check_all`], for one rating.
pub(super) fn check(rating: &Rating, at: &FieldPath<'_>, violations: &mut Violations) {
    code::check(&rating.code, &at.field("code"), violations);
    if let Some(expected) = breach(&rating.code) {
        violations.invalid(&at.field("code"), format!("{} is not on its scale: {expected}", quoted(&rating.code)));
    }
    if let (Some(lower), Some(upper)) = (rating.lower, rating.upper)
        && lower > upper
    {
        violations.invalid(&at.field("upper"), "is below lower");
    }
    if let (Some(least), Some(most)) = (rating.scale_min, rating.scale_max)
        && least >= most
    {
        violations.invalid(&at.field("scale_max"), "is not above scale_min");
    }
    if rating.value.is_some_and(|value| {
        rating.scale_min.is_some_and(|least| value < least) || rating.scale_max.is_some_and(|most| value > most)
    }) {
        violations.invalid(&at.field("value"), "is outside scale_min to scale_max");
    }
    time::check_field(rating.assessed_at.as_ref(), "assessed_at", at, violations);
}

/// What a known scheme expects, if the code is not one of its codes.
fn breach(rating: &str) -> Option<&'static str> {
    let (scheme, code) = code::split(rating)?;
    let (expected, holds) = match scheme {
        "admiralty.reliability" => ("write A, B, C, D, E or F", matches!(code, "A" | "B" | "C" | "D" | "E" | "F")),
        "admiralty.credibility" => ("write 1, 2, 3, 4, 5 or 6", matches!(code, "1" | "2" | "3" | "4" | "5" | "6")),
        "icd203.likelihood" => (
            "write almost no chance, very unlikely, unlikely, roughly even chance, likely, very likely, almost certain, or a \
             synonym of ICD 203, with spaces between words",
            ICD203_LIKELIHOOD.contains(&code),
        ),
        "icd203.confidence" => ("write low, moderate or high", matches!(code, "low" | "moderate" | "high")),
        "stix.confidence" => ("write a whole number from 0 to 100", is_0_to_100(code)),
        _ => return None,
    };
    (!holds).then_some(expected)
}

/// Whether a text is a whole number from 0 to 100 in its only spelling: no sign, no leading zero.
fn is_0_to_100(code: &str) -> bool {
    code.parse::<u8>().is_ok_and(|number| number <= 100 && number.to_string() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fields(rating: &Rating, expect: &[&str]) {
        let mut violations = Violations::default();
        check_all(&[Rating { code: "x:1".into(), ..Default::default() }, rating.clone()], &FieldPath::ROOT, &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, expect, "{rating:?}");
    }

    fn check_code(code: &str, ok: bool) {
        let expect: &[&str] = if ok { &[] } else { &["ratings[1].code"] };
        check_fields(&Rating { code: code.into(), ..Default::default() }, expect);
    }

    #[test]
    fn v13_a_known_scheme_has_that_code() {
        for letter in 'A'..='F' {
            check_code(&format!("admiralty.reliability:{letter}"), true);
        }
        for other in ["G", "a", "1", "AB"] {
            check_code(&format!("admiralty.reliability:{other}"), false);
        }
        for number in 1..=6 {
            check_code(&format!("admiralty.credibility:{number}"), true);
        }
        for other in ["0", "7", "A", "01"] {
            check_code(&format!("admiralty.credibility:{other}"), false);
        }
        for degree in ICD203_LIKELIHOOD {
            check_code(&format!("icd203.likelihood:{degree}"), true);
        }
        for other in ["possible", "Likely", "very_likely", "50"] {
            check_code(&format!("icd203.likelihood:{other}"), false);
        }
        for level in ["low", "moderate", "high"] {
            check_code(&format!("icd203.confidence:{level}"), true);
        }
        check_code("icd203.confidence:medium", false);
        for number in 0..=100 {
            check_code(&format!("stix.confidence:{number}"), true);
        }
        for other in ["101", "-1", "+1", "007", "70%", "0.7", "high"] {
            check_code(&format!("stix.confidence:{other}"), false);
        }
    }

    #[test]
    fn v13_an_unknown_scheme_is_stored_as_it_is() {
        check_code("ucdp.event_clarity:1", true);
        check_code("gdelt.confidence:50", true);
        check_code("text:roughly accurate", true);
        check_code("admiralty:Z9", true);
        check_code("roughly accurate", false);
    }

    #[test]
    fn ranges_and_values_do_not_contradict_themselves() {
        let rating = |lower, upper, value, scale_min, scale_max| Rating {
            code: "x:1".into(),
            lower,
            upper,
            value,
            scale_min,
            scale_max,
            ..Default::default()
        };
        check_fields(&rating(Some(0.2), Some(0.2), Some(3.0), Some(1.0), Some(5.0)), &[]);
        check_fields(&rating(Some(0.3), Some(0.2), None, None, None), &["ratings[1].upper"]);
        check_fields(&rating(None, None, None, Some(5.0), Some(5.0)), &["ratings[1].scale_max"]);
        check_fields(&rating(None, None, Some(0.5), Some(1.0), None), &["ratings[1].value"]);
        check_fields(&rating(None, None, Some(5.5), None, Some(5.0)), &["ratings[1].value"]);
        check_fields(&rating(None, None, Some(5.5), None, None), &[]);
    }
}
