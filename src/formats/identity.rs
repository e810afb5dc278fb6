//! Names and external ids that are the same for ever, made from the ids or the words of others.
//!
//! Knows the form of ids. Must not know what is identified.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::model::{ID_CHARS_MAX, RecordKind, limit};

/// Characters of a digest: 128 bits, so that no two of a record's things ever share one by chance.
const DIGEST_CHARS: usize = 32;

/// A digest of words, for what has no id of its own.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut digest = sha256(parts.iter().map(|part| part.as_bytes()));
    digest.truncate(DIGEST_CHARS);
    digest
}

/// The whole digest of several parts: where one ends and the next begins counts.
pub(crate) fn sha256(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    format!("{:x}", digest.finalize())
}

/// A text that can be a title or a display name: normalised, and no longer than one may be. What it is cut from is kept elsewhere.
pub(crate) fn title(text: &str) -> String {
    text.nfc().filter(|letter| !letter.is_ascii_control()).take(limit::TITLE_CHARS_MAX).collect()
}

/// An id of others as a part of a name: itself where it is of capitals and digits, a digest of it elsewhere.
pub(crate) fn part(id: &str) -> String {
    let plain = id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if plain && (1..=40).contains(&id.len()) { id.to_ascii_lowercase() } else { digest(&[id]) }
}

/// The name of the record that has this external id. Where a name cannot say all of the id (capitals, other signs, too long), it ends
/// with a digest of it.
pub(crate) fn name_of(kind: RecordKind, external_id: &str) -> String {
    let (scheme, value) = external_id.split_once(':').unwrap_or(("", external_id));
    let mut id = String::with_capacity(ID_CHARS_MAX);
    for letter in scheme.chars().chain(['-']).chain(value.chars()).map(|letter| letter.to_ascii_lowercase()) {
        match letter {
            'a'..='z' | '0'..='9' => id.push(letter),
            _ if id.is_empty() || id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    // What stands in a scheme besides letters and digits only parts its words; in a value each sign counts.
    if id.len() > ID_CHARS_MAX || !id.ends_with(value) || value.starts_with('-') || id.ends_with('-') || value.is_empty() {
        id.truncate(ID_CHARS_MAX - DIGEST_CHARS - 1);
        let kept = id.trim_end_matches('-');
        let hex = digest(&[external_id]);
        let separator = if kept.is_empty() { "" } else { "-" };
        id = [kept, separator, &hex].concat();
    }
    format!("{}/{id}", kind.collection())
}

/// A text as the value of an external id, which is of printable ASCII without spaces: what is not is percent-encoded, as in a URL.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes all");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{RecordName, is_external_id};

    #[test]
    fn an_id_becomes_a_name_and_a_text_an_id() {
        assert_eq!(name_of(RecordKind::Event, "ucdp.ged:212545"), "events/ucdp-ged-212545");
        assert_eq!(name_of(RecordKind::Actor, "wikidata:Q484816").len(), "actors/wikidata-q484816-".len() + DIGEST_CHARS);
        assert_eq!((escaped("1 wk ahead").as_str(), escaped("100%").as_str()), ("1%20wk%20ahead", "100%25"));
    }

    #[test]
    fn ids_that_a_name_cannot_tell_apart_end_with_their_digest() {
        let names: std::collections::BTreeSet<String> =
            ["x:1.5", "x:1-5", "x:1_5", "x:1--5", "x:-1-5", "x:1-5-", "x:1/5", "X:1/5"]
                .map(|id| name_of(RecordKind::Event, id))
                .into();
        assert_eq!(names.len(), 8, "{names:?}");
        assert!(names.contains("events/x-1-5"), "{names:?}");
        assert_ne!(name_of(RecordKind::Actor, "x:US"), name_of(RecordKind::Actor, "x:us"));
        assert_eq!(name_of(RecordKind::Actor, "x:us"), "actors/x-us");
    }

    proptest! {
        #[test]
        fn whatever_the_id_is_the_name_is_one(scheme in "[a-z0-9][a-z0-9._-]{0,31}", value in "\\PC{0,300}") {
            let id = format!("{scheme}:{}", escaped(&value));
            let name = name_of(RecordKind::Claim, &id);
            prop_assert!(name.parse::<RecordName>().is_ok(), "{name}");
            prop_assert!(value.is_empty() || id.len() > 256 || is_external_id(&id), "{id}");
            let longer = name_of(RecordKind::Claim, &(id + "-"));
            prop_assert_ne!(longer, name);
        }
    }
}
