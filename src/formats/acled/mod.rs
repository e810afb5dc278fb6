//! ACLED, the Armed Conflict Location & Event Data. A row is an event and the number of its fatalities.
//!
//! Must not know files, or who sends the mutations.

use super::{
    export::TableExport,
    format::{Format, FormatExporter, FormatImporter, ImportInput},
    import::{
        ImportRow, ImportRowError, ImportRows,
        mutation::{found, keep},
    },
    table::{
        self, RecordRemainder, RowRemainder, TableDialect, TableLayout, TableRow, code_of, code_value, codes_of, id_label,
        label, metric, number, number_text, text,
    },
    values,
};
use crate::{
    model::{RecordKind, is_code, is_external_id},
    proto::{
        Actor, ActorKind, Actuality, Attribution, AttributionRole, Citation, Estimate, Event, Participant, ParticipantRole,
        Place, PlacePrecision, Quantity, Source, SourceKind, TimeSpec, record::Record,
    },
};

/// ACLED: a CSV of coded events. Each row is an event and an estimate of the dead, and is exported in the same columns.
pub static FORMAT: Format = Format {
    name: "acled",
    summary: "ACLED, the Armed Conflict Location & Event Data, CSV in its own columns",
    page: "acled/page.md",
    importer: Some(FormatImporter { needs_mapping: false, open: rows }),
    exporter: Some(FormatExporter::Table(&ROWS)),
};

/// The columns, and where a record stores each.
pub static LAYOUT: TableLayout = TableLayout {
    name: "acled",
    scheme: "acled",
    dialect: TableDialect::Csv,
    columns: &[
        text("event_id_cnty", "event", "external id `acled:…`, and the names of the row's records"),
        text("event_date", "event_date", "time"),
        metric("year", "year"),
        number("time_precision", "time_precision", "time: `acled.time_precision:…` as its precision code"),
        text("disorder_type", "disorder_type", "type `acled.disorder_type:…`"),
        text("event_type", "event_type", "type `acled.event_type:…`"),
        text("sub_event_type", "sub_event", "type `acled.sub_event:…`, and the title"),
        text("actor1", "actor1", "participant, side a: a party; the actor"),
        text(
            "assoc_actor_1",
            "assoc_actor_1",
            "participants, side a: an associate for each part between semicolons; the actors",
        ),
        text("inter1", "inter1", "code `acled.inter:…` of the party, side a"),
        text("actor2", "actor2", "as `actor1`, side b"),
        text("assoc_actor_2", "assoc_actor_2", "as `assoc_actor_1`, side b"),
        text("inter2", "inter2", "as `inter1`, side b"),
        text("interaction", "interaction", "type `acled.interaction:…`"),
        text("civilian_targeting", "civilian_targeting", "type `acled.civilian_targeting:…`"),
        id_label("iso", "iso"),
        label("region", "region"),
        label("country", "country"),
        text("admin1", "admin1", "place: first division"),
        text("admin2", "admin2", "place: second division"),
        text("admin3", "admin3", "place: third division"),
        text("location", "location", "place: display name"),
        number("latitude", "latitude", "place: latitude"),
        number("longitude", "longitude", "place: longitude"),
        number("geo_precision", "geo_precision", "place: precision, and `acled.geo_precision:…` as its code"),
        text("source", "source", "attribution: the publisher; a source for each part between semicolons"),
        label("source_scale", "source_scale"),
        text("notes", "notes", "description"),
        number("fatalities", "fatalities", "estimate of all dead: best"),
        text("tags", "tags", "a label `acled.tag:…` for each part between semicolons"),
        metric("timestamp", "timestamp"),
    ],
};

/// The export of its rows.
static ROWS: TableExport = TableExport {
    layout: &LAYOUT,
    kind: RecordKind::Event,
    filter: "external_ids = \"acled:*\"",
    related: |record| match record {
        Record::Event(event) => related(event),
        _ => None,
    },
    row: |record, related| match record {
        Record::Event(event) => exported_row(event, |name| match related.get(name) {
            Some(Record::Estimate(estimate)) => Some(estimate),
            _ => None,
        }),
        _ => Vec::new(),
    },
};

/// The sides of a row: the name of the side in a participant, and the columns of the party, its associates and its kind.
const SIDES: [(&str, [&str; 3]); 2] =
    [("a", ["actor1", "assoc_actor_1", "inter1"]), ("b", ["actor2", "assoc_actor_2", "inter2"])];

/// The columns that become types, with their schemes.
const TYPES: [(&str, &str); 5] = [
    ("disorder_type", "acled.disorder_type"),
    ("event_type", "acled.event_type"),
    ("sub_event_type", "acled.sub_event"),
    ("interaction", "acled.interaction"),
    ("civilian_targeting", "acled.civilian_targeting"),
];

/// The separator between the parts of a cell in the codebook.
const SEPARATOR: &str = "; ";

/// The parts of a cell.
fn parts(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(';').map(str::trim).filter(|part| !part.is_empty())
}

/// The name of the estimate of a row.
fn estimate_name(id: &str) -> String {
    format!("estimates/acled-{}-fatalities", values::name_part(id))
}

/// The actor that codes the data set.
const CODER: &str = "actors/acled";
/// The data set as a source.
const DATASET: &str = "sources/acled";

