//! Standard output and standard error, and the text of errors. No other file writes to them.
//!
//! Answers go to standard output, and nothing else does. Messages for the user go to standard error.
//!
//! Must not know commands, or what is written.

use std::{
    error::Error,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use tonic::Code;

use crate::{
    client::ClientError,
    proto::ErrorReason,
    store::{StoreError, StoreErrorDetails},
};

/// The option that sets a field of a request. An error of the store names the field, but the user has given the option.
const OPTIONS: [(&str, &str); 5] = [
    ("as_of_revision", "--as-of"),
    ("as_of_time", "--as-of"),
    ("filter", "--filter"),
    ("order_by", "--order-by"),
    ("page_size", "--page-size"),
];

/// How a command ended: with exit status 0 or 1. Wrong arguments end the program with status 2 before a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Exit status 0.
    Done,
    /// Exit status 1. The command has already reported why.
    Failed,
}

/// Standard output, buffered.
pub(super) struct Output {
    to: BufWriter<Stdout>,
    terminal: bool,
}

impl Output {
    pub(super) fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self { to: BufWriter::new(stdout), terminal }
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes a text and a line end.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.to, "{}", printable(text.as_ref()))
    }

    /// Writes a JSON value on one line.
    pub(super) fn json_line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.to, "{value}")
    }

    /// Writes a JSON value on several lines, indented.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.to, "{value:#}")
    }

    /// Writes the content of a file: unchanged, unless it goes to a terminal.
    pub(super) fn content(&mut self, content: &[u8]) -> io::Result<()> {
        if self.terminal {
            self.to.write_all(printable(&String::from_utf8_lossy(content)).as_bytes())
        } else {
            self.to.write_all(content)
        }
    }

    /// Writes a table. On a terminal, it fits the width.
    pub(super) fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let arrangement = if self.terminal { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
        table.set_content_arrangement(arrangement);
        if !header.is_empty() {
            table.set_header(header);
        }
        for row in rows {
            table.add_row(row.into_iter().map(|cell| printable(&cell)));
        }
        for line in table.lines() {
            writeln!(self.to, "{}", line.trim())?;
        }
        Ok(())
    }

    /// Writes out the buffer.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Replaces control characters, which could control a terminal. The text of records is not trusted.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// Prints an error for the user.
pub(super) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

/// Prints a message for the user.
pub(super) fn note(text: &str) {
    // If standard error is closed, nobody can be told.
    drop(writeln!(io::stderr().lock(), "{}", printable(text)));
}

/// Whether an error means that the output has no reader any more.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

/// The text of an error for the user: the message, its causes, the reason, and every violation with its field.
pub(super) fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let plain = cause.to_string();
        let detailed = if let Some(error) = cause.downcast_ref::<ClientError>() {
            describe_answer(error)
        } else if let Some(error) = cause.downcast_ref::<StoreError>() {
            describe_store(error)
        } else {
            plain.clone()
        };
        append_cause(&mut text, &plain, &detailed);
        if cause.downcast_ref::<ClientError>().is_some() {
            break;
        }
    }
    text
}

/// Appends a cause unless the text already contains it: many errors end with the text of their cause.
fn append_cause(text: &mut String, plain: &str, detailed: &str) {
    if let Some(before) = text.strip_suffix(plain) {
        text.truncate(before.len());
    } else if text.contains(plain) {
        return;
    } else if !text.is_empty() {
        text.push_str(": ");
    }
    text.push_str(detailed);
}

/// The innermost cause of an error.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The error that a server returned, or why there is no answer.
pub(super) fn describe_answer(error: &ClientError) -> String {
    if error.reason_name().is_empty() {
        return match error.code() {
            Code::Unimplemented | Code::InvalidArgument | Code::FailedPrecondition => error.message().to_owned(),
            code => format!("{} ({code:?})", error.message()),
        };
    }
    let fields = error.fields().iter().map(|violation| (violation.field.clone(), violation.description.clone()));
    let records = error.preconditions().iter();
    let records = records.map(|failed| (failed.subject.clone(), format!("{} ({})", failed.description, failed.reason)));
    with_violations(error.message(), error.reason_name(), fields.chain(records).collect())
}

/// The error that a store in this process returned.
fn describe_store(error: &StoreError) -> String {
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
    with_violations(&error.message, reason(error.reason), violations)
}

fn reason(reason: ErrorReason) -> &'static str {
    match reason {
        ErrorReason::Unspecified => "",
        _ => reason.as_str_name().trim_start_matches("ERROR_REASON_"),
    }
}

/// The message, and one line for each violation. The message already contains a single violation, so a single one gets no line.
fn with_violations(message: &str, reason: &str, violations: Vec<(String, String)>) -> String {
    let mut text = match message.split_once(": ") {
        Some((field, rest)) => format!("{}: {rest}", option(field)),
        None => message.to_owned(),
    };
    if !reason.is_empty() {
        text.extend([" (", reason, ")"]);
    }
    if violations.len() > 1 {
        for (at, what) in violations {
            let colon = if at.is_empty() { "" } else { ": " };
            text.extend(["\n  ", option(&at), colon, &what]);
        }
    }
    text
}

/// The option that sets a field of a request. Otherwise the text itself.
fn option(field: &str) -> &str {
    OPTIONS.iter().find(|(name, _)| *name == field).map_or(field, |(_, option)| option)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FieldPath, Violations};

    #[test]
    fn one_violation_is_in_the_sentence_and_several_are_a_line_each() {
        let mut violations = Violations::default();
        violations.invalid(&FieldPath::ROOT.field("title"), "is required");
        let one = StoreError::from_violations(violations.clone()).expect("there is one");
        assert_eq!(describe(&one.into()), "title: is required (FIELD_INVALID)");
        violations.invalid(&FieldPath::ROOT.field("kind"), "is required");
        let two = StoreError::from_violations(violations).expect("there are two");
        assert!(describe(&two.into()).ends_with("(FIELD_INVALID)\n  title: is required\n  kind: is required"));
    }

    #[test]
    fn every_cause_is_printed_once() {
        let disk = || anyhow::Error::from(io::Error::other("the disk is gone"));
        assert_eq!(describe(&disk().context("cannot write a.json")), "cannot write a.json: the disk is gone");
        assert_eq!(describe(&disk().context("cannot write: the disk is gone")), "cannot write: the disk is gone");
        assert_eq!(
            describe(&disk().context("the disk is gone, so a.json is not written")),
            "the disk is gone, so a.json is not written"
        );
    }
}
