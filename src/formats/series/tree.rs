//! Messages of the contract in TOML. They are checked against their descriptors when a mapping is read, and filled in for each
//! row.
//!
//! Must not know which message of the contract it is. TOML may be shorter than JSON in two cases, which this file knows: an
//! enum's value without its prefix, and a time as its EDTF alone.

use std::{collections::BTreeMap, ops::Range};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    columns::{CellError, Cells, TextTemplate},
    keys::Problems,
};
use crate::{formats::values::escaped, model::schema::Schema};

/// A message or a map.
#[derive(Debug, Default)]
pub(super) struct Tree {
    fields: Vec<(String, Node)>,
    /// Whether it is a `TimeSpec`, which is left out if it has no time.
    is_time: bool,
}

#[derive(Debug)]
enum Node {
    Leaf(Leaf),
    List(Vec<Node>),
    Tree(Tree),
}

/// What is known about the mapping while a tree is read.
pub(super) struct MappingContext<'p, 'a> {
    pub(super) schema: &'static Schema,
    /// The labels of the records above this one.
    pub(super) labels: &'p [String],
    pub(super) problems: &'p mut Problems<'a>,
}

impl Tree {
    /// Reads the fields of a message, and reports fields that the contract does not have. `at` is the path in the mapping,
    /// `below` the path in the record.
    pub(super) fn read(
        message: &MessageDescriptor,
        table: &DeTable<'_>,
        at: &str,
        below: &str,
        context: &mut MappingContext<'_, '_>,
    ) -> Self {
        let mut tree = Self { fields: Vec::new(), is_time: message.name() == "TimeSpec" };
        for (key, value) in table {
            let at = format!("{at}.{}", key.get_ref());
            let field = message.get_field_by_name(key.get_ref()).or_else(|| message.get_field_by_json_name(key.get_ref()));
            let Some(field) = field else {
                let fields: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
                context.problems.add(
                    key.span(),
                    at,
                    format!("{} of the contract has no such field: its fields are {}", message.name(), fields.join(", ")),
                );
                continue;
            };
            let below = if below.is_empty() { field.name().to_owned() } else { format!("{below}.{}", field.name()) };
            if let Some(node) = Node::read(&field, value, &at, &below, context) {
                tree.fields.push((field.name().to_owned(), node));
            }
        }
        tree
    }

    /// The names of its fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The first text of a field.
    pub(super) fn first_text(&self, field: &str) -> Option<&TextTemplate> {
        self.fields.iter().find(|(name, _)| name == field).and_then(|(_, node)| match node {
            Node::Leaf(leaf) => Some(&leaf.text),
            Node::List(list) => list.iter().find_map(|node| match node {
                Node::Leaf(leaf) => Some(&leaf.text),
                _ => None,
            }),
            Node::Tree(_) => None,
        })
    }

    /// Calls `visit` with every text.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&TextTemplate)) {
        self.fields.iter().for_each(|(_, node)| node.visit(visit));
    }

    /// The message in proto3 JSON. A value that uses a column without a value is left out, and so is a message without fields.
    pub(super) fn fill(&self, cells: Cells<'_>, names: &BTreeMap<&str, String>) -> Result<Option<Value>, CellError> {
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
        context: &mut MappingContext<'_, '_>,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(entries) if field.is_map() => {
                let kind = field.kind();
                let of = kind.as_message().and_then(|entry| entry.get_field_by_name("value"))?;
                let mut tree = Tree::default();
                for (key, value) in entries {
                    let at = format!("{at}.{}", key.get_ref());
                    if let Some(node) = Self::read(&of, value, &at, below, context) {
                        tree.fields.push((key.get_ref().to_string(), node));
                    }
                }
                Some(Self::Tree(tree))
            }
            DeValue::Array(elements) if field.is_list() => {
                let read = |(index, element)| Self::element(field, element, &format!("{at}[{index}]"), below, context);
                Some(Self::List(elements.iter().enumerate().filter_map(read).collect()))
            }
            _ if field.is_list() => refuse(context, value.span(), at, "must be a list: write it in [ ]"),
            _ if field.is_map() => refuse(context, value.span(), at, "must be a table: write it in { }"),
            _ => Self::element(field, value, at, below, context),
        }
    }

    /// A value of a field, or an element of a repeated field.
    fn element(
        field: &FieldDescriptor,
        value: &Spanned<DeValue<'_>>,
        at: &str,
        below: &str,
        context: &mut MappingContext<'_, '_>,
    ) -> Option<Self> {
        let kind = field.kind();
        let text = match (value.get_ref(), &kind) {
            (DeValue::Table(table), Kind::Message(message)) if !is_timestamp(message) => {
                return Some(Self::Tree(Tree::read(message, table, at, below, context)));
            }
            (DeValue::Table(_), _) => return refuse(context, value.span(), at, "must not be a table"),
            (DeValue::Array(_), _) => return refuse(context, value.span(), at, "must not be a list"),
            (DeValue::String(text), _) => text.to_string(),
            (DeValue::Integer(number), _) => number.to_string(),
            (DeValue::Float(number), _) => number.to_string(),
            (DeValue::Boolean(value), _) => value.to_string(),
            (DeValue::Datetime(time), _) => time.to_string(),
        };
        let text = match TextTemplate::parse(&text) {
            Ok(text) => text,
            Err(reason) => return refuse(context, value.span(), at, &reason),
        };
        let becomes = match kind {
            Kind::Message(message) if message.name() == "TimeSpec" => Scalar::Time,
            Kind::Message(message) if is_timestamp(&message) => Scalar::Text,
            Kind::Message(message) => {
                return refuse(context, value.span(), at, &format!("must be a {}: write it in {{ }}", message.name()));
            }
            Kind::Enum(values) => Scalar::Enum(values),
            Kind::Double | Kind::Float => Scalar::Number,
            Kind::Bool => Scalar::Bool,
            Kind::String if field.name() == "external_ids" => Scalar::ExternalId,
            Kind::String if context.schema.references.iter().any(|reference| reference.dotted() == below) => Scalar::Reference,
            Kind::String | Kind::Bytes => Scalar::Text,
            _ => Scalar::Whole,
        };
        let leaf = Leaf { text, becomes };
        // A text without columns is the same for every row, so it is checked here.
        if let Some(fixed) = leaf.text.fixed() {
            let known = |label: &str| context.labels.iter().any(|known| known == label);
            let wrong = match (&leaf.becomes, fixed.strip_prefix('@')) {
                (Scalar::Reference, Some(label)) if !known(label) => {
                    Some(format!("no record above has the label {label:?}: a record refers to records above it"))
                }
                (Scalar::Reference, Some(_)) => None,
                _ => leaf.value(fixed).err(),
            };
            if let Some(reason) = wrong {
                return refuse(context, value.span(), at, &reason);
            }
        }
        Some(Self::Leaf(leaf))
    }

    fn visit(&self, visit: &mut dyn FnMut(&TextTemplate)) {
        match self {
            Self::Leaf(leaf) => visit(&leaf.text),
            Self::List(list) => list.iter().for_each(|node| node.visit(visit)),
            Self::Tree(tree) => tree.visit(visit),
        }
    }

    fn fill(&self, cells: Cells<'_>, names: &BTreeMap<&str, String>) -> Result<Option<Value>, CellError> {
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
                    // A reference to a record that this row does not make is left out.
                    (Scalar::Reference, Some(label)) => Ok(names.get(label).cloned().map(Value::String)),
                    _ => leaf.value(&text).map(Some).map_err(|reason| CellError { column: leaf.column(), reason }),
                }
            }
        }
    }
}

