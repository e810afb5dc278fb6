//! Places as a report gives them, and countries as ISO 3166-1 alpha-3 codes.
//!
//! A code that was withdrawn from ISO 3166-1 ("YUG", "SUN", "ZAR") is also a country, because an event of 1990 happened in the
//! country of that time. So is "XKX" for Kosovo, which has no code of its own: it is the one user-assigned code on which data
//! sets agree. Other user-assigned codes have no common meaning and are refused.
//!
//! Knows `Place` and codes. Must not know which records have places, nor distances between places.

use rust_iso3166::{from_alpha3, iso3166_3};

use super::{FieldPath, Violations, code, text, violation::quoted};
use crate::proto::Place;

/// Reports coordinates and countries that break V10, and names, codes and ids of the wrong form.
pub(super) fn check(place: &Place, at: &FieldPath<'_>, violations: &mut Violations) {
    text::check_display_name(&place.display_name, &at.field("display_name"), violations);
    check_country(&place.country, &at.field("country"), violations);
    check_degrees(place.latitude, 90.0, &at.field("latitude"), violations);
    check_degrees(place.longitude, 180.0, &at.field("longitude"), violations);
    match (place.latitude, place.longitude) {
        (Some(_), None) => violations.invalid(&at.field("longitude"), "is required: a point has latitude and longitude"),
        (None, Some(_)) => violations.invalid(&at.field("latitude"), "is required: a point has latitude and longitude"),
        _ => {}
    }
    if place.radius_m.is_some_and(|radius| radius < 0.0) {
        violations.invalid(&at.field("radius_m"), "is negative: an uncertainty is 0 metres or more");
    }
    code::check_external_ids(&place.external_ids, &at.field("external_ids"), violations);
    code::check(&place.precision_code, &at.field("precision_code"), violations);
}

fn check_degrees(degrees: Option<f64>, maximum: f64, at: &FieldPath<'_>, violations: &mut Violations) {
    // A number that is not finite is reported by `shape`, with all numbers.
    if let Some(degrees) = degrees.filter(|degrees| degrees.is_finite())
        && degrees.abs() > maximum
    {
        violations.invalid(at, format!("{degrees} is outside -{maximum} to {maximum} degrees"));
    }
}

/// "XKX" is in use but not in the standard. "ROM" was Romania until 2002; ISO 3166-3 omits it, because only the code changed.
const BEYOND_THE_STANDARD: [&str; 2] = ["XKX", "ROM"];

/// Whether a text is the alpha-3 code of a present or former country.
pub(super) fn is_country(text: &str) -> bool {
    from_alpha3(text).is_some()
        || BEYOND_THE_STANDARD.contains(&text)
        || iso3166_3::ALL.iter().any(|withdrawn| withdrawn.former.alpha3 == text)
}

/// The alpha-2 code of a present or former country.
pub fn country_alpha2(alpha3: &str) -> Option<&'static str> {
    let former =
        || iso3166_3::ALL.iter().find(|withdrawn| withdrawn.former.alpha3 == alpha3).map(|withdrawn| withdrawn.former.alpha2);
    match alpha3 {
        "XKX" => Some("XK"),
        "ROM" => Some("RO"),
        _ => from_alpha3(alpha3).map(|country| country.alpha2).or_else(former),
    }
}

/// Reports a code that is set and is not a country's.
pub(super) fn check_country(country: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if !country.is_empty() && !is_country(country) {
        violations.invalid(
            at,
            format!(
                "{} is not a country: write its ISO 3166-1 alpha-3 code in capitals, such as RUS, or leave it out",
                quoted(country)
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fields(place: &Place, expect: &[&str]) {
        let mut violations = Violations::default();
        check(place, &FieldPath::ROOT.field("places").index(0), &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, expect, "{place:?}");
    }

    fn point(latitude: Option<f64>, longitude: Option<f64>) -> Place {
        Place { latitude, longitude, ..Default::default() }
    }

    #[test]
    fn a_point_lies_on_earth_and_has_both_coordinates() {
        check_fields(&point(None, None), &[]);
        check_fields(&point(Some(35.763_369), Some(36.558_974)), &[]);
        check_fields(&point(Some(0.0), Some(0.0)), &[]);
        check_fields(&point(Some(-90.0), Some(-180.0)), &[]);
        check_fields(&point(Some(90.0), Some(180.0)), &[]);
        check_fields(&point(Some(90.000_001), Some(0.0)), &["places[0].latitude"]);
        check_fields(&point(Some(0.0), Some(-180.5)), &["places[0].longitude"]);
        check_fields(&point(Some(91.0), Some(181.0)), &["places[0].latitude", "places[0].longitude"]);
        check_fields(&point(Some(1.0), None), &["places[0].longitude"]);
        check_fields(&point(None, Some(1.0)), &["places[0].latitude"]);
    }

    #[test]
    fn a_radius_is_not_negative() {
        check_fields(&Place { radius_m: Some(0.0), ..Default::default() }, &[]);
        check_fields(&Place { radius_m: Some(25_000.0), ..Default::default() }, &[]);
        check_fields(&Place { radius_m: Some(-0.1), ..Default::default() }, &["places[0].radius_m"]);
    }

    #[test]
    fn country_ids_codes_and_name_have_their_form() {
        check_fields(&Place { country: "PRK".into(), ..Default::default() }, &[]);
        check_fields(&Place { country: "XXX".into(), ..Default::default() }, &["places[0].country"]);
        check_fields(
            &Place { external_ids: vec!["geonames:1".into(), "1".into()], ..Default::default() },
            &["places[0].external_ids[1]"],
        );
        check_fields(&Place { precision_code: "ucdp.where_prec:4".into(), ..Default::default() }, &[]);
        check_fields(&Place { precision_code: "4".into(), ..Default::default() }, &["places[0].precision_code"]);
        check_fields(&Place { display_name: "e\u{301}".into(), ..Default::default() }, &["places[0].display_name"]);
        check_fields(&Place { verbatim: "e\u{301}".into(), ..Default::default() }, &[]);
    }

    #[test]
    fn countries_are_alpha_3_codes_of_today_and_of_former_days() {
        for country in ["RUS", "PRK", "KOR", "UKR", "SSD", "PSE", "ESH", "TWN", "XKX"] {
            assert!(is_country(country), "{country}");
        }
        // UCDP's data begin in 1989, when these were in the standard.
        for country in ["YUG", "SUN", "DDR", "CSK", "ZAR", "SCG", "YMD", "TMP", "BUR", "ROM"] {
            assert!(is_country(country), "{country}");
        }
        for country in ["", "XXX", "ZZZ", "QQQ", "rus", "RU", "Rus", "Russia", "RUS ", "643", "XK", "EUR"] {
            assert!(!is_country(country), "{country}");
        }
    }

    #[test]
    fn every_country_has_an_alpha_2_code() {
        for (country, expected) in [("RUS", "RU"), ("PRK", "KP"), ("XKX", "XK"), ("ROM", "RO"), ("YUG", "YU"), ("SUN", "SU")] {
            assert_eq!(country_alpha2(country), Some(expected), "{country}");
        }
        assert_eq!(country_alpha2("ZZZ"), None);
    }
}
