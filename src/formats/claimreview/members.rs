//! What of a review goes where, as data: what the documentation's table is made from.
//!
//! Knows members of schema.org's types. Must not know how one is read.

use std::fmt::Write;

/// A member that has a place in the record.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The way to it from the review.
    pub path: &'static [&'static str],
    /// Where it goes.
    pub goes_to: &'static str,
}

const fn member(path: &'static [&'static str], goes_to: &'static str) -> Member {
    Member { path, goes_to }
}

/// Every member that has a place. All others are kept in the annotations, too.
pub const MEMBERS: &[Member] = &[
    member(&["url"], "`Source.uri` of the page; with `@id` and `claimReviewed` it makes all names"),
    member(&["@id"], "names"),
    member(&["claimReviewed"], "`statement` of the claim of kind FACT that is reviewed, and of the VERDICT about it"),
    member(&["headline"], "`Source.title`; left out, `name`, else `claimReviewed`"),
    member(&["inLanguage"], "`language` of the page and both claims"),
    member(&["license"], "`Source.license`"),
    member(&["datePublished"], "`Source.published`, `as_of` of the verdict, `said_at` of its first hop, `Rating.assessed_at`"),
    member(&["author"], "Actors; `Source.authors`, first hop of the verdict, `Rating.assessor`, `Relation.asserted_by`"),
    member(&["publisher"], "an Actor; `Source.publisher`, second hop of the verdict"),
    member(&["reviewRating", "alternateName"], "`Rating.code`, as `claimreview.rating:...`; `statement` of the verdict"),
    member(&["reviewRating", "ratingValue"], "`Rating.value`, if it is on the scale; words here are as `alternateName`"),
    member(&["reviewRating", "bestRating"], "`Rating.scale_max`, or `scale_min` where the best is the smaller"),
    member(&["reviewRating", "worstRating"], "`Rating.scale_min`, or `scale_max`"),
    member(&["reviewRating", "ratingExplanation"], "`Rating.rationale`"),
    member(&["itemReviewed", "author"], "Actors; first hop of the reviewed claim. Left out: a hop \"unidentified\""),
    member(&["itemReviewed", "datePublished"], "`said_at` of that hop"),
    member(
        &["itemReviewed", "appearance"],
        "a Source for each, and `citations` of the reviewed claim. Left out: the citation is the review's page",
    ),
    member(&["itemReviewed", "firstAppearance"], "the same, before the others"),
];

/// MEMBERS as a table in Markdown.
///
/// ```
/// assert!(annals::formats::claimreview::members_table().starts_with("| member | goes to |"));
/// ```
pub fn members_table() -> String {
    let mut table = String::from("| member | goes to |\n|--|--|\n");
    for Member { path, goes_to } in MEMBERS {
        writeln!(table, "| `{}` | {goes_to} |", path.join(".")).expect("a string takes all");
    }
    table
}
