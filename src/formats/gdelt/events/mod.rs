//! The table of events: a row is an event, with what it is held to be by CAMEO, who did it to whom, and where.
//!
//! Knows the columns of the table. Must not know files or who sends what.

mod export;
mod import;

pub(crate) use import::rows;

use crate::{
    formats::{
        export::Rows,
        table::{Dialect, Layout, annotation, metric, number, text},
    },
    model::RecordKind,
    proto::{ParticipantRole, record::Record},
};

/// The columns, and where each is kept.
pub static LAYOUT: Layout = Layout {
    name: "gdelt-events",
    scheme: "gdelt",
    dialect: Dialect::Tsv,
    columns: &[
        number("GLOBALEVENTID", "event", "external id `gdelt.event:…`, and the name of the event"),
        text("SQLDATE", "date", "time"),
        metric("MonthYear", "month_year"),
        metric("Year", "year"),
        metric("FractionDate", "fraction_date"),
        text(
            "Actor1Code",
            "actor1_code",
            "code `cameo.actor:…` of the initiator; where it is a country's or a known group's alone, the actor",
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
            "code `cameo.actor:…` of the recipient; where it is a country's or a known group's alone, the actor",
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
            "place of the initiator: precision, and `gdelt.geo_type:…` as its code; without a place 0",
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
            "place of the recipient: precision, and `gdelt.geo_type:…` as its code; without a place 0",
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
            "place of the event: precision, and `gdelt.geo_type:…` as its code; without a place 0",
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

/// Its rows on their way out.
pub const ROWS: Rows = Rows {
    layout: &LAYOUT,
    kind: RecordKind::Event,
    filter: "external_ids = \"gdelt.event:*\"",
    needs: |record| match record {
        Record::Event(event) => export::is_row(event).then(Vec::new),
        _ => None,
    },
    row: |record, _| match record {
        Record::Event(event) => export::row(event),
        _ => Vec::new(),
    },
};

/// The two actors of a row: what their columns begin with, and what each did.
const ACTORS: [(&str, ParticipantRole); 2] = [("Actor1", ParticipantRole::Initiator), ("Actor2", ParticipantRole::Recipient)];

/// The columns of an actor that are codes, behind what they begin with, and the code's scheme. Of two with one scheme the first comes first.
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

/// The columns of what was done, and their schemes.
const TYPES: [(&str, &str); 4] = [
    ("EventCode", "cameo"),
    ("EventBaseCode", "cameo.base"),
    ("EventRootCode", "cameo.root"),
    ("QuadClass", "gdelt.quad_class"),
];

/// The columns of a place that are ids, behind what they begin with, and their schemes.
const PLACE_IDS: [(&str, &str); 4] =
    [("CountryCode", "fips"), ("ADM1Code", "fips.adm1"), ("ADM2Code", "gdelt.adm2"), ("FeatureID", "gdelt.feature")];
