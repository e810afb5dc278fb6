//! Source: a document, as it was when it was read.
//!
//! Knows `Source`: its rules, links and indexes. Must not know which records cite it.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{
    FieldPath, IndexPart, LinkChain, RecordIndex, RecordKind, RecordLink, Resource, ResourceType, Violations, header::Header,
    rating, text, time,
};
use crate::{
    limits,
    proto::{self, record::Record},
};

/// The type, as the store uses it.
pub(super) const TYPE: ResourceType = ResourceType {
    kind: RecordKind::Source,
    indexes: INDEXES,
    joined: &[],
    decode: |bytes| proto::Source::decode(bytes).map(Record::Source),
};

const INDEXES: &[RecordIndex] = &[
    RecordIndex { number: 1, parts: &[IndexPart::Exact("external_ids")], serves: "the record with this external id" },
    RecordIndex { number: 2, parts: &[IndexPart::Exact("labels")], serves: "sources by tag" },
    RecordIndex { number: 3, parts: &[IndexPart::Exact("uri")], serves: "sources by address" },
    RecordIndex {
        number: 4,
        parts: &[IndexPart::Exact("sha256")],
        serves: "sources with the same text, which are not independent",
    },
];

impl Resource for proto::Source {
    fn complete(&mut self) {
        if !self.text.is_empty() && self.sha256.is_empty() {
            self.sha256 = sha256(&self.text);
        }
        self.published.iter_mut().for_each(time::complete);
        rating::complete(&mut self.ratings);
    }

    fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let Self { external_ids, labels, metrics, annotations, .. } = self;
        Header { external_ids, labels, metrics, annotations }.check(at, violations);
        text::check_title(&self.title, &at.field("title"), violations);
        text::check_language(&self.language, &at.field("language"), violations);
        time::check_field(self.published.as_ref(), "published", at, violations);
        check_text(&self.text, &self.sha256, at, violations);
        rating::check_all(&self.ratings, at, violations);
    }

    fn links(&self) -> Vec<RecordLink<'_>> {
        let link = |chain, field, to| RecordLink { chain, field, index: 0, from: "", to };
        [
            link(LinkChain::DerivedFrom, "derived_from", self.derived_from.as_str()),
            link(LinkChain::SourcePartOf, "part_of", self.part_of.as_str()),
        ]
        .into_iter()
        .filter(|link| !link.to.is_empty())
        .collect()
    }
}

/// Reports a text that is too long, and a hash that is not a SHA-256 or not that of the text (V6).
fn check_text(text: &str, sha256: &str, at: &FieldPath<'_>, violations: &mut Violations) {
    if text.len() > limits::TEXT_BYTES_MAX {
        violations.invalid(
            &at.field("text"),
            format!(
                "has {} bytes: at most {} are allowed; send its uri and its sha256 instead",
                text.len(),
                limits::TEXT_BYTES_MAX
            ),
        );
    } else if !is_sha256(sha256) {
        if !sha256.is_empty() {
            violations.invalid(&at.field("sha256"), "is not a SHA-256: write 64 of 0-9 a-f");
        }
    } else if !text.is_empty() && sha256 != self::sha256(text) {
        violations.invalid(&at.field("sha256"), "is not the SHA-256 of text: leave it out, because the server computes it");
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, completed};
    use super::*;
    use crate::proto::{Rating, Source, TimeSpec};

    /// The SHA-256 of "abc", from FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn check(change: impl FnOnce(&mut Source), expect: &[&str]) {
        let mut source = Source::default();
        change(&mut source);
        testing::check(source, expect);
    }

    #[test]
    fn the_hash_is_computed_where_none_was_sent_and_refused_where_it_is_not_the_texts() {
        assert_eq!(completed(Source { text: "abc".into(), ..Default::default() }).sha256, ABC);
        assert_eq!(completed(Source::default()).sha256, "");
        let sent = |text: &str, sha256: &str| Source { text: text.into(), sha256: sha256.into(), ..Default::default() };
        testing::check(sent("abc", ABC), &[]);
        testing::check(sent("", ABC), &[]);
        testing::check(sent("abd", ABC), &["sha256"]);
        testing::check(sent("abc", &ABC.to_uppercase()), &["sha256"]);
        testing::check(sent("", "ba78"), &["sha256"]);
    }

    #[test]
    fn text_is_at_most_64_kib_and_title_512_characters() {
        check(|source| source.text = "é".repeat(32 * 1024), &[]);
        check(|source| source.text = "é".repeat(32 * 1024) + "e", &["text"]);
        check(|source| source.title = "é".repeat(512), &[]);
        check(|source| source.title = "é".repeat(513), &["title"]);
    }

    #[test]
    fn nothing_is_required() {
        check(|_| {}, &[]);
    }

    #[test]
    fn language_time_and_ratings_are_checked() {
        check(|source| source.language = "ko".into(), &[]);
        check(|source| source.language = "ko_KR".into(), &["language"]);
        let spec = || TimeSpec { edtf: "?".into(), ..Default::default() };
        check(|source| source.published = Some(spec()), &["published.edtf"]);
        check(
            |source| source.ratings = vec![Rating { code: "admiralty.reliability:X".into(), ..Default::default() }],
            &["ratings[0].code"],
        );
        check(|source| source.ratings = vec![Rating::default()], &["ratings[0].code"]);
    }

    #[test]
    fn what_it_derives_from_and_is_part_of_are_links() {
        let source = Source { derived_from: "sources/a".into(), part_of: "sources/b".into(), ..Default::default() };
        let links: Vec<_> = source.links().iter().map(|link| (link.chain, link.path(), link.to.to_owned())).collect();
        assert_eq!(
            links,
            [
                (LinkChain::DerivedFrom, "derived_from".to_owned(), "sources/a".to_owned()),
                (LinkChain::SourcePartOf, "part_of".to_owned(), "sources/b".to_owned()),
            ]
        );
        assert!(Source::default().links().is_empty());
    }
}
