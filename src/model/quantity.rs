//! Numbers as a report gives them: their bounds, their quantiles, and why a number is absent.
//!
//! Knows `Quantity`, and which numbers an aspect allows. Must not know what is counted, nor add, compare or round.

use super::{FieldPath, Violations, text};
use crate::proto::{Aspect, Quantile, Quantity, ValueStatus};

/// The unit of a count of persons or things.
const COUNT: &str = "1";

/// Sets the status KNOWN if there is a number and no status.
pub(super) fn complete(quantity: &mut Quantity) {
    if quantity.status() == ValueStatus::Unspecified && quantity.status == 0 && has_number(quantity) {
        quantity.set_status(ValueStatus::Known);
    }
}

fn has_number(quantity: &Quantity) -> bool {
    quantity.best.is_some() || quantity.lower.is_some() || quantity.upper.is_some() || !quantity.quantiles.is_empty()
}

/// Reports what breaks V1, V2 and V3. Numbers that are not finite are reported by `shape`, and not compared here.
pub(super) fn check(quantity: &Quantity, aspect: Aspect, at: &FieldPath<'_>, violations: &mut Violations) {
    if quantity.unit.contains(char::is_whitespace) && !text::is_blank(&quantity.unit) {
        violations.invalid(&at.field("unit"), "has a space: no code of ISO 4217 or UCUM has one, and 1 is the unit of a count");
    }
    check_status(quantity, at, violations);
    check_order(quantity, at, violations);
    check_quantiles(&quantity.quantiles, at, violations);
    if quantity.interval_level.is_some_and(is_no_probability) {
        violations.invalid(&at.field("interval_level"), "is not between 0 and 1: 0.95 means 95 %");
    }
    for (name, number) in [("best", quantity.best), ("lower", quantity.lower), ("upper", quantity.upper)] {
        if let Some(number) = number {
            check_range(number, quantity, aspect, &at.field(name), violations);
        }
    }
    for (index, quantile) in quantity.quantiles.iter().enumerate() {
        check_range(quantile.value, quantity, aspect, &at.field("quantiles").index(index).field("value"), violations);
    }
}

/// Checks V2: the status agrees with whether there is a number.
fn check_status(quantity: &Quantity, at: &FieldPath<'_>, violations: &mut Violations) {
    let status = at.field("status");
    match (quantity.status(), has_number(quantity)) {
        (ValueStatus::Known, false) => {
            violations.invalid(
                &status,
                "is KNOWN without a number: set best, lower, upper or a quantile, or a status that says why there is no number",
            );
        }
        // A number that the enum does not have reads as UNSPECIFIED. `shape` reports it.
        (ValueStatus::Unspecified, false) if quantity.status == 0 => {
            violations
                .invalid(&status, "is required without a number: set UNKNOWN, NONE, WITHHELD or VAGUE, or set the number");
        }
        (said @ (ValueStatus::Unknown | ValueStatus::None | ValueStatus::Withheld | ValueStatus::Vague), true) => {
            let said = said.as_str_name().trim_start_matches("VALUE_STATUS_");
            violations.invalid(&status, format!("is {said}, but the status of a number is KNOWN"));
        }
        _ => {}
    }
    if quantity.status() == ValueStatus::Vague && quantity.verbatim.is_empty() {
        violations.invalid(&at.field("verbatim"), "is required: a VAGUE quantity consists of its words");
    }
    if quantity.lower_exclusive && quantity.lower.is_none() {
        violations.invalid(&at.field("lower_exclusive"), "is set without lower");
    }
    if quantity.upper_exclusive && quantity.upper.is_none() {
        violations.invalid(&at.field("upper_exclusive"), "is set without upper");
    }
}

