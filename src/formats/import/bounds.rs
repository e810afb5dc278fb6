//! What one commit may hold, and what is in it so far.
//!
//! Knows rows and numbers. Must not know what is known of earlier commits.

use std::collections::{BTreeMap, HashSet};

use prost::Message;

use super::{Row, mutation};

/// What one commit may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Rows.
    pub rows: usize,
    /// Mutations, shared ones included. A row that makes more is refused.
    pub mutations: usize,
    /// Bytes of all mutations. A row that makes more is refused.
    pub bytes: usize,
}

impl Default for Bounds {
    /// Within the limits that a server has by default, with room for what a commit needs besides.
    fn default() -> Self {
        Self { rows: 100, mutations: 1000, bytes: 1 << 20 }
    }
}

impl Bounds {
    /// The default, or less where a server says that it takes less (`GetServerInfo.limits`).
    pub fn within(limits: &BTreeMap<String, i64>) -> Self {
        let at_most = |name: &str, bound: usize| {
            let limit = limits.get(name).and_then(|limit| usize::try_from(*limit).ok());
            limit.map_or(bound, |limit| bound.min(limit))
        };
        let Self { rows, mutations, bytes } = Self::default();
        // A request is a little longer than its mutations.
        let request = at_most("request.bytes", bytes) * 15 / 16;
        Self { rows, mutations: at_most("commit.mutations", mutations), bytes: request.min(at_most("commit.bytes", bytes)) }
    }
}

/// What is in a batch so far. It does not depend on what is known, so that a file is always cut in the same places.
#[derive(Default)]
pub(super) struct Room {
    rows: usize,
    mutations: usize,
    bytes: usize,
    shared: HashSet<String>,
    own: HashSet<String>,
}

impl Room {
    /// Takes a row in, if it fits. A record is changed once in a commit: a row about one that another row is about does not.
    pub(super) fn take(&mut self, row: &Row, bounds: &Bounds) -> bool {
        let shared: Vec<_> = row.shared.iter().filter(|mutation| !self.shared.contains(mutation::name(mutation))).collect();
        let mutations = self.mutations + shared.len() + row.own.len();
        let bytes =
            self.bytes + shared.iter().copied().chain(&row.own).map(|mutation| mutation.encoded_len() + 8).sum::<usize>();
        let named = || row.own.iter().map(mutation::name).filter(|name| !name.is_empty());
        let again = named().any(|name| self.own.contains(name));
        if self.rows + 1 > bounds.rows || mutations > bounds.mutations || bytes > bounds.bytes || again {
            return false;
        }
        (self.rows, self.mutations, self.bytes) = (self.rows + 1, mutations, bytes);
        self.shared.extend(shared.into_iter().map(|mutation| mutation::name(mutation).to_owned()));
        self.own.extend(named().map(str::to_owned));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_server_where_they_are_lower() {
        let limits = |entries: &[(&str, i64)]| entries.iter().map(|(name, limit)| ((*name).to_owned(), *limit)).collect();
        assert_eq!(Bounds::within(&limits(&[("commit.mutations", 5000)])).mutations, 1000);
        let small = Bounds::within(&limits(&[("commit.mutations", 50), ("request.bytes", 16_000), ("commit.bytes", 20_000)]));
        assert_eq!(small, Bounds { rows: 100, mutations: 50, bytes: 15_000 });
    }
}
