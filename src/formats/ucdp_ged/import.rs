//! Rows of UCDP GED as records.
//!
//! Knows what a row makes. Must not know how it is sent.

use super::{ESTIMATES, LAYOUT, SIDES, articles::articles, estimate_name, export};
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
    model::is_external_id,
    proto::{
        Actor, ActorKind, Actuality, Attribution, AttributionRole, Citation, Estimate, Event, EventLink, EventLinkKind,
        Mutation, Participant, ParticipantRole, Place, PlacePrecision, Quantity, Rating, Source, SourceKind, TimeSpec,
    },
};

/// Whoever codes the data set.
const CODER: &str = "actors/ucdp";
/// The data set as a source.
const DATASET: &str = "sources/ucdp-ged";

/// What the row's event has of the row: an import sets these fields, and leaves the others to whoever wrote them.
const EVENT_FIELDS: &[&str] = &[
    "external_ids",
    "labels",
    "metrics",
    "annotations",
    "title",
    "types",
    "actuality",
    "time",
    "places",
    "participants",
    "links",
    "citations",
    "attribution",
    "ratings",
];

/// The rows of a file.
pub(crate) fn rows(input: Input) -> Result<Rows, BadRow> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &Line<'_>) -> Result<Row, BadRow> {
    let id = line.id_needed("id");
    let articles = articles(line);
    let mut shared = vec![found(coder()), found(dataset())];
    shared.extend(parents(line));
    shared.extend(SIDES.iter().map(|(_, columns)| found(actor(line, columns))));
    let mut citations = Vec::new();
    for article in articles {
        citations.push(Citation { source: article.name.clone(), ..Default::default() });
        shared.extend(article.mutations);
    }
    citations.push(citation(&id));
    let mut event = event(line, &id, citations);
    let estimates: Vec<_> =
        ESTIMATES.iter().map(|(column, part, population)| estimate(line, &id, column, part, population)).collect();
    line.check()?;
    let find = |name: &str| estimates.iter().find(|estimate| estimate.name == name);
    event.annotations.extend(line.lost(&export::row(&event, find)));
    let mut own = vec![keep(event, EVENT_FIELDS).labelled(label(&id))];
    own.extend(estimates.into_iter().map(|estimate| keep(estimate, coded::ESTIMATE_FIELDS)));
    Ok(Row { number: line.number(), shared, own })
}

fn label(id: &str) -> String {
    format!("ucdp-ged-{id}")
}

fn coder() -> Actor {
    Actor {
        name: CODER.into(),
        external_ids: vec!["ucdp:coder".into()],
        display_name: "Uppsala Conflict Data Program".into(),
        kind: ActorKind::Organization.into(),
        ..Default::default()
    }
}

fn dataset() -> Source {
    Source {
        name: DATASET.into(),
        external_ids: vec!["ucdp:ged".into()],
        kind: SourceKind::Dataset.into(),
        title: "UCDP Georeferenced Event Dataset".into(),
        uri: "https://ucdp.uu.se/downloads/".into(),
        publisher: CODER.into(),
        license: "CC-BY-4.0".into(),
        ..Default::default()
    }
}

fn citation(id: &str) -> Citation {
    Citation { source: DATASET.into(), locator: format!("id {id}"), ..Default::default() }
}

/// The conflict and the dyad of a row.
fn parents(line: &Line<'_>) -> [Mutation; 2] {
    let (conflict, dyad) = (line.id_needed("conflict_new_id"), line.id_needed("dyad_new_id"));
    let event = |scheme: &str, id: &str, title: &str, links: Vec<EventLink>| Event {
        name: format!("events/{scheme}-{id}").replace('.', "-"),
        external_ids: vec![format!("{scheme}:{id}")],
        title: identity::title(title),
        links,
        ..Default::default()
    };
    let conflict = event("ucdp.conflict", &conflict, line.needed("conflict_name"), Vec::new());
    let dyad = event("ucdp.dyad", &dyad, line.needed("dyad_name"), vec![part_of(&conflict.name)]);
    [found(conflict), found(dyad)]
}

fn part_of(event: &str) -> EventLink {
    EventLink { event: event.to_owned(), kind: EventLinkKind::PartOf.into() }
}

/// A side of a row. Only states have a number in Gleditsch and Ward's list.
fn actor(line: &Line<'_>, columns: &[&str; 4]) -> Actor {
    let [id, old_id, words, state] = columns;
    let (id, old_id, state) = (line.id_needed(id), line.id(old_id), line.id(state));
    let labels = [("ucdp.actor_dset_id", &old_id), ("ucdp.gwno", &state)].into_iter().filter(|(_, code)| !code.is_empty());
    let labels = labels.map(|(scheme, code)| format!("{scheme}:{code}")).collect();
    let kind = if state.is_empty() { ActorKind::Unspecified } else { ActorKind::State };
    Actor {
        name: format!("actors/ucdp-actor-{id}"),
        external_ids: vec![format!("ucdp.actor:{id}")],
        labels,
        display_name: identity::title(line.needed(words)),
        kind: kind.into(),
        ..Default::default()
    }
}

