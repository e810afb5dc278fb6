//! The objects of each type of record, and their properties.
//!
//! Must not know how a bundle is written.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::object::{
    Context, FURTHER, RECORD, StixObject, StixProperty, computed, field, id_list, inner, own_id, present, producer,
    record_type, reference, str_of, texts, word,
};
use crate::{
    formats::values,
    model::{RecordKind, country_alpha2},
};

/// The objects made from the records of a type. The first is the object of the record itself.
pub const fn objects(kind: RecordKind) -> &'static [StixObject] {
    match kind {
        RecordKind::Source => SOURCE,
        RecordKind::Actor => ACTOR,
        RecordKind::Event => EVENT,
        RecordKind::Claim => CLAIM,
        RecordKind::Estimate => ESTIMATE,
        RecordKind::Relation => RELATION,
    }
}

/// Properties of the object of every record. A property of the type with the same name takes precedence.
pub const COMMON: &[StixProperty] = &[
    computed("external_references", "`external_ids`: `source_name` and `external_id`", |r, _| references(r)),
    field("labels", "labels"),
    computed(
        "object_marking_refs",
        "`labels`: STIX's own marking for `tlp:white`, `tlp:clear`, `tlp:green`, `tlp:amber`, `tlp:red`",
        |r, _| markings(r),
    ),
    computed("confidence", "`ratings`: the number of the first `stix.confidence:`", |r, _| confidence(r)),
];

/// A report, and the observables of the source.
const SOURCE: &[StixObject] = &[
    StixObject {
        kind: record_type(RecordKind::Source),
        properties: &[
            computed("name", "`title`, else `uri`, else `name`", |s, _| {
                ["title", "uri", "name"].into_iter().find_map(|field| present(s, field))
            }),
            computed("published", "`published.earliest`, else `retrieve_time`, else `create_time`", |s, _| {
                s.get("published").and_then(|published| present(published, "earliest")).or_else(|| seen(s))
            }),
            computed(
                "object_refs",
                "what was observed of it, `publisher`, `authors`, `derived_from`, `part_of`; else the identity of Annals",
                |s, context| Some(refs_of_source(s, context)),
            ),
            computed("external_references", "`uri` as `url`, and `external_ids`", |s, _| {
                let page = uri(s).map(|uri| json!({"source_name": "uri", "url": uri}));
                let ids = references(s).and_then(|ids| ids.as_array().cloned()).unwrap_or_default();
                let all: Vec<_> = page.into_iter().chain(ids).collect();
                (!all.is_empty()).then(|| json!(all))
            }),
        ],
        ..RECORD
    },
    StixObject {
        kind: "artifact",
        only: "with a `text`, or with `uri` and `sha256`",
        applies: |source, _| is_artifact(source),
        observed_by: &["hashes", "payload_bin"],
        properties: &[
            computed("mime_type", "`media_type` without parameters, if it is a usual one that is registered", |s, _| {
                media_type(s)
            }),
            computed("payload_bin", "`text`, in base 64", |s, _| payload(s)),
            computed("url", "`uri`, if there is no `text`", |s, _| {
                uri(s).filter(|_| str_of(s, "text").is_none()).map(|uri| json!(uri))
            }),
            computed("hashes", "`sha256`", |s, _| Some(json!({"SHA-256": str_of(s, "sha256")?}))),
        ],
        ..FURTHER
    },
    StixObject {
        kind: "url",
        only: "with a `uri`, and neither `text` nor `sha256`",
        applies: |source, _| is_url(source),
        observed_by: &["value"],
        properties: &[computed("value", "`uri`", |s, _| uri(s).map(|uri| json!(uri)))],
        ..FURTHER
    },
    StixObject {
        kind: "observed-data",
        only: "with an `artifact` or a `url`",
        applies: |source, _| is_artifact(source) || is_url(source),
        properties: &[
            computed("first_observed", "`retrieve_time`, else `create_time`", |s, _| seen(s)),
            computed("last_observed", "the same", |s, _| seen(s)),
            computed("number_observed", "1", |_, _| Some(json!(1))),
            computed("object_refs", "the artifact or the url", |s, context| observable(s, context).map(|id| json!([id]))),
        ],
        ..FURTHER
    },
];

