//! Rows of ACLED as records.
//!
//! Knows what a row makes. Must not know how it is sent.

use super::{LAYOUT, SIDES, TYPES, estimate_name, export, parts};
use crate::{
    formats::{
        coded, identity,
        import::{
            BadRow, Row, Rows,
            format::Input,
            mutation::{found, keep},
        },
        table::{self, Kept, Line},
    },
    model::{is_code, is_external_id},
    proto::{
        Actor, ActorKind, Actuality, Attribution, AttributionRole, Citation, Estimate, Event, Participant, ParticipantRole,
        Place, PlacePrecision, Quantity, Source, SourceKind, TimeSpec,
    },
};

/// Whoever codes the data set.
const CODER: &str = "actors/acled";
/// The data set as a source.
const DATASET: &str = "sources/acled";

/// What the row's event has of the row: an import sets these fields, and leaves the others to whoever wrote them.
const EVENT_FIELDS: &[&str] = &[
    "external_ids",
    "labels",
    "metrics",
    "annotations",
    "title",
    "description",
    "types",
    "actuality",
    "time",
    "places",
    "participants",
    "citations",
    "attribution",
];

/// The rows of a file.
pub(crate) fn rows(input: Input) -> Result<Rows, BadRow> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &Line<'_>) -> Result<Row, BadRow> {
    let id = line.needed("event_id_cnty");
    let external_id = format!("acled:{id}");
    if !id.is_empty() && !is_external_id(&external_id) {
        line.fault("event_id_cnty", format!("\"{id}\" is not an id: printable ASCII without spaces is"));
    }
    let label = format!("acled-{}", identity::part(id));
    let mut shared = vec![found(coder()), found(dataset())];
    let mut participants = Vec::new();
    for (side, columns) in SIDES {
        for participant in side_of(line, side, &columns) {
            shared.push(found(actor(&participant)));
            participants.push(participant);
        }
    }
    let mut citations: Vec<Citation> = Vec::new();
    for name in parts(line.text("source")) {
        let source = source(name);
        if !citations.iter().any(|citation| citation.source == source.name) {
            citations.push(Citation { source: source.name.clone(), ..Default::default() });
            shared.push(found(source));
        }
    }
    let own_citation = Citation { source: DATASET.into(), locator: format!("id {id}"), ..Default::default() };
    citations.push(own_citation.clone());
    let mut event =
        Event { name: format!("events/{label}"), external_ids: vec![external_id], participants, citations, ..event(line) };
    let quantity = Quantity { best: Some(line.number_needed("fatalities")), ..Default::default() };
    let estimate = Estimate {
        name: estimate_name(id),
        external_ids: vec![format!("acled.fatalities:{id}")],
        ..coded::fatalities(&label, "", quantity, event.attribution.clone(), own_citation)
    };
    line.check()?;
    event.annotations.extend(line.lost(&export::row(&event, |_| Some(&estimate))));
    let own = vec![keep(event, EVENT_FIELDS).labelled(label), keep(estimate, coded::ESTIMATE_FIELDS)];
    Ok(Row { number: line.number(), shared, own })
}

fn coder() -> Actor {
    Actor {
        name: CODER.into(),
        external_ids: vec!["acled.coder:acled".into()],
        display_name: "Armed Conflict Location & Event Data (ACLED)".into(),
        kind: ActorKind::Organization.into(),
        ..Default::default()
    }
}

fn dataset() -> Source {
    Source {
        name: DATASET.into(),
        external_ids: vec!["acled.dataset:acled".into()],
        kind: SourceKind::Dataset.into(),
        title: "Armed Conflict Location & Event Data".into(),
        uri: "https://acleddata.com".into(),
        publisher: CODER.into(),
        ..Default::default()
    }
}

