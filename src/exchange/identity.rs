//! Names and external ids that are the same for ever, made from the ids or the words of others.
//!
//! Knows the form of ids. Must not know what is identified.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::model::limit;

/// Characters of a digest: 128 bits, so that no two of a record's things ever share one by chance.
const DIGEST_CHARS: usize = 32;

/// A digest of words, for what has no id of its own.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut text = String::new();
    for byte in digest.finalize().iter().take(DIGEST_CHARS / 2) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
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