/// An identity, and its affiliations.
const ACTOR: &[StixObject] = &[
    StixObject {
        kind: record_type(RecordKind::Actor),
        properties: &[
            field("name", "display_name"),
            field("description", "description"),
            computed(
                "identity_class",
                "`kind`: PERSON `individual`; ORGANIZATION, STATE, UNIT `organization`; ARMED_GROUP, GROUP `group`; POPULATION `class`; \
                 SYSTEM `system`; else `unknown`",
                |a, _| Some(json!(identity_class(str_of(a, "kind").unwrap_or_default()))),
            ),
        ],
        ..RECORD
    },
    StixObject {
        kind: "relationship",
        each: "affiliations",
        properties: &[
            computed("relationship_type", "`role`: `member-of`, `part-of` and so on; without one `related-to`", |a, _| {
                Some(json!(word(a, "role", "AFFILIATION_ROLE_").unwrap_or_else(|| "related-to".to_owned())))
            }),
            own_id("source_ref", "the actor"),
            reference("target_ref", "actor"),
            field("description", "title"),
            inner("start_time", "valid", "earliest"),
            inner("stop_time", "valid", "latest"),
        ],
        ..FURTHER
    },
];

const HAS_A_LOCATION: &str = "with a `country` or a point, which STIX requires";

/// An incident, its places, its participants, and what it is part of.
const EVENT: &[StixObject] = &[
    StixObject {
        kind: record_type(RecordKind::Event),
        properties: &[field("name", "title"), field("description", "description")],
        ..RECORD
    },
    StixObject {
        kind: "location",
        each: "places",
        only: HAS_A_LOCATION,
        applies: |place, _| has_a_location(place),
        properties: &[
            field("name", "display_name"),
            field("description", "description"),
            computed("country", "`country`, as ISO 3166-1 alpha-2", |p, _| {
                str_of(p, "country").map(|country| json!(country_alpha2(country).unwrap_or(country)))
            }),
            computed("administrative_area", "the first of `admin`", |p, _| texts(p, "admin").next().map(|area| json!(area))),
            field("latitude", "latitude"),
            field("longitude", "longitude"),
            computed("precision", "`radius_m`, beside a point", |p, _| p.get("latitude").and(p.get("radius_m")).cloned()),
        ],
        ..FURTHER
    },
    StixObject {
        kind: "relationship",
        each: "places",
        only: HAS_A_LOCATION,
        applies: |place, _| has_a_location(place),
        properties: &[
            computed("relationship_type", "`located-at`", |_, _| Some(json!("located-at"))),
            own_id("source_ref", "the event"),
            computed("target_ref", "its location", |_, context| Some(json!(context.part_id("location", "places")))),
        ],
        ..FURTHER
    },
    StixObject {
        kind: "relationship",
        each: "participants",
        only: "with an `actor`",
        applies: |participant, _| str_of(participant, "actor").is_some(),
        properties: &[
            computed(
                "relationship_type",
                "`role`: `initiator-of`, `recipient-of` and so on; without one `related-to`",
                |p, _| {
                    let role = word(p, "role", "PARTICIPANT_ROLE_").map(|role| format!("{role}-of"));
                    Some(json!(role.unwrap_or_else(|| "related-to".to_owned())))
                },
            ),
            reference("source_ref", "actor"),
            own_id("target_ref", "the event"),
            field("description", "verbatim"),
        ],
        ..FURTHER
    },
    StixObject {
        kind: "relationship",
        each: "links",
        properties: &[
            computed(
                "relationship_type",
                "`kind`: `part-of`, `follows`, `conditional-on`; without one `related-to`",
                |l, _| Some(json!(word(l, "kind", "EVENT_LINK_KIND_").unwrap_or_else(|| "related-to".to_owned()))),
            ),
            own_id("source_ref", "the event"),
            reference("target_ref", "event"),
        ],
        ..FURTHER
    },
];

