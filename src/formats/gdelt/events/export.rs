//! Events as rows of GDELT's events.
//!
//! Knows where a row's columns are kept. Must not know how the events were found.

use super::{ACTOR_CODES, ACTORS, LAYOUT, PLACE_IDS, TYPES};
use crate::{
    formats::table::{Stored, code_of, codes_of, number_text},
    proto::{Event, Participant, Place},
};

/// Whether an event is a row's. One that only mentions have named so far is not: it has no time.
pub(super) fn is_row(event: &Event) -> bool {
    code_of(&event.external_ids, "gdelt.event").is_some() && event.time.is_some()
}

/// The row of an event.
pub(super) fn row(event: &Event) -> Vec<String> {
    let stored = Stored { labels: &event.labels, metrics: &event.metrics, annotations: &event.annotations };
    LAYOUT.row(stored, |column| field(event, column))
}

fn field(event: &Event, column: &str) -> String {
    match column {
        "GLOBALEVENTID" => code_of(&event.external_ids, "gdelt.event").unwrap_or_default().to_owned(),
        "SQLDATE" => event.time.as_ref().map(|time| time.edtf.replace('-', "")).unwrap_or_default(),
        _ => {
            if let Some((_, scheme)) = TYPES.iter().find(|(name, _)| *name == column) {
                return code_of(&event.types, scheme).unwrap_or_default().to_owned();
            }
            if let Some(rest) = column.strip_prefix("ActionGeo_") {
                return of_place(event.places.first(), rest);
            }
            let actor = ACTORS.iter().find_map(|(prefix, role)| Some((column.strip_prefix(prefix)?, *role)));
            let Some((rest, role)) = actor else { return String::new() };
            let participant = event.participants.iter().find(|participant| participant.role() == role);
            match rest.strip_prefix("Geo_") {
                Some(rest) => of_place(participant.and_then(|participant| participant.place.as_ref()), rest),
                None => participant.map(|participant| of_participant(participant, rest)).unwrap_or_default(),
            }
        }
    }
}

fn of_participant(participant: &Participant, column: &str) -> String {
    if column == "Name" {
        return participant.verbatim.clone();
    }
    let Some(place) = ACTOR_CODES.iter().position(|(name, _)| *name == column) else { return String::new() };
    let (before, rest) = ACTOR_CODES.split_at(place);
    let scheme = rest.first().map(|(_, scheme)| *scheme).unwrap_or_default();
    let earlier = before.iter().filter(|(_, before)| *before == scheme).count();
    codes_of(&participant.codes, scheme).nth(earlier).unwrap_or_default().to_owned()
}

fn of_place(place: Option<&Place>, column: &str) -> String {
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
