//! The errors of the store.
//!
//! This module never logs an error. The code that answers a caller and the writer's thread log what an operator should see.
//!
//! Knows reasons, causes and what a caller can do next. Must not know gRPC's codes, or logs.

use std::{error::Error, fmt, path::Path, sync::Arc};

use crate::{
    engine,
    limits::Limit,
    model::{Violation, ViolationKind, Violations},
    proto::ErrorReason,
};

/// What the caller can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The request is invalid. It can never succeed unchanged: correct it.
    Invalid,
    /// The record does not exist.
    NotFound,
    /// The name or id is in use.
    AlreadyExists,
    /// The state of the record forbids the change: change that state first.
    FailedPrecondition,
    /// Another commit came first: read again, apply the change again, and send a new request.
    Aborted,
    /// The revision cannot be read.
    OutOfRange,
    /// Stored data is damaged or missing.
    DataLoss,
    /// Too many requests at once. Transient: wait, then retry.
    Exhausted,
    /// The store cannot answer now. Transient: wait, then retry.
    Unavailable,
    /// A bug in this program.
    Internal,
}

/// A precondition on a record that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPrecondition {
    /// The reason, such as `REVISION_MISMATCH`.
    pub reason: ErrorReason,
    /// The name of the record.
    pub subject: String,
    /// What failed, as a sentence.
    pub description: String,
}

/// All that is wrong with a request, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorDetails {
    /// Nothing beyond the message.
    #[default]
    None,
    /// Violations in fields of the request.
    Fields(Vec<Violation>),
    /// Preconditions on records that failed.
    Preconditions(Vec<FailedPrecondition>),
}

/// Why a call failed. The reasons and the keys of `metadata` are part of the API, and `errors.proto` lists them. The text is
/// not part of it.
///
/// Two errors are equal if they tell a caller the same. The cause is not compared.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// What the caller can do next.
    pub kind: StoreErrorKind,
    /// The reason, as the contract names it.
    pub reason: ErrorReason,
    /// A sentence that says what to do. It is complete without the details.
    pub message: String,
    /// The variables of the message.
    pub metadata: Vec<(&'static str, String)>,
    /// Every violation or failed precondition, as data.
    pub details: StoreErrorDetails,
    /// The error below the store. It is for the operator, not for the caller. The `Box` in the `Arc` keeps it one word long
    /// instead of two.
    cause: Option<Arc<Box<dyn Error + Send + Sync>>>,
    /// Whether the store has logged it already, because many callers get it.
    is_logged: bool,
}

impl PartialEq for StoreError {
    fn eq(&self, other: &Self) -> bool {
        let told = |error: &Self| (error.kind, error.reason);
        told(self) == told(other)
            && self.message == other.message
            && self.metadata == other.metadata
            && self.details == other.details
    }
}

impl Eq for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}

/// The metadata key of the id that names an internal error, both in the log and in the answer to the caller.
const LOG_ID: &str = "log_id";

