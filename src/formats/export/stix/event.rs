//! Events: incidents, where they were, who took part, and what they are part of.

use serde_json::{Value, json};

use super::{
    object::{Object, Property, always},
    property::{reference, str_of, text, texts, word},
};
use crate::model::country_alpha2;

pub(super) const OBJECTS: &[Object] = &[
    Object {
        kind: "incident",
        each: "",
        only: "",
        applies: always,
        is_record: true,
        observed_by: &[],
        properties: &[
            Property { name: "name", from: "`title`", value: |e, _| text(e, "title") },
            Property { name: "description", from: "`description`", value: |e, _| text(e, "description") },
        ],
    },
    Object {
        kind: "location",
        each: "places",
        only: HAS_A_LOCATION,
        applies: |place, _| has_a_location(place),
        is_record: false,
        observed_by: &[],
        properties: &[
            Property { name: "name", from: "`display_name`", value: |p, _| text(p, "display_name") },
            Property { name: "description", from: "`description`", value: |p, _| text(p, "description") },
            Property {
                name: "country",
                from: "`country`, as ISO 3166-1 alpha-2",
                value: |p, _| str_of(p, "country").map(|country| json!(country_alpha2(country).unwrap_or(country))),
            },
            Property {
                name: "administrative_area",
                from: "the first of `admin`",
                value: |p, _| texts(p, "admin").next().map(|area| json!(area)),
            },
            Property { name: "latitude", from: "`latitude`", value: |p, _| p.get("latitude").cloned() },
            Property { name: "longitude", from: "`longitude`", value: |p, _| p.get("longitude").cloned() },
            Property {
                name: "precision",
                from: "`radius_m`, beside a point",
                value: |p, _| p.get("latitude").and(p.get("radius_m")).cloned(),
            },
        ],
    },
    Object {
        kind: "relationship",
        each: "places",
        only: HAS_A_LOCATION,
        applies: |place, _| has_a_location(place),
        is_record: false,
        observed_by: &[],
        properties: &[
            Property { name: "relationship_type", from: "`located-at`", value: |_, _| Some(json!("located-at")) },
            Property { name: "source_ref", from: "the event", value: |_, context| Some(json!(context.own_id())) },
            Property {
                name: "target_ref",
                from: "its location",
                value: |_, context| Some(json!(context.part("location", "places"))),
            },
        ],
    },
    Object {
        kind: "relationship",
        each: "participants",
        only: "with an `actor`",
        applies: |participant, _| str_of(participant, "actor").is_some(),
        is_record: false,
        observed_by: &[],
        properties: &[
            Property {
                name: "relationship_type",
                from: "`role`: `initiator-of`, `recipient-of` and so on; without one `related-to`",
                value: |p, _| {
                    let role = word(p, "role", "PARTICIPANT_ROLE_").map(|role| format!("{role}-of"));
                    Some(json!(role.unwrap_or_else(|| "related-to".to_owned())))
                },
            },
            Property { name: "source_ref", from: "`actor`", value: |p, context| reference(p, "actor", context) },
            Property { name: "target_ref", from: "the event", value: |_, context| Some(json!(context.own_id())) },
            Property { name: "description", from: "`verbatim`", value: |p, _| text(p, "verbatim") },
        ],
    },
    Object {
        kind: "relationship",
        each: "links",
        only: "",
        applies: always,
        is_record: false,
        observed_by: &[],
        properties: &[
            Property {
                name: "relationship_type",
                from: "`kind`: `part-of`, `follows`, `conditional-on`; without one `related-to`",
                value: |l, _| Some(json!(word(l, "kind", "EVENT_LINK_KIND_").unwrap_or_else(|| "related-to".to_owned()))),
            },
            Property { name: "source_ref", from: "the event", value: |_, context| Some(json!(context.own_id())) },
            Property { name: "target_ref", from: "`event`", value: |l, context| reference(l, "event", context) },
        ],
    },
];

const HAS_A_LOCATION: &str = "with a `country` or a point, which STIX demands";

fn has_a_location(place: &Value) -> bool {
    place.get("country").is_some() || place.get("latitude").is_some()
}
