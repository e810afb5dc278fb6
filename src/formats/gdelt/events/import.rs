//! Rows of GDELT's events as records.
//!
//! Knows what a row makes. Must not know how it is sent.

use super::{
    super::{actors, documents, event_name},
    ACTOR_CODES, ACTORS, LAYOUT, PLACE_IDS, TYPES, export,
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
    model::{is_code, is_external_id},
    proto::{Actor, Citation, Event, Participant, ParticipantRole, Place, PlacePrecision, TimeSpec},
};

/// What the event has of the row: an import sets these fields, and leaves the others to whoever wrote them.
const FIELDS: &[&str] =
    &["external_ids", "labels", "metrics", "annotations", "title", "types", "time", "places", "participants", "citations"];

/// The rows of a file.
pub(crate) fn rows(input: Input) -> Result<Rows, BadRow> {
    table::rows(input.content, &LAYOUT, row)
}

fn row(line: &Line<'_>) -> Result<Row, BadRow> {
    let id = line.id_needed("GLOBALEVENTID");
    let mut shared = Vec::new();
    let mut citations = Vec::new();
    let read_at = documents::time(line, "DATEADDED");
    let url = line.text("SOURCEURL");
    if !url.is_empty() {
        let document = documents::source(url, read_at);
        citations.push(Citation { source: document.name.clone(), ..Default::default() });
        shared.push(found(document));
    }
    let mut participants = Vec::new();
    for (prefix, role) in ACTORS {
        let (participant, actor) = participant(line, prefix, role);
        participants.extend(participant);
        shared.extend(actor.map(found));
    }
    let Kept { labels, metrics, annotations } = line.kept();
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
    event.annotations.extend(line.lost(&export::row(&event)));
    Ok(Row { number: line.number(), shared, own: vec![keep(event, FIELDS)] })
}

fn title(line: &Line<'_>) -> String {
    let actor = |prefix: &str| {
        let names = ["Name", "Code"].map(|column| line.text(&format!("{prefix}{column}")));
        names.into_iter().find(|name| !name.is_empty()).unwrap_or("somebody")
    };
    let place = line.text("ActionGeo_FullName");
    let place = if place.is_empty() { String::new() } else { format!(", {place}") };
    identity::title(&format!("{} - {}: {}{place}", actor("Actor1"), actor("Actor2"), line.text("EventCode")))
}

/// Who did it, or to whom it was done, as far as the row says; and the actor that this is wherever it is named.
fn participant(line: &Line<'_>, prefix: &str, role: ParticipantRole) -> (Option<Participant>, Option<Actor>) {
    let text = |column: &str| line.text(&format!("{prefix}{column}"));
    let codes = ACTOR_CODES.iter().map(|(column, scheme)| format!("{scheme}:{}", text(column)));
    let alone = [text("CountryCode"), text("KnownGroupCode")].contains(&text("Code"));
    let actor = if alone { actors::actor(text("Code")) } else { None };
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

/// A place, if there is one.
fn place(line: &Line<'_>, prefix: &str) -> Option<Place> {
    let column = |column: &str| format!("{prefix}Geo_{column}");
    let text = |name: &str| line.text(&column(name));
    let kind = text("Type");
    let ids = PLACE_IDS.iter().map(|(name, scheme)| format!("{scheme}:{}", text(name)));
    let place = Place {
        display_name: identity::title(text("FullName")),
        latitude: line.number_or_none(&column("Lat")),
        longitude: line.number_or_none(&column("Long")),
        precision: match kind {
            "1" => PlacePrecision::Country,
            // A town has a point, and what happened is somewhere in it.
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
