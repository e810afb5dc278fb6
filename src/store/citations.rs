//! The citations of a record, and the text that each is checked against: the text of the source by the name that the citation has
//! stored, which may have been merged into a source with another text since.
//!
//! Knows where a record has citations. Must not know commits, or which records there are.

use prost::Message as _;

use crate::{
    model::{FieldPath, RecordKind, RecordName, Violation, Violations, check_against_text, wire},
    proto::Citation,
};

/// A citation with a span. One without a span is checked against no text.
pub(crate) struct Spanned<'b> {
    /// Its position among the citations of the record.
    pub(crate) index: usize,
    /// Its bytes.
    pub(crate) raw: &'b [u8],
    /// The source, as stored.
    pub(crate) source: RecordName,
    citation: Citation,
}

/// The number of the field that holds the citations of a kind. `None` if it has none.
pub(crate) fn field(kind: RecordKind) -> Option<u32> {
    kind.schema().field("citations").map(|field| field.number)
}

/// The citations of a record that have a span.
pub(crate) fn spanned(kind: RecordKind, record: &[u8]) -> impl Iterator<Item = Spanned<'_>> {
    let citations = wire::fields(record).filter(move |part| Some(part.number) == field(kind));
    citations.enumerate().filter_map(|(index, part)| {
        let citation = Citation::decode(part.value.bytes()).ok().filter(|citation| citation.span.is_some())?;
        Some(Spanned { index, raw: part.raw, source: citation.source.parse().ok()?, citation })
    })
}

/// The text of a source. `None` if it has none.
pub(crate) fn text_of(source: &[u8]) -> Option<&str> {
    let number = RecordKind::Source.schema().field("text").map(|field| field.number)?;
    wire::texts(source, number).next().filter(|text| !text.is_empty())
}

impl Spanned<'_> {
    /// Reports what differs from a text. An empty text is no text, and nothing differs from it.
    pub(crate) fn check(&self, text: &str, record: &FieldPath<'_>, violations: &mut Violations) {
        if !text.is_empty() {
            check_against_text(&self.citation, text, &record.field("citations").index(self.index), violations);
        }
    }

    /// What differs from a text, with paths from the record.
    pub(crate) fn differences(&self, text: &str) -> Vec<Violation> {
        let mut violations = Violations::default();
        self.check(text, &FieldPath::ROOT, &mut violations);
        violations.into_vec()
    }
}
