//! The table of GDELT mentions. A row says that a document mentions an event, in which sentence, and how confident the machine
//! is.
//!
//! Must not know files, or who sends the mutations.

use super::{document, event_name, time};
use crate::{
    formats::{
        export::TableExport,
        format::{Format, FormatExporter, FormatImporter, ImportInput},
        import::{
            ImportRow, ImportRowError, ImportRows,
            mutation::{found, keep},
        },
        table::{
            self, RecordRemainder, RowRemainder, TableDialect, TableLayout, TableRow, annotation, code_of, id_label, label,
            metric, number, number_text, text,
        },
        values,
    },
    model::{RecordKind, is_external_id},
    proto::{Actor, ActorKind, Citation, Event, Rating, Relation, RelationKind, Source, SourceKind, TimeSpec, record::Record},
};

/// The mentions table of GDELT 2.0. Each row is a MENTIONS relation, and is exported in the same columns.
pub static FORMAT: Format = Format {
    name: "gdelt-mentions",
    summary: "GDELT 2.0 mentions of events, tab-separated in their own columns",
    page: "gdelt/mentions.md",
    importer: Some(FormatImporter { needs_mapping: false, open: rows }),
    exporter: Some(FormatExporter::Table(&ROWS)),
};

/// The columns, and where a record stores each.
pub static LAYOUT: TableLayout = TableLayout {
    name: "gdelt-mentions",
    scheme: "gdelt",
    dialect: TableDialect::Tsv,
    columns: &[
        id_label("GLOBALEVENTID", "event"),
        metric("EventTimeDate", "event_time"),
        text("MentionTimeDate", "mention_time", "time from which the relation holds; `retrieve_time` of the source"),
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

/// The export of its rows.
static ROWS: TableExport = TableExport {
    layout: &LAYOUT,
    kind: RecordKind::Relation,
    filter: "external_ids = \"gdelt.mention:*\"",
    related: |record| match record {
        Record::Relation(relation) => is_row(relation).then(Vec::new),
        _ => None,
    },
    row: |record, _| match record {
        Record::Relation(relation) => exported_row(relation),
        _ => Vec::new(),
    },
};

/// The fields of a row's relation that an import sets. Other fields do not change.
const FIELDS: &[&str] = &["external_ids", "labels", "metrics", "annotations", "rating", "citations", "effective"];

/// The columns that identify a mention: its event, its document and the position in it.
const KEY: [&str; 6] =
    ["GLOBALEVENTID", "MentionIdentifier", "SentenceID", "Actor1CharOffset", "Actor2CharOffset", "ActionCharOffset"];

/// The rows of a file.
fn rows(input: ImportInput) -> Result<ImportRows, ImportRowError> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &TableRow<'_>) -> Result<ImportRow, ImportRowError> {
    let event = stub(&line.id_needed("GLOBALEVENTID"));
    let read_at = time(line, "MentionTimeDate");
    let outlet = outlet(line.text("MentionSourceName"));
    let document = Source {
        kind: if line.text("MentionType") == "1" { SourceKind::NewsArticle } else { SourceKind::Unspecified }.into(),
        publisher: outlet.as_ref().map(|outlet| outlet.name.clone()).unwrap_or_default(),
        ..document(line.needed("MentionIdentifier"), read_at)
    };
    let confidence = line.number_needed("Confidence");
    let sentence = line.id_needed("SentenceID");
    let RowRemainder { labels, metrics, annotations } = line.remainder();
    let key = values::digest(&KEY.map(|column| line.text(column)));
    let mut relation = Relation {
        name: format!("relations/gdelt-mention-{key}"),
        external_ids: vec![format!("gdelt.mention:{key}")],
        labels,
        metrics,
        annotations,
        kind: RelationKind::Mentions.into(),
        subject: document.name.clone(),
        object: event.name.clone(),
        rating: Some(Rating {
            code: format!("gdelt.confidence:{confidence}"),
            value: Some(confidence),
            scale_min: Some(0.0),
            scale_max: Some(100.0),
            assessor_description: "GDELT".into(),
            ..Default::default()
        }),
        citations: vec![Citation {
            source: document.name.clone(),
            locator: format!("sentence {sentence}"),
            ..Default::default()
        }],
        effective: read_at.map(|time| TimeSpec { edtf: format!("{time}Z"), ..Default::default() }),
        ..Default::default()
    };
    line.check()?;
    relation.annotations.extend(line.lost(&exported_row(&relation)));
    let mut shared = vec![found(event)];
    shared.extend(outlet.map(found));
    // A row of the events may already have made the source, without these fields.
    shared.push(keep(document, &["kind", "publisher"]));
    Ok(ImportRow { number: line.number(), shared, own: vec![keep(relation, FIELDS)] })
}

/// The event without its details, in case no row of the events has made it yet. Such a row fills it in later.
fn stub(id: &str) -> Event {
    Event {
        name: event_name(id),
        external_ids: vec![format!("gdelt.event:{id}")],
        title: format!("GDELT event {id}"),
        ..Default::default()
    }
}

/// The publisher of a document.
fn outlet(name: &str) -> Option<Actor> {
    let id = values::digest(&[name]);
    let external_id = Some(format!("gdelt.outlet:{name}")).filter(|id| is_external_id(id));
    (!name.is_empty()).then(|| Actor {
        name: format!("actors/gdelt-outlet-{id}"),
        external_ids: vec![external_id.unwrap_or_else(|| format!("gdelt.outlet:{id}"))],
        display_name: values::title(name),
        kind: ActorKind::Organization.into(),
        ..Default::default()
    })
}

/// Whether a relation is a row.
fn is_row(relation: &Relation) -> bool {
    code_of(&relation.external_ids, "gdelt.mention").is_some()
}

/// The row of a relation.
fn exported_row(relation: &Relation) -> Vec<String> {
    let stored = RecordRemainder { labels: &relation.labels, metrics: &relation.metrics, annotations: &relation.annotations };
    LAYOUT.row(stored, |column| match column {
        "MentionTimeDate" => {
            let time = relation.effective.as_ref().map(|time| time.edtf.as_str()).unwrap_or_default();
            time.chars().filter(char::is_ascii_digit).collect()
        }
        "Confidence" => number_text(relation.rating.as_ref().and_then(|rating| rating.value)),
        _ => String::new(),
    })
}
