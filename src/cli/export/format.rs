//! The formats of `annals export --format`.
//!
//! Knows the registry of formats. Must not know any one format.

use std::ops::Deref;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::{
    formats::{
        self, Exporter, FORMATS, OpenExportFile,
        export::{ExportText, RelatedRecords, TableText},
    },
    model::RecordKind,
};

/// A format that records can be exported in.
#[derive(Clone, Copy)]
pub(super) struct Format {
    name: &'static str,
    exporter: &'static Exporter,
}

impl Format {
    /// The format of an export without `--format`.
    pub(super) const DEFAULT: &'static str = "records";

    /// Parses `--format`.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        let values = FORMATS.iter().filter(|format| format.exporter.is_some());
        let values = values.map(|format| PossibleValue::new(format.name).help(format.summary));
        PossibleValuesParser::new(values).try_map(|name| Self::named(&name).ok_or_else(|| format!("there is no format {name}")))
    }

    fn named(name: &str) -> Option<Self> {
        let format = formats::named(name)?;
        Some(Self { name: format.name, exporter: format.exporter.as_ref()? })
    }

    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Opens a file that is not text. `None` if the format is text.
    pub(super) fn file(self) -> Option<OpenExportFile> {
        match self.exporter {
            Exporter::CollectionFile { open, .. } => Some(*open),
            _ => None,
        }
    }

    /// Writes the text of a file that holds these collections, or all if there are none. `related` is for rows of a table. `None` if the
    /// format is not text.
    pub(super) fn text(self, kinds: &[RecordKind], store_id: &str, related: &RelatedRecords) -> Option<Box<dyn ExportText>> {
        match self.exporter {
            Exporter::Text { open, .. } => Some(open(store_id)),
            Exporter::CollectionText { open, .. } => kinds.first().map(|kind| open(*kind)),
            Exporter::Table(table) => Some(Box::new(TableText::of(table, related.clone()))),
            Exporter::CollectionFile { .. } => None,
        }
    }
}

impl Deref for Format {
    type Target = Exporter;

    fn deref(&self) -> &Exporter {
        self.exporter
    }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.name)
    }
}
