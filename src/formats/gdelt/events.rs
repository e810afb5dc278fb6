//! The table of GDELT events. A row is an event, with its CAMEO codes, who did it to whom, and where.
//!
//! Must not know files, or who sends the mutations.

use super::{actor, document, event_name, time};
use crate::{
    formats::{
        export::TableExport,
        format::{Format, FormatExporter, FormatImporter, ImportInput},
        import::{
            ImportRow, ImportRowError, ImportRows,
            mutation::{found, keep},
        },
        table::{
            self, RecordRemainder, RowRemainder, TableDialect, TableLayout, TableRow, annotation, code_of, codes_of, metric,
            number, number_text, text,
        },
        values,
    },
    model::{RecordKind, is_code, is_external_id},
    proto::{Actor, Citation, Event, Participant, ParticipantRole, Place, PlacePrecision, TimeSpec, record::Record},
};

/// The event table of GDELT 2.0. Each row is an event, and is exported in the same columns.
pub static FORMAT: Format = Format {
    name: "gdelt-events",
    summary: "GDELT 2.0 events, tab-separated in their own columns",
    page: "gdelt/events.md",
    importer: Some(FormatImporter { needs_mapping: false, open: rows }),
    exporter: Some(FormatExporter::Table(&ROWS)),
};

/// The columns, and where a record stores each.
pub static LAYOUT: TableLayout = TableLayout {
    name: "gdelt-events",
    scheme: "gdelt",
    dialect: TableDialect::Tsv,
    columns: &[
        number("GLOBALEVENTID", "event", "external id `gdelt.event:…`, and the name of the event"),
        text("SQLDATE", "date", "time"),
        metric("MonthYear", "month_year"),
        metric("Year", "year"),
        metric("FractionDate", "fraction_date"),
        text(
            "Actor1Code",
            "actor1_code",
            "code `cameo.actor:…` of the initiator; the actor, if it is the code of a country or a known group alone",
        ),
        text("Actor1Name", "actor1_name", "words of the initiator"),
        text("Actor1CountryCode", "actor1_country", "code `cameo.country:…` of the initiator"),
        text("Actor1KnownGroupCode", "actor1_group", "code `cameo.group:…` of the initiator"),
        text("Actor1EthnicCode", "actor1_ethnic", "code `cameo.ethnic:…` of the initiator"),
        text("Actor1Religion1Code", "actor1_religion1", "code `cameo.religion:…` of the initiator, the first"),
        text("Actor1Religion2Code", "actor1_religion2", "code `cameo.religion:…` of the initiator, the second"),
        text("Actor1Type1Code", "actor1_type1", "code `cameo.type:…` of the initiator, the first"),
        text("Actor1Type2Code", "actor1_type2", "code `cameo.type:…` of the initiator, the second"),
        text("Actor1Type3Code", "actor1_type3", "code `cameo.type:…` of the initiator, the third"),
        text(
            "Actor2Code",
            "actor2_code",
            "code `cameo.actor:…` of the recipient; the actor, if it is the code of a country or a known group alone",
        ),
        text("Actor2Name", "actor2_name", "words of the recipient"),
        text("Actor2CountryCode", "actor2_country", "code `cameo.country:…` of the recipient"),
        text("Actor2KnownGroupCode", "actor2_group", "code `cameo.group:…` of the recipient"),
        text("Actor2EthnicCode", "actor2_ethnic", "code `cameo.ethnic:…` of the recipient"),
        text("Actor2Religion1Code", "actor2_religion1", "code `cameo.religion:…` of the recipient, the first"),
        text("Actor2Religion2Code", "actor2_religion2", "code `cameo.religion:…` of the recipient, the second"),
        text("Actor2Type1Code", "actor2_type1", "code `cameo.type:…` of the recipient, the first"),
        text("Actor2Type2Code", "actor2_type2", "code `cameo.type:…` of the recipient, the second"),
        text("Actor2Type3Code", "actor2_type3", "code `cameo.type:…` of the recipient, the third"),
        metric("IsRootEvent", "is_root"),
        text("EventCode", "event_code", "type `cameo:…`, and the title"),
        text("EventBaseCode", "event_base_code", "type `cameo.base:…`"),
        text("EventRootCode", "event_root_code", "type `cameo.root:…`"),
        text("QuadClass", "quad_class", "type `gdelt.quad_class:…`"),
        metric("GoldsteinScale", "goldstein"),
        metric("NumMentions", "mentions"),
        metric("NumSources", "sources"),
        metric("NumArticles", "articles"),
        metric("AvgTone", "tone"),
        text(
            "Actor1Geo_Type",
            "actor1_geo_type",
            "place of the initiator: precision, and `gdelt.geo_type:…` as its code; 0 without a place",
        ),
        text("Actor1Geo_FullName", "actor1_geo_name", "place of the initiator: display name"),
        text("Actor1Geo_CountryCode", "actor1_geo_country", "place of the initiator: external id `fips:…`"),
        text("Actor1Geo_ADM1Code", "actor1_geo_adm1", "place of the initiator: external id `fips.adm1:…`"),
        text("Actor1Geo_ADM2Code", "actor1_geo_adm2", "place of the initiator: external id `gdelt.adm2:…`"),
        number("Actor1Geo_Lat", "actor1_geo_latitude", "place of the initiator: latitude"),
        number("Actor1Geo_Long", "actor1_geo_longitude", "place of the initiator: longitude"),
        text("Actor1Geo_FeatureID", "actor1_geo_feature", "place of the initiator: external id `gdelt.feature:…`"),
        text(
            "Actor2Geo_Type",
            "actor2_geo_type",
            "place of the recipient: precision, and `gdelt.geo_type:…` as its code; 0 without a place",
        ),
        text("Actor2Geo_FullName", "actor2_geo_name", "place of the recipient: display name"),
        text("Actor2Geo_CountryCode", "actor2_geo_country", "place of the recipient: external id `fips:…`"),
        text("Actor2Geo_ADM1Code", "actor2_geo_adm1", "place of the recipient: external id `fips.adm1:…`"),
        text("Actor2Geo_ADM2Code", "actor2_geo_adm2", "place of the recipient: external id `gdelt.adm2:…`"),
        number("Actor2Geo_Lat", "actor2_geo_latitude", "place of the recipient: latitude"),
        number("Actor2Geo_Long", "actor2_geo_longitude", "place of the recipient: longitude"),
        text("Actor2Geo_FeatureID", "actor2_geo_feature", "place of the recipient: external id `gdelt.feature:…`"),
        text(
            "ActionGeo_Type",
            "action_geo_type",
            "place of the event: precision, and `gdelt.geo_type:…` as its code; 0 without a place",
        ),
        text("ActionGeo_FullName", "action_geo_name", "place of the event: display name"),
        text("ActionGeo_CountryCode", "action_geo_country", "place of the event: external id `fips:…`"),
        text("ActionGeo_ADM1Code", "action_geo_adm1", "place of the event: external id `fips.adm1:…`"),
        text("ActionGeo_ADM2Code", "action_geo_adm2", "place of the event: external id `gdelt.adm2:…`"),
        number("ActionGeo_Lat", "action_geo_latitude", "place of the event: latitude"),
        number("ActionGeo_Long", "action_geo_longitude", "place of the event: longitude"),
        text("ActionGeo_FeatureID", "action_geo_feature", "place of the event: external id `gdelt.feature:…`"),
        metric("DATEADDED", "date_added"),
        annotation("SOURCEURL", "source_url"),
    ],
};

