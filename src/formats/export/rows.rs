//! Rows of the tables of others, as they came in: a row is a record, and what stands beside it.
//!
//! Knows tables. Must not know one of them, or how records are found.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::Text;
use crate::{
    formats::{
        acled, gdelt,
        table::{Layout, LineWriter},
        ucdp_ged,
    },
    model::RecordKind,
    proto::record::Record,
};

/// A table whose rows can be taken out.
#[derive(Debug)]
pub struct Rows {
    /// Its columns.
    pub layout: &'static Layout,
    /// Which records are its rows.
    pub kind: RecordKind,
    /// A filter that the rows' records match. Others may, too: see `needs`.
    pub filter: &'static str,
    /// The names of the records that a row needs besides its own; none if a record is no row.
    pub needs: fn(&Record) -> Option<Vec<String>>,
    /// The cells of a row. What it needs is found by name, where it is there.
    pub row: fn(&Record, &HashMap<String, Record>) -> Vec<String>,
}

/// Every such table.
pub const TABLES: &[Rows] = &[ucdp_ged::ROWS, gdelt::events::ROWS, gdelt::mentions::ROWS, acled::ROWS];

impl Rows {
    /// The table of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.layout.name == name)
    }
}

/// What stands beside the records that are written next, by name. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Beside(Arc<Mutex<HashMap<String, Record>>>);

impl Beside {
    /// Replaces it.
    pub fn set(&self, records: HashMap<String, Record>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = records;
    }
}

/// The file of a table.
#[derive(Clone, Debug)]
pub struct RowFile {
    table: &'static Rows,
    beside: Beside,
}

impl RowFile {
    /// The file of a table, whose rows find beside them what they need.
    pub fn of(table: &'static Rows, beside: Beside) -> Self {
        Self { table, beside }
    }
}

impl Text for RowFile {
    fn head(&self, _revision: i64, to: &mut Vec<u8>) {
        if let Some(header) = LineWriter(self.table.layout).header() {
            to.extend_from_slice(header.as_bytes());
            to.push(b'\n');
        }
    }

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        if (self.table.needs)(record).is_some() {
            let beside = self.beside.0.lock().unwrap_or_else(PoisonError::into_inner);
            let line = LineWriter(self.table.layout).line((self.table.row)(record, &beside));
            to.extend_from_slice(line.as_bytes());
            to.push(b'\n');
        }
    }

    fn tail(&self, _to: &mut Vec<u8>) {}
}