/// The outcome of a call on the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// An error without variables or details.
    pub fn new(kind: StoreErrorKind, reason: ErrorReason, message: impl Into<String>) -> Self {
        let details = StoreErrorDetails::None;
        Self { kind, reason, message: message.into(), metadata: Vec::new(), details, cause: None, is_logged: false }
    }

    /// Adds the error below the store as the [`Error::source`] of this error.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::new(cause.into()));
        self
    }

    /// Whether the same read may succeed later: once the state is rebuilt, or the log answers again.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.reason, ErrorReason::StoreRebuilding | ErrorReason::LogUnavailable)
    }

    /// The same error for further callers, once the store has logged it.
    #[must_use]
    pub(super) fn logged(mut self) -> Self {
        self.is_logged = true;
        self
    }

    /// The text that an operator should see in the server's log: all causes, and the id of an internal error. `None` if only
    /// the caller can act, or if the store has logged it already.
    pub fn for_operator(&self) -> Option<String> {
        let is_told = matches!(self.kind, StoreErrorKind::Internal | StoreErrorKind::DataLoss)
            || matches!(self.reason, ErrorReason::StorePoisoned | ErrorReason::StoreRebuilding | ErrorReason::LogUnavailable);
        let text = with_causes(self.source().filter(|_| is_told && !self.is_logged)?);
        Some(match self.metadata.iter().find(|(key, _)| *key == LOG_ID) {
            Some((_, log_id)) => format!("internal error {log_id}: {text}"),
            None => text,
        })
    }

    /// The message and all causes, for an operator.
    pub fn in_full(&self) -> String {
        with_causes(self)
    }

    /// Adds a variable of the message.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.metadata.push((key, format!("{value}")));
        self
    }

    /// Adds the name and the maximum of the limit that the message is about.
    #[must_use]
    pub(crate) fn with_limit(self, Limit { name, maximum, .. }: Limit) -> Self {
        self.with("limit", name).with("maximum", maximum)
    }

    /// Adds every violation or failed precondition.
    #[must_use]
    pub fn with_details(mut self, details: StoreErrorDetails) -> Self {
        self.details = details;
        self
    }

    /// The error for one field that breaks a rule.
    pub fn field(field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self::from(Violation { field: field.to_owned(), description, kind: ViolationKind::Invalid })
    }

    /// A bug in this program. The cause goes to the log only. The caller gets an id that is also in the log.
    pub fn internal(what: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let log_id = ulid::Ulid::new().to_string().to_lowercase();
        Self::new(
            StoreErrorKind::Internal,
            ErrorReason::Internal,
            format!("the server has a bug: its log says more under {log_id}; a retry may or may not help"),
        )
        .with(LOG_ID, log_id)
        .because(what)
    }

    /// The record does not exist.
    pub fn not_found(name: &str) -> Self {
        Self::new(
            StoreErrorKind::NotFound,
            ErrorReason::RecordNotFound,
            format!("there is no record {name} at this revision: check the name, or read at another revision"),
        )
        .with("name", name)
    }

    /// The store is stopping.
    pub fn shutting_down() -> Self {
        Self::new(
            StoreErrorKind::Unavailable,
            ErrorReason::ShuttingDown,
            "the server is shutting down: send the same request again in a moment",
        )
    }

    /// The system refused a call on a folder that was to be opened. Only a program that opens a folder gets this, never a caller
    /// of the service. So the contract has no reason for it.
    pub(crate) fn cannot_open(folder: &Path, error: engine::EngineError) -> Self {
        let text = format!("cannot open the folder {}: {error}", folder.display());
        let told = Self::new(StoreErrorKind::Unavailable, ErrorReason::Unspecified, text);
        match error {
            engine::EngineError::Io { source, .. } | engine::EngineError::SyncFailed { source, .. } => told.because(source),
            error => told.because(error),
        }
    }

    /// The state is being rebuilt, or is not open yet.
    pub fn rebuilding(done: u64, total: u64) -> Self {
        Self::new(
            StoreErrorKind::Unavailable,
            ErrorReason::StoreRebuilding,
            format!("the server is rebuilding its state from the log, {done} of {total} entries done: try again in a moment"),
        )
        .with("done", done)
        .with("total", total)
    }
}

/// The texts of an error and of all its causes.
fn with_causes(mut error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    while let Some(cause) = error.source() {
        // Do not repeat a cause whose text the one above it contains already.
        let below = cause.to_string();
        if !text.ends_with(&below) {
            text.extend([": ", &below]);
        }
        error = cause;
    }
    text
}

impl From<Violation> for StoreError {
    fn from(violation: Violation) -> Self {
        Self::from_list(vec![violation]).expect("there is one")
    }
}

impl StoreError {
    /// The error for all violations that a check found. `None` if there are none. The first violation gives the reason.
    pub fn from_violations(violations: Violations) -> Option<Self> {
        Self::from_list(violations.into_vec())
    }