/// A note. It omits the language of the claim, because validators know only some languages.
const CLAIM: &[StixObject] = &[StixObject {
    kind: record_type(RecordKind::Claim),
    properties: &[
        field("content", "statement"),
        computed(
            "object_refs",
            "`about`, `condition`, the `actors` of `attribution`, the `source` of `citations`",
            |c, context| Some(context.ids.of_records(texts(c, "about").chain(str_of(c, "condition")).chain(grounds(c)))),
        ),
    ],
    ..RECORD
}];

/// A note that has the number as text.
const ESTIMATE: &[StixObject] = &[StixObject {
    kind: record_type(RecordKind::Estimate),
    properties: &[
        inner("abstract", "estimand", "measure"),
        computed(
            "content",
            "`quantity`, `aspect`, `mode` and the words of `reference_time` and `as_of`, in a sentence",
            |e, _| Some(json!(sentence_of_estimate(e))),
        ),
        computed(
            "object_refs",
            "`claim`, `estimand.subjects`, `inputs`, the `actors` of `attribution`, the `source` of `citations`",
            |e, context| {
                let subjects = e.get("estimand").into_iter().flat_map(|estimand| texts(estimand, "subjects"));
                let names = str_of(e, "claim").into_iter().chain(subjects).chain(texts(e, "inputs")).chain(grounds(e));
                Some(context.ids.of_records(names))
            },
        ),
    ],
    ..RECORD
}];

/// A relationship, or a note if STIX does not allow the relationship. Also an opinion, if the relation judges.
const RELATION: &[StixObject] = &[
    StixObject {
        kind: record_type(RecordKind::Relation),
        only: "unless an end is a relation, which STIX does not allow",
        applies: |relation, _| !has_relation_end(relation),
        properties: &[
            computed("relationship_type", "`kind`: `supports`, `contradicts` and so on", |r, _| {
                word(r, "kind", RELATION_PREFIX).map(|kind| json!(kind))
            }),
            computed("source_ref", "`subject`, else `asserted_by`, else the identity of Annals", |r, context| {
                let end = str_of(r, "subject").or_else(|| str_of(r, "asserted_by"));
                Some(json!(end.map_or_else(producer, |name| context.ids.of_record(name))))
            }),
            reference("target_ref", "object"),
            field("description", "rationale"),
            inner("start_time", "effective", "earliest"),
            inner("stop_time", "effective", "latest"),
            CREATED_BY,
            REVOKED,
        ],
        ..RECORD
    },
    StixObject {
        kind: "note",
        only: "if an end is a relation",
        applies: |relation, _| has_relation_end(relation),
        properties: &[
            computed("content", "`subject`, `kind`, `object` and `rationale`, in a sentence", |r, _| {
                Some(json!(sentence_of_relation(r)))
            }),
            computed("object_refs", "`subject` and `object`", |r, context| Some(context.ids.of_records(ends(r)))),
            CREATED_BY,
            REVOKED,
        ],
        ..RECORD
    },
    StixObject {
        kind: "opinion",
        only: "of the kinds SUPPORTS, CONTRADICTS, DISPUTES; of RATES with an `admiralty.credibility` of 1 to 5",
        applies: |relation, _| opinion(relation).is_some(),
        properties: &[
            computed(
                "opinion",
                "SUPPORTS `agree`; CONTRADICTS, DISPUTES `disagree`; credibility 1 `strongly-agree`, 2 `agree`, 3 `neutral`, \
                 4 `disagree`, 5 `strongly-disagree`",
                |r, _| opinion(r).map(|opinion| json!(opinion)),
            ),
            computed("explanation", "`rationale`, else `rating.rationale`", |r, _| {
                present(r, "rationale").or_else(|| present(r.get("rating")?, "rationale"))
            }),
            computed("object_refs", "`object`", |r, context| Some(context.ids.of_records(str_of(r, "object")))),
            CREATED_BY,
            REVOKED,
        ],
        ..FURTHER
    },
];

