//! Tags of languages: BCP 47, looked at for their form only.
//!
//! Whether a subtag is registered is not asked: the registry grows, and a record must not become invalid by the age of a
//! server. Knows the form. Must not know the registry.

use super::{Path, Violations, violation::quoted};

/// Whether a text has the form of a BCP 47 tag: subtags of 1 to 8 letters and digits with hyphens between, the first a
/// language of letters, or `x` or `i`; a subtag of one character announces another.
fn is_tag(text: &str) -> bool {
    let mut subtags = text.split('-');
    let Some(first) = subtags.next() else { return false };
    let is_language = (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic());
    let announces = matches!(first, "x" | "X" | "i" | "I");
    if !is_language && !announces {
        return false;
    }
    let mut last = first;
    for subtag in subtags {
        if !(1..=8).contains(&subtag.len()) || !subtag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return false;
        }
        last = subtag;
    }
    // After "x" a subtag of one character is private and may stand last: "x-a".
    last.len() > 1 || text.to_ascii_lowercase().split('-').rev().skip(1).any(|subtag| subtag == "x")
}

/// Reports a tag that is there and has not the form.
pub(super) fn check(tag: &str, at: &Path<'_>, violations: &mut Violations) {
    if !tag.is_empty() && !is_tag(tag) {
        violations.invalid(at, format!("{} is not a BCP 47 language tag: write for example ko, en-GB or zh-Hant", quoted(tag)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_subtags_of_letters_and_digits_with_hyphens_between() {
        for tag in [
            "en",
            "ko",
            "en-GB",
            "zh-Hant-TW",
            "spa",
            "und",
            "mul",
            "sr-Latn-RS",
            "de-CH-1901",
            "sl-rozaj-biske-1994",
            "x-a",
            "x-klingon",
            "i-klingon",
            "en-x-a",
            "en-u-ca-gregory",
            "es-419",
            "EN-gb",
        ] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in [
            "",
            "e",
            "en_GB",
            "en-",
            "-en",
            "en--GB",
            "english language",
            "en-a",
            "x",
            "i",
            "1a",
            "e1",
            "한국어",
            "en-longsubtag",
            "languages9",
            "en GB",
            "srclc:spa",
        ] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
