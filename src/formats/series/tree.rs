//! Messages of the contract in TOML: held against their descriptors when a mapping is read, and filled in for each row.
//!
//! Knows descriptors. Must not know which message of the contract it is, but where TOML may say a value shorter than JSON: an enum's value
//! without its prefix, a time as its EDTF alone.

use std::{collections::BTreeMap, ops::Range};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    cells::{Cells, Fault},
    leaf::{Leaf, Scalar},
    problem::Problems,
    text::Text,
};
use crate::model::schema::Schema;

/// A message, or a map.
#[derive(Debug, Default)]
pub(super) struct Tree {
    fields: Vec<(String, Node)>,
    /// It is a `TimeSpec`, which without a time says nothing.
    is_time: bool,
}

#[derive(Debug)]
enum Node {
    Leaf(Leaf),
    List(Vec<Node>),
    Tree(Tree),
}

/// Where in a mapping a tree is read.
pub(super) struct Place<'p, 'a> {
    pub(super) schema: &'static Schema,
    /// The labels of records that stand above.
    pub(super) labels: &'p [String],
    pub(super) problems: &'p mut Problems<'a>,
}

impl Tree {
    /// Reads the fields of a message, and reports what is not of the contract. `at` is the path in the mapping, `below` that in the record.
    pub(super) fn read(
        message: &MessageDescriptor,
        table: &DeTable<'_>,
        at: &str,
        below: &str,
        place: &mut Place<'_, '_>,
    ) -> Self {
        let mut tree = Self { fields: Vec::new(), is_time: message.name() == "TimeSpec" };
        for (key, value) in table {
            let at = format!("{at}.{}", key.get_ref());
            let field = message.get_field_by_name(key.get_ref()).or_else(|| message.get_field_by_json_name(key.get_ref()));
            let Some(field) = field else {
                let fields: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
                place.problems.add(
                    key.span(),
                    at,
                    format!("{} of the contract has no such field: it has {}", message.name(), fields.join(", ")),
                );
                continue;
            };
            let below = if below.is_empty() { field.name().to_owned() } else { format!("{below}.{}", field.name()) };
            if let Some(node) = Node::read(&field, value, &at, &below, place) {
                tree.fields.push((field.name().to_owned(), node));
            }
        }
        tree
    }

    /// The names of the fields that it may set.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The first text of a field.
    pub(super) fn first_text(&self, field: &str) -> Option<&Text> {
        self.fields.iter().find(|(name, _)| name == field).and_then(|(_, node)| match node {
            Node::Leaf(leaf) => Some(&leaf.text),
            Node::List(list) => list.iter().find_map(|node| match node {
                Node::Leaf(leaf) => Some(&leaf.text),
                _ => None,
            }),
            Node::Tree(_) => None,
        })
    }

    /// Hands over every text in it.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&Text)) {
        self.fields.iter().for_each(|(_, node)| node.visit(visit));
    }

    /// The message in proto3 JSON. What a column without a value stands in is left out, and so is a message of which nothing is left.
    pub(super) fn fill(&self, cells: Cells<'_>, names: &BTreeMap<&str, String>) -> Result<Option<Value>, Fault> {
        let mut filled = Map::new();
        for (name, node) in &self.fields {
            if let Some(value) = node.fill(cells, names)? {
                filled.insert(name.clone(), value);
            }
        }
        let says_nothing =
            self.is_time && !["edtf", "earliest", "latest", "verbatim"].iter().any(|key| filled.contains_key(*key));
        Ok(Some(Value::Object(filled)).filter(|filled| !says_nothing && filled.as_object().is_some_and(|map| !map.is_empty())))
    }
}

