//! The errors of calls, in a form that a program can act on. They are decoded from the rich details of a gRPC status.
//!
//! Knows gRPC's error details and the contract's reasons. Must not know which call failed.

use std::{collections::BTreeMap, error::Error as StdError, fmt, sync::Arc, time::Duration};

use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::proto::{self, ErrorReason};

/// The `ErrorInfo.domain` of the service's own errors. A proxy's details have another domain.
const DOMAIN: &str = "annals";

/// The result of a client's call.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Why a call failed: an error of the server, or why there was no answer.
///
/// ```
/// # #[cfg(feature = "server")] {
/// use annals::{client::Client, proto::{CommitRequest, ErrorReason, Event, Mutation}, rpc, store::Store};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
/// let untitled = Event { name: "events/e".into(), ..Default::default() };
/// let error = client.commit(CommitRequest::of("r", [Mutation::create(untitled)])).await.unwrap_err();
/// assert_eq!(error.reason(), Some(ErrorReason::FieldInvalid));
/// assert_eq!(error.fields()[0].field, "mutations[0].create.event.title");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientError(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: Status,
    /// The cause. `None` if it is the cause of the status itself.
    cause: Option<Arc<dyn StdError + Send + Sync>>,
    /// Empty if the error is not the service's own.
    reason: String,
    metadata: BTreeMap<String, String>,
    fields: Vec<FieldViolation>,
    preconditions: Vec<PreconditionViolation>,
    retry_delay: Option<Duration>,
}

/// A field of the request that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Its path in the request: `mutations[3].create.claim.statement`. Empty for the request itself.
    pub field: String,
    /// A sentence that says what is wrong and what to do.
    pub description: String,
}

/// A record whose state forbids a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreconditionViolation {
    /// The reason, without its enum's prefix: `REVISION_MISMATCH`.
    pub reason: String,
    /// The name of the record, such as `events/e1`.
    pub subject: String,
    /// A sentence that says what is wrong and what to do.
    pub description: String,
}

impl ClientError {
    /// The gRPC code. If there is a reason, decide by the reason: several reasons share a code.
    pub fn code(&self) -> Code {
        self.0.status.code()
    }

    /// The reason. `None` if the service did not answer, for example after a connection was lost. Also `None` if the client's
    /// contract is too old to know the reason; [`Self::reason_name`] then has it.
    pub fn reason(&self) -> Option<ErrorReason> {
        ErrorReason::from_str_name(&format!("ERROR_REASON_{}", self.0.reason))
    }

    /// The reason as the service sent it: `FIELD_INVALID`. Empty if the service did not answer.
    pub fn reason_name(&self) -> &str {
        &self.0.reason
    }

    /// The sentence that says what is wrong and what to do. It is for people, and may change.
    pub fn message(&self) -> &str {
        self.0.status.message()
    }

    /// The variables of the message by key. `errors.proto` lists the keys of each reason.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// Every field that breaks a rule.
    pub fn fields(&self) -> &[FieldViolation] {
        &self.0.fields
    }

    /// Every record whose state forbids the commit.
    pub fn preconditions(&self) -> &[PreconditionViolation] {
        &self.0.preconditions
    }

    /// How long to wait before a retry. `None` if the server does not say.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// The gRPC status with its encoded details.
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// Whether the error is transient: a retry of the same request may succeed. The client has already retried it for as long
    /// as its options allow.
    ///
    /// An error of the service is transient if it has a retry delay, or if the time of the call or the watch ran out.
    /// `STORE_POISONED` has no delay, because it lasts until the store is opened again. All other transient errors are errors
    /// of the connection.
    pub fn is_transient(&self) -> bool {
        if !self.0.reason.is_empty() {
            let ran_out_of_time = matches!(self.reason(), Some(ErrorReason::Deadline | ErrorReason::WatchStalled));
            return ran_out_of_time || self.0.retry_delay.is_some();
        }
        match self.code() {
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::ResourceExhausted => true,
            // A transport error has a source. A status without a source was sent by a server, or means that the answer cannot
            // be read.
            _ => self.0.status.source().is_some(),
        }
    }

    /// No server accepted the connection.
    pub(super) fn unreachable(error: tonic::transport::Error) -> Self {
        Status::from_error(Box::new(error)).into()
    }

    /// A text is not an address.
    pub(super) fn address(url: &str, error: impl StdError + Send + Sync + 'static) -> Self {
        let text = format!("\"{url}\" is not an address ({error}): write http://HOST:PORT");
        Self::from(Status::invalid_argument(text)).caused_by(error)
    }

    /// A text cannot be the value of a header.
    pub(super) fn user_agent(text: &str, error: impl StdError + Send + Sync + 'static) -> Self {
        let text = format!("\"{text}\" cannot be a user agent ({error}): use printable ASCII");
        Self::from(Status::invalid_argument(text)).caused_by(error)
    }

