//! Rows of GDELT's mentions as records.
//!
//! Knows what a row makes. Must not know how it is sent.

use super::{
    super::{documents, event_name},
    LAYOUT, export,
};
use crate::{
    formats::{
        identity,
        import::{
            BadRow, Row, Rows,
            format::Input,
            mutation::{found, keep},
        },
        table::{self, Kept, Line},
    },
    model::is_external_id,
    proto::{Actor, ActorKind, Citation, Event, Rating, Relation, RelationKind, Source, SourceKind, TimeSpec},
};

/// What the relation has of the row and may change: an import sets these fields, and leaves the others to whoever wrote them.
const FIELDS: &[&str] = &["external_ids", "labels", "metrics", "annotations", "rating", "citations", "effective"];

/// A mention is known by its event, its document and where it stands in that: these columns.
const KEY: [&str; 6] =
    ["GLOBALEVENTID", "MentionIdentifier", "SentenceID", "Actor1CharOffset", "Actor2CharOffset", "ActionCharOffset"];

/// The rows of a file.
pub(crate) fn rows(input: Input) -> Result<Rows, BadRow> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &Line<'_>) -> Result<Row, BadRow> {
    let event = stub(&line.id_needed("GLOBALEVENTID"));
    let read_at = documents::time(line, "MentionTimeDate");
    let outlet = outlet(line.text("MentionSourceName"));
    let document = Source {
        kind: if line.text("MentionType") == "1" { SourceKind::NewsArticle } else { SourceKind::Unspecified }.into(),
        publisher: outlet.as_ref().map(|outlet| outlet.name.clone()).unwrap_or_default(),
        ..documents::source(line.needed("MentionIdentifier"), read_at)
    };
    let confidence = line.number_needed("Confidence");
    let sentence = line.id_needed("SentenceID");
    let Kept { labels, metrics, annotations } = line.kept();
    let key = identity::digest(&KEY.map(|column| line.text(column)));
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
    relation.annotations.extend(line.lost(&export::row(&relation)));
    let mut shared = vec![found(event)];
    shared.extend(outlet.map(found));
    // A row of the events may have made the source already, which does not know these.
    shared.push(keep(document, &["kind", "publisher"]));
    Ok(Row { number: line.number(), shared, own: vec![keep(relation, FIELDS)] })
}

/// The event, if no row of the events has made it yet; one that comes later fills it in.
fn stub(id: &str) -> Event {
    Event {
        name: event_name(id),
        external_ids: vec![format!("gdelt.event:{id}")],
        title: format!("GDELT event {id}"),
        ..Default::default()
    }
}

/// Who has published a document.
fn outlet(name: &str) -> Option<Actor> {
    let id = identity::digest(&[name]);
    let external_id = Some(format!("gdelt.outlet:{name}")).filter(|id| is_external_id(id));
    (!name.is_empty()).then(|| Actor {
        name: format!("actors/gdelt-outlet-{id}"),
        external_ids: vec![external_id.unwrap_or_else(|| format!("gdelt.outlet:{id}"))],
        display_name: identity::title(name),
        kind: ActorKind::Organization.into(),
        ..Default::default()
    })
}
