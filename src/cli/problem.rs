//! Errors as people read them: the sentence, the reason, every violation with its field, and what to do.
//!
//! Knows gRPC's error details. Must not know commands.

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::access::NoServer;
use crate::{
    proto::ErrorReason,
    store::{self, Details},
};

/// An error with its causes, or with its details where it is an answer of the server.
pub(super) fn describe(error: &anyhow::Error) -> String {
    for cause in error.chain() {
        if let Some(status) = cause.downcast_ref::<Status>() {
            return describe_status(status);
        }
        if let Some(error) = cause.downcast_ref::<store::Error>() {
            return describe_store(error);
        }
        if let Some(error) = cause.downcast_ref::<NoServer>() {
            return error.to_string();
        }
    }
    format!("{error:#}")
}

/// What a server answered.
pub(super) fn describe_status(status: &Status) -> String {
    let details = status.get_error_details();
    let Some(info) = details.error_info() else {
        return match status.code() {
            Code::Unimplemented => status.message().to_owned(),
            code => format!("{} ({code:?})", status.message()),
        };
    };
    let mut text = format!("{} ({})", status.message(), info.reason);
    for violation in details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default() {
        push(&mut text, &violation.field, &violation.description);
    }
    for violation in details.precondition_failure().map(|failure| failure.violations.as_slice()).unwrap_or_default() {
        push(&mut text, &violation.subject, &format!("{} ({})", violation.description, violation.r#type));
    }
    text
}

/// What a store in this process answered.
fn describe_store(error: &store::Error) -> String {
    let mut text = format!("{} ({})", error.message, reason(error.reason));
    match &error.details {
        Details::Fields(violations) => {
            for violation in violations {
                push(&mut text, &violation.field, &violation.description);
            }
        }
        Details::Preconditions(failed) => {
            for failed in failed {
                push(&mut text, &failed.subject, &format!("{} ({})", failed.description, reason(failed.reason)));
            }
        }
        _ => {}
    }
    text
}

fn reason(reason: ErrorReason) -> &'static str {
    reason.as_str_name().trim_start_matches("ERROR_REASON_")
}

fn push(text: &mut String, at: &str, what: &str) {
    let colon = if at.is_empty() { "" } else { ": " };
    text.extend(["\n  ", at, colon, what]);
}
