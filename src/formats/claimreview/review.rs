//! The mutations of a review: its page, the reviewed claim, the verdict, and the rating between the two.
//!
//! Must not know how a file contains reviews.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    node::{Node, Thing, time},
    parts::{Agent, Appearance, ReviewRating, agents, appearances},
};
use crate::{
    formats::{import::mutation::keep, values},
    limits,
    model::RecordKind,
    proto::{
        Attribution, AttributionRole, Basis, Citation, Claim, ClaimKind, Mutation, Polarity, Relation, RelationKind, Source,
        SourceKind, TimeSpec,
    },
};

/// The most annotations for the text of a review.
const CHUNKS_MAX: usize = limits::ANNOTATIONS_MAX - 2;

/// The mutations of a review.
pub(super) struct ReviewMutations {
    /// The id of the review, made from its URL, its `@id` and the reviewed claim.
    pub(super) id: String,
    pub(super) shared: Vec<Mutation>,
    pub(super) own: Vec<Mutation>,
}

/// Reads a review. Errs if it cannot be imported, and says why.
pub(super) fn read(review: Node<'_>) -> Result<ReviewMutations, String> {
    let items: Vec<Node<'_>> = review.things("itemReviewed").into_iter().filter_map(node).collect();
    let statement = review
        .text(&["claimReviewed"])
        .or_else(|| items.iter().find_map(|item| item.text(&["text", "name", "headline", "description"])))
        .or_else(|| review.text(&["itemReviewed"]))
        .ok_or("has neither claimReviewed nor an item with a name, so the reviewed claim is unknown")?;
    let address = review.address().or_else(|| review.text(&["url", "mainEntityOfPage"])).unwrap_or_default();
    // A page may contain several reviews, and some pages give all of them the id of the page.
    let id = values::digest(&[&address, &review.text(&["@id"]).unwrap_or_default(), &statement]);

    let authors = agents(review, "author");
    let publishers = agents(review, "publisher");
    let claimants: Vec<Agent> = items.iter().flat_map(|item| agents(*item, "author")).collect();
    let mut shared: Vec<Mutation> = [&authors, &publishers, &claimants].into_iter().flatten().map(Agent::mutation).collect();
    let mut own = Vec::new();

    let page = Source { annotations: whole(review)?, ..page(review, &id, &address, &statement) };
    let page = Source {
        publisher: publishers.first().or(authors.first()).map(Agent::record_name).unwrap_or_default(),
        authors: authors.iter().map(Agent::record_name).collect(),
        ..page
    };
    let read_in = Citation { source: page.name.clone(), ..Default::default() };
    own.push(keep(page, &["kind", "uri", "title", "publisher", "authors", "language", "published", "license", "annotations"]));

    let mut seen_in = Vec::new();
    for Appearance { is_shared, source, citation } in items.iter().flat_map(|item| appearances(*item, &id)) {
        let to = if is_shared { &mut shared } else { &mut own };
        to.push(source);
        seen_in.push(citation);
    }
    if seen_in.is_empty() {
        seen_in.push(read_in.clone());
    }
    let language = review.text(&["inLanguage"]).unwrap_or_default();
    let said_at = items.iter().find_map(|item| item.text(&["datePublished", "dateCreated"])).map(|text| time(&text));
    let claim_id = format!("claimreview.reviewed:{id}");
    let claim = Claim {
        name: values::name_of(RecordKind::Claim, &claim_id),
        external_ids: vec![claim_id],
        statement: statement.clone(),
        language: language.clone(),
        kind: ClaimKind::Fact.into(),
        polarity: Polarity::Affirmed.into(),
        attribution: vec![hop(&claimants, AttributionRole::Origin, said_at)],
        citations: seen_in,
        ..Default::default()
    };
    let reviewed = claim.name.clone();
    own.push(keep(claim, &["statement", "language", "kind", "polarity", "attribution", "citations"]));

    let given = ReviewRating::of(review);
    let reviewed_at = review.text(&["datePublished", "dateCreated"]).map(|text| time(&text));
    let verdict_id = format!("claimreview:{id}");
    let by = if authors.is_empty() { &publishers } else { &authors };
    let mut attribution = vec![hop(by, AttributionRole::Origin, reviewed_at.clone())];
    if !publishers.is_empty() && publishers != *by {
        attribution.push(hop(&publishers, AttributionRole::Publisher, None));
    }
    let verdict = Claim {
        name: values::name_of(RecordKind::Claim, &verdict_id),
        external_ids: vec![verdict_id],
        statement: format!("{}: {statement}", capitalised(&given.as_ref().map_or("reviewed".into(), ReviewRating::sentence))),
        language,
        kind: ClaimKind::Verdict.into(),
        polarity: Polarity::Affirmed.into(),
        basis: Basis::Assessed.into(),
        attribution,
        citations: vec![read_in.clone()],
        about: vec![reviewed.clone()],
        as_of: reviewed_at.clone(),
        ..Default::default()
    };
    let subject = verdict.name.clone();
    own.push(keep(
        verdict,
        &["statement", "language", "kind", "polarity", "basis", "attribution", "citations", "about", "as_of"],
    ));
    if let Some(given) = given {
        let asserted_by = by.first().map(Agent::record_name).unwrap_or_default();
        // The name does not depend on the rating, but on the reviewer.
        let rates_id = format!("claimreview.rating:{}", values::digest(&[&id, &asserted_by]));
        let mut rating = given.rating();
        (rating.assessor, rating.assessed_at) = (asserted_by.clone(), reviewed_at);
        let rates = Relation {
            name: values::name_of(RecordKind::Relation, &rates_id),
            external_ids: vec![rates_id],
            kind: RelationKind::Rates.into(),
            subject,
            object: reviewed,
            asserted_by,
            rating: Some(rating),
            citations: vec![read_in],
            ..Default::default()
        };
        own.push(keep(rates, &["kind", "subject", "object", "asserted_by", "rating", "citations"]));
    }
    Ok(ReviewMutations { id, shared, own })
}

