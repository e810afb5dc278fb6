//! What the state of the store forbids, collected like violations of fields.
//!
//! Knows errors. Must not know what is looked for.

use crate::{
    model::RecordName,
    proto::ErrorReason,
    store::error::{FailedPrecondition, StoreError, StoreErrorDetails, StoreErrorKind},
};

/// One thing that forbids a commit.
#[derive(Debug)]
pub(super) struct Conflict {
    error: StoreError,
    subject: String,
}

impl Conflict {
    /// A finding about a record. Variables of the message are added with [`Self::with`].
    pub(super) fn new(kind: StoreErrorKind, reason: ErrorReason, subject: &RecordName, message: String) -> Self {
        Self { error: StoreError::new(kind, reason, message), subject: subject.to_string() }
    }

    pub(super) fn with(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        self.error = self.error.with(key, value);
        self
    }
}

/// The error for all findings, if there are any: the first gives kind, reason and message, the details carry every one.
pub(super) fn refuse(findings: Vec<Conflict>) -> Result<(), StoreError> {
    let details = findings
        .iter()
        .map(|finding| FailedPrecondition {
            reason: finding.error.reason,
            subject: finding.subject.clone(),
            description: finding.error.message.clone(),
        })
        .collect::<Vec<_>>();
    match findings.into_iter().next() {
        None => Ok(()),
        Some(first) => {
            let mut error = first.error;
            if details.len() > 1 {
                error.message = format!("{} (one of {} such problems, see the details)", error.message, details.len());
            }
            Err(error.with_details(StoreErrorDetails::Preconditions(details)))
        }
    }
}
