//! Names of records: `events/01jb2r...`. A name means one record for ever.

use std::{fmt, str::FromStr};

use super::{RecordKind, violation::quoted};

/// Longest id of a record, in characters.
pub const ID_CHARS_MAX: usize = 63;

/// A well-formed name of a record, whether or not there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName {
    kind: RecordKind,
    id: Box<str>,
}

/// Why a text is not a name, in words for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordNameError(String);

impl RecordName {
    /// A name from its two parts.
    pub fn new(kind: RecordKind, id: &str) -> Result<Self, RecordNameError> {
        if is_id(id) {
            Ok(Self { kind, id: id.into() })
        } else {
            Err(RecordNameError(format!(
                "{} is not an id: use 1-63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
                quoted(id)
            )))
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

/// Whether a text can be the id of a record, or a label of a mutation: both follow one rule.
pub fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    match bytes {
        [] => false,
        [first, .., last] => bytes.len() <= ID_CHARS_MAX && bytes.iter().all(inner) && *first != b'-' && *last != b'-',
        [only] => inner(only) && *only != b'-',
    }
}

impl FromStr for RecordName {
    type Err = RecordNameError;

    fn from_str(text: &str) -> Result<Self, RecordNameError> {
        let Some((collection, id)) = text.split_once('/') else {
            return Err(RecordNameError(format!("{} is not a name: write collection/id, such as events/e1", quoted(text))));
        };
        let Some(kind) = RecordKind::from_collection(collection) else {
            return Err(RecordNameError(format!(
                "{} is not a collection: there are sources, actors, events, claims, estimates and relations",
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
}
