//! Records as rows of ACLED.
//!
//! Knows where a row's columns are kept. Must not know how the records were found.

use super::{BETWEEN, LAYOUT, SIDES, TYPES, estimate_name};
use crate::{
    formats::table::{Stored, code_of, codes_of, number_text},
    proto::{AttributionRole, Estimate, Event, Participant, ParticipantRole},
};

/// The names of the records of an event's row besides the event; none if it is of no row.
pub(super) fn needs(event: &Event) -> Option<Vec<String>> {
    let id = code_of(&event.external_ids, "acled")?;
    Some(vec![estimate_name(id)])
}

/// The row of an event and its estimate, found by name. An estimate that is gone leaves its cell empty.
pub(super) fn row<'a>(event: &Event, find: impl Fn(&str) -> Option<&'a Estimate>) -> Vec<String> {
    let stored = Stored { labels: &event.labels, metrics: &event.metrics, annotations: &event.annotations };
    LAYOUT.row(stored, |column| field(event, column, &find))
}

fn field<'a>(event: &Event, column: &str, find: &impl Fn(&str) -> Option<&'a Estimate>) -> String {
    let place = event.places.first();
    let time = event.time.as_ref();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let division = |number: usize| text(place.and_then(|place| place.admin.get(number)));
    match column {
        "event_id_cnty" => code_of(&event.external_ids, "acled").unwrap_or_default().to_owned(),
        "event_date" => text(time.map(|time| &time.edtf)),
        "time_precision" => after(time.map(|time| &time.precision_code)),
        "admin1" => division(0),
        "admin2" => division(1),
        "admin3" => division(2),
        "location" => text(place.map(|place| &place.display_name)),
        "latitude" => number_text(place.and_then(|place| place.latitude)),
        "longitude" => number_text(place.and_then(|place| place.longitude)),
        "geo_precision" => after(place.map(|place| &place.precision_code)),
        "source" => {
            let hop = event.attribution.iter().find(|hop| hop.role() == AttributionRole::Publisher);
            hop.map(|hop| hop.description.clone()).unwrap_or_default()
        }
        "notes" => event.description.clone(),
        "fatalities" => {
            let estimate = code_of(&event.external_ids, "acled").and_then(|id| find(&estimate_name(id)));
            number_text(estimate.and_then(|estimate| estimate.quantity.as_ref()?.best))
        }
        "tags" => codes_of(&event.labels, "acled.tag").collect::<Vec<_>>().join(BETWEEN),
        _ => {
            if let Some((_, scheme)) = TYPES.iter().find(|(name, _)| *name == column) {
                return code_of(&event.types, scheme).unwrap_or_default().to_owned();
            }
            let side = SIDES.iter().find(|(_, columns)| columns.contains(&column));
            side.map(|(side, columns)| of_side(event, side, columns, column)).unwrap_or_default()
        }
    }
}

fn of_side(event: &Event, side: &str, columns: &[&str; 3], column: &str) -> String {
    let of = |role: ParticipantRole| event.participants.iter().filter(move |found| found.side == side && found.role() == role);
    let words = |found: &Participant| found.verbatim.clone();
    let party = of(ParticipantRole::Party).next();
    match columns.iter().position(|name| *name == column) {
        Some(0) => party.map(words).unwrap_or_default(),
        Some(1) => of(ParticipantRole::Associate).map(words).collect::<Vec<_>>().join(BETWEEN),
        _ => party.and_then(|party| code_of(&party.codes, "acled.inter")).unwrap_or_default().to_owned(),
    }
}

/// What a code says behind its scheme.
fn after(code: Option<&String>) -> String {
    code.and_then(|code| code.split_once(':')).map(|(_, code)| code.to_owned()).unwrap_or_default()
}
