//! The rules that a history must satisfy.
//!
//! Knows what is promised. Must not know how it is checked.

use std::fmt;

/// A promise, as far as a history can break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Revisions of the log are 1, 2, 3, … without a gap.
    Gapless,
    /// Replaying the requests in the order of the log gives the changes in the log and the answered results.
    Replay,
    /// What was answered or shown is in the log, at the stated revision.
    Lost,
    /// A commit that was answered before another was sent has the smaller revision.
    Order,
    /// A read as of a revision is the state at that revision.
    Read,
    /// A read of the head sees every commit that any client knew before the read was sent.
    Stale,
    /// A request takes effect once, however often it is sent.
    Once,
    /// A request takes effect after it was sent.
    Invocation,
    /// What was refused is not in the log.
    Refused,
    /// A refused commit had to be refused, at some moment between call and answer.
    Refusal,
    /// A watch shows commits in the order of their revisions.
    WatchOrder,
    /// A watch shows no commit twice, resumed or not.
    WatchOnce,
    /// A watch that has reached a revision has shown every match up to it.
    WatchComplete,
    /// A watch shows exactly the matching changes of a commit.
    WatchAtomic,
}

impl Rule {
    pub(crate) const ALL: [Self; 14] = [
        Self::Gapless,
        Self::Replay,
        Self::Lost,
        Self::Order,
        Self::Read,
        Self::Stale,
        Self::Once,
        Self::Invocation,
        Self::Refused,
        Self::Refusal,
        Self::WatchOrder,
        Self::WatchOnce,
        Self::WatchComplete,
        Self::WatchAtomic,
    ];
}

/// A broken rule, and how it is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:?}: {}", self.rule, self.what)
    }
}
