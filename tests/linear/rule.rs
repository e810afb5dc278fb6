//! What a history is held against, rule by rule.
//!
//! Knows what is promised. Must not know how it is checked.

use std::fmt;

/// A promise, as far as a history can break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Revisions of the log are 1, 2, 3, … without a gap.
    Gapless,
    /// Replaying the requests in the order of the log makes the changes that the log has, and the results that were answered.
    Replay,
    /// What was answered or shown is in the log, at the revision that was said.
    Lost,
    /// A commit that was answered before another was sent has the lesser revision.
    Order,
    /// A read as of a revision is the state at that revision.
    Read,
    /// A read of the newest sees every commit that anybody knew of before it was sent.
    Stale,
    /// A request takes effect once, however often it is sent.
    Once,
    /// A request takes effect after it was sent.
    Invocation,
    /// What was refused is not in the log.
    Refused,
    /// What was refused had to be, at some moment between call and answer.
    Refusal,
    /// A watch shows commits in the order of their revisions.
    WatchOrder,
    /// A watch shows no commit twice, resumed or not.
    WatchOnce,
    /// A watch that has come to a revision has shown all that matches up to there.
    WatchComplete,
    /// A watch shows of a commit exactly the changes that match.
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

/// A rule that was broken, and how.
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
