//! Builds the gRPC statuses of all errors. No other code builds one.
//!
//! Every status has an `ErrorInfo` with domain "annals" and a reason of the contract. `BadRequest`, `PreconditionFailure` and
//! `RetryInfo` hold what a client can act on. The one exception is UNIMPLEMENTED, for which the contract has no reason.
//!
//! Knows the store's errors and gRPC's codes. Must not know which method failed, or logs.

use std::{collections::HashMap, fmt, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::{
    limits::{Limit, StoreLimits},
    model::Violation,
    proto::ErrorReason,
    store::{FailedPrecondition, StoreError, StoreErrorDetails, StoreErrorKind},
};

/// The field `ErrorInfo.domain` of every error.
pub(super) const DOMAIN: &str = "annals";

/// Most bytes that the message and the details may take in HTTP/2 headers. Above 8 KiB of headers, gRPC's C core (Python, Ruby,
/// PHP, C++) starts to refuse responses, and the client would see a transport error instead of the status.
const HEADER_BYTES_MAX: usize = 7 * 1024;

/// Most bytes of a message that are sent.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Most bytes of one value of `ErrorInfo.metadata` that are sent.
const METADATA_BYTES_MAX: usize = 512;

/// Bytes around each detail: the URL of its type, tags and lengths.
const DETAIL_OVERHEAD_BYTES: usize = 72;

/// Bytes around each violation: tags and lengths.
const VIOLATION_OVERHEAD_BYTES: usize = 16;

/// The status of an error of the store.
pub(super) fn from_store(error: StoreError) -> Status {
    let code = match error.kind {
        StoreErrorKind::Invalid => Code::InvalidArgument,
        StoreErrorKind::NotFound => Code::NotFound,
        StoreErrorKind::AlreadyExists => Code::AlreadyExists,
        StoreErrorKind::FailedPrecondition => Code::FailedPrecondition,
        StoreErrorKind::Aborted => Code::Aborted,
        StoreErrorKind::OutOfRange => Code::OutOfRange,
        StoreErrorKind::DataLoss => Code::DataLoss,
        StoreErrorKind::Exhausted => Code::ResourceExhausted,
        StoreErrorKind::Unavailable => Code::Unavailable,
        StoreErrorKind::Internal => Code::Internal,
    };
    build(code, error)
}

/// The deadline of the caller or of the server has passed.
pub(super) fn deadline(limit: Duration) -> Status {
    build(
        Code::DeadlineExceeded,
        StoreError::new(
            StoreErrorKind::Unavailable,
            ErrorReason::Deadline,
            format!(
                "the call took longer than {} ms, and it is unknown whether a commit was made: send the same request again, with \
                 the same request_id",
                limit.as_millis()
            ),
        ),
    )
}

/// Too many calls, too many jobs, or too much memory in use. The limit says which.
pub(super) fn too_many_requests(limit: Limit) -> StoreError {
    let Limit { name, maximum, .. } = limit;
    let error = StoreError::new(
        StoreErrorKind::Exhausted,
        ErrorReason::TooManyRequests,
        format!("the server is at its limit of {maximum} {name}: wait a moment and send the same request again"),
    );
    error.with_limit(limit)
}

/// Too many watches. The limit says whether of the server or of one caller.
pub(super) fn too_many_watches(limit: Limit) -> Status {
    let Limit { name, maximum, .. } = limit;
    let error = StoreError::new(
        StoreErrorKind::Exhausted,
        ErrorReason::TooManyWatches,
        format!("the server is at its limit of {maximum} {name}: end a watch, or try again in a moment"),
    );
    from_store(error.with_limit(limit))
}

/// The client of a watch has read nothing for too long.
pub(super) fn watch_stalled(revision: u64) -> Status {
    let error = StoreError::new(
        StoreErrorKind::Aborted,
        ErrorReason::WatchStalled,
        format!("the client read nothing from this watch for ten minutes: watch again with after_revision {revision}"),
    );
    from_store(error.with("revision", revision))
}

/// The client of a stream has read nothing for too long.
pub(super) fn answer_not_read(limit: Duration) -> Status {
    let text = format!(
        "the client read nothing from this stream for {} s: send the requests without an answer again",
        limit.as_secs()
    );
    from_store(StoreError::new(StoreErrorKind::Unavailable, ErrorReason::Deadline, text))
}

/// A request is too long. `actual` is `None` if the transport stopped reading before the end.
pub(super) fn limit_exceeded(limit: Limit, actual: Option<u64>) -> Status {
    let Limit { name, maximum, .. } = limit;
    let has = actual.map(|actual| format!(", but there are {actual}")).unwrap_or_default();
    let text = format!("{name} is limited to {maximum}{has}: split the request");
    let mut error = StoreError::new(StoreErrorKind::Invalid, ErrorReason::LimitExceeded, text).with_limit(limit);
    if let Some(actual) = actual {
        error = error.with("actual", actual);
    }
    from_store(error)
}

/// A request is not an encoded message of its type.
pub(super) fn unreadable(error: impl fmt::Display) -> Status {
    from_store(StoreError::field("", format!("the request cannot be read: {error}; encode it with the contract's proto files")))
}

/// A stream ends early, because its connection is closing.
pub(super) fn connection_ends() -> Status {
    from_store(StoreError::new(
        StoreErrorKind::Unavailable,
        ErrorReason::ShuttingDown,
        "the server shuts down, or closes this connection because of its age: open the stream again in a moment, from where it \
         ended",
    ))
}

/// A method that does not exist, or is not implemented yet. The sentence says what to use instead.
pub(super) fn unimplemented(sentence: impl Into<String>) -> Status {
    Status::unimplemented(sentence)
}

/// The trailers that end a stream with a status.
pub(super) fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

/// The status to send in place of one of tonic's own, if the contract has a reason for it. `None` for most: they are sent as
/// they are.
///
/// For a message over the limit tonic says `OUT_OF_RANGE`, or `RESOURCE_EXHAUSTED` if it was compressed, and clients would
/// retry it forever. tonic's statuses have no details. Those of this module with these codes have.
pub(super) fn from_tonic(status: &Status, decode_bytes_max: usize) -> Option<Status> {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted if status.details().is_empty() => {
            let limit = Limit { maximum: decode_bytes_max as u64, ..StoreLimits::default().request_bytes() };
            Some(limit_exceeded(limit, None))
        }
        // A request that ends within a message, or a gRPC-Web text that is not base64. This is a mistake of the client, not a
        // bug.
        Code::Internal
            if status.message() == "Unexpected EOF decoding stream." || status.message().starts_with("tonic-web: ") =>
        {
            Some(unreadable(status.message()))
        }
        _ => None,
    }
}

