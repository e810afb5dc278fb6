//! Codes of vocabularies, and external ids. Both are a scheme, a colon and a value.
//!
//! Knows their form. Must not know what a scheme means; `rating` has the few schemes whose codes are known.

use super::{FieldPath, Violations, violation::quoted};
use crate::limits::{CODE_CHARS_MAX, EXTERNAL_ID_CHARS_MAX, SCHEME_CHARS_MAX};

/// The scheme and the code of "scheme:code". `None` if the scheme does not have the right form.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(scheme, _)| is_scheme(scheme))
}

fn is_scheme(scheme: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match scheme.as_bytes() {
        [] => false,
        [first, rest @ ..] => {
            plain(*first)
                && rest.len() < SCHEME_CHARS_MAX
                && rest.iter().all(|byte| plain(*byte) || matches!(byte, b'.' | b'_' | b'-'))
        }
    }
}

/// The form of a scheme, for an error.
fn scheme_form() -> String {
    format!("1-{SCHEME_CHARS_MAX} of a-z 0-9 . _ - and begins with a letter or digit")
}

/// Whether a text is "scheme:code". The code may be in any script and contain spaces.
pub fn is_code(text: &str) -> bool {
    split(text).is_some_and(|(_, code)| {
        !code.is_empty()
            && (code.len() <= CODE_CHARS_MAX || code.chars().count() <= CODE_CHARS_MAX)
            && !code.starts_with(char::is_whitespace)
            && !code.ends_with(char::is_whitespace)
            && !code.chars().any(char::is_control)
    })
}

/// Whether a text is "scheme:value". The value is printable ASCII without spaces.
pub fn is_external_id(text: &str) -> bool {
    split(text).is_some_and(|(_, value)| {
        (1..=EXTERNAL_ID_CHARS_MAX).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// Reports a text that is set and is not a code.
pub(super) fn check(code: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if !code.is_empty() && !is_code(code) {
        violations.invalid(
            at,
            format!(
                "{} is not a code: write scheme:code. The scheme is {}. The code is 1-{CODE_CHARS_MAX} characters without spaces \
                 at its ends",
                quoted(code),
                scheme_form()
            ),
        );
    }
}

/// Reports every text of a list that is not a code.
pub(super) fn check_all(codes: &[String], at: &FieldPath<'_>, violations: &mut Violations) {
    for (index, code) in codes.iter().enumerate() {
        if code.is_empty() {
            violations.invalid(&at.index(index), "is empty: write scheme:code");
        }
        check(code, &at.index(index), violations);
    }
}

/// Reports a text that is not an external id.
pub(super) fn check_external_id(id: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if !is_external_id(id) {
        violations.invalid(
            at,
            format!(
                "{} is not an external id: write scheme:value. The scheme is {}. The value is 1-{EXTERNAL_ID_CHARS_MAX} printable \
                 ASCII characters without spaces",
                quoted(id),
                scheme_form()
            ),
        );
    }
}

/// Reports every text of a list that is not an external id.
pub(super) fn check_external_ids(ids: &[String], at: &FieldPath<'_>, violations: &mut Violations) {
    for (index, id) in ids.iter().enumerate() {
        check_external_id(id, &at.index(index), violations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: bool, external_id: bool) {
        assert_eq!(is_code(text), code, "{text:?} as a code");
        assert_eq!(is_external_id(text), external_id, "{text:?} as an external id");
    }

    #[test]
    fn schemes_are_1_to_32_of_lower_case_letters_digits_dot_underscore_hyphen() {
        check("ucdp.ged:212545", true, true);
        check("a:b", true, true);
        check("0_.-:b", true, true);
        check(&format!("{}:b", "s".repeat(32)), true, true);
        check(&format!("{}:b", "s".repeat(33)), false, false);
        check(":b", false, false);
        check("Ucdp:b", false, false);
        check(".a:b", false, false);
        check("-a:b", false, false);
        check("a b:c", false, false);
        check("é:c", false, false);
        check("none", false, false);
        check("", false, false);
    }

    #[test]
    fn a_code_is_of_any_script_with_inner_spaces_and_an_external_id_of_printable_ascii_without() {
        check("acled.sub_event:Armed clash", true, false);
        check("text:consult/brief (closed)", true, false);
        check("x:폭풍", true, false);
        check("x:a:b", true, true);
        check("gdelt.doc:http://example.org/a?b=c&d=%20#e", true, true);
        check("x:", false, false);
        check("x: a", false, false);
        check("x:a ", false, false);
        check("x:a\u{a0}", false, false);
        check("x:a\nb", false, false);
        check("x:a\tb", false, false);
        check(&format!("x:{}", "v".repeat(256)), true, true);
        check(&format!("x:{}", "v".repeat(257)), false, false);
        check(&format!("x:{}", "폭".repeat(256)), true, false);
        check(&format!("x:{}", "폭".repeat(257)), false, false);
    }

    #[test]
    fn the_path_names_the_element_and_an_empty_one_is_refused() {
        let mut violations = Violations::default();
        let codes = ["a:b".to_owned(), String::new(), "c".to_owned()];
        check_all(&codes, &FieldPath::ROOT.field("types"), &mut violations);
        check_external_ids(&codes, &FieldPath::ROOT.field("external_ids"), &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["types[1]", "types[2]", "external_ids[1]", "external_ids[2]"]);
    }
}
