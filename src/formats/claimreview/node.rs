//! JSON-LD as it is found on pages: one value or a list of them, a text where there should be a thing, things told by their ids.
//!
//! Knows the shapes of JSON-LD. Must not know what a member means.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The things of a document that others refer to by `@id`.
pub(super) type Graph<'a> = HashMap<&'a str, &'a Map<String, Value>>;

/// A thing, or a text that stands for one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thing<'a> {
    Node(Node<'a>),
    Text(&'a str),
}

/// A thing with members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) members: &'a Map<String, Value>,
    graph: &'a Graph<'a>,
}

/// The things of a document that are listed by their ids.
pub(super) fn graph(document: &Value) -> Graph<'_> {
    let listed = document.get("@graph").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_object).filter_map(|node| Some((node.get("@id")?.as_str()?, node))).collect()
}

/// The things of a document: itself, those of its graph, or those that an element of a feed holds.
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
    /// Whether it is of a type of schema.org's, however that is written.
    pub(super) fn is(self, wanted: &str) -> bool {
        self.types().any(|name| name == wanted)
    }

    /// Its types, without what stands before their names.
    pub(super) fn types(self) -> impl Iterator<Item = &'a str> {
        let types = self.members.get("@type").or_else(|| self.members.get("type"));
        let listed =
            types.and_then(Value::as_array).map_or_else(|| types.into_iter().collect(), |list| list.iter().collect::<Vec<_>>());
        listed.into_iter().filter_map(Value::as_str).map(|name| name.rsplit(['/', ':']).next().unwrap_or(name))
    }

    /// What a member holds: things and texts, empty ones left out.
    pub(super) fn things(self, member: &str) -> Vec<Thing<'a>> {
        self.members.get(member).map(|value| self.resolved(value)).unwrap_or_default()
    }

    fn resolved(self, value: &'a Value) -> Vec<Thing<'a>> {
        match value {
            Value::Array(list) => list.iter().flat_map(|value| self.resolved(value)).collect(),
            Value::String(text) if !text.trim().is_empty() => vec![Thing::Text(text.trim())],
            Value::Object(members) => {
                // No more than an id: the thing is told elsewhere, if at all.
                let elsewhere = (members.len() == 1).then(|| members.get("@id").and_then(Value::as_str)).flatten();
                let members = elsewhere.and_then(|id| self.graph.get(id).copied()).unwrap_or(members);
                vec![Thing::Node(Node { members, graph: self.graph })]
            }
            _ => Vec::new(),
        }
    }

    /// The first text of the first of these members that has one. A thing's is its `@value` or its name.
    pub(super) fn text(self, members: &[&str]) -> Option<String> {
        members.iter().find_map(|member| self.members.get(*member).and_then(text_of))
    }

    /// A number, also one that is written as a text.
    pub(super) fn number(self, member: &str) -> Option<f64> {
        let text = self.text(&[member])?;
        text.trim().replace(',', ".").parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Where it can be read.
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