/// The export of its rows.
static ROWS: TableExport = TableExport {
    layout: &LAYOUT,
    kind: RecordKind::Event,
    filter: "external_ids = \"gdelt.event:*\"",
    related: |record| match record {
        Record::Event(event) => is_row(event).then(Vec::new),
        _ => None,
    },
    row: |record, _| match record {
        Record::Event(event) => exported_row(event),
        _ => Vec::new(),
    },
};

/// The two actors of a row: the prefix of their columns, and their role.
const ACTORS: [(&str, ParticipantRole); 2] = [("Actor1", ParticipantRole::Initiator), ("Actor2", ParticipantRole::Recipient)];

/// The columns of an actor that are codes, without the prefix, and the code's scheme. Columns of one scheme keep their order.
const ACTOR_CODES: [(&str, &str); 9] = [
    ("Code", "cameo.actor"),
    ("CountryCode", "cameo.country"),
    ("KnownGroupCode", "cameo.group"),
    ("EthnicCode", "cameo.ethnic"),
    ("Religion1Code", "cameo.religion"),
    ("Religion2Code", "cameo.religion"),
    ("Type1Code", "cameo.type"),
    ("Type2Code", "cameo.type"),
    ("Type3Code", "cameo.type"),
];

/// The columns that become types, with their schemes.
const TYPES: [(&str, &str); 4] = [
    ("EventCode", "cameo"),
    ("EventBaseCode", "cameo.base"),
    ("EventRootCode", "cameo.root"),
    ("QuadClass", "gdelt.quad_class"),
];

