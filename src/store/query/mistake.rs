//! What is wrong with the text of a filter or of an order: where, what was found there, what was expected.

use winnow::{
    error::ParserError,
    stream::{LocatingSlice, Location, Stream},
};

use crate::{
    model::{Fault, Violation},
    proto::ErrorReason,
    store::error::{StoreError, StoreErrorDetails, StoreErrorKind},
};

/// Longest piece of the text that an error repeats, in characters.
const FOUND_CHARS_MAX: usize = 60;

/// Text that is being read, which knows how far it has come.
pub(super) type Input<'t> = LocatingSlice<&'t str>;

/// The first thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Byte of the text at which it stands; its length for "something is missing at the end".
    pub(super) at: usize,
    /// What stands there, as it was written.
    pub(super) found: String,
    /// What could stand there instead.
    pub(super) expected: String,
}

impl Mistake {
    pub(super) fn new(at: usize, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { at, found: found.into(), expected: expected.into() }
    }

    /// The error for whoever sent the text. A position is the number of characters before it.
    pub(super) fn into_error(self, of: Of, text: &str) -> StoreError {
        let position = text.get(..self.at).unwrap_or(text).chars().count();
        let mut found: String = self.found.chars().take(FOUND_CHARS_MAX).collect();
        if found.len() < self.found.len() {
            found.push('…');
        }
        let (field, reason) = match of {
            Of::Filter => ("filter", ErrorReason::FilterInvalid),
            Of::OrderBy => ("order_by", ErrorReason::OrderByInvalid),
        };
        let shown = if found.is_empty() { "its end".to_owned() } else { found.clone() };
        let description = format!("at position {position}, found {shown}, expected {}", self.expected);
        StoreError::new(StoreErrorKind::Invalid, reason, format!("{field}: {description}"))
            .with("position", position)
            .with("found", found)
            .with("expected", self.expected)
            .with_details(StoreErrorDetails::Fields(vec![Violation {
                field: field.to_owned(),
                description,
                fault: Fault::Invalid,
            }]))
    }
}

/// Which text of a request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// `filter`.
    Filter,
    /// `order_by`.
    OrderBy,
}

/// What combinators report by themselves; the lexer's callers say it better where they can.
impl<'t> ParserError<Input<'t>> for Mistake {
    type Inner = Self;

    fn from_input(input: &Input<'t>) -> Self {
        let found = input.peek_token().map_or_else(String::new, |letter| letter.to_string());
        Self::new(input.current_token_start(), found, "a field, a value, an operator or a parenthesis")
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}
