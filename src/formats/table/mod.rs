//! Tables of others: which columns there are, and where each is kept.
//!
//! The list of a format's columns is what its reader and its writer work from, and what the documentation's table is made of.
//!
//! Nothing is lost. Whatever a row's records would not give back as it came (an id with a leading zero, a date with a time behind it)
//! is kept as an annotation under the column's key, and that is what goes out.
//!
//! Knows columns and where a record keeps what has no field. Must not know any one format, or who asks.

mod delimited;
mod line;
mod lines;

use std::{collections::BTreeMap, io::BufRead};

pub(crate) use line::Line;
pub(crate) use lines::LineWriter;

use super::import::{BadRow, Row, Rows};

/// The rows of a table, each as `row` reads it.
pub(crate) fn rows(
    content: Box<dyn BufRead + Send>,
    layout: &'static Layout,
    row: fn(&Line<'_>) -> Result<Row, BadRow>,
) -> Result<Rows, BadRow> {
    let table = delimited::Table::open(content, layout)?;
    Ok(Box::new(table.map(move |cells| row(&Line::new(layout, &cells?)))))
}

/// A table of others.
#[derive(Debug)]
pub struct Layout {
    /// What the format is called.
    pub name: &'static str,
    /// What keys and codes of its columns begin with.
    pub scheme: &'static str,
    /// How it is written.
    pub dialect: Dialect,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Commas, quotes, and a header that names the columns, in any order.
    Csv,
    /// Tabs, no quotes, no header: columns go by their place.
    Tsv,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name in the table.
    pub name: &'static str,
    /// Its name behind the scheme: `country` in `ucdp.country`.
    pub key: &'static str,
    /// Whether its cells are numbers: then 1, 1.0 and 1e0 are the same.
    pub is_number: bool,
    /// Where it is kept.
    pub keep: Keep,
}

/// Where a column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As a label of the row's record: `ucdp.country:Syria`.
    Label,
    /// As one of its metrics: `ucdp.year`.
    Metric,
    /// As one of its annotations.
    Annotation,
    /// In fields of their own, as these words say.
    Field(&'static str),
}

/// A text that is a label.
pub(crate) const fn label(name: &'static str, key: &'static str) -> Column {
    Column { name, key, is_number: false, keep: Keep::Label }
}

/// A number that is a label, since it is an id.
pub(crate) const fn id_label(name: &'static str, key: &'static str) -> Column {
    Column { name, key, is_number: true, keep: Keep::Label }
}

/// A number that is a metric.
pub(crate) const fn metric(name: &'static str, key: &'static str) -> Column {
    Column { name, key, is_number: true, keep: Keep::Metric }
}

/// A text that is an annotation.
pub(crate) const fn annotation(name: &'static str, key: &'static str) -> Column {
    Column { name, key, is_number: false, keep: Keep::Annotation }
}

/// A text that has fields of its own.
pub(crate) const fn text(name: &'static str, key: &'static str, goes_to: &'static str) -> Column {
    Column { name, key, is_number: false, keep: Keep::Field(goes_to) }
}

/// A number that has fields of its own.
pub(crate) const fn number(name: &'static str, key: &'static str, goes_to: &'static str) -> Column {
    Column { name, key, is_number: true, keep: Keep::Field(goes_to) }
}

/// What a record keeps of a row besides its own fields.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) labels: Vec<String>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The same of a record that there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) labels: &'a [String],
    pub(crate) metrics: &'a BTreeMap<String, f64>,
    pub(crate) annotations: &'a BTreeMap<String, String>,
}

impl Layout {
    /// A column of the table.
    pub fn column(&self, name: &str) -> &'static Column {
        self.columns.get(self.position(name)).expect("a format asks for columns of its list only")
    }

    fn position(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).unwrap_or(usize::MAX)
    }

    /// The key of a column: `ucdp.country`.
    pub fn key(&self, column: &Column) -> String {
        format!("{}.{}", self.scheme, column.key)
    }

    /// Where a column is kept, for people.
    pub fn destination(&self, column: &Column) -> String {
        let key = self.key(column);
        match column.keep {
            Keep::Label => format!("label `{key}:…`"),
            Keep::Metric => format!("metric `{key}`"),
            Keep::Annotation => format!("annotation `{key}`"),
            Keep::Field(words) => words.to_owned(),
        }
    }

    /// A row as its records have it: what has fields of its own comes from `field`, by the column's name.
    pub(crate) fn row(&self, stored: Stored<'_>, field: impl Fn(&str) -> String) -> Vec<String> {
        let cell = |column: &Column| {
            let key = self.key(column);
            if let Some(text) = stored.annotations.get(&key) {
                return text.clone();
            }
            match column.keep {
                Keep::Label => code_of(stored.labels, &key).unwrap_or_default().to_owned(),
                Keep::Metric => stored.metrics.get(&key).map(f64::to_string).unwrap_or_default(),
                Keep::Annotation => String::new(),
                Keep::Field(_) => field(column.name),
            }
        };
        self.columns.iter().map(cell).collect()
    }
}

/// What a code of a scheme says, if there is one.
pub(crate) fn code_of<'a>(codes: &'a [String], scheme: &str) -> Option<&'a str> {
    codes_of(codes, scheme).next()
}

/// What the codes of a scheme say, in order.
pub(crate) fn codes_of<'a>(codes: &'a [String], scheme: &str) -> impl Iterator<Item = &'a str> {
    codes.iter().filter_map(move |code| code.strip_prefix(scheme)?.strip_prefix(':'))
}

/// A number as it goes out; nothing where there is none.
pub(crate) fn number_text(number: Option<f64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
