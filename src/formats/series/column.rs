//! Columns of the mapping's own: another column's value, picked out of its words, read as a date or a number, or looked up.
//!
//! Knows these steps. Must not know rows, or what the value is for.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::text::Text;
use crate::formats::edtf;

/// How the value is made, in this order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    from: Text,
    pattern: Option<Pattern>,
    date: Option<String>,
    number: Option<Numeral>,
    values: Option<BTreeMap<String, String>>,
    otherwise: Option<Text>,
}

/// A regular expression.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

/// How numbers are written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Numeral {
    decimal: Option<String>,
    group: Option<String>,
}

impl Column {
    /// The columns of the file that it is made from.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        self.from.columns().chain(self.otherwise.iter().flat_map(Text::columns))
    }

    /// What is wrong with it, beyond its form.
    pub(super) fn fault(&self) -> Option<String> {
        if self.otherwise.is_some() && self.values.is_none() {
            return Some("has otherwise, which is for what is not among values, and no values".into());
        }
        if self.date.is_some() && self.number.is_some() {
            return Some("is a date or a number, not both".into());
        }
        None
    }

    /// Its value, given those of the file's columns. The error says what is wrong with theirs.
    pub(super) fn value(&self, of: impl Fn(&str) -> Result<Option<String>, String>) -> Result<Option<String>, String> {
        let Some(mut text) = self.from.fill(&of)? else { return Ok(None) };
        if let Some(Pattern(pattern)) = &self.pattern {
            let Some(found) = pattern.captures(&text) else { return Ok(None) };
            // The first group if there is one, else all that fits.
            match found.get(usize::from(pattern.captures_len() > 1)) {
                Some(found) => text = found.as_str().into(),
                None => return Ok(None),
            }
        }
        if let Some(format) = &self.date {
            text = edtf::of_form(&text, format)?;
        }
        if let Some(numeral) = &self.number {
            text = numeral.plain(&text)?;
        }
        let Some(values) = &self.values else { return Ok(Some(text)) };
        match (values.get(&text), &self.otherwise) {
            (Some(value), _) => Ok(Some(value.clone()).filter(|value| !value.is_empty())),
            (None, Some(otherwise)) => otherwise.fill(&of),
            (None, None) => {
                let known: Vec<_> = values.keys().map(|key| format!("{key:?}")).collect();
                Err(format!("{text:?} is not among its values: {}", known.join(", ")))
            }
        }
    }
}

impl Numeral {
    /// A number as Rust and JSON write it.
    fn plain(&self, text: &str) -> Result<String, String> {
        let mut plain = text.trim().to_owned();
        if let Some(group) = &self.group {
            plain = plain.replace(group.as_str(), "");
        }
        if let Some(decimal) = &self.decimal {
            plain = plain.replace(decimal.as_str(), ".");
        }
        match plain.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(plain),
            _ => Err(format!("{text:?} is not a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(column: &str, text: &str, expect: Result<Option<&str>, &str>) {
        let column: Column = toml::from_str(&format!("from = '{{x}}'\n{column}")).expect("a column");
        let found = column.value(|name| Ok(Some(text.to_owned()).filter(|text| name == "x" && !text.is_empty())));
        match (&found, expect) {
            (Ok(found), Ok(expect)) => assert_eq!(found.as_deref(), expect, "{text}"),
            (Err(found), Err(expect)) => assert!(found.contains(expect), "{text}: {found}"),
            _ => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn a_date_becomes_edtf_as_exact_as_its_form() {
        check("date = '%d.%m.%Y'", "24.2.2022", Ok(Some("2022-02-24")));
        check("date = '%m/%Y'", "02/2022", Ok(Some("2022-02")));
        check("date = '%Y'", "2022", Ok(Some("2022")));
        check("date = '%B %d, %Y'", "February 24, 2022", Ok(Some("2022-02-24")));
        check("date = '%Y-%j'", "2022-055", Ok(Some("2022-02-24")));
        check("date = '%Y%m%d%H%M%S'", "20220224040000", Ok(Some("2022-02-24T04:00:00")));
        check("date = '%Y-%m-%d %H:%M'", "2022-02-24 04:00", Ok(Some("2022-02-24")));
        check("date = '%Y-%m-%dT%H:%M:%S%:z'", "2022-02-24T04:00:00+02:00", Ok(Some("2022-02-24T04:00:00+02:00")));
        check("date = '%Y-%m-%dT%H:%M:%S%:z'", "2022-02-24T04:00:00-03:30", Ok(Some("2022-02-24T04:00:00-03:30")));
        check("date = '%Y-%m-%dT%H:%M:%S%:z'", "2022-02-24T04:00:00+00:00", Ok(Some("2022-02-24T04:00:00Z")));
        check("date = '%s'", "1645675200", Ok(Some("2022-02-24T04:00:00Z")));
        check("date = '%d.%m.%Y'", "30.2.2022", Err("not a date"));
        check("date = '%d.%m.%Y'", "soon", Err("not a date"));
        check("date = '%H:%M'", "10:30", Err("not a date"));
        check("date = '%Y'", "", Ok(None));
    }

    #[test]
    fn a_number_is_read_as_it_is_written() {
        check("number = { group = ',' }", "1,234.5", Ok(Some("1234.5")));
        check("number = { group = '.', decimal = ',' }", " 1.234,5 ", Ok(Some("1234.5")));
        check("number = { group = ' ' }", "-1 000", Ok(Some("-1000")));
        check("number = {}", "1,234", Err("not a number"));
        check("number = {}", "inf", Err("not a number"));
    }

    #[test]
    fn a_pattern_picks_its_group_and_what_does_not_fit_is_no_value() {
        check(r"pattern = '(\d+)'", "about 300 men", Ok(Some("300")));
        check(r"pattern = '\d+ men'", "about 300 men", Ok(Some("300 men")));
        check(r"pattern = '(\d+)'", "many", Ok(None));
    }

    #[test]
    fn values_are_looked_up_and_others_refused_unless_there_is_an_otherwise() {
        check("values = { US = 'USA', none = '' }", "US", Ok(Some("USA")));
        check("values = { US = 'USA', none = '' }", "none", Ok(None));
        check("values = { US = 'USA' }", "01", Err("\"01\" is not among its values: \"US\""));
        check("values = { US = 'USA' }\notherwise = 'fips:{x}'", "01", Ok(Some("fips:01")));
    }
}