/// Whoever took part on a side: the party, and with whom.
fn side_of(line: &Line<'_>, side: &str, columns: &[&str; 3]) -> Vec<Participant> {
    let [party, associates, kind] = columns;
    let name = |words: &str| format!("actors/acled-actor-{}", identity::digest(&[words]));
    let mut participants = Vec::new();
    let words = line.text(party);
    if !words.trim().is_empty() {
        let code = format!("acled.inter:{}", line.text(kind));
        participants.push(Participant {
            actor: name(words),
            role: ParticipantRole::Party.into(),
            side: side.to_owned(),
            codes: if is_code(&code) { vec![code] } else { Vec::new() },
            verbatim: words.to_owned(),
            ..Default::default()
        });
    }
    for words in parts(line.text(associates)) {
        participants.push(Participant {
            actor: name(words),
            role: ParticipantRole::Associate.into(),
            side: side.to_owned(),
            associated_with: participants.first().map(|party| party.actor.clone()).unwrap_or_default(),
            verbatim: words.to_owned(),
            ..Default::default()
        });
    }
    participants
}

fn actor(participant: &Participant) -> Actor {
    Actor {
        name: participant.actor.clone(),
        external_ids: vec![format!("acled.actor:{}", identity::digest(&[&participant.verbatim]))],
        display_name: identity::title(&participant.verbatim),
        ..Default::default()
    }
}

fn source(name: &str) -> Source {
    let id = identity::digest(&[name]);
    Source {
        name: format!("sources/acled-source-{id}"),
        external_ids: vec![format!("acled.source:{id}")],
        title: identity::title(name),
        ..Default::default()
    }
}

/// What the event has besides its name, participants and citations.
fn event(line: &Line<'_>) -> Event {
    let Kept { mut labels, metrics, annotations } = line.kept();
    labels.extend(parts(line.text("tags")).map(|tag| format!("acled.tag:{tag}")).filter(|code| is_code(code)));
    let types = TYPES.iter().map(|(column, scheme)| format!("{scheme}:{}", line.text(column)));
    line.needed("event_type");
    let (sub_event, actor, place) = (line.needed("sub_event_type"), line.needed("actor1"), line.text("location"));
    let other = line.text("actor2");
    let sides = if other.is_empty() { actor.to_owned() } else { format!("{actor} - {other}") };
    let precision = line.id_needed("time_precision");
    Event {
        labels,
        metrics,
        annotations,
        title: identity::title(&format!("{sub_event}: {sides}, {place}")),
        description: line.text("notes").to_owned(),
        types: types.filter(|code| is_code(code)).collect(),
        actuality: Actuality::Occurred.into(),
        time: Some(TimeSpec {
            edtf: line.date("event_date"),
            precision_code: format!("acled.time_precision:{precision}"),
            ..Default::default()
        }),
        places: vec![self::place(line)],
        attribution: attribution(line),
        ..Default::default()
    }
}

fn place(line: &Line<'_>) -> Place {
    let divisions = ["admin1", "admin2", "admin3"].map(|column| line.text(column));
    let precision = line.id_needed("geo_precision");
    let country = line.id("iso").parse().ok().and_then(rust_iso3166::from_numeric);
    Place {
        display_name: identity::title(line.text("location")),
        country: country.map(|country| country.alpha3.to_owned()).unwrap_or_default(),
        admin: divisions.into_iter().filter(|division| !division.is_empty()).map(str::to_owned).collect(),
        latitude: line.number_or_none("latitude"),
        longitude: line.number_or_none("longitude"),
        precision: match precision.as_str() {
            "1" => PlacePrecision::Exact,
            "2" => PlacePrecision::Near,
            "3" => PlacePrecision::Admin1,
            _ => PlacePrecision::Unspecified,
        }
        .into(),
        precision_code: format!("acled.geo_precision:{precision}"),
        ..Default::default()
    }
}

/// Who published it, where the row says so, and who coded it. Who said it first, the data set does not tell.
fn attribution(line: &Line<'_>) -> Vec<Attribution> {
    coded::attribution(line.text("source"), AttributionRole::Publisher, CODER)
}