/// Checks V1: the order of lower, best and upper.
fn check_order(quantity: &Quantity, at: &FieldPath<'_>, violations: &mut Violations) {
    let &Quantity { best, lower, upper, lower_exclusive, upper_exclusive, .. } = quantity;
    if [best, lower, upper].into_iter().flatten().any(|number| !number.is_finite()) {
        return;
    }
    let rising = |low: Option<f64>, high: Option<f64>, strictly: bool| match (low, high) {
        (Some(low), Some(high)) if strictly => low < high,
        (Some(low), Some(high)) => low <= high,
        _ => true,
    };
    let broken = [
        ("best", "is below lower, or equal to it though lower_exclusive is set", rising(lower, best, lower_exclusive)),
        ("best", "is above upper, or equal to it though upper_exclusive is set", rising(best, upper, upper_exclusive)),
        (
            "upper",
            "is below lower, or equal to it though one of them is exclusive",
            best.is_some() && rising(lower, upper, false) || rising(lower, upper, lower_exclusive || upper_exclusive),
        ),
    ];
    let broken = broken.iter().filter(|(_, _, holds)| !holds);
    if quantity.inconsistent_as_reported {
        if broken.count() == 0 {
            violations
                .invalid(&at.field("inconsistent_as_reported"), "is set though lower <= best <= upper holds: leave it out");
        }
        return;
    }
    for (name, problem, _) in broken {
        violations.invalid(&at.field(name), format!("{problem}: if the source itself says so, set inconsistent_as_reported"));
    }
}

/// Whether a number is 0, 1 or outside that range. A number that is not finite is reported by `shape`.
fn is_no_probability(number: f64) -> bool {
    number <= 0.0 || number >= 1.0
}

/// Checks the part of V3 that concerns quantiles.
fn check_quantiles(quantiles: &[Quantile], at: &FieldPath<'_>, violations: &mut Violations) {
    let at = at.field("quantiles");
    for (index, quantile) in quantiles.iter().enumerate() {
        if is_no_probability(quantile.p) {
            violations.invalid(&at.index(index).field("p"), format!("{} is not between 0 and 1", quantile.p));
        }
    }
    for (index, pair) in quantiles.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        if after.p <= before.p {
            violations.invalid(&at.index(index + 1).field("p"), "does not rise: sort the quantiles by p, with each p once");
        }
        if after.value < before.value {
            violations.invalid(&at.index(index + 1).field("value"), "is below the value of the quantile before");
        }
    }
}