/// The columns of a place that are ids, without the prefix, and their schemes.
const PLACE_IDS: [(&str, &str); 4] =
    [("CountryCode", "fips"), ("ADM1Code", "fips.adm1"), ("ADM2Code", "gdelt.adm2"), ("FeatureID", "gdelt.feature")];

/// The fields of a row's event that an import sets. Other fields do not change.
const FIELDS: &[&str] =
    &["external_ids", "labels", "metrics", "annotations", "title", "types", "time", "places", "participants", "citations"];

/// The rows of a file.
fn rows(input: ImportInput) -> Result<ImportRows, ImportRowError> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &TableRow<'_>) -> Result<ImportRow, ImportRowError> {
    let id = line.id_needed("GLOBALEVENTID");
    let mut shared = Vec::new();
    let mut citations = Vec::new();
    let read_at = time(line, "DATEADDED");
    let url = line.text("SOURCEURL");
    if !url.is_empty() {
        let document = document(url, read_at);
        citations.push(Citation { source: document.name.clone(), ..Default::default() });
        shared.push(found(document));
    }
    let mut participants = Vec::new();
    for (prefix, role) in ACTORS {
        let (participant, actor) = participant(line, prefix, role);
        participants.extend(participant);
        shared.extend(actor.map(found));
    }
    let RowRemainder { labels, metrics, annotations } = line.remainder();
    let types = TYPES.iter().map(|(column, scheme)| format!("{scheme}:{}", line.needed(column)));
    let mut event = Event {
        name: event_name(&id),
        external_ids: vec![format!("gdelt.event:{id}")],
        labels,
        metrics,
        annotations,
        title: title(line),
        types: types.filter(|code| is_code(code)).collect(),
        time: Some(TimeSpec { edtf: line.date("SQLDATE"), ..Default::default() }),
        places: place(line, "Action").into_iter().collect(),
        participants,
        citations,
        ..Default::default()
    };
    line.check()?;
    event.annotations.extend(line.lost(&exported_row(&event)));
    Ok(ImportRow { number: line.number(), shared, own: vec![keep(event, FIELDS)] })
}

fn title(line: &TableRow<'_>) -> String {
    let actor = |prefix: &str| {
        let names = ["Name", "Code"].map(|column| line.text(&format!("{prefix}{column}")));
        names.into_iter().find(|name| !name.is_empty()).unwrap_or("somebody")
    };
    let place = line.text("ActionGeo_FullName");
    let place = if place.is_empty() { String::new() } else { format!(", {place}") };
    values::title(&format!("{} - {}: {}{place}", actor("Actor1"), actor("Actor2"), line.text("EventCode")))
}

/// The participant, if the row describes one. Also the actor, if its code always means the same actor.
fn participant(line: &TableRow<'_>, prefix: &str, role: ParticipantRole) -> (Option<Participant>, Option<Actor>) {
    let text = |column: &str| line.text(&format!("{prefix}{column}"));
    let codes = ACTOR_CODES.iter().map(|(column, scheme)| format!("{scheme}:{}", text(column)));
    let alone = [text("CountryCode"), text("KnownGroupCode")].contains(&text("Code"));
    let actor = if alone { actor(text("Code")) } else { None };
    let participant = Participant {
        actor: actor.as_ref().map(|actor| actor.name.clone()).unwrap_or_default(),
        role: role.into(),
        place: place(line, prefix),
        codes: codes.filter(|code| is_code(code)).collect(),
        verbatim: text("Name").to_owned(),
        ..Default::default()
    };
    let is_said = participant.place.is_some() || !participant.codes.is_empty() || !participant.verbatim.is_empty();
    (is_said.then_some(participant), actor)
}

