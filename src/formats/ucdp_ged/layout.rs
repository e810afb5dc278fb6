//! The columns of UCDP GED, and where a record stores each.
//!
//! Must not know how a row is read or written.

use crate::formats::table::{TableDialect, TableLayout, annotation, id_label, label, metric, number, text};

/// The columns, and where a record stores each.
pub(super) static LAYOUT: TableLayout = TableLayout {
    name: "ucdp-ged",
    scheme: "ucdp",
    dialect: TableDialect::Csv,
    columns: &[
        number("id", "ged", "external id `ucdp.ged:…`, and the names of the row's records"),
        text("relid", "relid", "external id `ucdp.relid:…`"),
        metric("year", "year"),
        metric("active_year", "active_year"),
        label("code_status", "code_status"),
        number("type_of_violence", "type_of_violence", "type `ucdp.type_of_violence:…`, and the title in words"),
        id_label("conflict_dset_id", "conflict_dset_id"),
        number("conflict_new_id", "conflict", "label `ucdp.conflict:…`; the conflict's event, of which the dyad's is a part"),
        annotation("conflict_name", "conflict_name"),
        id_label("dyad_dset_id", "dyad_dset_id"),
        number("dyad_new_id", "dyad", "label `ucdp.dyad:…`; the dyad's event, of which the row's is a part"),
        annotation("dyad_name", "dyad_name"),
        number("side_a_dset_id", "side_a_dset_id", "code `ucdp.actor_dset_id:…` of the participant, side a"),
        number("side_a_new_id", "side_a_new_id", "code `ucdp.actor:…` of the participant, side a; the actor"),
        text("side_a", "side_a", "words of the participant, side a; the name of the actor, if the row creates it"),
        number("side_b_dset_id", "side_b_dset_id", "as `side_a_dset_id`, side b"),
        number("side_b_new_id", "side_b_new_id", "as `side_a_new_id`, side b"),
        text("side_b", "side_b", "as `side_a`, side b"),
        metric("number_of_sources", "number_of_sources"),
        annotation("source_article", "source_article"),
        annotation("source_office", "source_office"),
        annotation("source_date", "source_date"),
        annotation("source_headline", "source_headline"),
        text("source_original", "source_original", "attribution: the origin, before the coder; if empty, the coder alone"),
        number("where_prec", "where_prec", "place: precision, and `ucdp.where_prec:…` as its code"),
        text("where_coordinates", "where_coordinates", "place: display name"),
        text("where_description", "where_description", "place: description"),
        text("adm_1", "adm_1", "place: first division"),
        text("adm_2", "adm_2", "place: second division"),
        number("latitude", "latitude", "place: latitude"),
        number("longitude", "longitude", "place: longitude"),
        text("geom_wkt", "geom_wkt", "place: geometry"),
        number("priogrid_gid", "priogrid_gid", "place: external id `priogrid:…`"),
        label("country", "country"),
        id_label("country_id", "country_id"),
        label("region", "region"),
        number("event_clarity", "event_clarity", "rating `ucdp.event_clarity:…`, assessed by UCDP"),
        number("date_prec", "date_prec", "time: `ucdp.date_prec:…` as its precision code"),
        text("date_start", "date_start", "time: the beginning of the interval"),
        text("date_end", "date_end", "time: the end of the interval"),
        number("deaths_a", "deaths_a", "estimate of population `ucdp.population:side_a`"),
        number("deaths_b", "deaths_b", "estimate of population `ucdp.population:side_b`"),
        number("deaths_civilians", "deaths_civilians", "estimate of population `ucdp.population:civilians`"),
        number("deaths_unknown", "deaths_unknown", "estimate of population `ucdp.population:unknown`"),
        number("best", "best", "estimate of all: best"),
        number("high", "high", "estimate of all: upper; `inconsistent_as_reported` if low, best and high are out of order"),
        number("low", "low", "estimate of all: lower"),
        number("gwnoa", "gwnoa", "code `ucdp.gwno:…` of the participant, side a"),
        number("gwnob", "gwnob", "as `gwnoa`, side b"),
    ],
};

/// The estimates of a row: the column, the part of its name and external id, and its population. The first has bounds.
pub(super) const ESTIMATES: [(&str, &str, &str); 5] = [
    ("best", "total", ""),
    ("deaths_a", "deaths-a", "ucdp.population:side_a"),
    ("deaths_b", "deaths-b", "ucdp.population:side_b"),
    ("deaths_civilians", "deaths-civilians", "ucdp.population:civilians"),
    ("deaths_unknown", "deaths-unknown", "ucdp.population:unknown"),
];

/// The sides of a row: the name of the side in a participant, and the columns of the actor's id, old id, name and state number.
pub(super) const SIDES: [(&str, [&str; 4]); 2] = [
    ("a", ["side_a_new_id", "side_a_dset_id", "side_a", "gwnoa"]),
    ("b", ["side_b_new_id", "side_b_dset_id", "side_b", "gwnob"]),
];

/// The name of an estimate of a row.
pub(super) fn estimate_name(id: &str, part: &str) -> String {
    format!("estimates/ucdp-ged-{id}-{part}")
}
