//! From external files to commits: an importer turns a reader into rows, and rows are grouped into commits.
//!
//! An importer is a pure function of the file: it asks no server, and the same row always makes the same mutations, under names and
//! external ids that are made from the row's own ids. So a second import changes nothing, a changed row is a new revision, and an
//! interrupted import is run again from the start.
//!
//! Must not know any one format, or who applies a commit.

pub mod batch;
pub mod mutation;
pub mod objects;

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
};

use crate::proto::Mutation;

/// One row of a file, as mutations.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportRow {
    /// Its number in the file, from 1, not counting a header. 0 is the header.
    pub number: u64,
    /// Upserts of records that it shares with other rows: actors, publishers, the data set itself. They refer only to records before them
    /// in this list. Each has a name, by which other records refer to it and by which repeats are found: of several records with one
    /// name, the first in the file counts.
    pub shared: Vec<Mutation>,
    /// Upserts of the row's own records, each once. Empty if the row is read again later. They refer to shared records by name, and to
    /// each other by label, since they are always in one commit.
    pub own: Vec<Mutation>,
}

/// A row that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// As [`ImportRow::number`].
    pub number: u64,
    /// The column with the fault; empty where the whole row is wrong.
    pub column: String,
    /// What is wrong, for people.
    pub reason: String,
}

/// The rows of a file, in order, each read when it is asked for: memory does not grow with the file. A file that cannot be read to its end
/// (a truncated compressed file) ends with a bad row.
pub type ImportRows = Box<dyn Iterator<Item = Result<ImportRow, BadRow>> + Send>;

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

/// Keys that are remembered, about 30 MB.
const KEYS_MAX: usize = 1_000_000;

/// The rows in which keys were first seen, as far back as fixed memory reaches: it holds digests of the newest million keys and forgets the
/// oldest.
#[derive(Debug)]
pub struct SeenKeys {
    keys_max: usize,
    rows: HashMap<u64, u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Default for SeenKeys {
    fn default() -> Self {
        Self { keys_max: KEYS_MAX, rows: HashMap::new(), order: VecDeque::new(), hasher: RandomState::new() }
    }
}

impl SeenKeys {
    /// Remembers a key. If it was seen before, returns the row.
    pub fn insert(&mut self, key: &str, row: u64) -> Option<u64> {
        let digest = self.hasher.hash_one(key);
        if let Some(before) = self.rows.get(&digest) {
            return Some(*before);
        }
        if self.order.len() == self.keys_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
        self.rows.insert(digest, row);
        self.order.push_back(digest);
        None
    }

    /// The row in which a key was seen.
    pub fn row(&self, key: &str) -> Option<u64> {
        self.rows.get(&self.hasher.hash_one(key)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_first_row_until_as_many_others_came_as_are_remembered() {
        let mut seen = SeenKeys { keys_max: 100, ..SeenKeys::default() };
        assert_eq!(seen.insert("a", 1), None);
        assert_eq!((seen.insert("a", 2), seen.row("a"), seen.row("b")), (Some(1), Some(1), None));
        for row in 0..100 {
            assert_eq!(seen.insert(&format!("k{row}"), row), None);
        }
        assert_eq!((seen.row("a"), seen.row("k0"), seen.order.len(), seen.rows.len()), (None, Some(0), 100, 100));
    }
}
