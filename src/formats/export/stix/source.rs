//! Sources: reports, and what was seen of them, where and when.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    object::{Context, Object, Property, always},
    property::{references, refs, str_of, text, texts},
};

pub(super) const OBJECTS: &[Object] = &[
    Object {
        kind: "report",
        each: "",
        only: "",
        applies: always,
        is_record: true,
        observed_by: &[],
        properties: &[
            Property {
                name: "name",
                from: "`title`, else `uri`, else `name`",
                value: |s, _| ["title", "uri", "name"].into_iter().find_map(|field| text(s, field)),
            },
            Property {
                name: "published",
                from: "`published.earliest`, else `retrieve_time`, else `create_time`",
                value: |s, _| {
                    let published = s.get("published").and_then(|published| text(published, "earliest"));
                    published.or_else(|| text(s, "retrieve_time")).or_else(|| text(s, "create_time"))
                },
            },
            Property {
                name: "object_refs",
                from: "what was observed of it, `publisher`, `authors`, `derived_from`, `part_of`; else the identity of Annals",
                value: |s, context| Some(objects_of(s, context)),
            },
            Property {
                name: "external_references",
                from: "`uri` as `url`, and `external_ids`",
                value: |s, _| {
                    let page = uri(s).map(|uri| json!({"source_name": "uri", "url": uri}));
                    let ids = references(s).and_then(|ids| ids.as_array().cloned()).unwrap_or_default();
                    let all: Vec<_> = page.into_iter().chain(ids).collect();
                    (!all.is_empty()).then(|| json!(all))
                },
            },
        ],
    },
    Object {
        kind: "artifact",
        each: "",
        only: "with a `text`, or with `uri` and `sha256`",
        applies: |source, _| is_artifact(source),
        is_record: false,
        observed_by: &["hashes", "payload_bin"],
        properties: &[
            Property {
                name: "mime_type",
                from: "`media_type` without parameters, if it is a usual one that is registered",
                value: |s, _| media_type(s),
            },
            Property { name: "payload_bin", from: "`text`, in base 64", value: |s, _| payload(s) },
            Property {
                name: "url",
                from: "`uri`, where there is no `text`",
                value: |s, _| uri(s).filter(|_| str_of(s, "text").is_none()).map(|uri| json!(uri)),
            },
            Property { name: "hashes", from: "`sha256`", value: |s, _| Some(json!({"SHA-256": str_of(s, "sha256")?})) },
        ],
    },
    Object {
        kind: "url",
        each: "",
        only: "with a `uri`, and neither `text` nor `sha256`",
        applies: |source, _| is_url(source),
        is_record: false,
        observed_by: &["value"],
        properties: &[Property { name: "value", from: "`uri`", value: |s, _| uri(s).map(|uri| json!(uri)) }],
    },
    Object {
        kind: "observed-data",
        each: "",
        only: "with an `artifact` or a `url`",
        applies: |source, _| is_artifact(source) || is_url(source),
        is_record: false,
        observed_by: &[],
        properties: &[
            Property { name: "first_observed", from: "`retrieve_time`, else `create_time`", value: |s, _| seen(s) },
            Property { name: "last_observed", from: "the same", value: |s, _| seen(s) },
            Property { name: "number_observed", from: "1", value: |_, _| Some(json!(1)) },
            Property {
                name: "object_refs",
                from: "the artifact or the url",
                value: |s, context| observable(s, context).map(|id| json!([id])),
            },
        ],
    },
];

fn objects_of(source: &Value, context: &Context<'_>) -> Value {
    let fields = ["publisher", "derived_from", "part_of"].into_iter().filter_map(|field| str_of(source, field));
    let records = fields.chain(texts(source, "authors")).map(|name| context.ids.of_record(name));
    let seen = (is_artifact(source) || is_url(source)).then(|| context.beside("observed-data"));
    refs(seen.into_iter().chain(records))
}

fn seen(source: &Value) -> Option<Value> {
    text(source, "retrieve_time").or_else(|| text(source, "create_time"))
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

/// The id of what was observed, as its object has it.
fn observable(source: &Value, context: &Context<'_>) -> Option<String> {
    let made =
        OBJECTS.iter().filter(|object| !object.observed_by.is_empty()).find_map(|object| object.make(source, context))?;
    made.get("id")?.as_str().map(str::to_owned)
}

/// The `uri`, where it is one by RFC 3986: STIX takes no other.
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

/// Media types that are registered, as STIX demands, and that sources come in.
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

/// One of them, without its parameters.
fn media_type(source: &Value) -> Option<Value> {
    let media_type = str_of(source, "media_type")?.split(';').next()?.trim().to_lowercase();
    MEDIA_TYPES.contains(&media_type.as_str()).then(|| json!(media_type))
}
