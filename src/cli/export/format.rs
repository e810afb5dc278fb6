//! The formats of `annals export`, by name.
//!
//! Must not know what the content of a format looks like.

use clap::ValueEnum;

use crate::{
    formats::export::{Beside, Csv, Lines, RowFile, Rows, Stix, Text},
    model::RecordKind,
};

/// The value of `--format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// All fields in proto3 JSON, one record per line.
    #[default]
    Records,
    /// Comma-separated values, one file per collection.
    Csv,
    /// The rows of UCDP GED, with its columns.
    UcdpGed,
    /// The rows of GDELT's events.
    GdeltEvents,
    /// The rows of GDELT's mentions.
    GdeltMentions,
    /// The rows of ACLED.
    Acled,
    /// Apache Parquet, one file per collection.
    #[cfg(feature = "parquet")]
    Parquet,
    /// A STIX 2.1 bundle.
    Stix,
}

impl Format {
    /// The name, as `--format` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Csv => "csv",
            Self::UcdpGed => "ucdp-ged",
            Self::GdeltEvents => "gdelt-events",
            Self::GdeltMentions => "gdelt-mentions",
            Self::Acled => "acled",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Stix => "stix",
        }
    }

    /// The external table, if the format is one.
    pub(super) fn table(self) -> Option<&'static Rows> {
        Rows::named(self.name())
    }

    /// Whether it is text, which can go to standard output.
    pub(super) fn is_text(self) -> bool {
        match self {
            Self::Records | Self::Csv | Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled | Self::Stix => {
                true
            }
            #[cfg(feature = "parquet")]
            Self::Parquet => false,
        }
    }

    /// Whether each collection is a separate file.
    pub(super) fn is_file_per_collection(self) -> bool {
        match self {
            Self::Records | Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled | Self::Stix => false,
            Self::Csv => true,
            #[cfg(feature = "parquet")]
            Self::Parquet => true,
        }
    }

    /// The extension of its files.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Records => "ndjson",
            Self::Csv | Self::UcdpGed | Self::Acled => "csv",
            Self::GdeltEvents | Self::GdeltMentions => "tsv",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Stix => "json",
        }
    }

    /// The writer of a text file with these collections of a store. No kinds mean all collections. `beside` is for external tables. None if the
    /// format is no text.
    pub(super) fn text(self, kinds: &[RecordKind], store_id: &str, beside: &Beside) -> Option<Box<dyn Text>> {
        if let Some(table) = self.table() {
            return Some(Box::new(RowFile::of(table, beside.clone())));
        }
        match self {
            Self::Records => Some(Box::new(Lines)),
            Self::Csv => kinds.first().map(|kind| Box::new(Csv::of(*kind)) as Box<dyn Text>),
            #[cfg(feature = "parquet")]
            Self::Parquet => None,
            Self::Stix => Some(Box::new(Stix::of(store_id))),
            Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled => None,
        }
    }
}
