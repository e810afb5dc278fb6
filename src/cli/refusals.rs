//! What was refused of files, and why: said as it happens, and summed up at the end.
//!
//! Takes the same memory however much is refused: of each reason it keeps the count and the first place.
//!
//! Knows places and reasons. Must not know what stands at a place.

use std::collections::BTreeMap;

use indicatif::{HumanCount, ProgressBar};

use super::{lines::Place, output, problem};
use crate::client;

/// What was refused so far.
#[derive(Debug)]
pub(super) struct Refusals {
    files: Vec<String>,
    /// What stands between a file and a number: ":" for lines, ": row ".
    unit: &'static str,
    progress: ProgressBar,
    by_reason: BTreeMap<String, (u64, Place)>,
}

impl Refusals {
    /// Of these files, said above a progress bar.
    pub(super) fn new(files: Vec<String>, unit: &'static str, progress: ProgressBar) -> Self {
        Self { files, unit, progress, by_reason: BTreeMap::new() }
    }

    /// What stands at a place was sent and refused.
    pub(super) fn refuse_answer(&mut self, place: Place, error: &client::ClientError) {
        let reason = match error.reason_name() {
            "" => format!("{:?}", error.code()),
            name => name.to_owned(),
        };
        self.refuse(place, &reason, &problem::describe_answer(error));
    }

    /// What stands at a place is refused.
    pub(super) fn refuse(&mut self, place: Place, reason: &str, why: &str) {
        let at = self.at(place);
        self.progress.suspend(|| output::complain(&format!("{at}: {why}")));
        self.by_reason.entry(reason.to_owned()).or_insert((0, place)).0 += 1;
    }

    /// How much was refused.
    pub(super) fn count(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum()
    }

    /// A line for each reason.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let by_reason = self.by_reason.iter();
        by_reason.map(|(reason, (count, first))| format!("  {} {reason}, the first at {}", HumanCount(*count), self.at(*first)))
    }

    /// A place as people find it.
    pub(super) fn at(&self, place: Place) -> String {
        let file = self.files.get(place.file).map_or("-", String::as_str);
        // Before the first there is only the file itself: a header, say.
        if place.line == 0 { file.to_owned() } else { format!("{file}{}{}", self.unit, place.line) }
    }
}

/// "1 line", "2,000 lines".
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