    fn from_list(list: Vec<Violation>) -> Option<Self> {
        let first = list.first()?;
        let others = match list.len() - 1 {
            0 => String::new(),
            1 => " (and one other violation, see the details)".to_owned(),
            others => format!(" (and {others} other violations, see the details)"),
        };
        let message = match first.field.as_str() {
            "" => format!("{}{others}", first.description),
            field => format!("{field}: {}{others}", first.description),
        };
        let error = match first.kind {
            ViolationKind::Invalid => {
                Self::new(StoreErrorKind::Invalid, ErrorReason::FieldInvalid, message).with("count", list.len())
            }
            ViolationKind::Limit { limit, maximum, actual } => {
                Self::new(StoreErrorKind::Invalid, ErrorReason::LimitExceeded, message)
                    .with("limit", limit)
                    .with("maximum", maximum)
                    .with("actual", actual)
            }
            ViolationKind::LabelUnknown { ref label } => Self::new(StoreErrorKind::Invalid, ErrorReason::LabelUnknown, message)
                .with("label", label)
                .with("field", &first.field),
        };
        Some(error.with_details(StoreErrorDetails::Fields(list)))
    }
}

impl From<engine::EngineError> for StoreError {
    fn from(error: engine::EngineError) -> Self {
        let text = error.to_string();
        let told = match error {
            engine::EngineError::Full { .. } => Self::new(
                StoreErrorKind::Unavailable,
                ErrorReason::StorageFull,
                format!("{text}: writes are refused until there is space again; reads continue"),
            ),
            engine::EngineError::Corrupt(_) | engine::EngineError::Format { .. } => {
                Self::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, format!("{text}: restore from a backup"))
            }
            engine::EngineError::State(_) => Self::rebuilding(0, 0),
            // The writer resolves the last two before it answers a commit.
            engine::EngineError::Unavailable(_) | engine::EngineError::Unknown(_) | engine::EngineError::Superseded { .. } => {
                Self::new(
                    StoreErrorKind::Unavailable,
                    ErrorReason::LogUnavailable,
                    "the log does not answer now: send the same request again in a moment",
                )
            }
            // A failed write is `Unavailable` or `Full`, so this is a read.
            engine::EngineError::Io { .. } => Self::new(
                StoreErrorKind::Unavailable,
                ErrorReason::LogUnavailable,
                "a read of the log failed on the server's disk: send the same request again in a moment; if it fails again, the \
                 operator must read the server's log",
            ),
            engine::EngineError::Poisoned(_) | engine::EngineError::SyncFailed { .. } => Self::new(
                StoreErrorKind::Unavailable,
                ErrorReason::StorePoisoned,
                "the server's disk could not confirm a write of the log: the operator must read the server's log and start the \
                 server again",
            ),
            // Only a program that opens a folder gets this, never a caller of the service. So the contract has no reason for
            // it.
            engine::EngineError::InUse { .. } => Self::new(
                StoreErrorKind::Unavailable,
                ErrorReason::Unspecified,
                format!("{text}: stop that process; if it is a server, call it instead of opening the folder"),
            ),
        };
        told.because(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn io() -> engine::EngineError {
        engine::EngineError::Io { context: "reading a.log".into(), source: io::Error::other("the disk is gone") }
    }

    #[test]
    fn an_error_keeps_its_cause_and_is_equal_without_it() {
        let error = StoreError::from(io());
        let cause = error.source().expect("the engine's error");
        assert_eq!(cause.to_string(), "reading a.log: the disk is gone");
        assert!(cause.source().is_some_and(<dyn Error>::is::<io::Error>));
        let other = StoreError::from(engine::EngineError::Io { context: "b.log".into(), source: io::Error::other("again") });
        assert_eq!(error, other, "a caller is told the same");
        assert_eq!(error.clone().source().map(ToString::to_string), error.source().map(ToString::to_string));
    }

    #[test]
    fn an_operator_is_told_the_causes_of_what_the_caller_cannot_mend() {
        assert_eq!(StoreError::from(io()).for_operator().as_deref(), Some("reading a.log: the disk is gone"));
        let bug = StoreError::internal("no such index");
        let log_id = &bug.metadata[0].1;
        assert_eq!(bug.for_operator(), Some(format!("internal error {log_id}: no such index")));
        assert_eq!(StoreError::not_found("events/e").for_operator(), None);
        assert_eq!(StoreError::shutting_down().for_operator(), None);
        assert_eq!(StoreError::rebuilding(1, 2).for_operator(), None, "the writer says so itself");
        let logged = StoreError::from(io()).logged();
        assert_eq!(logged.for_operator(), None, "the writer has said so");
        assert!(logged.source().is_some() && logged.in_full().ends_with(": reading a.log: the disk is gone"), "{logged:?}");
    }
}
