//! What became of the lines of a file: said as it happens, and summed up at the end.
//!
//! Knows places and outcomes. Must not know how lines are read or sent.

use indicatif::{HumanCount, ProgressBar};

use super::{
    lines::Place,
    refusals::{Refusals, counted},
};
use crate::client;

/// Outcomes between two changes of the progress bar's text.
const OUTCOMES_A_TEXT: u64 = 64;

/// What became of the lines so far.
#[derive(Debug)]
pub(super) struct Report {
    progress: ProgressBar,
    refusals: Refusals,
    applied: u64,
    /// Of those applied: before this run.
    before: u64,
    /// Of those applied: with another line of this run.
    repeated: u64,
    last: Option<Place>,
}

impl Report {
    /// Of these files, said above a progress bar.
    pub(super) fn new(files: Vec<String>, progress: ProgressBar) -> Self {
        let refusals = Refusals::new(files, ":", progress.clone());
        Self { progress, refusals, applied: 0, before: 0, repeated: 0, last: None }
    }

    /// A line was applied; now, or `replayed`: before, or with another of this run.
    pub(super) fn applied(&mut self, place: Place, replayed: bool, repeats: bool) {
        self.applied += 1;
        if replayed && repeats {
            self.repeated += 1;
        } else if replayed {
            self.before += 1;
        }
        self.answered(place);
    }

    /// A line was sent and refused.
    pub(super) fn refuse_answer(&mut self, place: Place, error: &client::ClientError) {
        self.refusals.refuse_answer(place, error);
        self.answered(place);
    }

    /// A line is refused.
    pub(super) fn refuse(&mut self, place: Place, reason: &str, why: &str) {
        self.refusals.refuse(place, reason, why);
    }

    /// How many lines were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refusals.count()
    }

    /// The whole in a few lines.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut parts = vec![format!("{} applied", counted(self.applied, "commit"))];
        if self.before > 0 {
            parts.push(format!("{} of them before", HumanCount(self.before)));
        }
        if self.refused() > 0 {
            parts.push(format!("{} refused:", counted(self.refused(), "line")));
        }
        let mut lines = vec![parts.join(", ")];
        lines.extend(self.refusals.lines());
        if self.repeated > 0 {
            lines.push(format!(
                "{} without a request_id, same as another and applied once with it: give each an id if each is meant",
                counted(self.repeated, "line")
            ));
        }
        lines
    }

    /// What to say when the rest was not answered.
    pub(super) fn resume_hint(&self) -> String {
        let done = self
            .last
            .map_or_else(|| "nothing was answered".to_owned(), |last| format!("answered up to {}", self.refusals.at(last)));
        format!("stopped, {done}: run the same again, what was applied is not applied twice")
    }

    fn answered(&mut self, place: Place) {
        self.last = Some(place);
        let outcomes = self.applied + self.refused();
        if outcomes.is_multiple_of(OUTCOMES_A_TEXT) {
            let rate = u128::from(outcomes) * 1000 / self.progress.elapsed().as_millis().max(1);
            self.progress.set_message(format!("{} commits, {rate}/s", HumanCount(outcomes)));
        }
    }
}
