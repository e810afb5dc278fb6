//! Converts values of external formats to values of the contract: names, external ids, titles, dates and quantities.
//!
//! The same value always becomes the same name or id, so that a second import finds the records of the first.
//!
//! Must not know any single format, or what a value belongs to.

use std::fmt::Write;

use jiff::{
    civil::{Date, Time},
    fmt::strtime,
    tz::Offset,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::{
    limits::{self, ID_CHARS_MAX},
    model::RecordKind,
};

/// Characters of a digest: 128 bits, so that two values never share one by chance.
const DIGEST_CHARS: usize = 32;

/// A digest of texts, which identifies something that has no id of its own.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut digest = sha256(parts.iter().map(|part| part.as_bytes()));
    digest.truncate(DIGEST_CHARS);
    digest
}

/// The full SHA-256 of several parts. It depends on the boundaries between the parts.
pub(crate) fn sha256(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    format!("{:x}", digest.finalize())
}

/// A text as a title or a display name: normalised, and cut to the allowed length.
pub(crate) fn title(text: &str) -> String {
    text.nfc().filter(|letter| !letter.is_ascii_control()).take(limits::TITLE_CHARS_MAX).collect()
}

/// An external id as a part of a name: in lower case if it has only capitals and digits and is not long, else its digest.
pub(crate) fn name_part(id: &str) -> String {
    let plain = id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if plain && (1..=40).contains(&id.len()) { id.to_ascii_lowercase() } else { digest(&[id]) }
}

/// The name of the record with this external id. If a name cannot contain the id (capitals, other characters, too long), the
/// name ends with a digest of the id.
pub(crate) fn name_of(kind: RecordKind, external_id: &str) -> String {
    let (scheme, value) = external_id.split_once(':').unwrap_or(("", external_id));
    let mut id = String::with_capacity(ID_CHARS_MAX);
    for letter in scheme.chars().chain(['-']).chain(value.chars()).map(|letter| letter.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' => id.push(letter),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    // In a scheme, other characters only separate words. In a value, every character matters.
    if id.len() > ID_CHARS_MAX || !id.ends_with(value) || value.starts_with('-') || id.ends_with('-') || value.is_empty() {
        id.truncate(ID_CHARS_MAX - DIGEST_CHARS - 1);
        let kept = id.trim_end_matches('-');
        let hex = digest(&[external_id]);
        let separator = if kept.is_empty() { "" } else { "-" };
        id = [kept, separator, &hex].concat();
    }
    format!("{}/{id}", kind.collection())
}

/// A text as the value of an external id, which is printable ASCII without spaces. Other characters are percent-encoded as in a
/// URL.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string accepts every write");
        }
    }
    escaped
}

