//! The table of mentions: a row says that a document tells of an event, in which sentence, and how sure the machine is.
//!
//! Knows the columns of the table. Must not know files or who sends what.

mod export;
mod import;

pub(crate) use import::rows;

use crate::{
    formats::{
        export::Rows,
        table::{Dialect, Layout, annotation, id_label, label, metric, number, text},
    },
    model::RecordKind,
    proto::record::Record,
};

/// The columns, and where each is kept.
pub static LAYOUT: Layout = Layout {
    name: "gdelt-mentions",
    scheme: "gdelt",
    dialect: Dialect::Tsv,
    columns: &[
        id_label("GLOBALEVENTID", "event"),
        metric("EventTimeDate", "event_time"),
        text("MentionTimeDate", "mention_time", "from when the relation holds; when the source was read"),
        label("MentionType", "mention_type"),
        annotation("MentionSourceName", "source_name"),
        annotation("MentionIdentifier", "identifier"),
        metric("SentenceID", "sentence"),
        metric("Actor1CharOffset", "actor1_offset"),
        metric("Actor2CharOffset", "actor2_offset"),
        metric("ActionCharOffset", "action_offset"),
        metric("InRawText", "in_raw_text"),
        number("Confidence", "confidence", "rating `gdelt.confidence:…`, on a scale of 0 to 100"),
        metric("MentionDocLen", "doc_length"),
        metric("MentionDocTone", "doc_tone"),
        annotation("MentionDocTranslationInfo", "translation"),
        annotation("Extras", "extras"),
    ],
};

/// Its rows on their way out.
pub const ROWS: Rows = Rows {
    layout: &LAYOUT,
    kind: RecordKind::Relation,
    filter: "external_ids = \"gdelt.mention:*\"",
    needs: |record| match record {
        Record::Relation(relation) => export::is_row(relation).then(Vec::new),
        _ => None,
    },
    row: |record, _| match record {
        Record::Relation(relation) => export::row(relation),
        _ => Vec::new(),
    },
};
