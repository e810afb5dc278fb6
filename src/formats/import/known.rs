//! What a run has sent already and need not send again.
//!
//! Knows names and the order of commits. Must not know rows, or what was answered.

use std::{collections::HashMap, mem};

/// Names that are kept at least.
const NAMES_MAX: usize = 1 << 16;

/// Shared records that a run has sent.
///
/// A run has at most `window` commits without an answer, so what stood in an older one has been answered. That it was refused is
/// possible; whoever applies commits then sends all that a batch [rests on](super::batch::Batch::whole).
#[derive(Debug)]
pub struct Known {
    window: Option<u64>,
    /// Commits so far.
    commits: u64,
    /// By name, the first commit that it stood in. Two generations, so that what is not asked for goes and memory stays.
    young: HashMap<String, u64>,
    old: HashMap<String, u64>,
}

/// How a run stands to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is to be sent for the first time.
    New,
    /// It was sent, and may have no answer yet.
    Sent,
    /// It was sent and answered.
    There,
}

impl Known {
    /// Of a run with at most so many commits in flight.
    pub fn after(window: usize) -> Self {
        Self { window: Some(window as u64), commits: 0, young: HashMap::new(), old: HashMap::new() }
    }

    /// Of a run whose commits do not rest on each other, as when they are only checked.
    pub fn never() -> Self {
        Self { window: None, ..Self::after(0) }
    }

    /// How it stands to a record that the next commit rests on.
    pub(super) fn ask(&mut self, name: &str) -> Standing {
        let since = self.since(name);
        match self.window {
            _ if since == self.commits => Standing::New,
            Some(window) if self.commits - since >= window => Standing::There,
            _ => Standing::Sent,
        }
    }

    /// The next commit is made.
    pub(super) fn next(&mut self) {
        self.commits += 1;
    }

    fn since(&mut self, name: &str) -> u64 {
        if let Some(since) = self.young.get(name) {
            return *since;
        }
        let since = self.old.get(name).copied().unwrap_or(self.commits);
        if self.young.len() >= NAMES_MAX {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name.to_owned(), since);
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_there_when_as_many_commits_as_are_in_flight_came_after_it() {
        let mut known = Known::after(2);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push((known.ask("actors/a"), known.ask("actors/a")));
            known.next();
        }
        let twice = |standing| (standing, standing);
        assert_eq!(seen, [twice(Standing::New), twice(Standing::Sent), twice(Standing::There), twice(Standing::There)]);
        let mut never = Known::never();
        never.ask("actors/a");
        never.next();
        assert_eq!(never.ask("actors/a"), Standing::Sent);
    }

    #[test]
    fn what_is_asked_for_stays_known_and_memory_is_bounded() {
        let mut known = Known::after(1);
        known.ask("actors/a");
        known.next();
        for number in 0..5 * NAMES_MAX {
            known.ask(&number.to_string());
            if number % 1000 == 0 {
                assert_eq!(known.ask("actors/a"), Standing::There);
            }
        }
        assert!(known.young.len() + known.old.len() <= 2 * NAMES_MAX + 2);
        known.next();
        assert_eq!(known.ask("0"), Standing::New);
    }
}
