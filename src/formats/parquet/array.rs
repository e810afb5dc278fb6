//! Collects the values of a column, row by row, into arrays.
//!
//! Must not know files.

use std::{collections::BTreeMap, mem, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, MapArray, StructArray,
    builder::{
        BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
        UInt32Builder,
    },
    types::Int32Type,
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{FieldRef, Fields};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, Kind as Type, MessageDescriptor, Value,
};

use super::schema;

/// Values of one type.
enum Array {
    Text(StringBuilder),
    Enum(EnumDescriptor, StringDictionaryBuilder<Int32Type>),
    Time(TimestampMicrosecondBuilder),
    Double(Float64Builder),
    Int(Int64Builder),
    Uint(UInt32Builder),
    Bool(BooleanBuilder),
    Struct(Messages),
    List { item: FieldRef, items: Box<Array>, lengths: Vec<usize> },
    Map { entry: FieldRef, fields: Fields, keys: StringBuilder, values: Box<Array>, lengths: Vec<usize> },
}

/// Messages of one type, as an array for each field.
pub(super) struct Messages {
    fields: Fields,
    arrays: Vec<(FieldDescriptor, Array)>,
    present: NullBufferBuilder,
}

impl Messages {
    /// An empty array of messages of this type.
    pub(super) fn of(message: &MessageDescriptor) -> Self {
        let arrays = message.fields().map(|field| (field.clone(), Array::of(&field))).collect();
        Self { fields: schema::fields(message), arrays, present: NullBufferBuilder::new(0) }
    }

    /// The number of messages.
    pub(super) fn len(&self) -> usize {
        self.present.len()
    }

    /// Adds a message, or null.
    pub(super) fn push(&mut self, message: Option<&DynamicMessage>) {
        self.present.append(message.is_some());
        for (field, array) in &mut self.arrays {
            match message {
                Some(message) if message.has_field(field) || !schema::is_nullable(field) => {
                    array.push(Some(&message.get_field(field)));
                }
                _ => array.push(None),
            }
        }
    }

    /// The array of each field. The arrays are empty afterwards.
    pub(super) fn take_columns(&mut self) -> Vec<ArrayRef> {
        self.present = NullBufferBuilder::new(0);
        self.arrays.iter_mut().map(|(_, array)| array.take()).collect()
    }

    fn take(&mut self) -> ArrayRef {
        let present = self.present.finish();
        let arrays = self.arrays.iter_mut().map(|(_, array)| array.take()).collect();
        Arc::new(StructArray::new(self.fields.clone(), arrays, present))
    }
}

impl Array {
    fn of(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Type::Message(entry) if field.is_map() => Self::Map {
                entry: schema::map_entry(&entry),
                fields: schema::map_fields(&entry),
                keys: StringBuilder::new(),
                values: Box::new(Self::of_item(&entry.map_entry_value_field())),
                lengths: Vec::new(),
            },
            _ if field.is_list() => {
                Self::List { item: schema::item(field), items: Box::new(Self::of_item(field)), lengths: Vec::new() }
            }
            _ => Self::of_item(field),
        }
    }

    fn of_item(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Type::Message(inner) if schema::is_time(&inner) => {
                Self::Time(TimestampMicrosecondBuilder::new().with_timezone(schema::UTC))
            }
            Type::Message(inner) => Self::Struct(Messages::of(&inner)),
            Type::Enum(inner) => Self::Enum(inner, StringDictionaryBuilder::new()),
            Type::Bool => Self::Bool(BooleanBuilder::new()),
            Type::Double => Self::Double(Float64Builder::new()),
            Type::Int64 => Self::Int(Int64Builder::new()),
            Type::Uint32 => Self::Uint(UInt32Builder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Adds a value, or null. A list or a map within a null message is empty.
    fn push(&mut self, value: Option<&Value>) {
        match self {
            Self::Text(texts) => texts.append_option(value.and_then(Value::as_str)),
            Self::Enum(names, codes) => {
                let name = value.and_then(Value::as_enum_number).and_then(|number| names.get_value(number));
                codes.append_option(name.as_ref().map(EnumValueDescriptor::name));
            }
            Self::Time(times) => times.append_option(value.and_then(Value::as_message).map(micros)),
            Self::Double(numbers) => numbers.append_option(value.and_then(Value::as_f64)),
            Self::Int(numbers) => numbers.append_option(value.and_then(Value::as_i64)),
            Self::Uint(numbers) => numbers.append_option(value.and_then(Value::as_u32)),
            Self::Bool(bools) => bools.append_option(value.and_then(Value::as_bool)),
            Self::Struct(messages) => messages.push(value.and_then(Value::as_message)),
            Self::List { items, lengths, .. } => {
                let elements = value.and_then(Value::as_list).unwrap_or_default();
                for element in elements {
                    items.push(Some(element));
                }
                lengths.push(elements.len());
            }
            Self::Map { keys, values, lengths, .. } => {
                // Entries are in the order of their keys, so that equal records make equal files.
                let entries: BTreeMap<_, _> =
                    value.and_then(Value::as_map).into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect();
                for (key, value) in &entries {
                    keys.append_option(*key);
                    values.push(Some(value));
                }
                lengths.push(entries.len());
            }
        }
    }

    /// The collected values. The array is empty afterwards.
    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Text(texts) => Arc::new(texts.finish()),
            Self::Enum(_, codes) => Arc::new(codes.finish()),
            Self::Time(times) => Arc::new(times.finish()),
            Self::Double(numbers) => Arc::new(numbers.finish()),
            Self::Int(numbers) => Arc::new(numbers.finish()),
            Self::Uint(numbers) => Arc::new(numbers.finish()),
            Self::Bool(bools) => Arc::new(bools.finish()),
            Self::Struct(messages) => messages.take(),
            Self::List { item, items, lengths } => {
                let offsets = OffsetBuffer::from_lengths(mem::take(lengths));
                Arc::new(ListArray::new(item.clone(), offsets, items.take(), None))
            }
            Self::Map { entry, fields, keys, values, lengths } => {
                let offsets = OffsetBuffer::from_lengths(mem::take(lengths));
                let entries = StructArray::new(fields.clone(), vec![Arc::new(keys.finish()), values.take()], None);
                Arc::new(MapArray::new(entry.clone(), offsets, entries, None, false))
            }
        }
    }
}

/// A `Timestamp` in microseconds since 1970. Smaller parts are cut off.
fn micros(time: &DynamicMessage) -> i64 {
    let time: prost_types::Timestamp = time.transcode_to().unwrap_or_default();
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1000)
}
