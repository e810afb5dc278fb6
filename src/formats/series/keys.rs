//! The keys of a mapping, and the errors in one. All errors are reported at once, each with its line and its field.
//!
//! A mapping is checked against this list of keys. The table in the documentation is made from it.
//!
//! Must not know what a key does.

use std::{
    fmt::{self, Write},
    ops::Range,
};

/// A table of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MappingTable {
    /// `[file]`
    File,
    /// `[column.NAME]`
    Column,
    /// `[[estimate]]` and those of the other types
    Record,
    /// `[[estimate.case]]` and those of the other types
    Case,
}

impl MappingTable {
    /// Its notation in a mapping.
    pub fn written(self) -> &'static str {
        match self {
            Self::File => "[file]",
            Self::Column => "[column.NAME]",
            Self::Record => "[[RECORD]]",
            Self::Case => "[[RECORD.case]]",
        }
    }
}

/// A key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct MappingKey {
    /// The table that it belongs to.
    pub table: MappingTable,
    /// The key, or `FIELD` for any field of the message.
    pub name: &'static str,
    /// An example of its value.
    pub example: &'static str,
    /// Its meaning in the documentation, as Markdown.
    pub means: &'static str,
}

const fn key(table: MappingTable, name: &'static str, example: &'static str, means: &'static str) -> MappingKey {
    MappingKey { table, name, example, means }
}

/// Every key. A record also has the fields of its message.
pub const MAPPING_KEYS: &[MappingKey] = &[
    key(
        MappingTable::File,
        "format",
        "\"csv\"",
        "`csv`, `tsv`, `json` (an array of objects) or `ndjson` (an object a line). Required",
    ),
    key(MappingTable::File, "delimiter", "\";\"", "the separator of `csv`; default: a comma"),
    key(MappingTable::File, "at", "\"/data/points\"", "for `json`: the path of the array, if the file is not itself the array"),
    key(
        MappingTable::File,
        "missing",
        "[\"NA\", \"-\"]",
        "texts that mean that there is no value. An empty text and JSON's null always mean that",
    ),
    key(
        MappingTable::File,
        "ignore",
        "[\"notes\"]",
        "columns that the mapping leaves out on purpose; `*` means all. A column that is neither used nor listed here is an error, so that \
         nothing is lost unnoticed",
    ),
    key(MappingTable::Column, "from", "\"{Losses}\"", "the initial value, made of columns of the file. Required"),
    key(
        MappingTable::Column,
        "pattern",
        "'about (\\d+)'",
        "a regular expression: the value is its first group, or the whole match if it has no group; without a match there is no value",
    ),
    key(
        MappingTable::Column,
        "date",
        "\"%d.%m.%Y\"",
        "the form of a date in strptime notation; the value becomes EDTF with the precision of the form. Minutes without seconds are left \
         out, because EDTF has none",
    ),
    key(
        MappingTable::Column,
        "number",
        "{ group = \".\", decimal = \",\" }",
        "how a number is written: the separator of its thousands (default: none) and of its decimals (default: a point)",
    ),
    key(
        MappingTable::Column,
        "values",
        "{ US = \"USA\" }",
        "replacements of values; an empty replacement means no value. Other values are refused",
    ),
    key(
        MappingTable::Column,
        "otherwise",
        "\"fips:{location}\"",
        "the replacement of a value that is not among `values`, made of columns of the file",
    ),
    key(MappingTable::Record, "label", "\"team\"", "how other records of the mapping refer to this one: `\"@team\"`"),
    key(
        MappingTable::Record,
        "when",
        "{ type = [\"killed\", \"died\"], note = false }",
        "for which rows the record is made: columns that have a value (`true`), no value (`false`), or one of the listed values. Default: all rows",
    ),
    key(
        MappingTable::Record,
        "create_only",
        "false",
        "whether an existing record is left as it is. Default: true for sources, actors and events, false for the others",
    ),
    key(MappingTable::Record, "case", "", "see `[[RECORD.case]]`"),
    key(
        MappingTable::Record,
        "FIELD",
        "best = \"{count}\"",
        "a field of the record's message, by its name in the contract; texts with columns in braces",
    ),
    key(
        MappingTable::Case,
        "when",
        "{ \"personnel*\" = \"more\" }",
        "as for a record. The first case that holds is used; a row without such a case is refused",
    ),
    key(
        MappingTable::Case,
        "FIELD",
        "quantity = { lower = \"{count}\" }",
        "a field that this case adds to those of the record",
    ),
];

/// The keys of a table that are not fields of a message.
pub(super) fn names(table: MappingTable) -> impl Iterator<Item = &'static str> {
    MAPPING_KEYS.iter().filter(move |key| key.table == table && key.name != "FIELD").map(|key| key.name)
}

/// [`MAPPING_KEYS`] as a table in Markdown.
///
/// ```
/// assert!(annals::formats::series::keys_table().starts_with("| table | key | example | meaning |"));
/// ```
pub fn keys_table() -> String {
    let mut table = String::from("| table | key | example | meaning |\n|--|--|--|--|\n");
    for key in MAPPING_KEYS {
        let example = if key.example.is_empty() { String::new() } else { format!("`{}`", key.example) };
        let MappingKey { table: of, name, means, .. } = key;
        writeln!(table, "| `{}` | `{name}` | {example} | {means} |", of.written()).expect("a string accepts every write");
    }
    table
}

/// One error in a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingProblem {
    /// Line of the mapping, from 1.
    pub line: usize,
    /// The field, as a path: `estimate[0].quantity.best`. Empty for the mapping itself.
    pub field: String,
    /// A sentence that says what is wrong.
    pub reason: String,
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(to, "line {}: {}", self.line, self.reason),
            field => write!(to, "line {}, {field}: {}", self.line, self.reason),
        }
    }
}

/// Why a text is not a valid mapping: all its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError(pub Vec<MappingProblem>);

impl fmt::Display for MappingError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(to, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingError {}

/// The errors found in a text so far.
pub(super) struct Problems<'a> {
    text: &'a str,
    list: Vec<MappingProblem>,
}

impl<'a> Problems<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, list: Vec::new() }
    }

    /// Adds an error at these bytes of the text.
    pub(super) fn add(&mut self, at: Range<usize>, field: impl Into<String>, reason: impl Into<String>) {
        let line = self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1;
        self.list.push(MappingProblem { line, field: field.into(), reason: reason.into() });
    }

    /// Whether no error was found.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All errors, by line.
    pub(super) fn into_error(mut self) -> MappingError {
        self.list.sort_by_key(|problem| problem.line);
        MappingError(self.list)
    }
}