/// The prefix of the kinds of relations.
const RELATION_PREFIX: &str = "RELATION_KIND_";

const CREATED_BY: StixProperty = reference("created_by_ref", "asserted_by");

const REVOKED: StixProperty =
    computed("revoked", "`revoked`", |r, _| r.get("revoked").filter(|revoked| **revoked == json!(true)).cloned());

fn refs_of_source(source: &Value, context: &Context<'_>) -> Value {
    let fields = ["publisher", "derived_from", "part_of"].into_iter().filter_map(|field| str_of(source, field));
    let records = fields.chain(texts(source, "authors")).map(|name| context.ids.of_record(name));
    let seen = (is_artifact(source) || is_url(source)).then(|| context.further_id("observed-data"));
    id_list(seen.into_iter().chain(records))
}

/// When a source was observed.
fn seen(source: &Value) -> Option<Value> {
    present(source, "retrieve_time").or_else(|| present(source, "create_time"))
}

fn is_artifact(source: &Value) -> bool {
    str_of(source, "sha256").is_some() && (str_of(source, "text").is_some() || uri(source).is_some())
}

fn is_url(source: &Value) -> bool {
    uri(source).is_some() && str_of(source, "sha256").is_none()
}

fn payload(source: &Value) -> Option<Value> {
    str_of(source, "text").map(|text| json!(BASE64_STANDARD.encode(text)))
}

/// The id of the observable of a source.
fn observable(source: &Value, context: &Context<'_>) -> Option<String> {
    let made = SOURCE.iter().filter(|object| object.is_observable()).find_map(|object| object.make(source, context))?;
    made.get("id")?.as_str().map(str::to_owned)
}

/// The `uri`, if it is a URI by RFC 3986. STIX accepts no other.
fn uri(source: &Value) -> Option<&str> {
    str_of(source, "uri").filter(|text| is_uri(text))
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    let is_escaped =
        rest.split('%').skip(1).all(|part| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    let is_plain = rest.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(letter));
    is_scheme && is_escaped && is_plain && !rest.is_empty() && rest.matches('#').count() <= 1
}

/// The usual media types. STIX requires registered ones.
const MEDIA_TYPES: [&str; 14] = [
    "application/json",
    "application/pdf",
    "application/xhtml+xml",
    "application/xml",
    "audio/mpeg",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/html",
    "text/markdown",
    "text/plain",
    "text/xml",
    "video/mp4",
];

/// The media type without its parameters. `None` if it is not one of these.
fn media_type(source: &Value) -> Option<Value> {
    let media_type = str_of(source, "media_type")?.split(';').next()?.trim().to_lowercase();
    MEDIA_TYPES.contains(&media_type.as_str()).then(|| json!(media_type))
}

fn identity_class(kind: &str) -> &'static str {
    match kind.trim_start_matches("ACTOR_KIND_") {
        "PERSON" => "individual",
        "ORGANIZATION" | "STATE" | "UNIT" => "organization",
        "ARMED_GROUP" | "GROUP" => "group",
        "POPULATION" => "class",
        "SYSTEM" => "system",
        _ => "unknown",
    }
}

fn has_a_location(place: &Value) -> bool {
    place.get("country").is_some() || place.get("latitude").is_some()
}

/// The records that support a claim or an estimate: its speakers and its sources.
fn grounds(value: &Value) -> impl Iterator<Item = &str> {
    let each = |field: &str| value.get(field).and_then(Value::as_array).into_iter().flatten();
    let said_by = each("attribution").flat_map(|hop| texts(hop, "actors"));
    let read_in = each("citations").filter_map(|citation| str_of(citation, "source"));
    said_by.chain(read_in)
}

