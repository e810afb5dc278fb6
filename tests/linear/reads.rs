//! The rules of reads: a read as of a revision shows its state, and a read of the head is never older than what was known.
//!
//! Knows the replayed log. Must not know requests or watches.

use crate::{
    history::{Call, Logged},
    model::Version,
    replay::Replayed,
    rule::{Rule, Violation},
};

/// Compares reads with the log. Some client knew this revision before they were sent.
pub(crate) struct Reads<'a> {
    pub(crate) replayed: &'a Replayed,
    pub(crate) told: i64,
    pub(crate) broken: &'a mut Vec<Violation>,
}

impl Reads<'_> {
    /// A record was read. `at` 0: as of the head, whose revision is not in the answer.
    pub(crate) fn record(&mut self, name: &str, at: i64, version: Option<&Version>) {
        let (replayed, told) = (self.replayed, self.told);
        if at > 0 {
            if at > replayed.head() {
                self.violated(Rule::Lost, format!("{name} was read as of {at}, which is not in the log"));
            } else if replayed.at(name, at) != version {
                let what = format!("{name} at {at} was {version:?}, not {:?}", replayed.at(name, at));
                self.violated(Rule::Read, what);
            }
            return;
        }
        let revision = version.map_or(0, |version| version.revision);
        if revision > replayed.head() {
            self.violated(Rule::Lost, format!("{name} was read as of {revision}, which is not in the log"));
        } else if version.is_some() && replayed.at(name, revision) != version {
            let what = format!("{name} was {version:?}, and was {:?} then", replayed.at(name, revision));
            self.violated(Rule::Read, what);
        } else if replayed.next_change(name, revision).is_some_and(|next| next <= told) {
            self.violated(Rule::Stale, format!("{name} was read as of {revision} when {told} was known"));
        }
    }

    /// Several records were read as of one revision.
    pub(crate) fn records(&mut self, call: &Call, revision: i64, records: &[(String, Version)]) {
        let (Call::BatchGet { at, .. } | Call::List { at, .. }) = call else { return };
        if *at == 0 {
            self.newest("a read", revision);
        } else if revision != *at {
            self.violated(Rule::Read, format!("{call:?} was answered as of {revision}"));
        } else if revision > self.replayed.head() {
            self.violated(Rule::Lost, format!("{call:?} was answered, and {revision} is not in the log"));
        }
        let expected = self.replayed.shown(call, revision);
        if !records.iter().map(|(name, version)| (name.as_str(), version)).eq(expected.iter().copied()) {
            let what = format!("{call:?} as of {revision} was {records:?}, not {expected:?}");
            self.violated(Rule::Read, what);
        }
    }

    /// A commit of the log was read.
    pub(crate) fn commit(&mut self, revision: i64, logged: &Logged) {
        match self.replayed.commit(revision) {
            None => self.violated(Rule::Lost, format!("{logged:?} was read and is not in the log")),
            Some(expected) if expected != logged => {
                let what = format!("{logged:?} was read, and the log has {expected:?}");
                self.violated(Rule::Read, what);
            }
            Some(_) => {}
        }
    }

    /// The head was read as of a revision.
    pub(crate) fn newest(&mut self, what: &str, revision: i64) {
        if revision > self.replayed.head() {
            self.violated(Rule::Lost, format!("{what} was as of {revision}, which is not in the log"));
        }
        if revision < self.told {
            self.violated(Rule::Stale, format!("{what} was as of {revision} when {} was known", self.told));
        }
    }

    fn violated(&mut self, rule: Rule, what: String) {
        self.broken.push(Violation { rule, what });
    }
}
