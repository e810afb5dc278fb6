//! The types of the columns, read from the contract.
//!
//! | field of the contract | column |
//! |--|--|
//! | `string` | text, null where it is empty |
//! | enum | the name of its value out of a dictionary, null where it is unspecified |
//! | `Timestamp` | microseconds in UTC |
//! | `bool`, and a number that is there by itself | not null where the message around it is there |
//! | `optional` number, message | null where it is not set |
//! | repeated, map | list, map; never null, and empty where there is nothing |
//!
//! Knows descriptors and types. Must not know values.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor};

use crate::model::RecordKind;

/// A column of a file, or a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name: that of the contract.
    pub name: String,
    /// Its type, for people: `list<struct Place>`.
    pub type_name: String,
}

/// The columns of a kind of record.
pub fn columns(kind: RecordKind) -> Vec<Column> {
    columns_of(&kind.schema().message)
}

/// The structs that columns are of, each once, in the order in which they are first named.
pub fn structs() -> Vec<(String, Vec<Column>)> {
    let mut found: Vec<MessageDescriptor> = Vec::new();
    let mut open: Vec<_> = RecordKind::ALL.into_iter().rev().map(|kind| kind.schema().message.clone()).collect();
    while let Some(message) = open.pop() {
        for field in message.fields().filter(|field| !field.is_map()) {
            if let Type::Message(inner) = field.kind()
                && !is_time(&inner)
                && !found.contains(&inner)
            {
                open.push(inner.clone());
                found.push(inner);
            }
        }
    }
    found.iter().map(|message| (message.name().to_owned(), columns_of(message))).collect()
}

fn columns_of(message: &MessageDescriptor) -> Vec<Column> {
    let column = |field: FieldDescriptor| Column { name: field.name().to_owned(), type_name: type_name(&field) };
    message.fields().map(column).collect()
}

/// A field's type for people.
fn type_name(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Type::Message(entry) if field.is_map() => {
            let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()].map(|field| type_name(&field));
            return format!("map<{key}, {value}>");
        }
        Type::Message(inner) if is_time(&inner) => "timestamp".to_owned(),
        Type::Message(inner) => format!("struct {}", inner.name()),
        Type::Enum(_) => "dictionary of text".to_owned(),
        Type::String => "text".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Double => "double".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Uint32 => "uint32".to_owned(),
        other => unreachable!("no record has a field of type {other:?}"),
    };
    if field.is_list() { format!("list<{one}>") } else { one }
}

/// The schema of a kind's file.
pub(super) fn schema(kind: RecordKind) -> SchemaRef {
    Arc::new(Schema::new(fields(&kind.schema().message)))
}

pub(super) fn fields(message: &MessageDescriptor) -> Fields {
    message.fields().map(|field| Field::new(field.name(), data_type(&field), is_nullable(&field))).collect()
}

fn data_type(field: &FieldDescriptor) -> DataType {
    match field.kind() {
        Type::Message(entry) if field.is_map() => DataType::Map(map_entry(&entry), false),
        _ if field.is_list() => DataType::List(item(field)),
        _ => item_type(field),
    }
}

/// What the parts of a map and of a list are called, as the Parquet format has it.
const ENTRIES: &str = "key_value";
const ITEM: &str = "element";

/// Its fields.
pub(super) fn map_fields(entry: &MessageDescriptor) -> Fields {
    let [key, value] = [entry.map_entry_key_field(), entry.map_entry_value_field()];
    [Field::new("key", item_type(&key), false), Field::new("value", item_type(&value), true)].into_iter().collect()
}

/// An entry of a map.
pub(super) fn map_entry(entry: &MessageDescriptor) -> Arc<Field> {
    Arc::new(Field::new(ENTRIES, DataType::Struct(map_fields(entry)), false))
}

/// The elements of a list.
pub(super) fn item(field: &FieldDescriptor) -> Arc<Field> {
    Arc::new(Field::new(ITEM, item_type(field), true))
}

fn item_type(field: &FieldDescriptor) -> DataType {
    match field.kind() {
        Type::Message(inner) if is_time(&inner) => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        Type::Message(inner) => DataType::Struct(fields(&inner)),
        Type::Enum(_) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        Type::String => DataType::Utf8,
        Type::Bool => DataType::Boolean,
        Type::Double => DataType::Float64,
        Type::Int64 => DataType::Int64,
        Type::Uint32 => DataType::UInt32,
        other => unreachable!("no record has a field of type {other:?}"),
    }
}

/// The zone that all times are in.
pub(super) const UTC: &str = "UTC";

/// Whether nothing can stand there, in a message that is there itself.
pub(super) fn is_nullable(field: &FieldDescriptor) -> bool {
    let is_text = matches!(field.kind(), Type::String | Type::Enum(_));
    !(field.is_list() || field.is_map()) && (is_text || field.supports_presence())
}

pub(super) fn is_time(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}
