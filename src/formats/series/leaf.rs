//! A value of a message: a text with columns, and what it becomes.
//!
//! Knows the kinds of values that the contract has. Must not know in which field a value stands.

use prost_reflect::EnumDescriptor;
use serde_json::{Map, Number, Value};

use super::{
    cells::{Cells, Fault},
    text::Text,
};
use crate::formats::identity::escaped;

/// A text with columns, and what it is to become.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) text: Text,
    pub(super) becomes: Scalar,
}

#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Text,
    /// "scheme:value", the value in printable ASCII.
    ExternalId,
    /// A record's name, or `@label`.
    Reference,
    Number,
    Whole,
    Bool,
    Enum(EnumDescriptor),
    /// A `TimeSpec` of its EDTF alone.
    Time,
}

impl Leaf {
    pub(super) fn text(&self, cells: Cells<'_>) -> Result<Option<String>, Fault> {
        let escapes = matches!(self.becomes, Scalar::ExternalId);
        self.text.fill(|column| {
            let value = cells.get(column)?;
            Ok(if escapes { value.map(|value| escaped(&value)) } else { value })
        })
    }

    /// The column that is at fault where its text is: none, where there are several.
    pub(super) fn column(&self) -> String {
        let mut columns = self.text.columns();
        match (columns.next(), columns.next()) {
            (Some(column), None) => column.to_owned(),
            _ => String::new(),
        }
    }

    /// A text as the value that it becomes.
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

/// A value of an enum by its name in the contract, or by what follows the prefix that all of its names have; in capitals or not.
fn enum_value(values: &EnumDescriptor, text: &str) -> Result<Value, String> {
    let prefix = values.default_value().name().trim_end_matches("UNSPECIFIED").to_owned();
    let wanted = text.to_ascii_uppercase();
    let found = values.values().find(|value| value.name() == wanted || value.name().strip_prefix(&prefix) == Some(&wanted));
    found.map(|value| Value::String(value.name().to_owned())).ok_or_else(|| {
        let names: Vec<_> = values.values().skip(1).map(|value| value.name().trim_start_matches(&prefix).to_owned()).collect();
        format!("{text:?} is not one of {}", names.join(", "))
    })
}