fn node(thing: Thing<'_>) -> Option<Node<'_>> {
    match thing {
        Thing::Node(node) => Some(node),
        Thing::Text(_) => None,
    }
}

/// The page of a review.
fn page(review: Node<'_>, id: &str, address: &str, statement: &str) -> Source {
    let external_id = format!("claimreview:{id}");
    Source {
        name: values::name_of(RecordKind::Source, &external_id),
        external_ids: vec![external_id],
        kind: SourceKind::FactCheck.into(),
        uri: address.to_owned(),
        title: values::title(&review.text(&["headline", "name"]).unwrap_or_else(|| statement.to_owned())),
        language: review.text(&["inLanguage"]).unwrap_or_default(),
        published: review.text(&["datePublished", "dateCreated"]).map(|text| time(&text)),
        license: review.text(&["license"]).unwrap_or_default(),
        ..Default::default()
    }
}

/// A hop with these actors, or "unidentified".
fn hop(agents: &[Agent], role: AttributionRole, said_at: Option<TimeSpec>) -> Attribution {
    let actors: Vec<_> = agents.iter().map(Agent::record_name).collect();
    let description = if actors.is_empty() { "unidentified" } else { "" };
    Attribution { actors, description: description.into(), role: role.into(), said_at, ..Default::default() }
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// The whole text of a review, split into annotations of the allowed length: `claimreview.0`, `claimreview.1` and so on.
fn whole(review: Node<'_>) -> Result<BTreeMap<String, String>, String> {
    let text = Value::Object(review.members.clone()).to_string();
    let (mut chunks, mut rest) = (BTreeMap::new(), text.as_str());
    while !rest.is_empty() {
        if chunks.len() == CHUNKS_MAX {
            return Err(format!("is longer than {} KiB", CHUNKS_MAX * limits::ANNOTATION_BYTES_MAX / 1024));
        }
        let (chunk, more) = rest.split_at(rest.floor_char_boundary(limits::ANNOTATION_BYTES_MAX));
        chunks.insert(format!("claimreview.{}", chunks.len()), chunk.to_owned());
        rest = more;
    }
    Ok(chunks)
}