/// For example `measure:troops_deployed: 3000 ("around 3,000"), cumulative, counted, of 2024-10, as of 2024-10-23`.
fn sentence_of_estimate(estimate: &Value) -> String {
    let measure = estimate.pointer("/estimand/measure").and_then(Value::as_str).unwrap_or_default();
    let number = estimate.get("quantity");
    let mut text = format!("{measure}: {}", values::quantity_in_words(number));
    if let Some(words) = number.and_then(|number| str_of(number, "verbatim")) {
        text.extend([" (\"", words, "\")"]);
    }
    for (field, prefix) in [("aspect", "ASPECT_"), ("mode", "ESTIMATE_MODE_")] {
        text.extend(word(estimate, field, prefix).map(|word| format!(", {word}")));
    }
    for (field, of) in [("reference_time", "of"), ("as_of", "as of")] {
        let time = estimate.get(field);
        let time = time
            .and_then(|time| str_of(time, "edtf").or_else(|| str_of(time, "verbatim")).or_else(|| str_of(time, "earliest")));
        text.extend(time.map(|time| format!(", {of} {time}")));
    }
    text
}

/// Subject and object.
fn ends(relation: &Value) -> impl Iterator<Item = &str> {
    ["subject", "object"].into_iter().filter_map(|end| str_of(relation, end))
}

/// Whether an end is a relation.
fn has_relation_end(relation: &Value) -> bool {
    ends(relation).any(|name| name.starts_with("relations/"))
}

/// For example "relations/r1 disputes claims/c1: rival explanation".
fn sentence_of_relation(relation: &Value) -> String {
    let kind = word(relation, "kind", RELATION_PREFIX).unwrap_or_default().replace('-', " ");
    let [subject, object] = ["subject", "object"].map(|end| str_of(relation, end).unwrap_or_default());
    let rationale = str_of(relation, "rationale").map(|rationale| format!(": {rationale}")).unwrap_or_default();
    format!("{subject} {kind} {object}{rationale}").trim_start().to_owned()
}

/// The opinion that a relation expresses, on the scale of STIX.
fn opinion(relation: &Value) -> Option<&'static str> {
    match str_of(relation, "kind")?.trim_start_matches(RELATION_PREFIX) {
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

/// External ids. STIX defines a meaning for the ids of vulnerabilities, so an id that looks like one goes into the description.
fn references(record: &Value) -> Option<Value> {
    let reference = |id: &str| {
        let (scheme, value) = id.split_once(':')?;
        let key = if ["cve", "capec"].contains(&scheme) || value.starts_with("CVE-") || value.starts_with("CAPEC-") {
            "description"
        } else {
            "external_id"
        };
        let scheme = if key == "description" { format!("annals.{scheme}") } else { scheme.to_owned() };
        Some(json!({"source_name": scheme, key: value}))
    };
    let references: Vec<_> = texts(record, "external_ids").filter_map(reference).collect();
    (!references.is_empty()).then(|| json!(references))
}

/// The markings that STIX defines for the Traffic Light Protocol.
const TLP: [(&str, &str); 5] = [
    ("tlp:white", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    ("tlp:clear", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    ("tlp:green", "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    ("tlp:amber", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"),
    ("tlp:red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
];

fn markings(record: &Value) -> Option<Value> {
    let marking = |label: &str| TLP.iter().find(|(known, _)| label.eq_ignore_ascii_case(known)).map(|(_, id)| *id);
    let markings: Vec<_> = texts(record, "labels").filter_map(marking).collect();
    (!markings.is_empty()).then(|| json!(markings))
}

fn confidence(record: &Value) -> Option<Value> {
    let ratings = record.get("ratings")?.as_array()?;
    let number = |rating: &Value| str_of(rating, "code")?.strip_prefix("stix.confidence:")?.parse::<u8>().ok();
    ratings.iter().find_map(number).map(|number| json!(number))
}