impl Node {
    fn read(
        field: &FieldDescriptor,
        value: &Spanned<DeValue<'_>>,
        at: &str,
        below: &str,
        place: &mut Place<'_, '_>,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(entries) if field.is_map() => {
                let kind = field.kind();
                let of = kind.as_message().and_then(|entry| entry.get_field_by_name("value"))?;
                let mut tree = Tree::default();
                for (key, value) in entries {
                    let at = format!("{at}.{}", key.get_ref());
                    if let Some(node) = Self::read(&of, value, &at, below, place) {
                        tree.fields.push((key.get_ref().to_string(), node));
                    }
                }
                Some(Self::Tree(tree))
            }
            DeValue::Array(elements) if field.is_list() => {
                let read = |(index, element)| Self::element(field, element, &format!("{at}[{index}]"), below, place);
                Some(Self::List(elements.iter().enumerate().filter_map(read).collect()))
            }
            _ if field.is_list() => refuse(place, value.span(), at, "is a list: write it in [ ]"),
            _ if field.is_map() => refuse(place, value.span(), at, "is a table: write it in { }"),
            _ => Self::element(field, value, at, below, place),
        }
    }

    /// A value of a field, or one of those of a repeated field.
    fn element(
        field: &FieldDescriptor,
        value: &Spanned<DeValue<'_>>,
        at: &str,
        below: &str,
        place: &mut Place<'_, '_>,
    ) -> Option<Self> {
        let kind = field.kind();
        let text = match (value.get_ref(), &kind) {
            (DeValue::Table(table), Kind::Message(message)) if !is_timestamp(message) => {
                return Some(Self::Tree(Tree::read(message, table, at, below, place)));
            }
            (DeValue::Table(_), _) => return refuse(place, value.span(), at, "is no table"),
            (DeValue::Array(_), _) => return refuse(place, value.span(), at, "is no list"),
            (DeValue::String(text), _) => text.to_string(),
            (DeValue::Integer(number), _) => number.to_string(),
            (DeValue::Float(number), _) => number.to_string(),
            (DeValue::Boolean(value), _) => value.to_string(),
            (DeValue::Datetime(time), _) => time.to_string(),
        };
        let text = match Text::parse(&text) {
            Ok(text) => text,
            Err(reason) => return refuse(place, value.span(), at, &reason),
        };
        let becomes = match kind {
            Kind::Message(message) if message.name() == "TimeSpec" => Scalar::Time,
            Kind::Message(message) if is_timestamp(&message) => Scalar::Text,
            Kind::Message(message) => {
                return refuse(place, value.span(), at, &format!("is a {}: write it in {{ }}", message.name()));
            }
            Kind::Enum(values) => Scalar::Enum(values),
            Kind::Double | Kind::Float => Scalar::Number,
            Kind::Bool => Scalar::Bool,
            Kind::String if field.name() == "external_ids" => Scalar::ExternalId,
            Kind::String if place.schema.references.iter().any(|reference| reference.dotted() == below) => Scalar::Reference,
            Kind::String | Kind::Bytes => Scalar::Text,
            _ => Scalar::Whole,
        };
        let leaf = Leaf { text, becomes };
        // What holds of every row is looked at once, here.
        if let Some(fixed) = leaf.text.fixed() {
            let known = |label: &str| place.labels.iter().any(|known| known == label);
            let wrong = match (&leaf.becomes, fixed.strip_prefix('@')) {
                (Scalar::Reference, Some(label)) if !known(label) => {
                    Some(format!("no record above has the label {label:?}: what a record refers to stands before it"))
                }
                (Scalar::Reference, Some(_)) => None,
                _ => leaf.value(fixed).err(),
            };
            if let Some(reason) = wrong {
                return refuse(place, value.span(), at, &reason);
            }
        }
        Some(Self::Leaf(leaf))
    }

    fn visit(&self, visit: &mut dyn FnMut(&Text)) {
        match self {
            Self::Leaf(leaf) => visit(&leaf.text),
            Self::List(list) => list.iter().for_each(|node| node.visit(visit)),
            Self::Tree(tree) => tree.visit(visit),
        }
    }

    fn fill(&self, cells: Cells<'_>, names: &BTreeMap<&str, String>) -> Result<Option<Value>, Fault> {
        match self {
            Self::Tree(tree) => tree.fill(cells, names),
            Self::List(list) => {
                let filled: Vec<_> =
                    list.iter().filter_map(|node| node.fill(cells, names).transpose()).collect::<Result<_, _>>()?;
                Ok(Some(Value::Array(filled)).filter(|list| *list != Value::Array(Vec::new())))
            }
            Self::Leaf(leaf) => {
                let Some(text) = leaf.text(cells)? else { return Ok(None) };
                match (&leaf.becomes, text.strip_prefix('@')) {
                    // A record that this row does not make cannot be referred to.
                    (Scalar::Reference, Some(label)) => Ok(names.get(label).cloned().map(Value::String)),
                    _ => leaf.value(&text).map(Some).map_err(|reason| Fault { column: leaf.column(), reason }),
                }
            }
        }
    }
}

fn refuse(place: &mut Place<'_, '_>, span: Range<usize>, at: &str, reason: &str) -> Option<Node> {
    place.problems.add(span, at, reason);
    None
}

fn is_timestamp(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}
