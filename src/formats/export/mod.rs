//! From the record to files of others: a format turns records, one after another, into the bytes of a file.
//!
//! A format asks no server and remembers no record: what it writes of one depends on that record alone. So memory does not grow
//! with the export, and a file of text that was cut behind any record can be gone on with. Only the tables of others need more: what
//! stands [beside](Beside) a record is handed to them.
//!
//! Knows records and formats. Must not know where records come from, or which file the bytes go to.

mod columns;
mod csv;
mod lines;
#[cfg(feature = "parquet")]
pub mod parquet;
mod rows;
pub mod stix;

pub use self::{
    columns::{Cell, Column, columns},
    csv::Csv,
    lines::Lines,
    rows::{Beside, RowFile, Rows, TABLES},
    stix::Stix,
};
use crate::proto::record::Record;

/// A format whose file is text: a head, something for each record, a tail. Each is a piece by itself.
///
/// ```
/// use annals::{formats::export::{Csv, Text}, model::RecordKind, proto::{Actor, record::Record}};
///
/// let actors = Csv::of(RecordKind::Actor);
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
pub trait Text: Send + Sync {
    /// What the file begins with. `revision`: that of the export.
    fn head(&self, revision: i64, to: &mut Vec<u8>);

    /// What stands for a record. Nothing, if the file holds no records of its kind.
    fn record(&self, record: &Record, to: &mut Vec<u8>);

    /// What the file ends with.
    fn tail(&self, to: &mut Vec<u8>);
}
