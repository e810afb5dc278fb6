//! Exports records as rows of UCDP GED.
//!
//! Must not know how the records were found.

use super::layout::{ESTIMATES, LAYOUT, SIDES, estimate_name};
use crate::{
    formats::{
        export::TableExport,
        table::{RecordRemainder, code_of, code_value, number_text},
    },
    model::RecordKind,
    proto::{Estimate, Event, Participant, Quantity, record::Record},
};

/// The export of its rows.
pub(super) static ROWS: TableExport = TableExport {
    layout: &LAYOUT,
    kind: RecordKind::Event,
    filter: "external_ids = \"ucdp.ged:*\"",
    related: |record| match record {
        Record::Event(event) => related(event),
        _ => None,
    },
    row: |record, related| match record {
        Record::Event(event) => row(event, |name| match related.get(name) {
            Some(Record::Estimate(estimate)) => Some(estimate),
            _ => None,
        }),
        _ => Vec::new(),
    },
};

/// The names of the estimates of an event's row. `None` if the event is not a row.
fn related(event: &Event) -> Option<Vec<String>> {
    let id = code_of(&event.external_ids, "ucdp.ged")?;
    Some(ESTIMATES.iter().map(|(_, part, _)| estimate_name(id, part)).collect())
}

/// The row of an event and its estimates. `find` finds a record by name. A missing estimate leaves its cells empty.
pub(super) fn row<'a>(event: &Event, find: impl Fn(&str) -> Option<&'a Estimate>) -> Vec<String> {
    let stored = RecordRemainder { labels: &event.labels, metrics: &event.metrics, annotations: &event.annotations };
    LAYOUT.row(stored, |column| cell(event, column, &find))
}

fn cell<'a>(event: &Event, column: &str, find: &impl Fn(&str) -> Option<&'a Estimate>) -> String {
    let place = event.places.first();
    let time = event.time.as_ref();
    let code = |codes: &[String], scheme: &str| code_of(codes, scheme).unwrap_or_default().to_owned();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    match column {
        "id" => code(&event.external_ids, "ucdp.ged"),
        "relid" => code(&event.external_ids, "ucdp.relid"),
        "type_of_violence" => code(&event.types, "ucdp.type_of_violence"),
        "conflict_new_id" => code(&event.labels, "ucdp.conflict"),
        "dyad_new_id" => code(&event.labels, "ucdp.dyad"),
        "source_original" => text(event.attribution.iter().map(|hop| &hop.description).find(|text| !text.is_empty())),
        "where_prec" => code_value(place.map(|place| &place.precision_code)),
        "where_coordinates" => text(place.map(|place| &place.display_name)),
        "where_description" => text(place.map(|place| &place.description)),
        "adm_1" => text(place.and_then(|place| place.admin.first())),
        "adm_2" => text(place.and_then(|place| place.admin.get(1))),
        "latitude" => number_text(place.and_then(|place| place.latitude)),
        "longitude" => number_text(place.and_then(|place| place.longitude)),
        "geom_wkt" => text(place.map(|place| &place.geometry_wkt)),
        "priogrid_gid" => place.map(|place| code(&place.external_ids, "priogrid")).unwrap_or_default(),
        "event_clarity" => {
            code_value(event.ratings.iter().map(|rating| &rating.code).find(|code| code.starts_with("ucdp.event_clarity:")))
        }
        "date_prec" => code_value(time.map(|time| &time.precision_code)),
        "date_start" => text(time.map(|time| &time.edtf)).split('/').next().unwrap_or_default().to_owned(),
        "date_end" => text(time.map(|time| &time.edtf)).split('/').next_back().unwrap_or_default().to_owned(),
        "low" => number_text(quantity(event, "best", find).and_then(|quantity| quantity.lower)),
        "high" => number_text(quantity(event, "best", find).and_then(|quantity| quantity.upper)),
        _ => {
            let side = SIDES.iter().find(|(_, columns)| columns.contains(&column));
            let participant = |side: &str| event.participants.iter().find(|participant| participant.side == side);
            match side {
                Some((side, columns)) => participant(side).map(|found| side_cell(found, columns, column)).unwrap_or_default(),
                None => number_text(quantity(event, column, find).and_then(|quantity| quantity.best)),
            }
        }
    }
}

fn side_cell(participant: &Participant, columns: &[&str; 4], column: &str) -> String {
    let [id, old_id, words, state] = columns;
    let code = |scheme: &str| code_of(&participant.codes, scheme).unwrap_or_default().to_owned();
    match column {
        _ if column == *id => code("ucdp.actor"),
        _ if column == *old_id => code("ucdp.actor_dset_id"),
        _ if column == *words => participant.verbatim.clone(),
        _ if column == *state => code("ucdp.gwno"),
        _ => String::new(),
    }
}

fn quantity<'a>(event: &Event, column: &str, find: &impl Fn(&str) -> Option<&'a Estimate>) -> Option<&'a Quantity> {
    let id = code_of(&event.external_ids, "ucdp.ged")?;
    let (_, part, _) = ESTIMATES.iter().find(|(name, _, _)| *name == column)?;
    find(&estimate_name(id, part))?.quantity.as_ref()
}
