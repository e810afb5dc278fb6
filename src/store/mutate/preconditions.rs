//! What must hold of records before a commit looks at anything else: its preconditions, and the revisions that its mutations
//! name.
//!
//! Knows the state before the first mutation. Must not know what the mutations do.

use super::{
    finding::{Conflict, refuse},
    request::{Operation, Work},
};
use crate::{
    model::RecordName,
    proto::{ErrorReason, precondition::Condition},
    store::{
        error::{Result, StoreErrorKind},
        version::Head,
        view::View,
    },
};

pub(super) fn check(view: View<'_>, work: &Work) -> Result<()> {
    let mut findings = Vec::new();
    for precondition in &work.preconditions {
        findings.extend(failure(view, &precondition.name, precondition.condition)?);
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
                findings.extend(failure(view, name, Condition::Revision(revision.cast_signed()))?);
            }
        }
    }
    refuse(findings)
}

/// Why a condition does not hold, if it does not.
fn failure(view: View<'_>, name: &RecordName, condition: Condition) -> Result<Option<Conflict>> {
    let standing = view.standing(name.kind(), name.id())?;
    let changed = standing.as_ref().map_or(0, |standing| standing.revision);
    // To every condition but this one an absent or deleted record and a redirect are at revision 0.
    let revision = standing.filter(Head::is_live).map_or(0, |standing| standing.revision);
    let (holds, expected, actual, what) = match condition {
        Condition::Revision(expected) => {
            let what = match (expected, revision) {
                (_, 0) => format!("{name} is not there, and was to be at revision {expected}"),
                (0, _) => format!("{name} is there, at revision {revision}, and was not to be"),
                _ => format!("{name} is at revision {revision}, and was to be at revision {expected}"),
            };
            (revision == expected.cast_unsigned(), expected.to_string(), revision.to_string(), what)
        }
        // A record deleted since has changed since.
        Condition::UnchangedSince(since) => (
            changed <= since.cast_unsigned(),
            format!("unchanged since {since}"),
            changed.to_string(),
            format!("{name} changed at revision {changed}, and was to be unchanged since revision {since}"),
        ),
        Condition::Exists(expected) => {
            let word = |exists| if exists { "exists" } else { "does not exist" }.to_owned();
            let what = if expected { "is not there, and was to be" } else { "is there, and was not to be" };
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