fn build(code: Code, error: StoreError) -> Status {
    let message = clip(error.message, MESSAGE_BYTES_MAX);
    let metadata: HashMap<String, String> =
        error.metadata.into_iter().map(|(key, value)| (key.to_owned(), clip(value, METADATA_BYTES_MAX))).collect();
    let mut details = ErrorDetails::new();
    if let Some(delay) = retry_delay(error.reason) {
        details.set_retry_info(Some(delay));
    }
    let reason = reason_name(error.reason);
    let spent = DETAIL_OVERHEAD_BYTES * 3
        + reason.len()
        + metadata.iter().map(|(key, value)| key.len() + value.len() + VIOLATION_OVERHEAD_BYTES).sum::<usize>();
    let budget = details_bytes_max(&message).saturating_sub(spent);
    match error.details {
        StoreErrorDetails::Fields(violations) => {
            details.set_bad_request(fitting(violations, budget, field_violation, |more| FieldViolation::new("", more)));
        }
        StoreErrorDetails::Preconditions(failed) => {
            details.set_precondition_failure(fitting(failed, budget, precondition_violation, |more| {
                PreconditionViolation::new("", "", more)
            }));
        }
        _ => {}
    }
    details.set_error_info(reason, DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

/// How long a client should wait before it retries a transient error. `None` for other errors.
fn retry_delay(reason: ErrorReason) -> Option<Duration> {
    match reason {
        ErrorReason::TooManyRequests => Some(Duration::from_millis(100)),
        ErrorReason::ShuttingDown | ErrorReason::StoreRebuilding | ErrorReason::LogUnavailable => Some(Duration::from_secs(1)),
        ErrorReason::TooManyWatches => Some(Duration::from_secs(5)),
        ErrorReason::StorageFull => Some(Duration::from_secs(30)),
        _ => None,
    }
}

/// The reason as it is in `ErrorInfo`: without the prefix of the enum.
fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

fn field_violation(violation: Violation) -> (usize, FieldViolation) {
    let bytes = violation.field.len() + violation.description.len();
    (bytes, FieldViolation::new(violation.field, violation.description))
}

fn precondition_violation(failed: FailedPrecondition) -> (usize, PreconditionViolation) {
    let reason = reason_name(failed.reason);
    let bytes = reason.len() + failed.subject.len() + failed.description.len();
    (bytes, PreconditionViolation::new(reason, failed.subject, failed.description))
}

/// The violations that fit. If some do not, a last one says how many.
fn fitting<T, V>(
    violations: Vec<T>,
    mut budget: usize,
    convert: impl Fn(T) -> (usize, V),
    last: impl Fn(String) -> V,
) -> Vec<V> {
    let count = violations.len();
    // Leave room for the last one.
    budget = budget.saturating_sub(128);
    let mut listed = Vec::new();
    for violation in violations {
        let (bytes, violation) = convert(violation);
        let Some(left) = budget.checked_sub(bytes + VIOLATION_OVERHEAD_BYTES) else {
            listed.push(last(format!("{} more are not listed: correct these first", count - listed.len())));
            break;
        };
        budget = left;
        listed.push(violation);
    }
    listed
}

/// Most bytes of details beside a message. The message is sent twice: percent-encoded, and as base64 with the details.
fn details_bytes_max(message: &str) -> usize {
    let escaped: usize = message.bytes().map(|byte| if byte.is_ascii_graphic() || byte == b' ' { 1 } else { 3 }).sum();
    (HEADER_BYTES_MAX.saturating_sub(escaped) / 4 * 3).saturating_sub(message.len())
}

/// Cuts a text at the end of a character, to at most `bytes_max` bytes.
fn clip(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FieldPath, Violations};

    fn header_bytes(status: &Status) -> usize {
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).expect("valid headers");
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
    }

    #[test]
    fn a_violation_is_a_bad_request_with_its_field_and_the_reason_without_prefix() {
        let status = from_store(StoreError::field("mutations[0].create", "say what"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().expect("always there");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("FIELD_INVALID", "annals"));
        assert_eq!(info.metadata.get("count").map(String::as_str), Some("1"));
        let violations = &details.bad_request().expect("has fields").field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!((violations[0].field.as_str(), violations[0].description.as_str()), ("mutations[0].create", "say what"));
    }

    #[test]
    fn a_failed_precondition_names_reason_subject_and_description() {
        let failed = FailedPrecondition {
            reason: ErrorReason::RevisionMismatch,
            subject: "events/e1".into(),
            description: "it is at 4".into(),
        };
        let error = StoreError::new(StoreErrorKind::Aborted, ErrorReason::RevisionMismatch, "changed")
            .with_details(StoreErrorDetails::Preconditions(vec![failed]));
        let details = from_store(error).get_error_details();
        let violation = &details.precondition_failure().expect("has preconditions").violations[0];
        assert_eq!(
            (violation.r#type.as_str(), violation.subject.as_str(), violation.description.as_str()),
            ("REVISION_MISMATCH", "events/e1", "it is at 4")
        );
    }

    #[test]
    fn transient_errors_have_a_retry_delay_and_others_have_none() {
        for reason in (0..=90).filter_map(|number| ErrorReason::try_from(number).ok()) {
            let status = from_store(StoreError::new(StoreErrorKind::Unavailable, reason, "x"));
            let retry = status.get_error_details().retry_info().is_some();
            let expected = matches!(
                reason,
                ErrorReason::TooManyWatches
                    | ErrorReason::TooManyRequests
                    | ErrorReason::ShuttingDown
                    | ErrorReason::StorageFull
                    | ErrorReason::StoreRebuilding
                    | ErrorReason::LogUnavailable
            );
            assert_eq!(retry, expected, "{reason:?}");
        }
    }

    #[test]
    fn the_headers_of_an_error_stay_below_eight_kibibytes_however_much_is_wrong() {
        for (count, text) in
            [(1, "x"), (1000, "a sentence that says what is wrong"), (1000, "русский текст"), (1, &*"ы".repeat(9000))]
        {
            let mut violations = Violations::default();
            for index in 0..count {
                violations.invalid(&FieldPath::ROOT.field("mutations").index(index).field("create.claim"), text);
            }
            let error =
                StoreError::from_violations(violations).expect("there are some").with("names", "actors/a, ".repeat(1000));
            let status = from_store(error);
            assert!(header_bytes(&status) < 8 * 1024, "{count} of {text:.20}: {}", header_bytes(&status));
            let details = status.get_error_details();
            let listed = &details.bad_request().expect("has fields").field_violations;
            if count > 1 {
                assert!(listed.len() > 10, "{}", listed.len());
                assert!(listed.last().is_some_and(|last| last.description.contains("more are not listed")));
                assert_eq!(details.error_info().and_then(|info| info.metadata.get("count")).map(String::as_str), Some("1000"));
            }
        }
    }
}
