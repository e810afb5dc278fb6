//! The six kinds of record, the names of records (`events/01jb2r...`), and references between them. A name identifies one
//! record and is never used again for another.
//!
//! The annotation of a field says which kind it refers to. This file has the rules that the annotation cannot express. The
//! store checks whether a record exists. Must not know records.

use std::{fmt, str::FromStr};

use super::{FieldPath, Violations, violation::quoted};
use crate::{
    limits::ID_CHARS_MAX,
    proto::{self, record_types},
};

macro_rules! kinds {
    ($($message:ident = $number:literal, $singular:literal, $collection:literal;)*) => {
        /// A kind of record. Its number is never reused: it is the first byte of a key after the table's byte, and the number
        /// of `RecordType` in the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum RecordKind {
            $($message = $number,)*
        }

        impl RecordKind {
            /// Every kind, by number.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$message),*];

            /// The first part of a name: "events".
            pub const fn collection(self) -> &'static str {
                match self {
                    $(Self::$message => $collection,)*
                }
            }

            /// The name of one record of this kind, which is also the name of the field of `Record`: "event".
            pub const fn singular(self) -> &'static str {
                match self {
                    $(Self::$message => $singular,)*
                }
            }

            /// The name of the message in the contract, without its package: "Event".
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$message => stringify!($message),)*
                }
            }
        }
    };
}

record_types!(kinds);

impl RecordKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Every collection, as a text: "sources, actors, events, claims, estimates, relations".
    pub(crate) fn collections() -> String {
        Self::ALL.map(Self::collection).join(", ")
    }

    /// The kind whose names start with this collection.
    pub fn from_collection(collection: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.collection() == collection)
    }
}

impl From<RecordKind> for proto::RecordType {
    fn from(kind: RecordKind) -> Self {
        Self::try_from(i32::from(kind as u8)).expect("kinds and record types share their numbers")
    }
}

/// A well-formed name of a record. The record need not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName {
    kind: RecordKind,
    id: Box<str>,
}

/// Why a text is not a name, as a message to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordNameError(String);

impl RecordName {
    /// A name from its two parts.
    pub fn new(kind: RecordKind, id: &str) -> Result<Self, RecordNameError> {
        if is_id(id) {
            Ok(Self { kind, id: id.into() })
        } else {
            Err(RecordNameError(format!("{} is not an id: use {}", quoted(id), id_form())))
        }
    }

    /// The kind of record it names.
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// The part after the collection.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Whether a text can be the id of a record or a label of a mutation. Both follow the same rule.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    match bytes {
        [] => false,
        [first, .., last] => bytes.len() <= ID_CHARS_MAX && bytes.iter().all(inner) && *first != b'-' && *last != b'-',
        [only] => inner(only) && *only != b'-',
    }
}

/// The form of an id and of a label, for an error.
pub(crate) fn id_form() -> String {
    format!("1-{ID_CHARS_MAX} of a-z, 0-9 and -, beginning and ending with a letter or digit")
}

impl FromStr for RecordName {
    type Err = RecordNameError;

    fn from_str(text: &str) -> Result<Self, RecordNameError> {
        let Some((collection, id)) = text.split_once('/') else {
            return Err(RecordNameError(format!("{} is not a name: write collection/id, such as events/e1", quoted(text))));
        };
        let Some(kind) = RecordKind::from_collection(collection) else {
            let collections = RecordKind::collections();
            return Err(RecordNameError(format!(
                "{} is not a collection: the collections are {collections}",
                quoted(collection)
            )));
        };
        Self::new(kind, id)
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.kind.collection(), self.id)
    }
}

/// The kind of record that a reference names, taken from its collection.
pub(super) fn kind_of_reference(reference: &str) -> Option<RecordKind> {
    let (collection, _) = reference.split_once('/')?;
    RecordKind::from_collection(collection)
}

/// Reports a reference to a record of a kind that is not allowed. A reference that is unset or not a name is reported
/// elsewhere.
pub(super) fn check_kind(reference: &str, allowed: &[RecordKind], at: &FieldPath<'_>, violations: &mut Violations) {
    if let Some(kind) = kind_of_reference(reference)
        && !allowed.contains(&kind)
    {
        let allowed: Vec<_> = allowed.iter().map(|kind| kind.collection()).collect();
        violations
            .invalid(at, format!("{} is of another type: this field refers to {}", quoted(reference), allowed.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ok: bool) {
        assert_eq!(text.parse::<RecordName>().is_ok(), ok, "{text:?}");
        if let Ok(name) = text.parse::<RecordName>() {
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn a_name_is_a_collection_and_an_id_of_1_to_63_lower_case_letters_digits_and_inner_hyphens() {
        check("events/e1", true);
        check("sources/0", true);
        check("actors/a-b--c", true);
        check(&format!("claims/{}", "x".repeat(63)), true);
        check(&format!("claims/{}", "x".repeat(64)), false);
        check("events/", false);
        check("events", false);
        check("events/-a", false);
        check("events/a-", false);
        check("events/-", false);
        check("events/A", false);
        check("events/ä", false);
        check("events/a/b", false);
        check("things/a", false);
        check("", false);
    }

    #[test]
    fn an_error_lists_the_collections() {
        let error = "things/a".parse::<RecordName>().unwrap_err().to_string();
        assert!(RecordKind::ALL.into_iter().all(|kind| error.contains(kind.collection())), "{error}");
    }

    #[test]
    fn the_kind_is_that_of_the_collection() {
        assert_eq!(kind_of_reference("events/e1"), Some(RecordKind::Event));
        assert_eq!(kind_of_reference("things/e1"), None);
        assert_eq!(kind_of_reference("events"), None);
        assert_eq!(kind_of_reference(""), None);
    }
}
