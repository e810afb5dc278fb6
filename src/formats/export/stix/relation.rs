//! Relations: relationships, and opinions where they judge.

use serde_json::{Value, json};

use super::{
    object::{Object, Property},
    property::{bound, object_refs, reference, str_of, text, word},
};

pub(super) const OBJECTS: &[Object] = &[
    Object {
        kind: "relationship",
        each: "",
        only: "unless an end is a relation, which STIX does not allow",
        applies: |relation, _| !is_of_relations(relation),
        is_record: true,
        observed_by: &[],
        properties: &[
            Property {
                name: "relationship_type",
                from: "`kind`: `supports`, `contradicts` and so on",
                value: |r, _| word(r, "kind", PREFIX).map(|kind| json!(kind)),
            },
            Property {
                name: "source_ref",
                from: "`subject`, else `asserted_by`, else the identity of Annals",
                value: |r, context| {
                    let end = reference(r, "subject", context).or_else(|| reference(r, "asserted_by", context));
                    end.or_else(|| Some(json!(super::extension::producer())))
                },
            },
            Property { name: "target_ref", from: "`object`", value: |r, context| reference(r, "object", context) },
            Property { name: "description", from: "`rationale`", value: |r, _| text(r, "rationale") },
            Property { name: "start_time", from: "`effective.earliest`", value: |r, _| bound(r, "effective", "earliest") },
            Property { name: "stop_time", from: "`effective.latest`", value: |r, _| bound(r, "effective", "latest") },
            CREATED_BY,
            REVOKED,
        ],
    },
    Object {
        kind: "note",
        each: "",
        only: "if an end is a relation",
        applies: |relation, _| is_of_relations(relation),
        is_record: true,
        observed_by: &[],
        properties: &[
            Property {
                name: "content",
                from: "`subject`, `kind`, `object` and `rationale`, in a sentence",
                value: |r, _| Some(json!(sentence(r))),
            },
            OBJECT_REFS,
            CREATED_BY,
            REVOKED,
        ],
    },
    Object {
        kind: "opinion",
        each: "",
        only: "of the kinds SUPPORTS, CONTRADICTS, DISPUTES; of RATES with an `admiralty.credibility` of 1 to 5",
        applies: |relation, _| opinion(relation).is_some(),
        is_record: false,
        observed_by: &[],
        properties: &[
            Property {
                name: "opinion",
                from: "SUPPORTS `agree`; CONTRADICTS, DISPUTES `disagree`; credibility 1 `strongly-agree`, 2 `agree`, 3 `neutral`, \
                       4 `disagree`, 5 `strongly-disagree`",
                value: |r, _| opinion(r).map(|opinion| json!(opinion)),
            },
            Property {
                name: "explanation",
                from: "`rationale`, else `rating.rationale`",
                value: |r, _| text(r, "rationale").or_else(|| text(r.get("rating")?, "rationale")),
            },
            Property {
                name: "object_refs",
                from: "`object`",
                value: |r, context| Some(object_refs(str_of(r, "object"), context)),
            },
            CREATED_BY,
            REVOKED,
        ],
    },
];

const PREFIX: &str = "RELATION_KIND_";

const CREATED_BY: Property =
    Property { name: "created_by_ref", from: "`asserted_by`", value: |r, context| reference(r, "asserted_by", context) };

const REVOKED: Property = Property {
    name: "revoked",
    from: "`revoked`",
    value: |r, _| r.get("revoked").filter(|revoked| **revoked == json!(true)).cloned(),
};

const OBJECT_REFS: Property =
    Property { name: "object_refs", from: "`subject` and `object`", value: |r, context| Some(object_refs(ends(r), context)) };

fn ends(relation: &Value) -> impl Iterator<Item = &str> {
    ["subject", "object"].into_iter().filter_map(|end| str_of(relation, end))
}

fn is_of_relations(relation: &Value) -> bool {
    ends(relation).any(|name| name.starts_with("relations/"))
}

/// "relations/r1 disputes claims/c1: rival explanation"
fn sentence(relation: &Value) -> String {
    let kind = word(relation, "kind", PREFIX).unwrap_or_default().replace('-', " ");
    let [subject, object] = ["subject", "object"].map(|end| str_of(relation, end).unwrap_or_default());
    let rationale = str_of(relation, "rationale").map(|rationale| format!(": {rationale}")).unwrap_or_default();
    format!("{subject} {kind} {object}{rationale}").trim_start().to_owned()
}

fn opinion(relation: &Value) -> Option<&'static str> {
    match str_of(relation, "kind")?.trim_start_matches(PREFIX) {
        "SUPPORTS" => Some("agree"),
        "CONTRADICTS" | "DISPUTES" => Some("disagree"),
        "RATES" => match str_of(relation.get("rating")?, "code")?.strip_prefix("admiralty.credibility:")? {
            "1" => Some("strongly-agree"),
            "2" => Some("agree"),
            "3" => Some("neutral"),
            "4" => Some("disagree"),
            "5" => Some("strongly-disagree"),
            _ => None,
        },
        _ => None,
    }
}
