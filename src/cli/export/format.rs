//! The formats that a record can be taken out in, by name.
//!
//! Knows which there are, and whether each is text. Must not know what one looks like.

use clap::ValueEnum;

use crate::{
    formats::export::{Beside, Csv, Lines, RowFile, Rows, Stix, Text},
    model::RecordKind,
};

/// What `--format` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Everything, in proto3 JSON, one record a line.
    #[default]
    Records,
    /// Comma-separated values, a file for each collection.
    Csv,
    /// The rows of UCDP GED, in its own columns.
    UcdpGed,
    /// The rows of GDELT's events.
    GdeltEvents,
    /// The rows of GDELT's mentions.
    GdeltMentions,
    /// The rows of ACLED.
    Acled,
    /// Apache Parquet, a file for each collection.
    #[cfg(feature = "parquet")]
    Parquet,
    /// A STIX 2.1 bundle.
    Stix,
}

impl Format {
    /// What it is called.
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

    /// The table of others that it is.
    pub(super) fn table(self) -> Option<&'static Rows> {
        Rows::named(self.name())
    }

    /// Whether it can be read as it comes, and so go to standard output.
    pub(super) fn is_text(self) -> bool {
        match self {
            Self::Records | Self::Csv | Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled | Self::Stix => {
                true
            }
            #[cfg(feature = "parquet")]
            Self::Parquet => false,
        }
    }

    /// Whether each collection is a file of its own.
    pub(super) fn is_file_per_collection(self) -> bool {
        match self {
            Self::Records | Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled | Self::Stix => false,
            Self::Csv => true,
            #[cfg(feature = "parquet")]
            Self::Parquet => true,
        }
    }

    /// What its files are called at the end.
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

    /// What writes the text of a file that holds these collections of a store; all, where there are none. `beside` is for a table of
    /// others. None where it is no text.
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
