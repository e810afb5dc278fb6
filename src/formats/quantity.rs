//! A quantity in words.
//!
//! Knows a quantity in JSON. Must not know who reads the words.

use serde_json::Value;

/// "3000", "1 to 10", "up to 10 USD"; without a number its status: "WITHHELD".
pub(crate) fn in_words(quantity: Option<&Value>) -> String {
    let Some(quantity) = quantity else { return String::new() };
    let text = |field: &str| quantity.get(field).and_then(Value::as_str).unwrap_or_default();
    let unit = match text("unit") {
        "1" => String::new(),
        unit => format!(" {unit}"),
    };
    let [best, lower, upper] = ["best", "lower", "upper"].map(|field| quantity.get(field).and_then(number));
    match (best, lower, upper) {
        (Some(best), None, None) => format!("{best}{unit}"),
        (Some(best), lower, upper) => {
            format!("{best} ({} to {}){unit}", lower.unwrap_or_else(|| "?".into()), upper.unwrap_or_else(|| "?".into()))
        }
        (None, Some(lower), Some(upper)) => format!("{lower} to {upper}{unit}"),
        (None, Some(lower), None) => format!("from {lower}{unit}"),
        (None, None, Some(upper)) => format!("up to {upper}{unit}"),
        (None, None, None) => text("status").trim_start_matches("VALUE_STATUS_").to_owned(),
    }
}

/// A double as people write it: 3000, not 3000.0.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| number.to_string()),
        // Infinities are texts.
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_said_as_they_were_given() {
        let check = |value: Value, expected: &str| assert_eq!(in_words(Some(&value)), expected, "{value}");
        check(json!({"unit": "1", "best": 3000.0}), "3000");
        check(json!({"unit": "USD", "lower": 1.5}), "from 1.5 USD");
        check(json!({"unit": "1", "upper": 10.0}), "up to 10");
        check(json!({"unit": "1", "lower": 1.0, "upper": 10.0}), "1 to 10");
        check(json!({"unit": "km", "best": 2.0, "lower": 1.0}), "2 (1 to ?) km");
        check(json!({"unit": "1", "status": "VALUE_STATUS_WITHHELD"}), "WITHHELD");
    }
}