fn refuse(context: &mut MappingContext<'_, '_>, span: Range<usize>, at: &str, reason: &str) -> Option<Node> {
    context.problems.add(span, at, reason);
    None
}

fn is_timestamp(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}

/// A text with columns, and the type of value that it becomes.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) text: TextTemplate,
    pub(super) becomes: Scalar,
}

#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Text,
    /// "scheme:value", where the value is printable ASCII.
    ExternalId,
    /// A record's name, or `@label`.
    Reference,
    Number,
    Whole,
    Bool,
    Enum(EnumDescriptor),
    /// A `TimeSpec` with only its EDTF.
    Time,
}

impl Leaf {
    pub(super) fn text(&self, cells: Cells<'_>) -> Result<Option<String>, CellError> {
        let escapes = matches!(self.becomes, Scalar::ExternalId);
        self.text.fill(|column| {
            let value = cells.get(column)?;
            Ok(if escapes { value.map(|value| escaped(&value)) } else { value })
        })
    }

    /// The column to name in an error. Empty if there is not exactly one.
    pub(super) fn column(&self) -> String {
        let mut columns = self.text.columns();
        match (columns.next(), columns.next()) {
            (Some(column), None) => column.to_owned(),
            _ => String::new(),
        }
    }

    /// The value that a text becomes.
    pub(super) fn value(&self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match &self.becomes {
            Scalar::Text | Scalar::ExternalId | Scalar::Reference => Ok(Value::String(text.to_owned())),
            Scalar::Time => Ok(Value::Object(Map::from_iter([("edtf".to_owned(), Value::String(text.to_owned()))]))),
            Scalar::Number => {
                let number = text.parse().ok().and_then(Number::from_f64).map(Value::Number);
                number.ok_or_else(|| format!("{text:?} is not a number"))
            }
            Scalar::Whole => text.parse::<i64>().map(Value::from).map_err(|_| format!("{text:?} is not a whole number")),
            Scalar::Bool => text.parse::<bool>().map(Value::Bool).map_err(|_| format!("{text:?} is neither true nor false")),
            Scalar::Enum(values) => enum_value(values, text),
        }
    }
}

/// A value of an enum by its name, with or without the prefix of the enum, in any case.
fn enum_value(values: &EnumDescriptor, text: &str) -> Result<Value, String> {
    let prefix = values.default_value().name().trim_end_matches("UNSPECIFIED").to_owned();
    let wanted = text.to_ascii_uppercase();
    let found = values.values().find(|value| value.name() == wanted || value.name().strip_prefix(&prefix) == Some(&wanted));
    found.map(|value| Value::String(value.name().to_owned())).ok_or_else(|| {
        let names: Vec<_> = values.values().skip(1).map(|value| value.name().trim_start_matches(&prefix).to_owned()).collect();
        format!("{text:?} is not one of {}", names.join(", "))
    })
}
