//! Conflicts of a commit with the records in the store, which are collected like violations of fields. Also checks the
//! preconditions of a commit, which is the first stage.
//!
//! Knows the records before the first mutation. Must not know what the mutations do.

use super::request::{Operation, Work};
use crate::{
    model::RecordName,
    proto::{ErrorReason, precondition::Condition},
    store::{
        error::{FailedPrecondition, Result, StoreError, StoreErrorDetails, StoreErrorKind},
        version::VersionHead,
        view::View,
    },
};

/// One reason why the store refuses a commit.
#[derive(Debug)]
pub(super) struct Conflict {
    error: StoreError,
    subject: String,
}

impl Conflict {
    /// A conflict about a record. [`Self::with`] adds variables of the message.
    pub(super) fn new(kind: StoreErrorKind, reason: ErrorReason, subject: &RecordName, message: String) -> Self {
        Self { error: StoreError::new(kind, reason, message), subject: subject.to_string() }
    }

    pub(super) fn with(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        self.error = self.error.with(key, value);
        self
    }
}

/// The error for all conflicts, if there are any. The first one gives the kind, the reason and the message. The details list
/// every one.
pub(super) fn refuse(conflicts: Vec<Conflict>) -> Result<(), StoreError> {
    let details = conflicts
        .iter()
        .map(|conflict| FailedPrecondition {
            reason: conflict.error.reason,
            subject: conflict.subject.clone(),
            description: conflict.error.message.clone(),
        })
        .collect::<Vec<_>>();
    match conflicts.into_iter().next() {
        None => Ok(()),
        Some(first) => {
            let mut error = first.error;
            if details.len() > 1 {
                error.message = format!("{} (one of {} such conflicts, see the details)", error.message, details.len());
            }
            Err(error.with_details(StoreErrorDetails::Preconditions(details)))
        }
    }
}

/// Checks the preconditions of a commit, and the revisions that its mutations name.
pub(super) fn check_preconditions(view: View<'_>, work: &Work) -> Result<()> {
    let mut conflicts = Vec::new();
    for precondition in &work.preconditions {
        conflicts.extend(failure(view, &precondition.name, precondition.condition)?);
    }
    for mutation in &work.mutations {
        let expectations: &[(&RecordName, u64)] = match &mutation.op {
            Operation::Update { name, if_revision, .. } | Operation::Delete { name, if_revision, .. } => {
                &[(name, *if_revision)]
            }
            Operation::Merge { name, into, if_revision, if_into_revision } => {
                &[(name, *if_revision), (into, *if_into_revision)]
            }
            _ => &[],
        };
        for (name, revision) in expectations {
            if *revision > 0 {
                conflicts.extend(failure(view, name, Condition::Revision(revision.cast_signed()))?);
            }
        }
    }
    refuse(conflicts)
}

/// Why a condition does not hold, if it does not.
fn failure(view: View<'_>, name: &RecordName, condition: Condition) -> Result<Option<Conflict>> {
    let head = view.version_head(name.kind(), name.id())?;
    let changed = head.as_ref().map_or(0, |head| head.revision);
    // For every condition but `UnchangedSince`, an absent or deleted record and a redirect count as revision 0.
    let revision = head.filter(VersionHead::is_live).map_or(0, |head| head.revision);
    let (holds, expected, actual, what) = match condition {
        Condition::Revision(expected) => {
            let what = match (expected, revision) {
                (_, 0) => format!("{name} does not exist, but revision {expected} of it is expected"),
                (0, _) => format!("{name} exists, at revision {revision}, but must not exist"),
                _ => format!("{name} is at revision {revision}, but revision {expected} is expected"),
            };
            (revision == expected.cast_unsigned(), expected.to_string(), revision.to_string(), what)
        }
        // A record that was deleted since then has changed since then.
        Condition::UnchangedSince(since) => (
            changed <= since.cast_unsigned(),
            format!("unchanged since {since}"),
            changed.to_string(),
            format!("{name} changed at revision {changed}, but must be unchanged since revision {since}"),
        ),
        Condition::Exists(expected) => {
            let word = |exists| if exists { "exists" } else { "does not exist" }.to_owned();
            let what = if expected { "does not exist, but must exist" } else { "exists, but must not exist" };
            (expected == (revision > 0), word(expected), word(revision > 0), format!("{name} {what}"))
        }
    };
    if holds {
        return Ok(None);
    }
    let message = format!("{what}: read it again, redo the change and send it with a new request_id");
    Ok(Some(
        Conflict::new(StoreErrorKind::Aborted, ErrorReason::RevisionMismatch, name, message)
            .with("name", name)
            .with("expected", expected)
            .with("actual", actual),
    ))
}
