//! Reports the outcomes of the lines or rows of files as they arrive, and summarises them at the end.
//!
//! Memory does not grow with the number of outcomes: a report keeps the count and the first location of each reason.
//!
//! Must not know how lines and rows are read or sent.

use std::collections::BTreeMap;

use indicatif::{HumanCount, ProgressBar};

use super::{
    input::Location,
    output::{self, describe_answer},
};
use crate::{
    client::ClientError,
    formats::import::{ImportRowError, batch::ImportBatch, mutation},
    proto::{ChangeKind, CommitResponse},
};

/// Number of outcomes between two updates of the progress bar's text.
const OUTCOMES_PER_UPDATE: u64 = 64;

/// The outcomes of lines of commits.
#[derive(Debug)]
pub(super) struct LineReport {
    progress: ProgressBar,
    refusals: Refusals,
    applied: u64,
    /// How many of the applied lines were applied by an earlier run.
    before: u64,
    /// How many of the applied lines have the same commit as another line of this run.
    repeated: u64,
    last: Option<Location>,
}

impl LineReport {
    /// Reports on these files above a progress bar.
    pub(super) fn new(files: Vec<String>, progress: ProgressBar) -> Self {
        let refusals = Refusals::new(files, ":", progress.clone());
        Self { progress, refusals, applied: 0, before: 0, repeated: 0, last: None }
    }

    /// Counts a line that was applied. `replayed` says that its commit was applied before, `repeats` that another line of this
    /// run did so.
    pub(super) fn applied(&mut self, location: Location, replayed: bool, repeats: bool) {
        self.applied += 1;
        if replayed && repeats {
            self.repeated += 1;
        } else if replayed {
            self.before += 1;
        }
        self.answered(location);
    }

    /// Reports a line that was sent and refused.
    pub(super) fn refuse_answer(&mut self, location: Location, error: &ClientError) {
        self.refusals.refuse_answer(location, error);
        self.answered(location);
    }

    /// Reports a line that is refused without being sent.
    pub(super) fn refuse(&mut self, location: Location, reason: &str, why: &str) {
        self.refusals.refuse(location, reason, why);
    }

    /// How many lines were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refusals.count()
    }

    /// A summary of a few lines.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut parts = vec![format!("{} applied", counted(self.applied, "commit"))];
        if self.before > 0 {
            parts.push(format!("{} of them by an earlier run", HumanCount(self.before)));
        }
        if self.refused() > 0 {
            parts.push(format!("{} refused:", counted(self.refused(), "line")));
        }
        let mut lines = vec![parts.join(", ")];
        lines.extend(self.refusals.lines());
        if self.repeated > 0 {
            lines.push(format!(
                "{} without a request_id repeated another line and had no effect: give each line a request_id if both are meant",
                counted(self.repeated, "line")
            ));
        }
        lines
    }

    /// The message of a run that ended before the last answer.
    pub(super) fn interrupted(&self) -> String {
        let done = self
            .last
            .map_or_else(|| "nothing was answered".to_owned(), |last| format!("answered up to {}", self.refusals.at(last)));
        format!("stopped, {done}: run the same command again to resume; nothing is applied twice")
    }

    fn answered(&mut self, location: Location) {
        self.last = Some(location);
        let outcomes = self.applied + self.refused();
        if outcomes.is_multiple_of(OUTCOMES_PER_UPDATE) {
            let rate = u128::from(outcomes) * 1000 / self.progress.elapsed().as_millis().max(1);
            self.progress.set_message(format!("{} commits, {rate}/s", HumanCount(outcomes)));
        }
    }
}

/// The outcomes of the rows of an import, and the records that they created and changed.
#[derive(Debug)]
pub(super) struct RowReport {
    progress: ProgressBar,
    refusals: Refusals,
    dry_run: bool,
    rows: u64,
    /// How many of the rows were applied by an earlier run.
    before: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
}

impl RowReport {
    /// Reports on these files above a progress bar.
    pub(super) fn new(files: Vec<String>, dry_run: bool, progress: ProgressBar) -> Self {
        let refusals = Refusals::new(files, ": row ", progress.clone());
        Self { progress, refusals, dry_run, rows: 0, before: 0, created: 0, updated: 0, unchanged: 0 }
    }

