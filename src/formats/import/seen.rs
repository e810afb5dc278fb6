//! What stood in a file already, as far back as a fixed amount of memory reaches.
//!
//! Knows keys and row numbers. Must not know what a key stands for.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
};

/// Keys that are remembered: some 30 MB when all are.
const KEYS_MAX: usize = 1_000_000;

/// The rows at which keys stood. It holds digests of the newest keys and forgets the oldest beyond a million, so that memory stays
/// the same however long a file is.
#[derive(Debug)]
pub struct Seen {
    keys_max: usize,
    rows: HashMap<u64, u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Default for Seen {
    fn default() -> Self {
        Self { keys_max: KEYS_MAX, rows: HashMap::new(), order: VecDeque::new(), hasher: RandomState::new() }
    }
}

impl Seen {
    /// Remembers a key, and gives the row at which it stood before.
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

    /// The row at which a key stood.
    pub fn row(&self, key: &str) -> Option<u64> {
        self.rows.get(&self.hasher.hash_one(key)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_first_row_until_as_many_others_came_as_are_remembered() {
        let mut seen = Seen { keys_max: 100, ..Seen::default() };
        assert_eq!(seen.insert("a", 1), None);
        assert_eq!((seen.insert("a", 2), seen.row("a"), seen.row("b")), (Some(1), Some(1), None));
        for row in 0..100 {
            assert_eq!(seen.insert(&format!("k{row}"), row), None);
        }
        assert_eq!((seen.row("a"), seen.row("k0"), seen.order.len(), seen.rows.len()), (None, Some(0), 100, 100));
    }
}
