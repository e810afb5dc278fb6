//! Relations as rows of GDELT's mentions.
//!
//! Knows where a row's columns are kept. Must not know how the relations were found.

use super::LAYOUT;
use crate::{
    formats::table::{Stored, code_of, number_text},
    proto::Relation,
};

/// Whether a relation is a row's.
pub(super) fn is_row(relation: &Relation) -> bool {
    code_of(&relation.external_ids, "gdelt.mention").is_some()
}

/// The row of a relation.
pub(super) fn row(relation: &Relation) -> Vec<String> {
    let stored = Stored { labels: &relation.labels, metrics: &relation.metrics, annotations: &relation.annotations };
    LAYOUT.row(stored, |column| match column {
        "MentionTimeDate" => {
            let time = relation.effective.as_ref().map(|time| time.edtf.as_str()).unwrap_or_default();
            time.chars().filter(char::is_ascii_digit).collect()
        }
        "Confidence" => number_text(relation.rating.as_ref().and_then(|rating| rating.value)),
        _ => String::new(),
    })
}