/// The fields of a row's event that an import sets. Other fields do not change.
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
fn rows(input: ImportInput) -> Result<ImportRows, ImportRowError> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &TableRow<'_>) -> Result<ImportRow, ImportRowError> {
    let id = line.needed("event_id_cnty");
    let external_id = format!("acled:{id}");
    if !id.is_empty() && !is_external_id(&external_id) {
        line.fault("event_id_cnty", format!("\"{id}\" is not an id: an id is printable ASCII without spaces"));
    }
    let label = format!("acled-{}", values::name_part(id));
    let mut shared = vec![found(coder()), found(dataset())];
    let mut participants = Vec::new();
    for (side, columns) in SIDES {
        for participant in participants_of(line, side, &columns) {
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
        ..table::fatalities(&label, "", quantity, event.attribution.clone(), own_citation)
    };
    line.check()?;
    event.annotations.extend(line.lost(&exported_row(&event, |_| Some(&estimate))));
    let own = vec![keep(event, EVENT_FIELDS).labelled(label), keep(estimate, table::ESTIMATE_FIELDS)];
    Ok(ImportRow { number: line.number(), shared, own })
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

/// The participants of a side: the party and its associates.
fn participants_of(line: &TableRow<'_>, side: &str, columns: &[&str; 3]) -> Vec<Participant> {
    let [party, associates, kind] = columns;
    let name = |words: &str| format!("actors/acled-actor-{}", values::digest(&[words]));
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
        external_ids: vec![format!("acled.actor:{}", values::digest(&[&participant.verbatim]))],
        display_name: values::title(&participant.verbatim),
        ..Default::default()
    }
}

fn source(name: &str) -> Source {
    let id = values::digest(&[name]);
    Source {
        name: format!("sources/acled-source-{id}"),
        external_ids: vec![format!("acled.source:{id}")],
        title: values::title(name),
        ..Default::default()
    }
}

/// The event without its name, participants and citations.
fn event(line: &TableRow<'_>) -> Event {
    let RowRemainder { mut labels, metrics, annotations } = line.remainder();
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
        title: values::title(&format!("{sub_event}: {sides}, {place}")),
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

fn place(line: &TableRow<'_>) -> Place {
    let divisions = ["admin1", "admin2", "admin3"].map(|column| line.text(column));
    let precision = line.id_needed("geo_precision");
    let country = line.id("iso").parse().ok().and_then(rust_iso3166::from_numeric);
    Place {
        display_name: values::title(line.text("location")),
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

/// The publisher, if the row names one, and the coder. The data set does not say who reported it first.
fn attribution(line: &TableRow<'_>) -> Vec<Attribution> {
    table::attribution(line.text("source"), AttributionRole::Publisher, CODER)
}

/// The names of the other records of an event's row. `None` if the event is not a row.
fn related(event: &Event) -> Option<Vec<String>> {
    let id = code_of(&event.external_ids, "acled")?;
    Some(vec![estimate_name(id)])
}

/// The row of an event and its estimate. `find` finds a record by name. A missing estimate leaves its cell empty.
fn exported_row<'a>(event: &Event, find: impl Fn(&str) -> Option<&'a Estimate>) -> Vec<String> {
    let stored = RecordRemainder { labels: &event.labels, metrics: &event.metrics, annotations: &event.annotations };
    LAYOUT.row(stored, |column| cell(event, column, &find))
}

fn cell<'a>(event: &Event, column: &str, find: &impl Fn(&str) -> Option<&'a Estimate>) -> String {
    let place = event.places.first();
    let time = event.time.as_ref();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let division = |number: usize| text(place.and_then(|place| place.admin.get(number)));
    match column {
        "event_id_cnty" => code_of(&event.external_ids, "acled").unwrap_or_default().to_owned(),
        "event_date" => text(time.map(|time| &time.edtf)),
        "time_precision" => code_value(time.map(|time| &time.precision_code)),
        "admin1" => division(0),
        "admin2" => division(1),
        "admin3" => division(2),
        "location" => text(place.map(|place| &place.display_name)),
        "latitude" => number_text(place.and_then(|place| place.latitude)),
        "longitude" => number_text(place.and_then(|place| place.longitude)),
        "geo_precision" => code_value(place.map(|place| &place.precision_code)),
        "source" => {
            let hop = event.attribution.iter().find(|hop| hop.role() == AttributionRole::Publisher);
            hop.map(|hop| hop.description.clone()).unwrap_or_default()
        }
        "notes" => event.description.clone(),
        "fatalities" => {
            let estimate = code_of(&event.external_ids, "acled").and_then(|id| find(&estimate_name(id)));
            number_text(estimate.and_then(|estimate| estimate.quantity.as_ref()?.best))
        }
        "tags" => codes_of(&event.labels, "acled.tag").collect::<Vec<_>>().join(SEPARATOR),
        _ => {
            if let Some((_, scheme)) = TYPES.iter().find(|(name, _)| *name == column) {
                return code_of(&event.types, scheme).unwrap_or_default().to_owned();
            }
            let side = SIDES.iter().find(|(_, columns)| columns.contains(&column));
            side.map(|(side, columns)| side_cell(event, side, columns, column)).unwrap_or_default()
        }
    }
}

fn side_cell(event: &Event, side: &str, columns: &[&str; 3], column: &str) -> String {
    let of = |role: ParticipantRole| event.participants.iter().filter(move |found| found.side == side && found.role() == role);
    let words = |found: &Participant| found.verbatim.clone();
    let party = of(ParticipantRole::Party).next();
    match columns.iter().position(|name| *name == column) {
        Some(0) => party.map(words).unwrap_or_default(),
        Some(1) => of(ParticipantRole::Associate).map(words).collect::<Vec<_>>().join(SEPARATOR),
        _ => party.and_then(|party| code_of(&party.codes, "acled.inter")).unwrap_or_default().to_owned(),
    }
}
