//! What the store answers when it cannot do what was asked.
//!
//! Knows reasons and what a caller can do next. Must not know gRPC's codes.

use std::fmt;

use crate::{
    engine,
    model::{Fault, Violation, Violations},
    proto::ErrorReason,
};

/// What the caller can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Mend the request: it can never succeed as it is.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The name or id is taken.
    AlreadyExists,
    /// The state of the record forbids it: change that first.
    FailedPrecondition,
    /// Somebody was faster: read again, redo, send again.
    Aborted,
    /// The revision cannot be read.
    OutOfRange,
    /// Stored data is damaged or gone.
    DataLoss,
    /// Too much at once: wait and send again.
    Exhausted,
    /// Not now: wait and send again.
    Unavailable,
    /// A bug.
    Internal,
}

/// A condition on a record that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPrecondition {
    /// The reason, without prefix: "`REVISION_MISMATCH`".
    pub reason: ErrorReason,
    /// The record.
    pub subject: String,
    /// A sentence.
    pub description: String,
}

/// Everything that was found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorDetails {
    /// The message says it all.
    #[default]
    None,
    /// Fields of the request.
    Fields(Vec<Violation>),
    /// The state of records.
    Preconditions(Vec<FailedPrecondition>),
}

/// Why a call failed. Reasons and the keys of `metadata` are API, as `errors.proto` lists them; the text is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What the caller can do next.
    pub kind: StoreErrorKind,
    /// The reason, as the contract names it.
    pub reason: ErrorReason,
    /// A whole sentence that says what to do and works without the details.
    pub message: String,
    /// The variables of the message.
    pub metadata: Vec<(&'static str, String)>,
    /// All violations.
    pub details: StoreErrorDetails,
}

impl fmt::Display for StoreError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

/// The outcome of a call on the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// An error without variables or details.
    pub fn new(kind: StoreErrorKind, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { kind, reason, message: message.into(), metadata: Vec::new(), details: StoreErrorDetails::None }
    }

    /// Adds a variable of the message.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.metadata.push((key, format!("{value}")));
        self
    }

    /// Adds what was found wrong.
    #[must_use]
    pub fn with_details(mut self, details: StoreErrorDetails) -> Self {
        self.details = details;
        self
    }

    /// One field that breaks a rule.
    pub fn field(field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self::from(Violation { field: field.to_owned(), description, fault: Fault::Invalid })
    }

    /// A bug of ours. What happened goes to the log under an id, and only the id to the caller.
    pub fn internal(what: impl fmt::Display) -> Self {
        let log_id = ulid::Ulid::new().to_string().to_lowercase();
        tracing::error!(log_id, "internal error: {what}");
        Self::new(
            StoreErrorKind::Internal,
            ErrorReason::Internal,
            format!("the server has a bug: its log says more under {log_id}; repeating the request may or may not help"),
        )
        .with("log_id", log_id)
    }

    /// There is no such record.
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

    /// The state is being rebuilt or not yet open.
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

impl From<Violation> for StoreError {
    fn from(violation: Violation) -> Self {
        Self::from_list(vec![violation]).expect("there is one")
    }
}

impl StoreError {
    /// The error for everything that a check found, if it found anything. The first violation gives the reason.
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
        let error = match first.fault {
            Fault::Invalid => Self::new(StoreErrorKind::Invalid, ErrorReason::FieldInvalid, message).with("count", list.len()),
            Fault::Limit { limit, maximum, actual } => Self::new(StoreErrorKind::Invalid, ErrorReason::LimitExceeded, message)
                .with("limit", limit)
                .with("maximum", maximum)
                .with("actual", actual),
            Fault::LabelUnknown { ref label } => Self::new(StoreErrorKind::Invalid, ErrorReason::LabelUnknown, message)
                .with("label", label)
                .with("field", &first.field),
        };
        Some(error.with_details(StoreErrorDetails::Fields(list)))
    }
}

impl From<engine::EngineError> for StoreError {
    fn from(error: engine::EngineError) -> Self {
        let text = error.to_string();
        match error {
            engine::EngineError::Full { .. } => Self::new(
                StoreErrorKind::Unavailable,
                ErrorReason::StorageFull,
                format!("{text}: writes are refused until there is room again, reads go on"),
            ),
            engine::EngineError::Corrupt(_) | engine::EngineError::Format { .. } => {
                tracing::error!("{text}");
                Self::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, format!("{text}: restore from a backup"))
            }
            engine::EngineError::State(_) => {
                tracing::error!("{text}");
                Self::rebuilding(0, 0)
            }
            engine::EngineError::Poisoned(_) | engine::EngineError::Io { .. } | engine::EngineError::Superseded { .. } => {
                tracing::error!("{text}");
                Self::new(
                    StoreErrorKind::Unavailable,
                    ErrorReason::StorePoisoned,
                    "a write or read of the log failed on this server's disk: an operator has to look at its log and \
                     start it again",
                )
            }
            // Whoever opens a folder meets this, never a caller of the service: the contract has no reason for it.
            engine::EngineError::InUse { .. } => Self::new(
                StoreErrorKind::Unavailable,
                ErrorReason::Unspecified,
                format!("{text}: stop that process, or if it is a server, ask it instead of the folder"),
            ),
        }
    }
}
