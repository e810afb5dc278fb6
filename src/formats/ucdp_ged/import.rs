//! Imports rows of UCDP GED as records.
//!
//! Must not know how a row is sent.

use std::iter::zip;

use super::{
    export,
    layout::{ESTIMATES, LAYOUT, SIDES, estimate_name},
};
use crate::{
    formats::{
        format::ImportInput,
        import::{
            ImportRow, ImportRowError, ImportRows,
            mutation::{found, keep},
        },
        table::{self, RowRemainder, TableRow},
        values,
    },
    model::is_external_id,
    proto::{
        Actor, ActorKind, Actuality, Attribution, AttributionRole, Citation, Estimate, Event, EventLink, EventLinkKind,
        Mutation, Participant, ParticipantRole, Place, PlacePrecision, Quantity, Rating, Source, SourceKind, TimeSpec,
    },
};

/// The actor that codes the data set.
const CODER: &str = "actors/ucdp";
/// The data set as a source.
const DATASET: &str = "sources/ucdp-ged";

/// The fields of a row's event that an import sets. Other fields do not change.
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
pub(super) fn rows(input: ImportInput) -> Result<ImportRows, ImportRowError> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &TableRow<'_>) -> Result<ImportRow, ImportRowError> {
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
    own.extend(estimates.into_iter().map(|estimate| keep(estimate, table::ESTIMATE_FIELDS)));
    Ok(ImportRow { number: line.number(), shared, own })
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
fn parents(line: &TableRow<'_>) -> [Mutation; 2] {
    let (conflict, dyad) = (line.id_needed("conflict_new_id"), line.id_needed("dyad_new_id"));
    let event = |scheme: &str, id: &str, title: &str, links: Vec<EventLink>| Event {
        name: format!("events/{scheme}-{id}").replace('.', "-"),
        external_ids: vec![format!("{scheme}:{id}")],
        title: values::title(title),
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

/// The actor of a side. Only states have a number in Gleditsch and Ward's list.
fn actor(line: &TableRow<'_>, columns: &[&str; 4]) -> Actor {
    let [id, old_id, words, state] = columns;
    let (id, old_id, state) = (line.id_needed(id), line.id(old_id), line.id(state));
    let labels = [("ucdp.actor_dset_id", &old_id), ("ucdp.gwno", &state)].into_iter().filter(|(_, code)| !code.is_empty());
    let labels = labels.map(|(scheme, code)| format!("{scheme}:{code}")).collect();
    let kind = if state.is_empty() { ActorKind::Unspecified } else { ActorKind::State };
    Actor {
        name: format!("actors/ucdp-actor-{id}"),
        external_ids: vec![format!("ucdp.actor:{id}")],
        labels,
        display_name: values::title(line.needed(words)),
        kind: kind.into(),
        ..Default::default()
    }
}

fn participant(line: &TableRow<'_>, side: &str, columns: &[&str; 4]) -> Participant {
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

fn event(line: &TableRow<'_>, id: &str, citations: Vec<Citation>) -> Event {
    let RowRemainder { mut labels, metrics, annotations } = line.remainder();
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
        title: values::title(&format!("{words}: {a} - {b}, {place}")),
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

fn time(line: &TableRow<'_>) -> TimeSpec {
    let (start, end) = (line.date("date_start"), line.date("date_end"));
    let edtf = if start == end { start } else { format!("{start}/{end}") };
    TimeSpec { edtf, precision_code: format!("ucdp.date_prec:{}", line.id_needed("date_prec")), ..Default::default() }
}

fn place(line: &TableRow<'_>) -> Place {
    let precision = line.id_needed("where_prec");
    let divisions = [line.text("adm_1"), line.text("adm_2")];
    let grid = line.id("priogrid_gid");
    Place {
        display_name: values::title(line.text("where_coordinates")),
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

/// The one who reported it, if the row names one, and the coder.
fn attribution(line: &TableRow<'_>) -> Vec<Attribution> {
    table::attribution(line.text("source_original"), AttributionRole::Origin, CODER)
}

fn estimate(line: &TableRow<'_>, id: &str, column: &str, part: &str, population: &str) -> Estimate {
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
        ..table::fatalities(&label(id), population, quantity, attribution(line), citation(id))
    }
}

/// The largest number of articles of a row that become sources. It is below the limit of references of a record.
const ARTICLES_MAX: usize = 200;

/// An article that a row cites.
struct Article {
    /// The name of its source.
    name: String,
    /// Upserts of its publisher and its source.
    mutations: Vec<Mutation>,
}

/// The articles of a row, split at the semicolons of three columns. The columns are also stored whole. If they do not have the
/// same number of parts, there are no articles.
fn articles(line: &TableRow<'_>) -> Vec<Article> {
    let split = |column: &str| line.text(column).split(';').map(str::trim).collect::<Vec<_>>();
    let (offices, dates, headlines) = (split("source_office"), split("source_date"), split("source_headline"));
    if line.text("source_office").is_empty() || offices.len() != dates.len() || offices.len() != headlines.len() {
        return Vec::new();
    }
    let parts = zip(offices, zip(dates, headlines)).take(ARTICLES_MAX);
    let mut articles: Vec<Article> = Vec::new();
    for (office, (date, headline)) in
        parts.filter(|(office, (date, headline))| ![office, date, headline].iter().all(|part| part.is_empty()))
    {
        let article = article(office, date, headline);
        if !articles.iter().any(|known| known.name == article.name) {
            articles.push(article);
        }
    }
    articles
}

fn article(office: &str, date: &str, headline: &str) -> Article {
    let mut mutations = Vec::new();
    let mut publisher = String::new();
    if !office.is_empty() {
        let id = values::digest(&[office]);
        publisher = format!("actors/ucdp-office-{id}");
        mutations.push(found(Actor {
            name: publisher.clone(),
            external_ids: vec![format!("ucdp.office:{id}")],
            display_name: values::title(office),
            kind: ActorKind::Organization.into(),
            ..Default::default()
        }));
    }
    let id = values::digest(&[office, date, headline]);
    let name = format!("sources/ucdp-article-{id}");
    let published = (!date.is_empty()).then(|| match date.parse::<jiff::civil::Date>() {
        Ok(day) if date.len() == 10 => TimeSpec { edtf: day.to_string(), ..Default::default() },
        _ => TimeSpec { verbatim: date.to_owned(), ..Default::default() },
    });
    mutations.push(found(Source {
        name: name.clone(),
        external_ids: vec![format!("ucdp.article:{id}")],
        kind: SourceKind::NewsArticle.into(),
        title: values::title(headline),
        publisher,
        published,
        ..Default::default()
    }));
    Article { name, mutations }
}
