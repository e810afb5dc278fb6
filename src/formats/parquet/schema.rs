//! The types of the columns, derived from the contract.
//!
//! | field of the contract | column |
//! |--|--|
//! | `string` | text, null if empty |
//! | enum | the name of its value in a dictionary, null if unspecified |
//! | `Timestamp` | microseconds in UTC |
//! | `bool`, and a number without presence | null only within a null message |
//! | `optional` number, message | null if not set |
//! | repeated, map | list, map; empty if there is nothing, never null |
//!
//! Must not know values.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor};

use crate::model::RecordKind;

/// A column of a file, or a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetColumn {
    /// Its name in the contract.
    pub name: String,
    /// Its type, for the documentation: `list<struct Place>`.
    pub type_name: String,
}

/// The columns of a type of record.
pub fn columns(kind: RecordKind) -> Vec<ParquetColumn> {
    columns_of(&kind.schema().message)
}

/// The struct types of the columns, each once, in the order of their first use.
pub fn structs() -> Vec<(String, Vec<ParquetColumn>)> {
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

fn columns_of(message: &MessageDescriptor) -> Vec<ParquetColumn> {
    let column = |field: FieldDescriptor| ParquetColumn { name: field.name().to_owned(), type_name: type_name(&field) };
    message.fields().map(column).collect()
}

/// A field's type, for the documentation.
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

/// The schema of the file of a type of record.
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

/// The names that the Parquet format gives to the parts of a map and of a list.
const ENTRIES: &str = "key_value";
const ITEM: &str = "element";

/// The fields of an entry of a map.
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

/// The time zone of all times.
pub(super) const UTC: &str = "UTC";

/// Whether the field can be null in a message that is set.
pub(super) fn is_nullable(field: &FieldDescriptor) -> bool {
    let is_text = matches!(field.kind(), Type::String | Type::Enum(_));
    !(field.is_list() || field.is_map()) && (is_text || field.supports_presence())
}

pub(super) fn is_time(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}
