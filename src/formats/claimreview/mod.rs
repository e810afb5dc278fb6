//! Fact checks: schema.org's `ClaimReview` in JSON-LD, as web pages and data feeds publish it.
//!
//! A review makes four kinds of record: the reviewed claim, with its claimant; a claim of kind VERDICT about that claim; a
//! relation RATES between the two, with the rating; and the sources of both. The whole review is also stored in annotations of
//! its page, so nothing is lost.
//!
//! Must not know the store, or who applies the mutations.

mod node;
mod parts;
mod review;

use std::{collections::VecDeque, fmt::Write, io::Read};

use serde_json::{Map, Value};

use self::review::ReviewMutations;
use super::{
    format::{Format, FormatImporter},
    import::{
        ImportRow, ImportRowError, ImportRows, SeenKeys, mutation,
        objects::{self, NumberedObject, ObjectIter},
    },
};

/// Fact checks of schema.org, import only. Each review is a verdict about a claim, with its rating.
pub static FORMAT: Format = Format {
    name: "claimreview",
    summary: "fact checks, schema.org ClaimReview in JSON-LD",
    page: "claimreview/page.md",
    importer: Some(FormatImporter { needs_mapping: false, open: |input| Ok(rows(input.content)) }),
    exporter: None,
};

/// The reviews of a file; each is a row. The file is a review, an array, a `DataFeed`, a graph (`@graph`) or one object a line.
/// A row has the number of its element. Anything that is not a review is skipped.
///
/// ```
/// use annals::{
///     formats::claimreview,
///     proto::{Claim, ClaimKind, CommitRequest, ListRecordsRequest},
///     store::Store,
/// };
///
/// let review = r#"{
///     "@context": "https://schema.org", "@type": "ClaimReview", "url": "https://checks.example/moon",
///     "claimReviewed": "The moon is made of cheese.", "author": "Checks",
///     "reviewRating": { "ratingValue": 1, "worstRating": 1, "bestRating": 5, "alternateName": "False" },
///     "itemReviewed": { "@type": "Claim", "author": { "@type": "Person", "name": "A mouse" } }
/// }"#;
/// let store = Store::in_memory()?;
/// for row in claimreview::rows(review.as_bytes()) {
///     let row = row?;
///     store.commit(CommitRequest::of("moon", [row.shared, row.own].concat()))?;
/// }
/// let filter = "kind = CLAIM_KIND_VERDICT".to_owned();
/// let verdicts = store.list::<Claim>(&ListRecordsRequest { filter, ..Default::default() })?;
/// assert_eq!(verdicts.records[0].statement, "Rated \"False\": The moon is made of cheese.");
/// assert_eq!(verdicts.records[0].kind(), ClaimKind::Verdict);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rows(from: impl Read + Send + 'static) -> ImportRows {
    let objects = objects::any(from, "dataFeedElement");
    Box::new(Reviews { objects, waiting: VecDeque::new(), seen: SeenKeys::default(), found: false, ended: false })
}

struct Reviews {
    objects: ObjectIter,
    waiting: VecDeque<Result<ImportRow, ImportRowError>>,
    /// The ids of reviews, and the ids together with the whole reviews. A review may occur twice only if its content is the
    /// same.
    seen: SeenKeys,
    /// Whether the file has a review, or something that may be meant as one.
    found: bool,
    ended: bool,
}

impl Iterator for Reviews {
    type Item = Result<ImportRow, ImportRowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(waiting) = self.waiting.pop_front() {
                self.found = true;
                return Some(waiting);
            }
            match self.objects.next() {
                Some(element) => self.read(element),
                None if self.ended || self.found => return None,
                None => {
                    self.ended = true;
                    return Some(Err(ImportRowError::whole(0, "the file has no object of the @type ClaimReview")));
                }
            }
        }
    }
}

