//! Citations and attributions: where a quote is in its source, and the chain of hops from the person who said it to that
//! source.
//!
//! Knows `Citation`, `Attribution`, and how a span counts characters. Must not know what was said, nor how to find the source:
//! the caller passes its text.

use super::{FieldPath, Violations, time, violation::quoted};
use crate::proto::{Attribution, Citation, TextSpan};

/// Reports spans that contain no character.
pub(super) fn check_all(citations: &[Citation], at: &FieldPath<'_>, violations: &mut Violations) {
    let at = at.field("citations");
    for (index, citation) in citations.iter().enumerate() {
        if let Some(TextSpan { start, end }) = citation.span
            && start >= end
        {
            violations.invalid(
                &at.index(index).field("span"),
                format!("{start} to {end} has no characters: end is exclusive and must be greater than start"),
            );
        }
    }
}

/// Reports a span outside the text of its source, and a quote that differs from the text at its span (V6). `text` is the text
/// of the source and must not be empty: if a source has no text, its citations are stored unchecked.
///
/// Spans count Unicode code points, and their end is exclusive. The bytes are compared without normalising them.
pub fn check_against_text(citation: &Citation, text: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    let Some(span) = &citation.span else { return };
    // `check_all` reports an empty span; that needs no text.
    let Some(length) = span.end.checked_sub(span.start).filter(|length| *length > 0) else { return };
    let Some(cited) =
        split_at_character(text, span.start).and_then(|(_, rest)| split_at_character(rest, length)).map(|(cited, _)| cited)
    else {
        violations.invalid(
            &at.field("span"),
            format!("{} to {} ends outside the source's text of {} characters", span.start, span.end, text.chars().count()),
        );
        return;
    };
    if !citation.quote.is_empty() && citation.quote != cited {
        violations.invalid(
            &at.field("quote"),
            format!("differs from the source's text from {} to {}, which is {}", span.start, span.end, quoted(cited)),
        );
    }
}

/// Splits a text before the character at this position, counted in characters.
fn split_at_character(text: &str, position: u32) -> Option<(&str, &str)> {
    let position = usize::try_from(position).ok()?;
    if text.is_ascii() {
        return text.split_at_checked(position);
    }
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    text.split_at_checked(starts.nth(position)?)
}

/// Sets the bounds of the times at which the hops said it.
pub(super) fn complete_attribution(hops: &mut [Attribution]) {
    hops.iter_mut().filter_map(|hop| hop.said_at.as_mut()).for_each(time::complete);
}

/// Reports hops without a speaker (V4), and times that break a rule.
pub(super) fn check_attribution(hops: &[Attribution], at: &FieldPath<'_>, violations: &mut Violations) {
    let at = at.field("attribution");
    for (index, hop) in hops.iter().enumerate() {
        let at = at.index(index);
        if hop.actors.is_empty() && hop.description.is_empty() {
            violations.invalid(&at, "has no speaker: set actors, or a description such as \"reports\"");
        }
        time::check_field(hop.said_at.as_ref(), "said_at", &at, violations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::TimeSpec;

    fn citation(start: u32, end: u32, quote: &str) -> Citation {
        Citation { span: Some(TextSpan { start, end }), quote: quote.into(), ..Default::default() }
    }

    fn check(citation: &Citation, text: &str, expect: &[&str]) {
        let mut violations = Violations::default();
        check_against_text(citation, text, &FieldPath::ROOT.field("citations").index(0), &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, expect, "{citation:?}");
    }

    #[test]
    fn spans_count_code_points_with_the_end_exclusive() {
        const TEXT: &str = "“폭풍” and 🚀 e\u{301}.";
        check(&citation(0, 4, "“폭풍”"), TEXT, &[]);
        check(&citation(0, 14, TEXT), TEXT, &[]);
        check(&citation(1, 3, "폭풍"), TEXT, &[]);
        check(&citation(9, 10, "🚀"), TEXT, &[]);
        check(&citation(11, 13, "e\u{301}"), TEXT, &[]);
        check(&citation(13, 14, "."), TEXT, &[]);
        check(&citation(11, 12, "é"), TEXT, &["citations[0].quote"]);
        check(&citation(13, 15, "."), TEXT, &["citations[0].span"]);
        check(&citation(14, 15, ""), TEXT, &["citations[0].span"]);
        check(&citation(u32::MAX - 1, u32::MAX, ""), TEXT, &["citations[0].span"]);
    }

    #[test]
    fn a_quote_equals_its_span_to_the_byte() {
        check(&citation(0, 3, "abc"), "abc def", &[]);
        check(&citation(4, 7, "def"), "abc def", &[]);
        check(&citation(0, 3, ""), "abc def", &[]);
        check(&citation(0, 3, "ABC"), "abc def", &["citations[0].quote"]);
        check(&citation(0, 4, "abc"), "abc def", &["citations[0].quote"]);
        check(&citation(4, 8, "def"), "abc def", &["citations[0].span"]);
        check(&Citation { translated: true, ..citation(0, 3, "xyz") }, "abc def", &["citations[0].quote"]);
    }

    #[test]
    fn a_quote_without_a_span_is_not_searched_for() {
        check(&Citation { quote: "nowhere".into(), ..Default::default() }, "abc", &[]);
    }

    #[test]
    fn an_empty_span_is_refused_whether_or_not_there_is_a_text() {
        for (start, end) in [(0, 0), (5, 5), (6, 5)] {
            let mut violations = Violations::default();
            check_all(&[Citation::default(), citation(start, end, "")], &FieldPath::ROOT, &mut violations);
            assert_eq!(violations.as_slice()[0].field, "citations[1].span");
            check(&citation(start, end, ""), "abc def", &[]);
        }
    }

    #[test]
    fn v4_a_hop_has_actors_or_a_description() {
        let hops = [
            Attribution { actors: vec!["actors/a".into()], ..Default::default() },
            Attribution { description: "reports".into(), ..Default::default() },
            Attribution { cue: "said".into(), ..Default::default() },
            Attribution {
                description: "some".into(),
                said_at: Some(TimeSpec { edtf: "then".into(), ..Default::default() }),
                ..Default::default()
            },
        ];
        let mut violations = Violations::default();
        check_attribution(&hops, &FieldPath::ROOT, &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["attribution[2]", "attribution[3].said_at.edtf"]);
    }
}
