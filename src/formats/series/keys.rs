//! What a mapping may say: its keys, as data. What is read is held against this list, and the documentation's table is made from it.
//!
//! Knows keys. Must not know what is done with them.

use std::fmt::Write;

/// A table of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// `[file]`
    File,
    /// `[column.NAME]`
    Column,
    /// `[[estimate]]` and those of the other types
    Record,
    /// `[[estimate.case]]` and those of the other types
    Case,
}

impl Table {
    /// As it is written.
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
pub struct Key {
    /// The table that it stands in.
    pub table: Table,
    /// How it is written.
    pub name: &'static str,
    /// An example of its value.
    pub example: &'static str,
    /// What it says.
    pub means: &'static str,
}

const fn key(table: Table, name: &'static str, example: &'static str, means: &'static str) -> Key {
    Key { table, name, example, means }
}

/// Every key. A record has the fields of its message besides.
pub const KEYS: &[Key] = &[
    key(Table::File, "format", "\"csv\"", "`csv`, `tsv`, `json` (an array of objects) or `ndjson` (an object a line). Needed"),
    key(Table::File, "delimiter", "\";\"", "between the columns of `csv`; left out, a comma"),
    key(
        Table::File,
        "at",
        "\"/data/points\"",
        "of `json`: the members that lead to the array, where the file is not itself the array",
    ),
    key(
        Table::File,
        "missing",
        "[\"NA\", \"-\"]",
        "texts that stand where there is no value. An empty text, and JSON's null, always do",
    ),
    key(
        Table::File,
        "ignore",
        "[\"notes\"]",
        "columns that the mapping leaves out on purpose; `*` stands for all. A column that is neither used nor here is an error, so that \
         nothing is lost unseen",
    ),
    key(Table::Column, "from", "\"{Losses}\"", "the value to begin with, of columns of the file. Needed"),
    key(
        Table::Column,
        "pattern",
        "'about (\\d+)'",
        "a regular expression: the value is its first group, or all that fits where it has no group; where it does not fit, there is none",
    ),
    key(
        Table::Column,
        "date",
        "\"%d.%m.%Y\"",
        "the form of a date, in the signs of strptime; the value becomes EDTF, as exact as the form. Minutes without seconds are left out, \
         as EDTF has no such thing",
    ),
    key(
        Table::Column,
        "number",
        "{ group = \".\", decimal = \",\" }",
        "how a number is written: what parts its thousands, what begins its decimals. Left out, nothing does, and a point",
    ),
    key(
        Table::Column,
        "values",
        "{ US = \"USA\" }",
        "what stands for what; the empty text stands for no value. Other values are refused",
    ),
    key(
        Table::Column,
        "otherwise",
        "\"fips:{location}\"",
        "what stands for what is not among `values`, of columns of the file",
    ),
    key(Table::Record, "label", "\"team\"", "how other records of the mapping refer to this one: `\"@team\"`"),
    key(
        Table::Record,
        "when",
        "{ type = [\"killed\", \"died\"], note = false }",
        "of which rows the record is made: columns that have a value (`true`), none (`false`), or one of these. Left out: of all",
    ),
    key(
        Table::Record,
        "create_only",
        "false",
        "whether a record that is there already is left as it is. Left out: sources, actors and events are, the others are not",
    ),
    key(Table::Record, "case", "", "see `[[RECORD.case]]`"),
    key(
        Table::Record,
        "FIELD",
        "best = \"{count}\"",
        "the fields of the record's message, by their names in the contract; texts with columns in braces",
    ),
    key(
        Table::Case,
        "when",
        "{ \"personnel*\" = \"more\" }",
        "as of a record. The first case that holds counts; a row that fits none is refused",
    ),
    key(Table::Case, "FIELD", "quantity = { lower = \"{count}\" }", "fields that this case adds to those of the record"),
];

/// The keys of a table that are no fields of a message.
pub(super) fn names(table: Table) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(move |key| key.table == table && key.name != "FIELD").map(|key| key.name)
}

/// KEYS as a table in Markdown.
///
/// ```
/// assert!(annals::formats::series::keys_table().starts_with("| where | key | example | says |"));
/// ```
pub fn keys_table() -> String {
    let mut table = String::from("| where | key | example | says |\n|--|--|--|--|\n");
    for key in KEYS {
        let example = if key.example.is_empty() { String::new() } else { format!("`{}`", key.example) };
        let Key { table: place, name, means, .. } = key;
        writeln!(table, "| `{}` | `{name}` | {example} | {means} |", place.written()).expect("a string takes all");
    }
    table
}