/// A date in the given strptime form as EDTF, with the precision of the form. EDTF has no time of day without seconds, so such
/// a time is left out.
pub(crate) fn edtf_from_form(text: &str, form: &str) -> Result<String, String> {
    let wrong = |error: jiff::Error| format!("{text:?} is not a date of the form {form:?}: {error}");
    let time = strtime::parse(form, text.trim()).map_err(wrong)?;
    match (time.year(), time.month(), time.day(), time.day_of_year()) {
        (None, ..) => Ok(time.to_timestamp().map_err(wrong)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (Some(year), None, None, None) => Ok(format!("{year:04}")),
        (Some(year), Some(month), None, None) => Ok(format!("{year:04}-{month:02}")),
        _ => {
            let date = time.to_date().map_err(wrong)?;
            let clock = time.second().and_then(|_| time.to_time().ok());
            Ok(edtf(date, clock, time.offset()))
        }
    }
}

/// A day, and optionally a time of day, in EDTF. Fractions of a second are cut off.
pub(crate) fn edtf(date: Date, time: Option<Time>, offset: Option<Offset>) -> String {
    let Some(time) = time else { return date.to_string() };
    let zone = match offset {
        Some(Offset::UTC) => "Z".to_owned(),
        Some(offset) => {
            let minutes = offset.seconds() / 60;
            format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
        }
        None => String::new(),
    };
    format!("{date}T{:02}:{:02}:{:02}{zone}", time.hour(), time.minute(), time.second())
}

/// A quantity (proto3 JSON) as text: "about 3000", "1 to 10", "more than 300 USD". Its status if it has no number: "WITHHELD".
pub(crate) fn quantity_in_words(quantity: Option<&Value>) -> String {
    let Some(quantity) = quantity else { return String::new() };
    let text = |field: &str| quantity.get(field).and_then(Value::as_str).unwrap_or_default();
    let unit = match text("unit") {
        "1" => String::new(),
        unit => format!(" {unit}"),
    };
    let number_of = |field: &str| quantity.get(field).and_then(number);
    let words = match (number_of("best"), bounds_in_words(quantity)) {
        (Some(best), bounds) if bounds.is_empty() => best,
        (Some(best), bounds) => format!("{best} ({bounds})"),
        (None, bounds) if !bounds.is_empty() => bounds,
        (None, _) => match quantiles_in_words(quantity) {
            Some(quantiles) => quantiles,
            None => return text("status").trim_start_matches("VALUE_STATUS_").to_owned(),
        },
    };
    match text("approximation").trim_start_matches("APPROXIMATION_") {
        "ABOUT" => format!("about {words}{unit}"),
        "NEARLY" => format!("nearly {words}{unit}"),
        "ORDER_OF_MAGNITUDE" => format!("of the order of {words}{unit}"),
        _ => format!("{words}{unit}"),
    }
}

/// The bounds of a quantity: "1 to 10", "at least 300", "more than 300", "95 % interval 1 to 10". Empty if there are none.
fn bounds_in_words(quantity: &Value) -> String {
    let is_set = |field: &str| quantity.get(field) == Some(&Value::Bool(true));
    let lower = quantity.get("lower").and_then(number).map(|lower| (lower, is_set("lower_exclusive")));
    let upper = quantity.get("upper").and_then(number).map(|upper| (upper, is_set("upper_exclusive")));
    let range = match (lower, upper) {
        (None, None) => return String::new(),
        (Some((lower, false)), Some((upper, false))) => format!("{lower} to {upper}"),
        (lower, upper) => {
            let lower = lower.map(|(lower, exclusive)| format!("{} {lower}", if exclusive { "more than" } else { "at least" }));
            let upper = upper.map(|(upper, exclusive)| format!("{} {upper}", if exclusive { "less than" } else { "up to" }));
            lower.into_iter().chain(upper).collect::<Vec<_>>().join(" and ")
        }
    };
    match quantity.get("interval_level").and_then(Value::as_f64) {
        Some(level) => format!("{} % interval {range}", (level * 1e8).round() / 1e6),
        None => range,
    }
}

/// The outermost quantiles of a forecast: "20 (p 0.05) to 60 (p 0.95)".
fn quantiles_in_words(quantity: &Value) -> Option<String> {
    let quantiles = quantity.get("quantiles")?.as_array()?;
    // JSON leaves out a value of zero.
    let part = |quantile: &Value, field: &str| quantile.get(field).map_or_else(|| Some("0".into()), number);
    let point = |quantile| Some(format!("{} (p {})", part(quantile, "value")?, part(quantile, "p")?));
    match quantiles.as_slice() {
        [] => None,
        [one] => point(one),
        [first, .., last] => Some(format!("{} to {}", point(first)?, point(last)?)),
    }
}

/// A double as people write it: 3000, not 3000.0. JSON writes infinities as texts.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod identity_tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{RecordName, is_external_id};

    #[test]
    fn an_id_becomes_a_name_and_a_text_an_id() {
        assert_eq!(name_of(RecordKind::Event, "ucdp.ged:212545"), "events/ucdp-ged-212545");
        assert_eq!(name_of(RecordKind::Actor, "wikidata:Q484816").len(), "actors/wikidata-q484816-".len() + DIGEST_CHARS);
        assert_eq!((escaped("1 wk ahead").as_str(), escaped("100%").as_str()), ("1%20wk%20ahead", "100%25"));
    }

    #[test]
    fn ids_that_a_name_cannot_tell_apart_end_with_their_digest() {
        let names: std::collections::BTreeSet<String> =
            ["x:1.5", "x:1-5", "x:1_5", "x:1--5", "x:-1-5", "x:1-5-", "x:1/5", "X:1/5"]
                .map(|id| name_of(RecordKind::Event, id))
                .into();
        assert_eq!(names.len(), 8, "{names:?}");
        assert!(names.contains("events/x-1-5"), "{names:?}");
        assert_ne!(name_of(RecordKind::Actor, "x:US"), name_of(RecordKind::Actor, "x:us"));
        assert_eq!(name_of(RecordKind::Actor, "x:us"), "actors/x-us");
    }

    proptest! {
        #[test]
        fn whatever_the_id_is_the_name_is_one(scheme in "[a-z0-9][a-z0-9._-]{0,31}", value in "\\PC{0,300}") {
            let id = format!("{scheme}:{}", escaped(&value));
            let name = name_of(RecordKind::Claim, &id);
            prop_assert!(name.parse::<RecordName>().is_ok(), "{name}");
            prop_assert!(value.is_empty() || id.len() > 256 || is_external_id(&id), "{id}");
            let longer = name_of(RecordKind::Claim, &(id + "-"));
            prop_assert_ne!(longer, name);
        }
    }
}

#[cfg(test)]
mod quantity_tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_said_as_they_were_given() {
        let check = |value: Value, expected: &str| assert_eq!(quantity_in_words(Some(&value)), expected, "{value}");
        check(json!({"unit": "1", "best": 3000.0}), "3000");
        check(json!({"unit": "USD", "lower": 1.5}), "at least 1.5 USD");
        check(json!({"unit": "1", "upper": 10.0}), "up to 10");
        check(json!({"unit": "1", "lower": 1.0, "upper": 10.0}), "1 to 10");
        check(json!({"unit": "km", "best": 2.0, "lower": 1.0}), "2 (at least 1) km");
        check(json!({"unit": "1", "best": 3000.0, "approximation": "APPROXIMATION_ABOUT"}), "about 3000");
        check(json!({"unit": "1", "best": 3000.0, "approximation": "APPROXIMATION_EXACT"}), "3000");
        check(json!({"unit": "1", "lower": 300.0, "lower_exclusive": true}), "more than 300");
        check(json!({"unit": "1", "lower": 1.0, "upper": 9.0, "upper_exclusive": true}), "at least 1 and less than 9");
        check(
            json!({"unit": "1", "best": 7.0, "lower": 1.0, "upper": 9.0, "interval_level": 0.95}),
            "7 (95 % interval 1 to 9)",
        );
        check(
            json!({"unit": "1", "quantiles": [{"p": 0.1}, {"p": 0.5, "value": 2.0}, {"p": 0.9, "value": 7.0}]}),
            "0 (p 0.1) to 7 (p 0.9)",
        );
        check(json!({"unit": "XXX", "best": 5.0}), "5 XXX");
        check(json!({"unit": "1", "status": "VALUE_STATUS_WITHHELD"}), "WITHHELD");
    }
}
