//! Common parts of exporters: text written record by record, files that are not text, and rows of tables.
//!
//! An exporter sends no requests and keeps no records. What it writes for a record depends on that record alone. Memory
//! therefore does not grow with the export, and a text file that was cut after any record can be resumed. Only rows of tables
//! need more: they are given the [related records](RelatedRecords) of each record.
//!
//! Must not know where records come from, or to which file the bytes go.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use super::table::{TableLayout, TableWriter};
use crate::{model::RecordKind, proto::record::Record};

/// Writes a text file: a head, something for each record, a tail.
///
/// ```
/// use annals::{formats::{csv::CsvText, export::ExportText}, model::RecordKind, proto::{Actor, record::Record}};
///
/// let actors = CsvText::of(RecordKind::Actor);
/// let nis = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
/// let mut file = Vec::new();
/// actors.head(1, &mut file);
/// actors.record(&Record::Actor(nis), &mut file);
/// actors.tail(&mut file);
/// let file = String::from_utf8(file)?;
/// assert!(file.starts_with("name,revision,"));
/// assert!(file.contains("\nactors/nis,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ExportText: Send + Sync {
    /// Writes the beginning of the file. `revision` is the revision of the export.
    fn head(&self, revision: i64, to: &mut Vec<u8>);

    /// Writes a record. Writes nothing if the file does not contain records of its type.
    fn record(&self, record: &Record, to: &mut Vec<u8>);

    /// Writes the end of the file.
    fn tail(&self, to: &mut Vec<u8>);
}

/// Writes a file that is not text.
pub trait ExportFile: Send {
    /// Adds a record. Leaves out a record of a type that the file does not contain.
    fn record(&mut self, record: &Record) -> io::Result<()>;

    /// Completes the file. `revision` is the revision of the export.
    fn finish(self: Box<Self>, revision: i64) -> io::Result<()>;
}

/// A table whose rows can be exported.
#[derive(Debug)]
pub struct TableExport {
    /// The columns of its rows, in the order of the file.
    pub layout: &'static TableLayout,
    /// The type of the records that are its rows.
    pub kind: RecordKind,
    /// A filter that matches the records of the rows. It may match other records too: see `related`.
    pub filter: &'static str,
    /// The names of the other records that a row needs. `None` if the record is not a row.
    pub related: fn(&Record) -> Option<Vec<String>>,
    /// The cells of a row, from its record and the related records by name. Related records may be missing.
    pub row: fn(&Record, &HashMap<String, Record>) -> Vec<String>,
}

/// The related records of the records that are written next, by name. All clones share one map.
#[derive(Clone, Debug, Default)]
pub struct RelatedRecords(Arc<Mutex<HashMap<String, Record>>>);

impl RelatedRecords {
    /// Replaces all related records.
    pub fn set(&self, records: HashMap<String, Record>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = records;
    }
}

/// Writes the rows of a table.
#[derive(Clone, Debug)]
pub struct TableText {
    table: &'static TableExport,
    related: RelatedRecords,
}

impl TableText {
    /// The caller sets `related` before each call of [`ExportText::record`].
    pub fn of(table: &'static TableExport, related: RelatedRecords) -> Self {
        Self { table, related }
    }
}

impl ExportText for TableText {
    fn head(&self, _revision: i64, to: &mut Vec<u8>) {
        if let Some(header) = TableWriter(self.table.layout).header() {
            to.extend_from_slice(header.as_bytes());
            to.push(b'\n');
        }
    }

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        if (self.table.related)(record).is_some() {
            let related = self.related.0.lock().unwrap_or_else(PoisonError::into_inner);
            let line = TableWriter(self.table.layout).line((self.table.row)(record, &related));
            to.extend_from_slice(line.as_bytes());
            to.push(b'\n');
        }
    }

    fn tail(&self, _to: &mut Vec<u8>) {}
}