    fn caused_by(mut self, error: impl StdError + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(error));
        self
    }

    /// No answer arrived in time.
    pub(super) fn no_answer(limit: Duration) -> Self {
        Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis())).into()
    }

    /// A stream ended too early, without an error.
    pub(super) fn interrupted() -> Self {
        Status::unavailable("the stream ended too early").into()
    }

    /// A watch was resumed at another store. Its revisions are other commits.
    pub(super) fn other_store(expected: &str, found: &str) -> Self {
        let text = format!(
            "the server has store {found} now, not {expected}: its revisions mean other commits, so start again from 0"
        );
        Status::failed_precondition(text).into()
    }

    /// An answer that breaks the contract.
    pub(super) fn contract(what: impl fmt::Display) -> Self {
        Status::internal(format!("the server broke the contract: {what}")).into()
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN).cloned();
        let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let fields = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let records = details.precondition_failure().map(|failure| failure.violations.as_slice()).unwrap_or_default();
        Self(Box::new(Parts {
            reason,
            metadata: metadata.into_iter().collect(),
            fields: fields
                .iter()
                .map(|violation| FieldViolation { field: violation.field.clone(), description: violation.description.clone() })
                .collect(),
            preconditions: records
                .iter()
                .map(|violation| PreconditionViolation {
                    reason: violation.r#type.clone(),
                    subject: violation.subject.clone(),
                    description: violation.description.clone(),
                })
                .collect(),
            retry_delay: details.retry_info().and_then(|info| info.retry_delay),
            status,
            cause: None,
        }))
    }
}

/// The error of one commit of a stream of commits.
impl From<proto::google::rpc::Status> for ClientError {
    fn from(status: proto::google::rpc::Status) -> Self {
        // A gRPC status carries its details in the same encoding.
        let details = status.encode_to_vec();
        Status::with_details(Code::from_i32(status.code), status.message, details.into()).into()
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason_name() {
            "" => write!(to, "{} ({:?})", self.message(), self.code()),
            reason => write!(to, "{} ({reason})", self.message()),
        }
    }
}

impl StdError for ClientError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.cause {
            Some(cause) => Some(&**cause),
            None => self.0.status.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn ours(code: Code, reason: &str, retry: Option<Duration>) -> ClientError {
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::from([("name".into(), "events/e".into())]));
        if let Some(delay) = retry {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, "a sentence", details).into()
    }

    #[test]
    fn a_status_is_decoded_and_a_reason_of_a_newer_contract_keeps_its_name() {
        let error = ours(Code::NotFound, "RECORD_NOT_FOUND", None);
        assert_eq!((error.code(), error.reason()), (Code::NotFound, Some(ErrorReason::RecordNotFound)));
        assert_eq!(error.metadata().get("name").map(String::as_str), Some("events/e"));
        assert_eq!(error.to_string(), "a sentence (RECORD_NOT_FOUND)");
        let newer = ours(Code::NotFound, "RECORD_HIDDEN", None);
        assert_eq!((newer.reason(), newer.reason_name()), (None, "RECORD_HIDDEN"));
    }

    #[test]
    fn details_of_another_domain_are_not_ours() {
        let details = ErrorDetails::with_error_info("FIELD_INVALID", "a.proxy", HashMap::new());
        let error = ClientError::from(Status::with_error_details(Code::Unavailable, "x", details));
        assert_eq!((error.reason(), error.is_transient()), (None, true));
    }

    #[test]
    fn transient_are_errors_with_a_retry_delay_and_errors_of_the_connection() {
        let second = Some(Duration::from_secs(1));
        for (error, is_transient) in [
            (ours(Code::Unavailable, "SHUTTING_DOWN", second), true),
            (ours(Code::Unavailable, "STORAGE_FULL", second), true),
            (ours(Code::Unavailable, "STORE_POISONED", None), false),
            (ours(Code::DeadlineExceeded, "DEADLINE", None), true),
            (ours(Code::Aborted, "WATCH_STALLED", None), true),
            (ours(Code::Aborted, "REVISION_MISMATCH", None), false),
            (ours(Code::Internal, "INTERNAL", None), false),
            (Status::unavailable("x").into(), true),
            (Status::unknown("no trailers").into(), true),
            (Status::unimplemented("x").into(), false),
            (Status::internal("cannot be decoded").into(), false),
            (Status::from_error(Box::new(std::io::Error::other("cut"))).into(), true),
            (ClientError::contract("x"), false),
            (ClientError::other_store("a", "b"), false),
        ] {
            assert_eq!(error.is_transient(), is_transient, "{error}");
        }
    }

    #[test]
    fn an_error_keeps_its_cause() {
        let cause = || std::io::Error::other("the cause");
        for (error, is_transient) in [
            (ClientError::address("x", cause()), false),
            (ClientError::user_agent("x", cause()), false),
            (Status::from_error(Box::new(cause())).into(), true),
        ] {
            assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the cause"), "{error}");
            assert_eq!(error.is_transient(), is_transient, "{error}");
        }
    }

    #[test]
    fn the_error_of_an_ingested_commit_has_the_details_of_a_status() {
        let status = ours(Code::NotFound, "RECORD_NOT_FOUND", None).status().clone();
        let sent = proto::google::rpc::Status::decode(status.details()).expect("the encoding of details");
        let error = ClientError::from(sent);
        assert_eq!(
            (error.code(), error.reason(), error.message()),
            (Code::NotFound, Some(ErrorReason::RecordNotFound), "a sentence")
        );
    }
}
