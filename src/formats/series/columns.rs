//! The values of a row: columns of the file, and columns that the mapping makes from them.
//!
//! A column of the mapping starts with a text with columns in braces (`fips:{location}`). The text is then matched, read as a
//! date or a number, or looked up.
//!
//! Must not know what a value is for.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::formats::values;

/// A row as read from the file.
#[derive(Debug)]
pub(super) enum RawRow {
    /// A row of a table, with the positions of its columns.
    Record(Arc<HashMap<String, usize>>, csv::StringRecord),
    /// A row of a JSON file: an object.
    Object(Value),
}

/// How a mapping reads the columns of a file.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// The columns that the mapping defines itself, by name.
    pub(super) own: BTreeMap<String, Column>,
    /// Texts that mean that there is no value.
    pub(super) missing: BTreeSet<String>,
}

/// Why a row cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CellError {
    /// The column. Empty if the error is not in a single one.
    pub(super) column: String,
    pub(super) reason: String,
}

/// The values of one row.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) raw: &'a RawRow,
    pub(super) columns: &'a Columns,
}

impl<'a> Cells<'a> {
    /// The value of a column. `None` if it has none.
    pub(super) fn get(self, column: &str) -> Result<Option<String>, CellError> {
        let found = match self.columns.own.get(column) {
            Some(own) => own.value(|column| self.of_file(column).map(|value| value.map(Cow::into_owned))),
            None => self.of_file(column).map(|value| value.map(Cow::into_owned)),
        };
        found.map_err(|reason| CellError { column: column.to_owned(), reason })
    }

    /// The value of a column of the file.
    fn of_file(self, column: &str) -> Result<Option<Cow<'a, str>>, String> {
        let text = match self.raw {
            RawRow::Record(positions, record) => positions.get(column).and_then(|at| record.get(*at)).map(Cow::Borrowed),
            RawRow::Object(object) => {
                let value = if column.starts_with('/') { object.pointer(column) } else { object.get(column) };
                match value {
                    None | Some(Value::Null) => None,
                    Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
                    Some(scalar @ (Value::Bool(_) | Value::Number(_))) => Some(Cow::Owned(scalar.to_string())),
                    Some(Value::Array(_)) => {
                        return Err("is an array: write the path of one of its values, such as {/a/0}".into());
                    }
                    Some(Value::Object(_)) => {
                        return Err("is an object: write the path of one of its values, such as {/a/b}".into());
                    }
                }
            }
        };
        Ok(text.filter(|text| !text.is_empty() && !self.columns.missing.contains(text.as_ref())))
    }
}

/// A column that the mapping defines. The steps run in the order of the fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    from: TextTemplate,
    pattern: Option<CellPattern>,
    date: Option<String>,
    number: Option<Numeral>,
    values: Option<BTreeMap<String, String>>,
    otherwise: Option<TextTemplate>,
}

/// A regular expression that takes the value out of a text.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct CellPattern(Regex);

impl TryFrom<String> for CellPattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

/// How the numbers of a column are written: their separators.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Numeral {
    decimal: Option<String>,
    group: Option<String>,
}

impl Column {
    /// The columns of the file that it uses.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        self.from.columns().chain(self.otherwise.iter().flat_map(TextTemplate::columns))
    }

    /// Why its keys cannot be combined. `None` if they can.
    pub(super) fn fault(&self) -> Option<String> {
        if self.otherwise.is_some() && self.values.is_none() {
            return Some("has otherwise without values: otherwise replaces a value that is not in values".into());
        }
        if self.date.is_some() && self.number.is_some() {
            return Some("is a date or a number, not both".into());
        }
        None
    }

    /// Its value. `of` returns the value of a column of the file.
    pub(super) fn value(&self, of: impl Fn(&str) -> Result<Option<String>, String>) -> Result<Option<String>, String> {
        let Some(mut text) = self.from.fill(&of)? else { return Ok(None) };
        if let Some(CellPattern(pattern)) = &self.pattern {
            let Some(found) = pattern.captures(&text) else { return Ok(None) };
            // The first group if the pattern has one, else the whole match.
            match found.get(usize::from(pattern.captures_len() > 1)) {
                Some(found) => text = found.as_str().into(),
                None => return Ok(None),
            }
        }
        if let Some(format) = &self.date {
            text = values::edtf_from_form(&text, format)?;
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
    /// The number in the notation of Rust and JSON.
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

/// A text with columns in braces: `fips:{location}`. A literal brace is written twice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TextTemplate {
    segments: Vec<TemplateSegment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplateSegment {
    Words(String),
    Column(String),
}

impl TextTemplate {
    /// Parses a text. Errs if a brace has no counterpart or no column.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut segments, mut words) = (Vec::new(), String::new());
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '{' | '}' if letters.next_if_eq(&letter).is_some() => words.push(letter),
                '}' => return Err(format!("{text:?} closes a brace that was not opened: write a literal brace twice")),
                '{' => {
                    let mut column = String::new();
                    let closed = loop {
                        match letters.next() {
                            Some('}') => break true,
                            Some(letter) => column.push(letter),
                            None => break false,
                        }
                    };
                    if column.is_empty() || !closed {
                        return Err(format!("{text:?} has a brace without a column: write a literal brace twice"));
                    }
                    if !words.is_empty() {
                        segments.push(TemplateSegment::Words(std::mem::take(&mut words)));
                    }
                    segments.push(TemplateSegment::Column(column));
                }
                letter => words.push(letter),
            }
        }
        if !words.is_empty() {
            segments.push(TemplateSegment::Words(words));
        }
        Ok(Self { segments })
    }

    /// The columns in its braces.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            TemplateSegment::Column(column) => Some(column.as_str()),
            TemplateSegment::Words(_) => None,
        })
    }

    /// The text itself, if it has no columns; else `None`.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [TemplateSegment::Words(words)] => Some(words),
            _ => None,
        }
    }

    /// The text, with the values of its columns filled in. `None` if one of them has no value.
    pub(super) fn fill<E>(&self, mut value: impl FnMut(&str) -> Result<Option<String>, E>) -> Result<Option<String>, E> {
        let mut filled = String::new();
        for segment in &self.segments {
            match segment {
                TemplateSegment::Words(words) => filled.push_str(words),
                TemplateSegment::Column(column) => match value(column)? {
                    Some(value) => filled.push_str(&value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(filled))
    }
}

impl TryFrom<String> for TextTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod column_tests {
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

#[cfg(test)]
mod text_tests {
    use super::*;

    fn check(text: &str, expect: Option<&str>) {
        let value = |column: &str| Ok::<_, ()>((column != "none").then(|| format!("<{column}>")));
        assert_eq!(TextTemplate::parse(text).expect("a text").fill(value), Ok(expect.map(str::to_owned)), "{text}");
    }

    #[test]
    fn columns_stand_in_single_braces() {
        check("", Some(""));
        check("a {b} c {d e}", Some("a <b> c <d e>"));
        check("{personnel*}{/a/0}", Some("<personnel*></a/0>"));
        check("{{x}} {y}", Some("{x} <y>"));
        check("{y}}}", Some("<y>}"));
        check("a {none}", None);
        for broken in ["{", "a}", "{}", "{a", "{b} {b", "{{a}", "{a}}"] {
            assert!(TextTemplate::parse(broken).is_err(), "{broken}");
        }
    }
}
