//! Fact checks: schema.org's `ClaimReview` in JSON-LD, as pages and feeds have it.
//!
//! A review makes the claim that it is about, with whoever made it; a claim of kind VERDICT about that one; a relation RATES between the two,
//! with the rating; and the sources of both. All of the review as it came is kept in annotations of its page, so that nothing is lost.
//!
//! Knows schema.org. Must not know the store, or who applies what reviews make.

mod agent;
mod appearance;
mod date;
mod members;
mod node;
mod rating;
mod review;

use std::{collections::VecDeque, io::Read};

use serde_json::Value;

pub use members::{MEMBERS, Member, members_table};

use self::review::Made;
use super::import::{
    BadRow, Row, Rows, Seen, mutation,
    objects::{self, Numbered, Objects},
    rules,
};

/// The reviews of a file, a row each: of an array, of a `DataFeed`, of a graph (`@graph`), of one object a line, or of one object. A row has
/// the number of the element that it stands in; what is no review is passed over.
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
pub fn rows(from: impl Read + Send + 'static) -> Rows {
    let objects = objects::any(from, "dataFeedElement");
    Box::new(Reviews { objects, waiting: VecDeque::new(), seen: Seen::default(), found: false, ended: false })
}

struct Reviews {
    objects: Objects,
    waiting: VecDeque<Result<Row, BadRow>>,
    /// Reviews by what they are known by; and, so that the same may stand twice, with all that they say.
    seen: Seen,
    /// There was a review, or something that might have been one.
    found: bool,
    ended: bool,
}

impl Iterator for Reviews {
    type Item = Result<Row, BadRow>;

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
                    return Some(Err(BadRow::whole(0, "the file holds nothing of the @type ClaimReview")));
                }
            }
        }
    }
}

impl Reviews {
    /// Reads the reviews of an element.
    fn read(&mut self, (number, element): Numbered) {
        let document = match element {
            Ok(document) => document,
            Err(bad) => return self.waiting.push_back(Err(bad)),
        };
        let graph = node::graph(&document);
        let things = node::things(&document, &graph);
        if !things.iter().any(|thing| thing.types().next().is_some()) {
            self.waiting.push_back(Err(BadRow::column(number, "@type", "is missing: a review has the @type ClaimReview")));
        }
        for review in things.into_iter().filter(|thing| thing.is("ClaimReview")) {
            let row = review::read(review).and_then(|made| self.row(number, made, review.members));
            self.waiting.push_back(row.map_err(|reason| BadRow::whole(number, reason)));
        }
    }

    fn row(&mut self, number: u64, made: Made, members: &serde_json::Map<String, Value>) -> Result<Row, String> {
        let whole = format!("{} {}", made.id, Value::Object(members.clone()));
        if self.seen.row(&whole).is_none()
            && let Some(row) = self.seen.row(&made.id)
        {
            return Err(format!("is a review that stands in row {row}, too, and says something else here"));
        }
        for mutation in made.shared.iter().chain(&made.own) {
            mutation::record(mutation).map_or(Ok(()), rules::check)?;
        }
        self.seen.insert(&made.id, number);
        self.seen.insert(&whole, number);
        Ok(Row { number, shared: made.shared, own: made.own })
    }
}
