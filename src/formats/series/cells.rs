//! The values of a row: of the file's columns, and of the mapping's own that are made from them.
//!
//! Knows both kinds of columns. Must not know what a value is for.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::column::Column;

/// What a row holds.
#[derive(Debug)]
pub(super) enum Raw {
    /// Of a table, with the positions of its columns.
    Record(Arc<HashMap<String, usize>>, csv::StringRecord),
    /// Of JSON.
    Object(Value),
}

/// The columns of a mapping.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Its own.
    pub(super) own: BTreeMap<String, Column>,
    /// Texts that stand where there is no value.
    pub(super) missing: BTreeSet<String>,
}

/// Why a row makes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The column; empty where it is not one alone.
    pub(super) column: String,
    pub(super) reason: String,
}

/// The values of one row.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) raw: &'a Raw,
    pub(super) columns: &'a Columns,
}

impl<'a> Cells<'a> {
    /// The value of a column, if it has one.
    pub(super) fn get(self, column: &str) -> Result<Option<String>, Fault> {
        let found = match self.columns.own.get(column) {
            Some(own) => own.value(|column| self.of_file(column).map(|value| value.map(Cow::into_owned))),
            None => self.of_file(column).map(|value| value.map(Cow::into_owned)),
        };
        found.map_err(|reason| Fault { column: column.to_owned(), reason })
    }

    /// The value of a column of the file.
    fn of_file(self, column: &str) -> Result<Option<Cow<'a, str>>, String> {
        let text = match self.raw {
            Raw::Record(positions, record) => positions.get(column).and_then(|at| record.get(*at)).map(Cow::Borrowed),
            Raw::Object(object) => {
                let value = if column.starts_with('/') { object.pointer(column) } else { object.get(column) };
                match value {
                    None | Some(Value::Null) => None,
                    Some(Value::String(text)) => Some(Cow::Borrowed(text.as_str())),
                    Some(scalar @ (Value::Bool(_) | Value::Number(_))) => Some(Cow::Owned(scalar.to_string())),
                    Some(Value::Array(_)) => return Err("is an array: write the path of one of its values, as {/a/0}".into()),
                    Some(Value::Object(_)) => return Err("is an object: write the path of one of its values, as {/a/b}".into()),
                }
            }
        };
        Ok(text.filter(|text| !text.is_empty() && !self.columns.missing.contains(text.as_ref())))
    }
}
