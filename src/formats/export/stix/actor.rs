//! Actors: identities, and what they belong to.

use serde_json::json;

use super::{
    object::{Object, Property, always},
    property::{bound, reference, str_of, text, word},
};

pub(super) const OBJECTS: &[Object] = &[
    Object {
        kind: "identity",
        each: "",
        only: "",
        applies: always,
        is_record: true,
        observed_by: &[],
        properties: &[
            Property { name: "name", from: "`display_name`", value: |a, _| text(a, "display_name") },
            Property { name: "description", from: "`description`", value: |a, _| text(a, "description") },
            Property {
                name: "identity_class",
                from: "`kind`: PERSON `individual`; ORGANIZATION, STATE, UNIT `organization`; ARMED_GROUP, GROUP `group`; POPULATION `class`; \
                       SYSTEM `system`; else `unknown`",
                value: |a, _| Some(json!(class(str_of(a, "kind").unwrap_or_default()))),
            },
        ],
    },
    Object {
        kind: "relationship",
        each: "affiliations",
        only: "",
        applies: always,
        is_record: false,
        observed_by: &[],
        properties: &[
            Property {
                name: "relationship_type",
                from: "`role`: `member-of`, `part-of` and so on; without one `related-to`",
                value: |a, _| Some(json!(word(a, "role", "AFFILIATION_ROLE_").unwrap_or_else(|| "related-to".to_owned()))),
            },
            Property { name: "source_ref", from: "the actor", value: |_, context| Some(json!(context.own_id())) },
            Property { name: "target_ref", from: "`actor`", value: |a, context| reference(a, "actor", context) },
            Property { name: "description", from: "`title`", value: |a, _| text(a, "title") },
            Property { name: "start_time", from: "`valid.earliest`", value: |a, _| bound(a, "valid", "earliest") },
            Property { name: "stop_time", from: "`valid.latest`", value: |a, _| bound(a, "valid", "latest") },
        ],
    },
];

fn class(kind: &str) -> &'static str {
    match kind.trim_start_matches("ACTOR_KIND_") {
        "PERSON" => "individual",
        "ORGANIZATION" | "STATE" | "UNIT" => "organization",
        "ARMED_GROUP" | "GROUP" => "group",
        "POPULATION" => "class",
        "SYSTEM" => "system",
        _ => "unknown",
    }
}
