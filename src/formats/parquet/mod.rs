//! Apache Parquet: a file for each type of record, a row for each record, and a column with its own type for each field.
//!
//! Rows are written in groups, so memory contains one group, however long the file is. The positions of the groups are at the
//! end of the file, so an incomplete file cannot be read, and its export cannot be resumed.
//!
//! Must not know other formats.

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
pub use self::schema::{ParquetColumn, columns, structs};
use super::{
    export::ExportFile,
    format::{Format, FormatExporter},
};
use crate::{
    model::{RecordKind, encode, kind_of},
    proto::record::Record,
};

/// Parquet, export only. Each collection is a file with the types of the contract.
pub static FORMAT: Format = Format {
    name: "parquet",
    summary: "Apache Parquet, a file for each collection",
    page: "parquet/page.md",
    importer: None,
    exporter: Some(FormatExporter::CollectionFile {
        extension: "parquet",
        open: |kind, to| Ok(Box::new(ParquetWriter::new(kind, to)?)),
    }),
};

/// Number of rows that are passed to the Parquet writer at once.
const ROWS_AT_ONCE: usize = 1024;

/// The size of a row group in the file.
const GROUP_BYTES: usize = 16 << 20;

/// The key of the export's revision in the file's metadata.
pub const REVISION: &str = "annals.revision";

/// Writes the file of a type of record.
///
/// ```
/// use annals::{formats::parquet::ParquetWriter, model::RecordKind, proto::{Actor, record::Record}};
///
/// let mut actors = ParquetWriter::new(RecordKind::Actor, Vec::new())?;
/// let nis = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
/// actors.write(&Record::Actor(nis))?;
/// let file = actors.finish(1)?;
/// assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ParquetWriter<W: Write + Send> {
    kind: RecordKind,
    schema: SchemaRef,
    /// The rows that were not yet passed to the Parquet writer.
    rows: Messages,
    to: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins the file of a type.
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

    /// Adds a record. Leaves out a record of another type.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        if kind_of(record) != self.kind {
            return Ok(());
        }
        let message = DynamicMessage::decode(self.kind.schema().message.clone(), encode(record).as_slice());
        self.rows.push(Some(&message.map_err(io::Error::other)?));
        if self.rows.len() < ROWS_AT_ONCE { Ok(()) } else { self.write_rows() }
    }

    /// Completes the file. `revision` is the revision of the export.
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

impl<W: Write + Send> ExportFile for ParquetWriter<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.write(record)
    }

    fn finish(self: Box<Self>, revision: i64) -> io::Result<()> {
        (*self).finish(revision).map(drop)
    }
}

/// Returns the I/O error of the file unchanged. Any other error means that the schema does not fit the contract.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
