//! Countries: ISO 3166-1 alpha-3.
//!
//! Also codes that were in ISO 3166-1 once ("YUG", "SUN", "ZAR"), because an event of 1990 happened where it happened; and
//! "XKX", the one user-assigned code that data sets agree on, for Kosovo, which has no code of its own. Other user-assigned
//! codes mean something else to everybody and are refused.
//!
//! Knows codes. Must not know where a country stands in a record.

use rust_iso3166::{from_alpha3, iso3166_3};

use super::{Path, Violations, violation::quoted};

/// In use though not in the standard; and Romania's until 2002, which ISO 3166-3 leaves out as only the code changed.
const BEYOND_THE_STANDARD: [&str; 2] = ["XKX", "ROM"];

/// Whether a text is the alpha-3 code of a country, now or formerly.
pub(super) fn is_country(text: &str) -> bool {
    from_alpha3(text).is_some()
        || BEYOND_THE_STANDARD.contains(&text)
        || iso3166_3::ALL.iter().any(|withdrawn| withdrawn.former.alpha3 == text)
}

/// The alpha-2 code of a country, now or formerly.
pub fn country_alpha2(alpha3: &str) -> Option<&'static str> {
    let former =
        || iso3166_3::ALL.iter().find(|withdrawn| withdrawn.former.alpha3 == alpha3).map(|withdrawn| withdrawn.former.alpha2);
    match alpha3 {
        "XKX" => Some("XK"),
        "ROM" => Some("RO"),
        _ => from_alpha3(alpha3).map(|country| country.alpha2).or_else(former),
    }
}

/// Reports a code that is there and is no country's.
pub(super) fn check(country: &str, at: &Path<'_>, violations: &mut Violations) {
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

    #[test]
    fn countries_are_alpha_3_codes_of_today_and_of_former_days() {
        for country in ["RUS", "PRK", "KOR", "UKR", "SSD", "PSE", "ESH", "TWN", "XKX"] {
            assert!(is_country(country), "{country}");
        }
        // UCDP begins in 1989, when these were in the standard.
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
