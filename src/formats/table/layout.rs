//! The columns of a table, and where a record stores each.
//!
//! Reader, writer and the table in the documentation all use the list of a format's columns.
//!
//! No cell is lost. A cell that the row's records would not return unchanged (an id with a leading zero, a date followed by a
//! time) is stored as an annotation under the column's key. The export writes that annotation.
//!
//! Must not know any single format, or how a table is read.

use std::collections::BTreeMap;

/// The layout of a table.
#[derive(Debug)]
pub struct TableLayout {
    /// The name of its format.
    pub name: &'static str,
    /// The scheme of the keys and codes of its columns.
    pub scheme: &'static str,
    /// How its text is written.
    pub dialect: TableDialect,
    /// Its columns, in order.
    pub columns: &'static [TableColumn],
}

/// How the text of a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableDialect {
    /// Commas, quotes, and a header with the columns in any order.
    Csv,
    /// Tabs, no quotes, no header: the position of a column identifies it.
    Tsv,
}

/// A column of a table.
#[derive(Debug)]
pub struct TableColumn {
    /// Its name in the table.
    pub name: &'static str,
    /// Its key after the scheme: `country` in `ucdp.country`.
    pub key: &'static str,
    /// Whether its cells are numbers, so that 1, 1.0 and 1e0 are equal.
    pub is_number: bool,
    /// Where a record stores it.
    pub target: ColumnTarget,
}

/// Where a record stores a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnTarget {
    /// A label: `ucdp.country:Syria`.
    Label,
    /// A metric: `ucdp.year`.
    Metric,
    /// An annotation under the key of the column: `ucdp.date_start`.
    Annotation,
    /// Fields of its own. The text names them in the documentation.
    Field(&'static str),
}

/// A text column that is stored as a label.
pub(crate) const fn label(name: &'static str, key: &'static str) -> TableColumn {
    TableColumn { name, key, is_number: false, target: ColumnTarget::Label }
}

/// A number column that is stored as a label, because it contains ids.
pub(crate) const fn id_label(name: &'static str, key: &'static str) -> TableColumn {
    TableColumn { name, key, is_number: true, target: ColumnTarget::Label }
}

/// A number column that is stored as a metric.
pub(crate) const fn metric(name: &'static str, key: &'static str) -> TableColumn {
    TableColumn { name, key, is_number: true, target: ColumnTarget::Metric }
}

/// A text column that is stored as an annotation.
pub(crate) const fn annotation(name: &'static str, key: &'static str) -> TableColumn {
    TableColumn { name, key, is_number: false, target: ColumnTarget::Annotation }
}

/// A text column with fields of its own.
pub(crate) const fn text(name: &'static str, key: &'static str, goes_to: &'static str) -> TableColumn {
    TableColumn { name, key, is_number: false, target: ColumnTarget::Field(goes_to) }
}

/// A number column with fields of its own.
pub(crate) const fn number(name: &'static str, key: &'static str, goes_to: &'static str) -> TableColumn {
    TableColumn { name, key, is_number: true, target: ColumnTarget::Field(goes_to) }
}

/// Labels, metrics and annotations of a row, for a new record.
#[derive(Debug, Default)]
pub(crate) struct RowRemainder {
    pub(crate) labels: Vec<String>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Labels, metrics and annotations of an existing record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordRemainder<'a> {
    pub(crate) labels: &'a [String],
    pub(crate) metrics: &'a BTreeMap<String, f64>,
    pub(crate) annotations: &'a BTreeMap<String, String>,
}

impl TableLayout {
    /// The column with this name.
    pub fn column(&self, name: &str) -> &'static TableColumn {
        self.columns.get(self.position(name)).expect("a format asks only for columns of its layout")
    }

    pub(super) fn position(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).unwrap_or(usize::MAX)
    }

    /// The key of a column: `ucdp.country`.
    pub fn key(&self, column: &TableColumn) -> String {
        format!("{}.{}", self.scheme, column.key)
    }

    /// Where a column is stored, for the documentation.
    pub fn destination(&self, column: &TableColumn) -> String {
        let key = self.key(column);
        match column.target {
            ColumnTarget::Label => format!("label `{key}:…`"),
            ColumnTarget::Metric => format!("metric `{key}`"),
            ColumnTarget::Annotation => format!("annotation `{key}`"),
            ColumnTarget::Field(words) => words.to_owned(),
        }
    }

    /// The cells of a row. `field` takes the name of a column with fields of its own and returns its cell.
    pub(crate) fn row(&self, record: RecordRemainder<'_>, field: impl Fn(&str) -> String) -> Vec<String> {
        let cell = |column: &TableColumn| {
            let key = self.key(column);
            if let Some(text) = record.annotations.get(&key) {
                return text.clone();
            }
            match column.target {
                ColumnTarget::Label => code_of(record.labels, &key).unwrap_or_default().to_owned(),
                ColumnTarget::Metric => record.metrics.get(&key).map(f64::to_string).unwrap_or_default(),
                ColumnTarget::Annotation => String::new(),
                ColumnTarget::Field(_) => field(column.name),
            }
        };
        self.columns.iter().map(cell).collect()
    }
}

/// The first code of a scheme, without the scheme.
pub(crate) fn code_of<'a>(codes: &'a [String], scheme: &str) -> Option<&'a str> {
    codes_of(codes, scheme).next()
}

/// The codes of a scheme, in order, without the scheme.
pub(crate) fn codes_of<'a>(codes: &'a [String], scheme: &str) -> impl Iterator<Item = &'a str> {
    codes.iter().filter_map(move |code| code.strip_prefix(scheme)?.strip_prefix(':'))
}

/// The text of a number. Empty if there is none.
pub(crate) fn number_text(number: Option<f64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A code without its scheme. Empty if there is none.
pub(crate) fn code_value(code: Option<&String>) -> String {
    code.and_then(|code| code.split_once(':')).map(|(_, value)| value.to_owned()).unwrap_or_default()
}
