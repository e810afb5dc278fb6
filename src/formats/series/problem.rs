//! What is wrong with a mapping: all of it at once, each with its line and its field.
//!
//! Knows lines of a text. Must not know what a mapping may say.

use std::{fmt, ops::Range};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the mapping, from 1.
    pub line: usize,
    /// The field, as a path: `estimate[0].quantity.best`. Empty for the mapping itself.
    pub field: String,
    /// What is wrong, for people.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(to, "line {}: {}", self.line, self.reason),
            field => write!(to, "line {}, {field}: {}", self.line, self.reason),
        }
    }
}

/// Why a text is no mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError(pub Vec<Problem>);

impl fmt::Display for MappingError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(to, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingError {}

/// What was found so far in a text.
pub(super) struct Problems<'a> {
    text: &'a str,
    list: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, list: Vec::new() }
    }

    /// Reports one that stands at these bytes.
    pub(super) fn add(&mut self, at: Range<usize>, field: impl Into<String>, reason: impl Into<String>) {
        let line = self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1;
        self.list.push(Problem { line, field: field.into(), reason: reason.into() });
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All, by line.
    pub(super) fn into_error(mut self) -> MappingError {
        self.list.sort_by_key(|problem| problem.line);
        MappingError(self.list)
    }
}
