//! From files of others to commits: a format turns a reader into rows, and rows are put together into commits.
//!
//! A format is a pure function of the file: it asks no server, and the same row always makes the same mutations, under names and
//! external ids that are made from the row's own ids. So a second import changes nothing, a row that changed is a new revision,
//! and an import that was cut is run again from the start.
//!
//! Knows rows. Must not know any one format, or who applies a commit.

pub mod batch;
pub mod bounds;
pub mod format;
pub mod known;
pub mod mutation;
mod records;

use std::fmt;

use crate::proto::Mutation;

pub(super) mod bounded;
mod elements;
pub mod objects;
pub(super) mod rules;
mod seen;
pub(super) mod unmarked;

pub use seen::Seen;

/// What a row of a file makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where it stands: its number, from 1, a header not counted. 0 is the header.
    pub number: u64,
    /// Upserts of what it shares with other rows: actors, publishers, the data set itself. They rest on nothing but what stands before
    /// them here, and are equal wherever the row's file says the same of them. Each has a name, by which others refer to it and by which
    /// repeats are told: of several under one name, the first in the file counts.
    pub shared: Vec<Mutation>,
    /// What is of this row alone, each thing once; nothing, where the row comes again later. It refers to what is shared by name, and to the rest of itself by label, since that
    /// always stands in the same commit.
    pub own: Vec<Mutation>,
}

/// A row that makes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// As [`Row::number`].
    pub number: u64,
    /// The column, where one is at fault; else empty.
    pub column: String,
    /// What is wrong, for people.
    pub reason: String,
}

/// The rows of a file, in order, each read when it is asked for: memory does not grow with the file. What cannot be read on (a packed
/// file that was cut off) is a bad row, and the end.
pub type Rows = Box<dyn Iterator<Item = Result<Row, BadRow>> + Send>;

impl BadRow {
    /// A row with a fault in one column.
    pub fn column(number: u64, column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { number, column: column.into(), reason: reason.into() }
    }

    /// A row that is wrong as a whole.
    pub fn whole(number: u64, reason: impl Into<String>) -> Self {
        Self::column(number, "", reason)
    }
}

impl fmt::Display for BadRow {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.column.as_str()) {
            (0, "") => to.write_str(&self.reason),
            (0, column) => write!(to, "{column}: {}", self.reason),
            (number, "") => write!(to, "row {number}: {}", self.reason),
            (number, column) => write!(to, "row {number}, {column}: {}", self.reason),
        }
    }
}

impl std::error::Error for BadRow {}
