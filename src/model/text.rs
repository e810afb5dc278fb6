//! Texts: which characters they may contain, how long they may be, when they must be in NFC; and language tags.
//!
//! Only the form of a language tag (BCP 47) is checked. The registry of tags grows, and a record must not be invalid because a
//! server is old. A text is stored exactly as sent, or refused: nothing here trims, normalises or re-encodes it. Knows strings.
//! Must not know which field of the contract a string belongs to.

use unicode_normalization::is_nfc;

use super::{FieldPath, Violations, violation::quoted};
use crate::limits;

/// The first control character that no text may contain, and its position in characters. Refused are U+0000 to U+001F, except
/// tab, line feed and carriage return, and U+007F.
pub(super) fn first_control(text: &str) -> Option<(usize, char)> {
    // Most texts have none. The compiler can vectorise this loop because it has no branch.
    if !text.as_bytes().iter().fold(false, |found, byte| found | is_control(*byte)) {
        return None;
    }
    text.chars().enumerate().find(|(_, letter)| u8::try_from(*letter).is_ok_and(is_control))
}

fn is_control(byte: u8) -> bool {
    matches!(byte, 0..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f)
}

/// Whether a text has no character that can be seen: only white space, and characters without width. The latter are the soft
/// hyphen, the Hangul filler, the marks of direction, and those that join or separate.
pub(super) fn is_blank(text: &str) -> bool {
    let has_no_width =
        |letter| matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}');
    text.chars().all(|letter| letter.is_whitespace() || has_no_width(letter))
}

/// Reports a text with a control character that no text may contain.
pub(super) fn check_controls(text: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if let Some((position, letter)) = first_control(text) {
        violations.invalid(
            at,
            format!(
                "has the control character U+{:04X} as character {position}, counted from 0: only tab, line feed and carriage \
                 return are allowed",
                u32::from(letter)
            ),
        );
    }
}

/// Reports a text of more than `maximum` characters.
pub(super) fn check_chars(text: &str, maximum: usize, at: &FieldPath<'_>, violations: &mut Violations) {
    // A text has at most as many characters as bytes, so most texts need no counting.
    if text.len() > maximum {
        let actual = text.chars().count();
        if actual > maximum {
            violations.invalid(at, format!("has {actual} characters: at most {maximum} are allowed"));
        }
    }
}

/// Reports a title that is too long.
pub(super) fn check_title(title: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    check_chars(title, limits::TITLE_CHARS_MAX, at, violations);
}

/// Reports a display name that is too long or not in NFC. Two names that look the same must have the same bytes, or a search
/// for one does not find the other.
pub(super) fn check_display_name(name: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    check_title(name, at, violations);
    if !is_nfc(name) {
        violations.invalid(at, "is not in Unicode normalisation form NFC: normalise it before sending");
    }
}

/// Whether a text has the form of a BCP 47 tag: subtags of 1 to 8 letters and digits, separated by hyphens. The first subtag is
/// a language of letters, or `x` or `i`. A subtag of one character must be followed by another.
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
    // After "x" a subtag of one character is private and may come last: "x-a".
    last.len() > 1 || text.to_ascii_lowercase().split('-').rev().skip(1).any(|subtag| subtag == "x")
}

/// Reports a language tag that is set and does not have the form.
pub(super) fn check_language(tag: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if !tag.is_empty() && !is_tag(tag) {
        violations.invalid(at, format!("{} is not a BCP 47 language tag: write for example ko, en-GB or zh-Hant", quoted(tag)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_first_control(text: &str, expect: Option<(usize, char)>) {
        assert_eq!(first_control(text), expect, "{text:?}");
    }

    #[test]
    fn controls_are_u0000_to_u001f_and_u007f_save_tab_line_feed_and_carriage_return() {
        for code in 0..=0x9fu8 {
            let letter = char::from(code);
            let allowed = matches!(letter, '\t' | '\n' | '\r' | ' '..='~') || code > 0x7f;
            check_first_control(&format!("ä{letter}"), (!allowed).then_some((1, letter)));
        }
        check_first_control("", None);
        check_first_control("폭풍군단 and “quotes”", None);
        // 0x7f and the low bytes never occur inside a multi-byte character.
        check_first_control("\u{87f}\u{7ff}\u{10ffff}", None);
    }

    fn check(function: fn(&str, &FieldPath<'_>, &mut Violations), text: &str, ok: bool) {
        let mut violations = Violations::default();
        function(text, &FieldPath::ROOT, &mut violations);
        assert_eq!(violations.is_empty(), ok, "{text:?}: {violations:?}");
    }

    #[test]
    fn a_title_has_at_most_512_characters_however_many_bytes() {
        check(check_title, "", true);
        check(check_title, &"한".repeat(512), true);
        check(check_title, &"한".repeat(513), false);
        check(check_title, &"a".repeat(513), false);
    }

    #[test]
    fn a_display_name_is_nfc_and_refused_where_it_is_not() {
        check(check_display_name, "Łódź, Zoë, 폭풍군단", true);
        check(check_display_name, "Zoe\u{308}", false);
        check(check_display_name, "\u{1111}\u{1169}", false);
        check(check_display_name, "\u{212b}ngström", false);
    }

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
