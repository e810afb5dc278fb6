//! From external files to commits: an importer turns a reader into rows, and rows are grouped into commits.
//!
//! An importer is a pure function of the file. It sends no requests, and the same row always makes the same mutations. Their
//! names and external ids are made from the ids in the row. A second import therefore changes nothing, a changed row becomes a
//! new revision, and an interrupted import is run again from the start.
//!
//! Must not know any single format, or who applies a commit.

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
    /// Its number in the file, from 1, without a header. 0 is the header.
    pub number: u64,
    /// Upserts of records that it shares with other rows: actors, publishers, the data set itself. They refer only to records
    /// before them in this list. Each has a name: other records refer to it by that name, and repeats are found by it. Of
    /// several records with one name, the first in the file counts.
    pub shared: Vec<Mutation>,
    /// Upserts of the row's own records, each once. Empty if the row is read again later. They refer to shared records by name,
    /// and to each other by label, because they are always in one commit.
    pub own: Vec<Mutation>,
}

/// A row that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRowError {
    /// See [`ImportRow::number`].
    pub number: u64,
    /// The column with the error. Empty if the whole row is wrong.
    pub column: String,
    /// What is wrong, as a message to the user.
    pub reason: String,
}

/// The rows of a file, in order. Each is read when it is asked for, so memory does not grow with the file. A file that cannot
/// be read to its end (a truncated compressed file) ends with a bad row.
pub type ImportRows = Box<dyn Iterator<Item = Result<ImportRow, ImportRowError>> + Send>;

impl ImportRowError {
    /// A row with an error in one column.
    pub fn column(number: u64, column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { number, column: column.into(), reason: reason.into() }
    }

    /// A row that is wrong as a whole.
    pub fn whole(number: u64, reason: impl Into<String>) -> Self {
        Self::column(number, "", reason)
    }
}

impl fmt::Display for ImportRowError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number, self.column.as_str()) {
            (0, "") => to.write_str(&self.reason),
            (0, column) => write!(to, "{column}: {}", self.reason),
            (number, "") => write!(to, "row {number}: {}", self.reason),
            (number, column) => write!(to, "row {number}, {column}: {}", self.reason),
        }
    }
}

impl std::error::Error for ImportRowError {}

/// The number of keys that are remembered. They take about 30 MB.
const KEYS_MAX: usize = 1_000_000;

/// The rows in which keys were first seen, in fixed memory: it remembers digests of the newest million keys and forgets the
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
    /// Remembers a key. Returns the row if the key was seen before.
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

    /// The row in which a key was first seen. `None` if it was not seen or is forgotten.
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
