//! Names made from external ids: `ukraine.losses:2022-02-25` becomes `estimates/ukraine-losses-2022-02-25`.
//!
//! Knows the form of names and external ids. Must not know any scheme.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::model::{ID_CHARS_MAX, Kind};

/// Hexadecimal digits of the digest that tells two ids apart which look alike as names.
const DIGEST_CHARS: usize = 16;

/// The name of the record that has this external id. Where a name cannot say all of the id (capitals, other signs, too long), it ends
/// with a digest of it.
///
/// ```
/// use annals::{exchange::import::name_of, model::Kind};
///
/// assert_eq!(name_of(Kind::Event, "ucdp.ged:212545"), "events/ucdp-ged-212545");
/// assert_eq!(name_of(Kind::Actor, "wikidata:Q484816"), "actors/wikidata-q484816-35b4f11a5bd2f5e3");
/// ```
pub fn name_of(kind: Kind, external_id: &str) -> String {
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
        let hex = digest(external_id);
        let separator = if kept.is_empty() { "" } else { "-" };
        id = [kept, separator, &hex].concat();
    }
    format!("{}/{id}", kind.collection())
}

/// The beginning of a text's SHA-256, in hexadecimal: enough that no two texts of one file share it.
pub fn digest(text: &str) -> String {
    let mut hex = String::with_capacity(DIGEST_CHARS);
    for byte in Sha256::digest(text.as_bytes()).iter().take(DIGEST_CHARS / 2) {
        write!(hex, "{byte:02x}").expect("a string takes all");
    }
    hex
}

/// A text as the value of an external id, which is of printable ASCII without spaces: what is not is percent-encoded, as in a URL.
///
/// ```
/// use annals::exchange::import::escaped;
///
/// assert_eq!(escaped("1 wk ahead"), "1%20wk%20ahead");
/// assert_eq!(escaped("100%"), "100%25");
/// ```
pub fn escaped(text: &str) -> String {
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
    use crate::model::{Name, is_external_id};

    #[test]
    fn ids_that_a_name_cannot_tell_apart_end_with_their_digest() {
        let names: std::collections::BTreeSet<String> =
            ["x:1.5", "x:1-5", "x:1_5", "x:1--5", "x:-1-5", "x:1-5-", "x:1/5", "X:1/5"]
                .map(|id| name_of(Kind::Event, id))
                .into();
        assert_eq!(names.len(), 8, "{names:?}");
        assert!(names.contains("events/x-1-5"), "{names:?}");
        assert_ne!(name_of(Kind::Actor, "x:US"), name_of(Kind::Actor, "x:us"));
        assert_eq!(name_of(Kind::Actor, "x:us"), "actors/x-us");
    }

    proptest! {
        #[test]
        fn whatever_the_id_is_the_name_is_one(scheme in "[a-z0-9][a-z0-9._-]{0,31}", value in "\\PC{0,300}") {
            let id = format!("{scheme}:{}", escaped(&value));
            let name = name_of(Kind::Claim, &id);
            prop_assert!(name.parse::<Name>().is_ok(), "{name}");
            prop_assert!(value.is_empty() || id.len() > 256 || is_external_id(&id), "{id}");
            let longer = name_of(Kind::Claim, &(id + "-"));
            prop_assert_ne!(longer, name);
        }
    }
}
