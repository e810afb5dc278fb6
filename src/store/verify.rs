//! Verifies the state against the log: compares every key with a rebuilt state. Then checks the citations of the live records.
//!
//! Knows the log, replay, keys and citations. Must not know how a discrepancy is shown, or a concrete engine.

use std::{cmp::Ordering, fmt};

use bytes::Bytes;

use super::{citations, error::Result, keys, replay::PendingState, version::Version, view::View};
use crate::{
    engine::{Engine, LogSequence, ScanDirection, State, StateRead},
    model::RecordKind,
};

/// Bytes of the log replayed at once.
const LOG_BYTES: usize = 16 << 20;
/// Keys compared at once.
const KEYS_AT_ONCE: usize = 4096;
/// Records read at once to check their citations.
const RECORDS_AT_ONCE: usize = 128;

/// A key that is not as the log implies, or a citation that is not as its source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discrepancy {
    /// The key as a text, or the record and its field.
    pub key: String,
    /// What is wrong with it.
    pub problem: DiscrepancyKind,
}

/// What is wrong with a key of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscrepancyKind {
    /// The log implies the key, but the state lacks it.
    Missing,
    /// The state has the key, but the log does not imply it.
    Extra,
    /// The value is not the one that the log implies.
    Different,
    /// The citation of a live record differs from the text of its source.
    Citation,
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            DiscrepancyKind::Missing => "is missing from the state",
            DiscrepancyKind::Extra => "is in the state, and the log does not imply it",
            DiscrepancyKind::Citation => "differs from the text of its source",
            DiscrepancyKind::Different => "has another value in the state than the log implies",
        };
        write!(to, "{} {problem}", self.key)
    }
}

/// The result of a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Entries of the log that were read. Their checksums were checked.
    pub entries: u64,
    /// Keys that were compared.
    pub keys: u64,
    /// Discrepancies between the state and the log.
    pub discrepancies: u64,
}

/// Replays the whole log into `scratch`, an empty state, and compares every key of the two states. Then checks each citation of a
/// live record against the text of the source by the name that it has stored. Nothing may write meanwhile.
/// Errs if the log or a state cannot be read.
pub fn verify(engine: &Engine, scratch: &dyn State, report: &mut dyn FnMut(&Discrepancy)) -> Result<VerifyReport> {
    let mut verified = VerifyReport::default();
    let mut meta = PendingState::read_meta(scratch)?;
    loop {
        let entries = engine.log.read_after(LogSequence(meta.sequence), LOG_BYTES)?;
        if entries.is_empty() {
            break;
        }
        let mut pending = PendingState::new(scratch, meta);
        for entry in &entries {
            pending.replay(entry)?;
        }
        verified.entries += entries.len() as u64;
        let (batch, replayed) = pending.into_batch();
        scratch.apply(batch)?;
        meta = replayed;
    }
    compare(&*engine.state, scratch, &mut verified, report)?;
    check_citations(View { state: scratch, revision: meta.revision }, &mut verified, report)?;
    Ok(verified)
}

/// Compares the keys of a state with those that the log implies.
fn compare(
    state: &dyn StateRead,
    scratch: &dyn State,
    verified: &mut VerifyReport,
    report: &mut dyn FnMut(&Discrepancy),
) -> Result<()> {
    let mut found = keys_of(state);
    let mut implied = keys_of(scratch);
    let (mut left, mut right) = (found.next().transpose()?, implied.next().transpose()?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let problem = match order {
            Ordering::Less => Some((&left, DiscrepancyKind::Extra)),
            Ordering::Greater => Some((&right, DiscrepancyKind::Missing)),
            Ordering::Equal if left != right => Some((&left, DiscrepancyKind::Different)),
            Ordering::Equal => None,
        };
        if let Some((Some((key, _)), problem)) = problem {
            verified.discrepancies += 1;
            report(&Discrepancy { key: keys::describe(key), problem });
        }
        if order != Ordering::Greater {
            verified.keys += 1;
            left = found.next().transpose()?;
        }
        if order != Ordering::Less {
            right = implied.next().transpose()?;
        }
    }
}

fn keys_of(state: &dyn StateRead) -> impl Iterator<Item = Result<(Bytes, Bytes)>> {
    View { state, revision: 0 }.scan(keys::all(), ScanDirection::Forward, KEYS_AT_ONCE)
}

/// Checks the citations of the live records. A citation counts in the text of the source that it names, also if that source was
/// merged into one with another text.
fn check_citations(view: View<'_>, verified: &mut VerifyReport, report: &mut dyn FnMut(&Discrepancy)) -> Result<()> {
    for kind in RecordKind::ALL.into_iter().filter(|kind| citations::field(*kind).is_some()) {
        for entry in view.scan(keys::current_of(kind), ScanDirection::Forward, RECORDS_AT_ONCE) {
            let (key, value) = entry?;
            let id = keys::current_id(&key);
            let Some(version) = view.version_in(kind, id, &value)?.filter(Version::is_live) else { continue };
            for cited in citations::spanned(kind, &version.record) {
                let source = view.version(cited.source.kind(), cited.source.id())?;
                let text = source.as_ref().and_then(|source| citations::text_of(&source.record)).unwrap_or_default();
                for difference in cited.differences(text) {
                    verified.discrepancies += 1;
                    let key = format!("{}/{id}, {},", kind.collection(), difference.field);
                    report(&Discrepancy { key, problem: DiscrepancyKind::Citation });
                }
            }
        }
    }
    Ok(())
}