fn participant(line: &Line<'_>, side: &str, columns: &[&str; 4]) -> Participant {
    let [id, old_id, words, state] = columns;
    let [id, old_id, state] = [id, old_id, state].map(|column| line.id(column));
    let codes = [("ucdp.actor", &id), ("ucdp.actor_dset_id", &old_id), ("ucdp.gwno", &state)];
    let codes = codes.into_iter().filter(|(_, code)| !code.is_empty()).map(|(scheme, code)| format!("{scheme}:{code}"));
    Participant {
        actor: format!("actors/ucdp-actor-{id}"),
        role: ParticipantRole::Party.into(),
        side: side.to_owned(),
        codes: codes.collect(),
        verbatim: line.text(words).to_owned(),
        ..Default::default()
    }
}

fn event(line: &Line<'_>, id: &str, citations: Vec<Citation>) -> Event {
    let Kept { mut labels, metrics, annotations } = line.kept();
    labels.push(format!("ucdp.conflict:{}", line.id("conflict_new_id")));
    labels.push(format!("ucdp.dyad:{}", line.id("dyad_new_id")));
    let mut external_ids = vec![format!("ucdp.ged:{id}")];
    external_ids.extend(Some(format!("ucdp.relid:{}", line.text("relid"))).filter(|id| is_external_id(id)));
    let violence = line.id_needed("type_of_violence");
    let words = match violence.as_str() {
        "1" => "State-based violence",
        "2" => "Non-state violence",
        "3" => "One-sided violence",
        _ => "Violence",
    };
    let (a, b, place) = (line.text("side_a"), line.text("side_b"), line.text("where_coordinates"));
    Event {
        name: format!("events/ucdp-ged-{id}"),
        external_ids,
        labels,
        metrics,
        annotations,
        title: identity::title(&format!("{words}: {a} - {b}, {place}")),
        types: vec![format!("ucdp.type_of_violence:{violence}")],
        actuality: Actuality::Occurred.into(),
        time: Some(time(line)),
        places: vec![self::place(line)],
        participants: SIDES.iter().map(|(side, columns)| participant(line, side, columns)).collect(),
        links: vec![part_of(&format!("events/ucdp-dyad-{}", line.id("dyad_new_id")))],
        citations,
        attribution: attribution(line),
        ratings: vec![Rating {
            code: format!("ucdp.event_clarity:{}", line.id_needed("event_clarity")),
            assessor: CODER.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn time(line: &Line<'_>) -> TimeSpec {
    let (start, end) = (line.date("date_start"), line.date("date_end"));
    let edtf = if start == end { start } else { format!("{start}/{end}") };
    TimeSpec { edtf, precision_code: format!("ucdp.date_prec:{}", line.id_needed("date_prec")), ..Default::default() }
}

fn place(line: &Line<'_>) -> Place {
    let precision = line.id_needed("where_prec");
    let divisions = [line.text("adm_1"), line.text("adm_2")];
    let grid = line.id("priogrid_gid");
    Place {
        display_name: identity::title(line.text("where_coordinates")),
        admin: divisions.into_iter().filter(|division| !division.is_empty()).map(str::to_owned).collect(),
        latitude: line.number_or_none("latitude"),
        longitude: line.number_or_none("longitude"),
        precision: match precision.as_str() {
            "1" => PlacePrecision::Exact,
            "2" => PlacePrecision::Near,
            "3" => PlacePrecision::Admin2,
            "4" => PlacePrecision::Admin1,
            "5" => PlacePrecision::AreaOrLine,
            "6" => PlacePrecision::Country,
            "7" => PlacePrecision::International,
            _ => PlacePrecision::Unspecified,
        }
        .into(),
        precision_code: format!("ucdp.where_prec:{precision}"),
        external_ids: if grid.is_empty() { Vec::new() } else { vec![format!("priogrid:{grid}")] },
        description: line.text("where_description").to_owned(),
        geometry_wkt: line.text("geom_wkt").to_owned(),
        ..Default::default()
    }
}

/// Who reported it, where the row says so, and who coded it.
fn attribution(line: &Line<'_>) -> Vec<Attribution> {
    coded::attribution(line.text("source_original"), AttributionRole::Origin, CODER)
}

fn estimate(line: &Line<'_>, id: &str, column: &str, part: &str, population: &str) -> Estimate {
    let best = line.number_needed(column);
    let mut quantity = Quantity { best: Some(best), ..Default::default() };
    if column == "best" {
        let (low, high) = (line.number_needed("low"), line.number_needed("high"));
        (quantity.lower, quantity.upper) = (Some(low), Some(high));
        quantity.inconsistent_as_reported = !(low <= best && best <= high);
    }
    Estimate {
        name: estimate_name(id, part),
        external_ids: vec![format!("ucdp.ged.{part}:{id}")],
        ..coded::fatalities(&label(id), population, quantity, attribution(line), citation(id))
    }
}
