//! What became of the rows of an import: how many records they made and changed, and which rows were refused.
//!
//! Knows rows and results. Must not know how they are sent.

use indicatif::{HumanCount, ProgressBar};

use super::{
    lines::Place,
    refusals::{Refusals, counted},
};
use crate::{
    client,
    formats::import::{BadRow, batch::Batch, mutation},
    proto::{ChangeKind, CommitResponse},
};

/// The counts so far. They take the same memory however many rows there are.
#[derive(Debug)]
pub(super) struct Tally {
    progress: ProgressBar,
    refusals: Refusals,
    dry_run: bool,
    rows: u64,
    /// Of those: applied by an earlier run.
    before: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
}

impl Tally {
    /// Of these files, said above a progress bar.
    pub(super) fn new(files: Vec<String>, dry_run: bool, progress: ProgressBar) -> Self {
        let refusals = Refusals::new(files, ": row ", progress.clone());
        Self { progress, refusals, dry_run, rows: 0, before: 0, created: 0, updated: 0, unchanged: 0 }
    }

    /// The rows of a batch were applied; now, or by an earlier run.
    pub(super) fn applied(&mut self, batch: &Batch, response: &CommitResponse, before: bool) {
        // One that makes only what others share comes again, with what is its own.
        let rows = batch.rows.iter().filter(|row| !row.own.is_empty()).count() as u64;
        self.rows += rows;
        self.before += if before { rows } else { 0 };
        for (item, result) in batch.commit.mutations.iter().zip(&response.results) {
            let kind = if before { ChangeKind::Unchanged } else { result.kind() };
            // Told of with the first commit that had it. One that is only checked would be made with each.
            let told = (kind == ChangeKind::Unchanged || self.dry_run) && batch.repeats.contains(mutation::name(item));
            if !told {
                self.count(kind);
            }
        }
        let done = self.rows + self.refusals.count();
        let rate = u128::from(done) * 1000 / self.progress.elapsed().as_millis().max(1);
        self.progress.set_message(format!("{} rows, {rate}/s", HumanCount(done)));
    }

    /// Something was made besides.
    pub(super) fn made(&mut self, response: &CommitResponse) {
        for result in response.results.iter().filter(|result| result.kind() != ChangeKind::Unchanged) {
            self.count(result.kind());
        }
    }

    /// A row is no row of its format.
    pub(super) fn refuse_row(&mut self, file: usize, bad: &BadRow) {
        let (reason, why) = match bad.column.as_str() {
            "" => ("unreadable".to_owned(), bad.reason.clone()),
            column => (format!("for {column}"), format!("{column}: {}", bad.reason)),
        };
        self.refusals.refuse(Place { file, line: bad.number }, &reason, &why);
    }

    /// A row was sent and refused.
    pub(super) fn refuse_answer(&mut self, file: usize, row: u64, error: &client::ClientError) {
        self.refusals.refuse_answer(Place { file, line: row }, error);
    }

    /// How many rows were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refusals.count()
    }

    /// The whole in a few lines.
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
            lines.push(format!("{rows} had been applied by an earlier run and were not looked at again: --again does"));
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