impl Reviews {
    /// Reads the reviews of an element.
    fn read(&mut self, (number, element): NumberedObject) {
        let document = match element {
            Ok(document) => document,
            Err(bad) => return self.waiting.push_back(Err(bad)),
        };
        let graph = node::graph(&document);
        let things = node::things(&document, &graph);
        if !things.iter().any(|thing| thing.types().next().is_some()) {
            self.waiting.push_back(Err(ImportRowError::column(
                number,
                "@type",
                "is missing: a review has the @type ClaimReview",
            )));
        }
        for review in things.into_iter().filter(|thing| thing.is("ClaimReview")) {
            let row = review::read(review).and_then(|made| self.row(number, made, review.members));
            self.waiting.push_back(row.map_err(|reason| ImportRowError::whole(number, reason)));
        }
    }

    fn row(&mut self, number: u64, made: ReviewMutations, members: &Map<String, Value>) -> Result<ImportRow, String> {
        let whole = format!("{} {}", made.id, Value::Object(members.clone()));
        if self.seen.row(&whole).is_none()
            && let Some(row) = self.seen.row(&made.id)
        {
            return Err(format!("is the same review as row {row}, but has other content"));
        }
        for mutation in made.shared.iter().chain(&made.own) {
            mutation::record(mutation).map_or(Ok(()), mutation::check)?;
        }
        self.seen.insert(&made.id, number);
        self.seen.insert(&whole, number);
        Ok(ImportRow { number, shared: made.shared, own: made.own })
    }
}

/// A member of a review that becomes a field.
#[derive(Clone, Copy, Debug)]
pub struct ReviewMember {
    /// Its path from the review.
    pub path: &'static [&'static str],
    /// The fields that it becomes.
    pub goes_to: &'static str,
}

const fn member(path: &'static [&'static str], goes_to: &'static str) -> ReviewMember {
    ReviewMember { path, goes_to }
}

/// Every member that becomes a field. The annotations contain all members.
pub const REVIEW_MEMBERS: &[ReviewMember] = &[
    member(&["url"], "`Source.uri` of the page; a part of all names, with `@id` and `claimReviewed`"),
    member(&["@id"], "a part of all names"),
    member(&["claimReviewed"], "`statement` of the claim of kind FACT that is reviewed, and of the VERDICT about it"),
    member(&["headline"], "`Source.title`; without it `name`, else `claimReviewed`"),
    member(&["inLanguage"], "`language` of the page and both claims"),
    member(&["license"], "`Source.license`"),
    member(&["datePublished"], "`Source.published`, `as_of` of the verdict, `said_at` of its first hop, `Rating.assessed_at`"),
    member(&["author"], "Actors; `Source.authors`, first hop of the verdict, `Rating.assessor`, `Relation.asserted_by`"),
    member(&["publisher"], "an Actor; `Source.publisher`, second hop of the verdict"),
    member(&["reviewRating", "alternateName"], "`Rating.code`, as `claimreview.rating:...`; `statement` of the verdict"),
    member(&["reviewRating", "ratingValue"], "`Rating.value`, if it is on the scale; words are used as `alternateName`"),
    member(&["reviewRating", "bestRating"], "`Rating.scale_max`, or `scale_min` if the best is the smaller number"),
    member(&["reviewRating", "worstRating"], "`Rating.scale_min`, or `scale_max`"),
    member(&["reviewRating", "ratingExplanation"], "`Rating.rationale`"),
    member(&["itemReviewed", "author"], "Actors; first hop of the reviewed claim. Without it: a hop \"unidentified\""),
    member(&["itemReviewed", "datePublished"], "`said_at` of that hop"),
    member(
        &["itemReviewed", "appearance"],
        "a Source for each, and `citations` of the reviewed claim. Without it: the citation is the review's page",
    ),
    member(&["itemReviewed", "firstAppearance"], "the same, before the others"),
];

/// [`REVIEW_MEMBERS`] as a table in Markdown.
///
/// ```
/// assert!(annals::formats::claimreview::members_table().starts_with("| member | goes to |"));
/// ```
pub fn members_table() -> String {
    let mut table = String::from("| member | goes to |\n|--|--|\n");
    for ReviewMember { path, goes_to } in REVIEW_MEMBERS {
        writeln!(table, "| `{}` | {goes_to} |", path.join(".")).expect("a string accepts every write");
    }
    table
}
