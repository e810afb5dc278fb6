//! The result of a check, and its budget.
//!
//! Knows how a check can end. Must not know what is checked.

use crate::rule::Violation;

/// The result of a check.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No rule is broken.
    Sound(Counted),
    Broken(Vec<Violation>),
    /// The history could not be checked completely, for this reason. No violation was found up to there. This is not a pass.
    Unknown(String),
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) operations: u64,
    pub(crate) commits: u64,
    pub(crate) refused: u64,
    pub(crate) reads: u64,
    pub(crate) unanswered: u64,
    pub(crate) delivered: u64,
    pub(crate) revisions: i64,
}

/// The steps that a check may still take.
#[derive(Debug)]
pub(crate) struct Steps {
    left: u64,
    allowed: u64,
}

impl Steps {
    pub(crate) fn new(allowed: u64) -> Self {
        Self { left: allowed, allowed }
    }

    /// Takes one step. An error if there is none left.
    pub(crate) fn take(&mut self) -> Result<(), String> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("the {} steps allowed are used up", self.allowed))?;
        Ok(())
    }
}