/// Checks the part of V3 that depends on the aspect and the unit of the number.
fn check_range(number: f64, quantity: &Quantity, aspect: Aspect, at: &FieldPath<'_>, violations: &mut Violations) {
    if !number.is_finite() {
        return;
    }
    if aspect == Aspect::Share {
        if !(0.0..=1.0).contains(&number) {
            violations.invalid(at, format!("{number} is not a share: a part of a whole is 0 to 1"));
        }
    } else if aspect != Aspect::Increment && quantity.unit == COUNT && number < 0.0 {
        violations.invalid(at, format!("{number} is negative: a count is 0 or more, unless its aspect is INCREMENT"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Completes and checks a quantity of an aspect, and compares which fields are refused.
    fn check_of(aspect: Aspect, change: impl FnOnce(&mut Quantity), expect: &[&str]) {
        let mut quantity = Quantity { unit: COUNT.into(), ..Default::default() };
        change(&mut quantity);
        complete(&mut quantity);
        let mut violations = Violations::default();
        check(&quantity, aspect, &FieldPath::ROOT.field("quantity"), &mut violations);
        let fields: Vec<_> =
            violations.as_slice().iter().map(|violation| violation.field.strip_prefix("quantity.").unwrap()).collect();
        assert_eq!(fields, expect, "{aspect:?} {quantity:?}");
    }

    fn check_level(change: impl FnOnce(&mut Quantity), expect: &[&str]) {
        check_of(Aspect::Level, change, expect);
    }

    /// Checks the bounds lower, best and upper. An absent one is `None`.
    fn check_bounds(bounds: [Option<f64>; 3], exclusive: [bool; 2], expect: &[&str]) {
        check_level(
            |quantity| {
                [quantity.lower, quantity.best, quantity.upper] = bounds;
                [quantity.lower_exclusive, quantity.upper_exclusive] = exclusive;
            },
            expect,
        );
    }

    #[test]
    fn a_unit_has_no_space() {
        for unit in [" 1", "1 ", "US D", "km\u{a0}", "1\n"] {
            check_of(Aspect::Level, |quantity| (quantity.best, quantity.unit) = (Some(1.0), unit.into()), &["unit"]);
        }
        check_of(Aspect::Level, |quantity| (quantity.best, quantity.unit) = (Some(1.0), "km2".into()), &[]);
    }

    #[test]
    fn v1_lower_best_and_upper_are_in_order() {
        let some = |lower, best, upper| [Some(lower), Some(best), Some(upper)];
        check_bounds(some(1.0, 2.0, 3.0), [false; 2], &[]);
        check_bounds(some(2.0, 2.0, 2.0), [false; 2], &[]);
        check_bounds([Some(1.0), None, Some(1.0)], [false; 2], &[]);
        check_bounds([Some(1.0), None, None], [false; 2], &[]);
        check_bounds([None, None, Some(1.0)], [false; 2], &[]);
        check_bounds(some(2.0, 1.0, 3.0), [false; 2], &["best"]);
        check_bounds(some(1.0, 4.0, 3.0), [false; 2], &["best"]);
        check_bounds([Some(2.0), None, Some(1.0)], [false; 2], &["upper"]);
        check_bounds(some(3.0, 2.0, 1.0), [false; 2], &["best", "best", "upper"]);
    }

    #[test]
    fn v1_best_is_strictly_inside_an_exclusive_bound() {
        check_bounds([Some(300.0), None, None], [true, false], &[]);
        check_bounds([Some(300.0), Some(301.0), None], [true, false], &[]);
        check_bounds([Some(300.0), Some(300.0), None], [true, false], &["best"]);
        check_bounds([None, Some(300.0), Some(300.0)], [false, true], &["best"]);
        check_bounds([Some(300.0), None, Some(300.0)], [true, false], &["upper"]);
        check_bounds([Some(300.0), None, Some(300.0)], [false, true], &["upper"]);
    }

    #[test]
    fn v1_an_order_broken_by_the_source_is_marked_and_only_that() {
        let marked = |lower: f64, best: f64, upper: f64, expect: &[&str]| {
            check_level(
                |quantity| {
                    [quantity.lower, quantity.best, quantity.upper] = [Some(lower), Some(best), Some(upper)];
                    quantity.inconsistent_as_reported = true;
                },
                expect,
            );
        };
        marked(5.0, 3.0, 4.0, &[]);
        marked(3.0, 4.0, 5.0, &["inconsistent_as_reported"]);
        marked(3.0, 3.0, 3.0, &["inconsistent_as_reported"]);
        check_level(|quantity| quantity.inconsistent_as_reported = true, &["status", "inconsistent_as_reported"]);
    }

    #[test]
    fn v2_a_number_is_known_and_what_is_not_known_has_none() {
        use ValueStatus::{Known, None, Unknown, Unspecified, Vague, Withheld};
        let number = |status: ValueStatus, expect: &[&str]| {
            check_level(
                |quantity| {
                    quantity.best = Some(0.0);
                    quantity.set_status(status);
                    quantity.verbatim = "w".into();
                },
                expect,
            );
        };
        let nothing = |status: ValueStatus, expect: &[&str]| {
            check_level(
                |quantity| {
                    quantity.set_status(status);
                    quantity.verbatim = "w".into();
                },
                expect,
            );
        };
        number(Known, &[]);
        number(Unspecified, &[]);
        nothing(Known, &["status"]);
        nothing(Unspecified, &["status"]);
        for status in [Unknown, None, Withheld, Vague] {
            number(status, &["status"]);
            nothing(status, &[]);
        }
        check_level(|quantity| quantity.set_status(Vague), &["verbatim"]);
        check_level(|quantity| quantity.set_status(Withheld), &[]);
    }

    #[test]
    fn v2_each_kind_of_number_is_completed_to_known() {
        let completed = |change: fn(&mut Quantity)| {
            let mut quantity = Quantity::default();
            change(&mut quantity);
            complete(&mut quantity);
            quantity.status()
        };
        assert_eq!(completed(|quantity| quantity.best = Some(0.0)), ValueStatus::Known);
        assert_eq!(completed(|quantity| quantity.lower = Some(1.0)), ValueStatus::Known);
        assert_eq!(completed(|quantity| quantity.upper = Some(1.0)), ValueStatus::Known);
        assert_eq!(completed(|quantity| quantity.quantiles = vec![Quantile::default()]), ValueStatus::Known);
        assert_eq!(completed(|_| {}), ValueStatus::Unspecified);
        assert_eq!(completed(|quantity| quantity.set_status(ValueStatus::Vague)), ValueStatus::Vague);
    }

    #[test]
    fn v2_an_exclusive_flag_needs_its_bound() {
        check_bounds([None, Some(1.0), None], [true, false], &["lower_exclusive"]);
        check_bounds([None, Some(1.0), None], [false, true], &["upper_exclusive"]);
    }

    #[test]
    fn v3_counts_are_not_negative_unless_increments_and_shares_are_parts() {
        use Aspect::{Cumulative, Increment, Level, Rate, Share};
        for aspect in [Level, Cumulative, Rate] {
            check_of(aspect, |quantity| quantity.best = Some(0.0), &[]);
            check_of(aspect, |quantity| quantity.best = Some(-1.0), &["best"]);
            check_of(aspect, |quantity| quantity.lower = Some(-1.0), &["lower"]);
            check_of(aspect, |quantity| (quantity.best, quantity.unit) = (Some(-1.0), "Cel".into()), &[]);
        }
        check_of(Increment, |quantity| quantity.best = Some(-1500.0), &[]);
        check_of(Share, |quantity| [quantity.lower, quantity.upper] = [Some(0.0), Some(1.0)], &[]);
        check_of(Share, |quantity| quantity.upper = Some(1.01), &["upper"]);
        check_of(Share, |quantity| quantity.lower = Some(-0.01), &["lower"]);
    }

    #[test]
    fn v3_levels_of_intervals_lie_between_0_and_1() {
        let level = |level: f64, expect: &[&str]| {
            check_level(|quantity| [quantity.best, quantity.interval_level] = [Some(1.0), Some(level)], expect);
        };
        level(0.95, &[]);
        level(0.0, &["interval_level"]);
        level(1.0, &["interval_level"]);
        level(95.0, &["interval_level"]);
    }

    #[test]
    fn v3_quantiles_rise() {
        let quantiles = |quantiles: &[(f64, f64)], expect: &[&str]| {
            check_level(
                |quantity| quantity.quantiles = quantiles.iter().map(|&(p, value)| Quantile { p, value }).collect(),
                expect,
            );
        };
        quantiles(&[(0.01, 17_458.67), (0.5, 22_798.94), (0.99, 22_798.94)], &[]);
        quantiles(&[(0.0, 1.0)], &["quantiles[0].p"]);
        quantiles(&[(0.5, 1.0), (1.0, 2.0)], &["quantiles[1].p"]);
        quantiles(&[(0.5, 1.0), (0.5, 2.0)], &["quantiles[1].p"]);
        quantiles(&[(0.5, 1.0), (0.4, 2.0)], &["quantiles[1].p"]);
        quantiles(&[(0.4, 2.0), (0.5, 1.0)], &["quantiles[1].value"]);
        quantiles(&[(0.4, -2.0), (0.5, 1.0)], &["quantiles[0].value"]);
    }
}
