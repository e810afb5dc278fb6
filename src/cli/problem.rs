//! Errors as people read them: the sentence, the reason, every violation with its field, and what to do.
//!
//! Knows the errors of the client and of the store. Must not know commands.

use tonic::Code;

use super::access::NoServer;
use crate::{
    client,
    proto::ErrorReason,
    store::{self, StoreErrorDetails},
};

/// An error with its causes, or with its details where it is an answer of the server.
pub(super) fn describe(error: &anyhow::Error) -> String {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<client::ClientError>() {
            return describe_answer(error);
        }
        if let Some(error) = cause.downcast_ref::<store::StoreError>() {
            return describe_store(error);
        }
        if let Some(error) = cause.downcast_ref::<NoServer>() {
            return error.to_string();
        }
    }
    format!("{error:#}")
}

/// What a server answered, or why it did not.
pub(super) fn describe_answer(error: &client::ClientError) -> String {
    if error.reason_name().is_empty() {
        return match error.code() {
            Code::Unimplemented | Code::InvalidArgument | Code::FailedPrecondition => error.message().to_owned(),
            code => format!("{} ({code:?})", error.message()),
        };
    }
    let fields = error.fields().iter().map(|violation| (violation.field.clone(), violation.description.clone()));
    let records = error.preconditions().iter();
    let records = records.map(|failed| (failed.subject.clone(), format!("{} ({})", failed.description, failed.reason)));
    assemble(error.message(), error.reason_name(), fields.chain(records).collect())
}

/// What a store in this process answered.
fn describe_store(error: &store::StoreError) -> String {
    let violations = match &error.details {
        StoreErrorDetails::Fields(violations) => {
            violations.iter().map(|violation| (violation.field.clone(), violation.description.clone())).collect()
        }
        StoreErrorDetails::Preconditions(failed) => failed
            .iter()
            .map(|failed| (failed.subject.clone(), format!("{} ({})", failed.description, reason(failed.reason))))
            .collect(),
        _ => Vec::new(),
    };
    assemble(&error.message, reason(error.reason), violations)
}

fn reason(reason: ErrorReason) -> &'static str {
    match reason {
        ErrorReason::Unspecified => "",
        _ => reason.as_str_name().trim_start_matches("ERROR_REASON_"),
    }
}

/// The sentence, and a line for each violation: where it is, and what. The sentence says the first one already, so there are
/// lines from two on.
fn assemble(message: &str, reason: &str, violations: Vec<(String, String)>) -> String {
    let mut text = match reason {
        "" => message.to_owned(),
        _ => format!("{message} ({reason})"),
    };
    if violations.len() > 1 {
        for (at, what) in violations {
            let colon = if at.is_empty() { "" } else { ": " };
            text.extend(["\n  ", &at, colon, &what]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Path, Violations};

    #[test]
    fn one_violation_is_in_the_sentence_and_several_are_a_line_each() {
        let mut violations = Violations::default();
        violations.invalid(&Path::ROOT.field("title"), "is required");
        let one = store::StoreError::from_violations(violations.clone()).expect("there is one");
        assert_eq!(describe(&one.into()), "title: is required (FIELD_INVALID)");
        violations.invalid(&Path::ROOT.field("kind"), "is required");
        let two = store::StoreError::from_violations(violations).expect("there are two");
        assert!(describe(&two.into()).ends_with("(FIELD_INVALID)\n  title: is required\n  kind: is required"));
    }
}
