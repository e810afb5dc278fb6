//! Apache Parquet: a file for a kind of record, a row for a record, a column for each field with its own type.
//!
//! Rows are written in groups, so memory holds one group however long the file is. What ends the file tells where the groups are:
//! it is no file before that.
//!
//! Knows records, the contract's descriptors and Parquet. Must not know other formats.

mod array;
mod schema;

use std::io::{self, Write};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use prost_reflect::DynamicMessage;

use self::array::Messages;
pub use self::schema::{Column, columns, structs};
use crate::{
    model::{RecordKind, encode, kind_of},
    proto::record::Record,
};

/// Rows that are handed over at once.
const BATCH_ROWS: usize = 1024;

/// A group of rows ends when it holds so much, as it will stand in the file.
const GROUP_BYTES: usize = 16 << 20;

/// The key in the file's metadata that the revision of its records stands under.
pub const REVISION: &str = "annals.revision";

/// The file of a kind of record, while it is written.
///
/// ```
/// use annals::{formats::export::parquet::Writer, model::RecordKind, proto::{Actor, record::Record}};
///
/// let mut actors = Writer::new(RecordKind::Actor, Vec::new())?;
/// let nis = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
/// actors.write(&Record::Actor(nis))?;
/// let file = actors.finish(1)?;
/// assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Writer<W: Write + Send> {
    kind: RecordKind,
    schema: SchemaRef,
    /// The rows that are not handed over yet.
    rows: Messages,
    to: ArrowWriter<W>,
}

impl<W: Write + Send> Writer<W> {
    /// Begins the file of this kind.
    pub fn new(kind: RecordKind, to: W) -> io::Result<Self> {
        let schema = schema::schema(kind);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_created_by(concat!("annals ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let to = ArrowWriter::try_new(to, schema.clone(), Some(properties)).map_err(of_parquet)?;
        Ok(Self { kind, schema, rows: Messages::of(&kind.schema().message), to })
    }

    /// Adds a record. One of another kind is left out.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        if kind_of(record) != self.kind {
            return Ok(());
        }
        let message = DynamicMessage::decode(self.kind.schema().message.clone(), encode(record).as_slice());
        self.rows.push(Some(&message.map_err(io::Error::other)?));
        if self.rows.len() < BATCH_ROWS { Ok(()) } else { self.write_rows() }
    }

    /// The file is whole. `revision`: that of its records.
    pub fn finish(mut self, revision: i64) -> io::Result<W> {
        self.write_rows()?;
        self.to.append_key_value_metadata(KeyValue::new(REVISION.to_owned(), revision.to_string()));
        self.to.into_inner().map_err(of_parquet)
    }

    fn write_rows(&mut self) -> io::Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), self.rows.take_columns()).map_err(io::Error::other)?;
        self.to.write(&batch).map_err(of_parquet)
    }
}

/// What failed was the file, or the contract has a type that is not what the schema says.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
