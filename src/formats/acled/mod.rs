//! ACLED, the Armed Conflict Location & Event Data: a row is an event, and the number of its dead.
//!
//! Knows the columns of the data set. Must not know files or who sends what.

mod export;
mod import;

pub(crate) use import::rows;

use super::{
    export::Rows,
    table::{Dialect, Layout, id_label, label, metric, number, text},
};
use crate::{model::RecordKind, proto::record::Record};

/// The columns, and where each is kept.
pub static LAYOUT: Layout = Layout {
    name: "acled",
    scheme: "acled",
    dialect: Dialect::Csv,
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
            "participants, side a: associates, one for each part between semicolons; the actors",
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
        text("source", "source", "attribution: the hop that has published it; sources, one for each part between semicolons"),
        label("source_scale", "source_scale"),
        text("notes", "notes", "description"),
        number("fatalities", "fatalities", "estimate of all dead: best"),
        text("tags", "tags", "labels `acled.tag:…`, one for each part between semicolons"),
        metric("timestamp", "timestamp"),
    ],
};

/// Its rows on their way out.
pub const ROWS: Rows = Rows {
    layout: &LAYOUT,
    kind: RecordKind::Event,
    filter: "external_ids = \"acled:*\"",
    needs: |record| match record {
        Record::Event(event) => export::needs(event),
        _ => None,
    },
    row: |record, beside| match record {
        Record::Event(event) => export::row(event, |name| match beside.get(name) {
            Some(Record::Estimate(estimate)) => Some(estimate),
            _ => None,
        }),
        _ => Vec::new(),
    },
};

/// The sides of a row: what a participant calls it, and the columns of its party, the party's associates and its kind.
const SIDES: [(&str, [&str; 3]); 2] =
    [("a", ["actor1", "assoc_actor_1", "inter1"]), ("b", ["actor2", "assoc_actor_2", "inter2"])];

/// The columns that are types, and their schemes.
const TYPES: [(&str, &str); 5] = [
    ("disorder_type", "acled.disorder_type"),
    ("event_type", "acled.event_type"),
    ("sub_event_type", "acled.sub_event"),
    ("interaction", "acled.interaction"),
    ("civilian_targeting", "acled.civilian_targeting"),
];

/// What stands between the parts of a cell, where it is written as the codebook has it.
const BETWEEN: &str = "; ";

/// The parts of a cell.
fn parts(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(';').map(str::trim).filter(|part| !part.is_empty())
}

/// Name of the estimate of a row.
fn estimate_name(id: &str) -> String {
    format!("estimates/acled-{}-fatalities", super::identity::part(id))
}
