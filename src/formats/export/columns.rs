//! The columns of a kind of record as a flat table: one list, from which the cells, the header and the documentation are made.
//!
//! The list is read from the contract: a field is a column, a message that stands once is a column for each of its fields
//! (`time.edtf`), and what stands several times is one column of JSON. A field that the contract gains is a column by itself.
//!
//! Knows descriptors and JSON. Must not know how a table is written.

use std::{borrow::Cow, sync::LazyLock};

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use prost_types::source_code_info::Location;
use serde_json::Value;

use crate::model::RecordKind;

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name, which is the path of the field as a filter has it: `time.edtf`.
    pub name: String,
    /// What its cells are.
    pub cell: Cell,
    /// What it means, in the contract's words. Empty where the name says it.
    pub meaning: String,
    /// From the record down.
    path: Vec<FieldDescriptor>,
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A text. Empty: not set.
    Text,
    /// The name of a value of an enum. Empty: unspecified.
    Enum,
    /// A number. Empty: not set, which is not 0.
    Number,
    /// `true` or `false`. Empty where the message around it is not set.
    Bool,
    /// A time in RFC 3339 and UTC. Empty: not set.
    Time,
    /// A JSON array, `[]` where there is nothing. Empty where the message around it is not set.
    List,
    /// A JSON object, `{}` where there is nothing.
    Map,
}

impl Cell {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Text, Self::Enum, Self::Number, Self::Bool, Self::Time, Self::List, Self::Map];

    /// What it is called in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Enum => "enum",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::List => "JSON array",
            Self::Map => "JSON object",
        }
    }
}

impl Column {
    /// The cell of a record in proto3 JSON.
    pub fn of<'a>(&self, record: &'a Value) -> Cow<'a, str> {
        let mut value = Some(record);
        let mut around = Some(record);
        for field in &self.path {
            around = value;
            value = value.and_then(|value| value.get(field.name()));
        }
        match value {
            Some(Value::String(text)) => Cow::Borrowed(text),
            // 3000, not 3000.0.
            Some(Value::Number(number)) => {
                Cow::Owned(number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()))
            }
            Some(value) => Cow::Owned(value.to_string()),
            None if around.is_none() => Cow::Borrowed(""),
            None => Cow::Borrowed(match self.cell {
                Cell::Bool => "false",
                Cell::List => "[]",
                Cell::Map => "{}",
                Cell::Text | Cell::Enum | Cell::Number | Cell::Time => "",
            }),
        }
    }
}

/// The columns of a kind of record, in the order of the contract.
pub fn columns(kind: RecordKind) -> &'static [Column] {
    static COLUMNS: LazyLock<Vec<Vec<Column>>> = LazyLock::new(|| {
        let of = |kind: RecordKind| {
            let mut columns = Vec::new();
            flatten(&kind.schema().message, &mut Vec::new(), &mut columns);
            columns
        };
        RecordKind::ALL.into_iter().map(of).collect()
    });
    RecordKind::ALL.iter().position(|each| *each == kind).and_then(|at| COLUMNS.get(at)).map_or(&[], Vec::as_slice)
}

/// Messages of the contract do not contain themselves, so this ends.
fn flatten(message: &MessageDescriptor, above: &mut Vec<FieldDescriptor>, columns: &mut Vec<Column>) {
    for field in message.fields() {
        above.push(field.clone());
        match cell_of(&field) {
            Some(cell) => columns.push(Column {
                name: above.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join("."),
                cell,
                meaning: meaning(&field, above.len() == 1),
                path: above.clone(),
            }),
            None => {
                if let prost_reflect::Kind::Message(inner) = field.kind() {
                    flatten(&inner, above, columns);
                }
            }
        }
        above.pop();
    }
}

/// None for a message that is columns of its own.
fn cell_of(field: &FieldDescriptor) -> Option<Cell> {
    Some(match field.kind() {
        _ if field.is_map() => Cell::Map,
        _ if field.is_list() => Cell::List,
        prost_reflect::Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => Cell::Time,
        prost_reflect::Kind::Message(_) => return None,
        prost_reflect::Kind::Enum(_) => Cell::Enum,
        prost_reflect::Kind::Bool => Cell::Bool,
        prost_reflect::Kind::String | prost_reflect::Kind::Bytes => Cell::Text,
        _ => Cell::Number,
    })
}

/// What the fields are that every record begins with: the contract says it once for all six.
const SHARED: [(&str, &str); 11] = [
    ("name", "The record's name, for ever."),
    ("revision", "The commit that last changed it."),
    ("create_revision", "The commit that created it."),
    ("create_time", "When that commit was made."),
    ("update_time", "When `revision` was made."),
    ("delete_time", "Always empty: deleted records are not exported."),
    ("external_ids", "Ids of the same thing elsewhere, `scheme:value`."),
    ("labels", "Tags, `scheme:code`."),
    ("metrics", "A data set's own scores, by key."),
    ("annotations", "Small notes that belong to clients, by key."),
    ("merged_names", "Former names that now lead here."),
];

/// The contract's comment on a field, else on its type.
fn meaning(field: &FieldDescriptor, top: bool) -> String {
    if top && let Some((_, meaning)) = SHARED.iter().find(|(name, _)| *name == field.name()) {
        return (*meaning).to_owned();
    }
    let file = field.parent_file();
    let own = comment(&file, field.path());
    match (own.as_str(), field.kind()) {
        ("", prost_reflect::Kind::Enum(kind)) => comment(&kind.parent_file(), kind.path()),
        ("", prost_reflect::Kind::Message(kind)) if !field.is_map() => comment(&kind.parent_file(), kind.path()),
        _ => own,
    }
}

/// The comment in front of a declaration, on one line.
fn comment(file: &prost_reflect::FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.map(Location::leading_comments).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
