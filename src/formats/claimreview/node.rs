//! JSON-LD as web pages write it: one value or a list of values, a text in place of a thing, things referred to by id, dates in
//! any form.
//!
//! Must not know what a member means.

use std::collections::HashMap;

use jiff::fmt::temporal::Pieces;
use serde_json::{Map, Value};

use crate::{formats::values, model::is_edtf, proto::TimeSpec};

/// The things of a document by their `@id`.
pub(super) type Graph<'a> = HashMap<&'a str, &'a Map<String, Value>>;

/// A thing, or a text in place of one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thing<'a> {
    Node(Node<'a>),
    Text(&'a str),
}

/// A thing that is a JSON object. Its references are looked up in the graph of its document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) members: &'a Map<String, Value>,
    graph: &'a Graph<'a>,
}

/// The things in the `@graph` of a document.
pub(super) fn graph(document: &Value) -> Graph<'_> {
    let listed = document.get("@graph").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_object).filter_map(|node| Some((node.get("@id")?.as_str()?, node))).collect()
}

/// The things of a document: the document itself, the things of its graph, or those of an element of a `DataFeed`.
pub(super) fn things<'a>(document: &'a Value, graph: &'a Graph<'a>) -> Vec<Node<'a>> {
    match document {
        Value::Array(list) => list.iter().flat_map(|document| things(document, graph)).collect(),
        Value::Object(members) => {
            let below = ["@graph", "item"].iter().find_map(|member| members.get(*member));
            match below {
                Some(below) if !Node { members, graph }.is("ClaimReview") => things(below, graph),
                _ => vec![Node { members, graph }],
            }
        }
        _ => Vec::new(),
    }
}

impl<'a> Node<'a> {
    /// Whether it has this type of schema.org, with or without a prefix.
    pub(super) fn is(self, wanted: &str) -> bool {
        self.types().any(|name| name == wanted)
    }

    /// Its types, without prefixes.
    pub(super) fn types(self) -> impl Iterator<Item = &'a str> {
        let types = self.members.get("@type").or_else(|| self.members.get("type"));
        let listed =
            types.and_then(Value::as_array).map_or_else(|| types.into_iter().collect(), |list| list.iter().collect::<Vec<_>>());
        listed.into_iter().filter_map(Value::as_str).map(|name| name.rsplit(['/', ':']).next().unwrap_or(name))
    }

    /// The things and the non-empty texts of a member.
    pub(super) fn things(self, member: &str) -> Vec<Thing<'a>> {
        self.members.get(member).map(|value| self.resolved(value)).unwrap_or_default()
    }

    fn resolved(self, value: &'a Value) -> Vec<Thing<'a>> {
        match value {
            Value::Array(list) => list.iter().flat_map(|value| self.resolved(value)).collect(),
            Value::String(text) if !text.trim().is_empty() => vec![Thing::Text(text.trim())],
            Value::Object(members) => {
                // An object with only an id refers to a thing elsewhere in the graph.
                let elsewhere = (members.len() == 1).then(|| members.get("@id").and_then(Value::as_str)).flatten();
                let members = elsewhere.and_then(|id| self.graph.get(id).copied()).unwrap_or(members);
                vec![Thing::Node(Node { members, graph: self.graph })]
            }
            _ => Vec::new(),
        }
    }

    /// The first text in one of these members. The text of a thing is its `@value` or its name.
    pub(super) fn text(self, members: &[&str]) -> Option<String> {
        members.iter().find_map(|member| self.members.get(*member).and_then(text_of))
    }

    /// The number in a member. It may be written as a text.
    pub(super) fn number(self, member: &str) -> Option<f64> {
        let text = self.text(&[member])?;
        text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Its URL. `None` if no member has one.
    pub(super) fn address(self) -> Option<String> {
        let address = self.text(&["url", "contentUrl", "@id", "sameAs"]);
        address.filter(|address| address.contains("://"))
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => list.iter().find_map(text_of),
        Value::Object(members) => {
            ["@value", "name", "url", "@id"].iter().find_map(|member| members.get(*member).and_then(text_of))
        }
        Value::Null | Value::Bool(_) => None,
    }
}

/// Forms in which day and month cannot be mistaken for each other.
const DATE_FORMS: &[&str] =
    &["%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%Y/%m/%d", "%Y%m%d", "%a, %d %b %Y %H:%M:%S %z"];

/// A date as EDTF, in the precision in which it is written but without fractions of seconds. If the date is ambiguous, only its
/// text is kept.
pub(super) fn time(text: &str) -> TimeSpec {
    let found = if is_edtf(text) { Some(text.to_owned()) } else { moment(text).or_else(|| form(text)) };
    let edtf = found.filter(|edtf| is_edtf(edtf)).unwrap_or_default();
    let verbatim = if edtf == text { String::new() } else { text.to_owned() };
    TimeSpec { edtf, verbatim, ..Default::default() }
}

/// A day with a time of day, in ISO 8601 or a similar form.
fn moment(text: &str) -> Option<String> {
    let pieces = Pieces::parse(text).ok()?;
    let has_seconds = text.matches(':').count() >= 2
        && text.split_once(['T', 't', ' ']).is_some_and(|(_, time)| time.len() >= 8 && time.as_bytes().get(5) == Some(&b':'));
    let time = pieces.time().filter(|_| has_seconds);
    Some(values::edtf(pieces.date(), time, pieces.to_numeric_offset()))
}

fn form(text: &str) -> Option<String> {
    DATE_FORMS.iter().find_map(|form| values::edtf_from_form(text, form).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, edtf: &str) {
        let time = time(text);
        assert_eq!(time.edtf, edtf, "{text}");
        assert_eq!(time.verbatim, if edtf == text { "" } else { text });
    }

    #[test]
    fn dates_keep_their_precision_and_what_is_not_plain_keeps_its_words() {
        check("2023-05-04", "2023-05-04");
        check("2023-05", "2023-05");
        check("2023", "2023");
        check("2023-05-04T10:30:00Z", "2023-05-04T10:30:00Z");
        check("2023-05-04T10:30:00.123Z", "2023-05-04T10:30:00Z");
        check("2023-05-04T10:30:00+05:30", "2023-05-04T10:30:00+05:30");
        check("2023-05-04 10:30:00", "2023-05-04T10:30:00");
        check("2023-05-04T10:30", "2023-05-04");
        check("2023-05-04T10:30+02:00", "2023-05-04");
        check("May 4, 2023", "2023-05-04");
        check("4 May 2023", "2023-05-04");
        check("2023/05/04", "2023-05-04");
        check("Thu, 04 May 2023 10:30:00 +0000", "2023-05-04T10:30:00Z");
        check("04/05/2023", "");
        check("2023-02-30", "");
        check("last week", "");
    }
}
