//! Places as a report gives them.
//!
//! Knows `Place`. Must not know which records have places, nor how far one place is from another.

use super::{Path, Violations, code, country, text};
use crate::proto::Place;

/// Reports what breaks V10, and names, codes and ids of the wrong form.
pub(super) fn check(place: &Place, at: &Path<'_>, violations: &mut Violations) {
    text::check_display_name(&place.display_name, &at.field("display_name"), violations);
    country::check(&place.country, &at.field("country"), violations);
    check_degrees(place.latitude, 90.0, &at.field("latitude"), violations);
    check_degrees(place.longitude, 180.0, &at.field("longitude"), violations);
    match (place.latitude, place.longitude) {
        (Some(_), None) => violations.invalid(&at.field("longitude"), "is missing: a point has latitude and longitude"),
        (None, Some(_)) => violations.invalid(&at.field("latitude"), "is missing: a point has latitude and longitude"),
        _ => {}
    }
    if place.radius_m.is_some_and(|radius| radius < 0.0) {
        violations.invalid(&at.field("radius_m"), "is negative: an uncertainty is 0 metres or more");
    }
    code::check_external_ids(&place.external_ids, &at.field("external_ids"), violations);
    code::check(&place.precision_code, &at.field("precision_code"), violations);
}

fn check_degrees(degrees: Option<f64>, maximum: f64, at: &Path<'_>, violations: &mut Violations) {
    // What is not finite is reported with all numbers.
    if let Some(degrees) = degrees.filter(|degrees| degrees.is_finite())
        && degrees.abs() > maximum
    {
        violations.invalid(at, format!("{degrees} is outside -{maximum} to {maximum} degrees"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_fields(place: &Place, expect: &[&str]) {
        let mut violations = Violations::default();
        check(place, &Path::ROOT.field("places").index(0), &mut violations);
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
}