    /// Counts the rows of a batch that was applied. `before` says that an earlier run applied it.
    pub(super) fn applied(&mut self, batch: &ImportBatch, response: &CommitResponse, before: bool) {
        // A row without records of its own is read again later and then counted.
        let rows = batch.rows.iter().filter(|row| !row.own.is_empty()).count() as u64;
        self.rows += rows;
        self.before += if before { rows } else { 0 };
        for (item, result) in batch.commit.mutations.iter().zip(&response.results) {
            let kind = if before { ChangeKind::Unchanged } else { result.kind() };
            // The first commit with a shared record has already counted it. In a dry run, every commit would create it.
            let counted = (kind == ChangeKind::Unchanged || self.dry_run) && batch.repeats.contains(mutation::name(item));
            if !counted {
                self.count(kind);
            }
        }
        let done = self.rows + self.refusals.count();
        let rate = u128::from(done) * 1000 / self.progress.elapsed().as_millis().max(1);
        self.progress.set_message(format!("{} rows, {rate}/s", HumanCount(done)));
    }

    /// Counts shared records that a commit of their own created.
    pub(super) fn created(&mut self, response: &CommitResponse) {
        for result in response.results.iter().filter(|result| result.kind() != ChangeKind::Unchanged) {
            self.count(result.kind());
        }
    }

    /// Reports a row that its format refused.
    pub(super) fn refuse_row(&mut self, file: usize, bad: &ImportRowError) {
        let (reason, why) = match bad.column.as_str() {
            "" => ("unreadable".to_owned(), bad.reason.clone()),
            column => (format!("for {column}"), format!("{column}: {}", bad.reason)),
        };
        self.refusals.refuse(Location { file, number: bad.number }, &reason, &why);
    }

    /// Reports a row that was sent and refused.
    pub(super) fn refuse_answer(&mut self, file: usize, row: u64, error: &ClientError) {
        self.refusals.refuse_answer(Location { file, number: row }, error);
    }

    /// How many rows were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refusals.count()
    }

    /// A summary of a few lines.
    pub(super) fn summary(&self) -> Vec<String> {
        let would_be = if self.dry_run { "would be " } else { "" };
        let mut parts = vec![format!(
            "{}: {} {would_be}created, {} {would_be}updated, {} unchanged",
            counted(self.rows, "row"),
            counted(self.created, "record"),
            HumanCount(self.updated),
            HumanCount(self.unchanged)
        )];
        if self.refused() > 0 {
            parts.push(format!("{} refused:", counted(self.refused(), "row")));
        }
        let mut lines = vec![parts.join("; ")];
        lines.extend(self.refusals.lines());
        if self.before > 0 {
            let rows = counted(self.before, "row");
            lines.push(format!("{rows} were applied by an earlier run and were not checked again: --again checks them"));
        }
        lines
    }

    fn count(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::Created => self.created += 1,
            ChangeKind::Unchanged => self.unchanged += 1,
            _ => self.updated += 1,
        }
    }
}

/// The refused lines or rows so far.
#[derive(Debug)]
struct Refusals {
    files: Vec<String>,
    /// The text between a file and a number: ":" for lines, ": row " for rows.
    unit: &'static str,
    progress: ProgressBar,
    by_reason: BTreeMap<String, (u64, Location)>,
}

impl Refusals {
    /// Reports refusals of these files above a progress bar.
    fn new(files: Vec<String>, unit: &'static str, progress: ProgressBar) -> Self {
        Self { files, unit, progress, by_reason: BTreeMap::new() }
    }

    /// Reports a line or row that was sent and refused.
    fn refuse_answer(&mut self, location: Location, error: &ClientError) {
        let reason = match error.reason_name() {
            "" => format!("{:?}", error.code()),
            name => name.to_owned(),
        };
        self.refuse(location, &reason, &describe_answer(error));
    }

    /// Reports a line or row that is refused.
    fn refuse(&mut self, location: Location, reason: &str, why: &str) {
        let at = self.at(location);
        self.progress.suspend(|| output::complain(&format!("{at}: {why}")));
        self.by_reason.entry(reason.to_owned()).or_insert((0, location)).0 += 1;
    }

    /// How many were refused.
    fn count(&self) -> u64 {
        self.by_reason.values().map(|(count, _)| count).sum()
    }

    /// One line for each reason, with the count and the first location.
    fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let by_reason = self.by_reason.iter();
        by_reason.map(|(reason, (count, first))| format!("  {} {reason}, the first at {}", HumanCount(*count), self.at(*first)))
    }

    /// A location as text, such as "a.csv: row 3".
    fn at(&self, location: Location) -> String {
        let file = self.files.get(location.file).map_or("-", String::as_str);
        if location.number == 0 { file.to_owned() } else { format!("{file}{}{}", self.unit, location.number) }
    }
}

/// A count with its unit: "1 line", "2,000 lines".
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