/// The place of a prefix. `None` if the row has none.
fn place(line: &TableRow<'_>, prefix: &str) -> Option<Place> {
    let column = |column: &str| format!("{prefix}Geo_{column}");
    let text = |name: &str| line.text(&column(name));
    let kind = text("Type");
    let ids = PLACE_IDS.iter().map(|(name, scheme)| format!("{scheme}:{}", text(name)));
    let place = Place {
        display_name: values::title(text("FullName")),
        latitude: line.number_or_none(&column("Lat")),
        longitude: line.number_or_none(&column("Long")),
        precision: match kind {
            "1" => PlacePrecision::Country,
            // A town is given as a point; the event was somewhere in the town.
            "3" | "4" => PlacePrecision::Near,
            "2" | "5" => PlacePrecision::Admin1,
            _ => PlacePrecision::Unspecified,
        }
        .into(),
        external_ids: ids.filter(|id| is_external_id(id)).collect(),
        precision_code: Some(format!("gdelt.geo_type:{kind}")).filter(|code| is_code(code)).unwrap_or_default(),
        ..Default::default()
    };
    let is_said = !place.display_name.is_empty() || place.latitude.is_some() || !place.external_ids.is_empty();
    is_said.then_some(place)
}

/// Whether an event is a row. An event that only mentions have named so far is not a row: it has no time.
fn is_row(event: &Event) -> bool {
    code_of(&event.external_ids, "gdelt.event").is_some() && event.time.is_some()
}

/// The row of an event.
fn exported_row(event: &Event) -> Vec<String> {
    let stored = RecordRemainder { labels: &event.labels, metrics: &event.metrics, annotations: &event.annotations };
    LAYOUT.row(stored, |column| cell(event, column))
}

fn cell(event: &Event, column: &str) -> String {
    match column {
        "GLOBALEVENTID" => code_of(&event.external_ids, "gdelt.event").unwrap_or_default().to_owned(),
        "SQLDATE" => event.time.as_ref().map(|time| time.edtf.replace('-', "")).unwrap_or_default(),
        _ => {
            if let Some((_, scheme)) = TYPES.iter().find(|(name, _)| *name == column) {
                return code_of(&event.types, scheme).unwrap_or_default().to_owned();
            }
            if let Some(rest) = column.strip_prefix("ActionGeo_") {
                return place_cell(event.places.first(), rest);
            }
            let actor = ACTORS.iter().find_map(|(prefix, role)| Some((column.strip_prefix(prefix)?, *role)));
            let Some((rest, role)) = actor else { return String::new() };
            let participant = event.participants.iter().find(|participant| participant.role() == role);
            match rest.strip_prefix("Geo_") {
                Some(rest) => place_cell(participant.and_then(|participant| participant.place.as_ref()), rest),
                None => participant.map(|participant| participant_cell(participant, rest)).unwrap_or_default(),
            }
        }
    }
}

fn participant_cell(participant: &Participant, column: &str) -> String {
    if column == "Name" {
        return participant.verbatim.clone();
    }
    let Some(position) = ACTOR_CODES.iter().position(|(name, _)| *name == column) else { return String::new() };
    let (before, rest) = ACTOR_CODES.split_at(position);
    let scheme = rest.first().map(|(_, scheme)| *scheme).unwrap_or_default();
    let earlier = before.iter().filter(|(_, before)| *before == scheme).count();
    codes_of(&participant.codes, scheme).nth(earlier).unwrap_or_default().to_owned()
}

fn place_cell(place: Option<&Place>, column: &str) -> String {
    let Some(place) = place else { return if column == "Type" { "0".to_owned() } else { String::new() } };
    match column {
        "Type" => place.precision_code.trim_start_matches("gdelt.geo_type:").to_owned(),
        "FullName" => place.display_name.clone(),
        "Lat" => number_text(place.latitude),
        "Long" => number_text(place.longitude),
        _ => {
            let scheme = PLACE_IDS.iter().find(|(name, _)| *name == column).map(|(_, scheme)| *scheme);
            scheme.and_then(|scheme| code_of(&place.external_ids, scheme)).unwrap_or_default().to_owned()
        }
    }
}
