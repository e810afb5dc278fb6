//! The description of an external format: a name, an importer, an exporter and a page of documentation.
//!
//! Must not know any single format.

use std::{
    fmt,
    io::{self, BufRead, Write},
};

use super::{
    export::{ExportFile, ExportText, RelatedRecords, TableExport, TableText},
    import::{ImportRowError, ImportRows},
    table::TableDialect,
};
use crate::model::RecordKind;

/// An external format. The list of all formats is [`FORMATS`](super::FORMATS).
pub struct Format {
    /// The name on the command line: `ucdp-ged`.
    pub name: &'static str,
    /// What it is, in one line, for `--help` and the documentation.
    pub summary: &'static str,
    /// The text from which its page docs/formats/NAME.md is made, as a path below src/formats.
    pub page: &'static str,
    /// `None` if the format is only exported.
    pub importer: Option<FormatImporter>,
    /// `None` if the format is only imported.
    pub exporter: Option<FormatExporter>,
}

/// The importer of a format.
#[derive(Clone, Copy)]
pub struct FormatImporter {
    /// Whether the format needs a mapping, which says what the columns of the file mean.
    pub needs_mapping: bool,
    /// Opens a file. Errs if the file is not of the format at all.
    pub open: fn(ImportInput) -> Result<ImportRows, ImportRowError>,
}

/// A file to import.
pub struct ImportInput {
    /// The content of the file, decompressed.
    pub content: Box<dyn BufRead + Send>,
    /// The text of the mapping, for a format that needs one.
    pub mapping: Option<String>,
}

/// Opens the output of an export that is not text, for one collection.
pub type OpenExportFile = fn(RecordKind, Box<dyn Write + Send>) -> io::Result<Box<dyn ExportFile>>;

/// The exporter of a format.
#[derive(Clone, Copy)]
pub enum FormatExporter {
    /// One text file of all records.
    Text {
        /// The file's extension, without the dot.
        extension: &'static str,
        /// The writer, for a store with this id.
        open: fn(&str) -> Box<dyn ExportText>,
    },
    /// A text file for each collection.
    CollectionText {
        /// The files' extension, without the dot.
        extension: &'static str,
        /// The writer of a collection.
        open: fn(RecordKind) -> Box<dyn ExportText>,
    },
    /// A file for each collection that is not text. It cannot be written to standard output, and its export cannot be resumed.
    CollectionFile {
        /// The files' extension, without the dot.
        extension: &'static str,
        /// The writer of a collection.
        open: OpenExportFile,
    },
    /// The rows of a table, as text. It exports the records that an import of the format made.
    Table(&'static TableExport),
}

impl FormatExporter {
    /// The extension of its files, without the dot.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Text { extension, .. } | Self::CollectionText { extension, .. } | Self::CollectionFile { extension, .. } => {
                extension
            }
            Self::Table(table) => match table.layout.dialect {
                TableDialect::Csv => "csv",
                TableDialect::Tsv => "tsv",
            },
        }
    }

    /// Whether its files are text, which can go to standard output and be resumed after any record.
    pub fn is_text(&self) -> bool {
        !matches!(self, Self::CollectionFile { .. })
    }

    /// Whether each collection has a file of its own.
    pub fn is_file_per_collection(&self) -> bool {
        matches!(self, Self::CollectionText { .. } | Self::CollectionFile { .. })
    }

    /// Opens a file that is not text. `None` if the format is text.
    pub fn file(&self) -> Option<OpenExportFile> {
        match self {
            Self::CollectionFile { open, .. } => Some(*open),
            _ => None,
        }
    }

    /// The writer of a text file with the records of these collections, or of all collections if `kinds` is empty. `related` is
    /// used for the rows of a table. `None` if the format is not text, or if it has a file for each collection and `kinds` is
    /// empty.
    pub fn text(&self, kinds: &[RecordKind], store_id: &str, related: &RelatedRecords) -> Option<Box<dyn ExportText>> {
        match self {
            Self::Text { open, .. } => Some(open(store_id)),
            Self::CollectionText { open, .. } => kinds.first().map(|kind| open(*kind)),
            Self::Table(table) => Some(Box::new(TableText::of(table, related.clone()))),
            Self::CollectionFile { .. } => None,
        }
    }

    /// The table whose rows it writes. `None` if it does not write a table.
    pub fn table(&self) -> Option<&'static TableExport> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name)
    }
}

impl fmt::Debug for ImportInput {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("ImportInput").finish_non_exhaustive()
    }
}
