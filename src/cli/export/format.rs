//! The formats that a record can be taken out in, by name.
//!
//! Knows which there are, and whether each is text. Must not know what one looks like.

use clap::ValueEnum;

use crate::{
    exchange::export::{Csv, Lines, Stix, Text},
    model::Kind,
};

/// What `--format` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Everything, in proto3 JSON, one record a line.
    #[default]
    Records,
    /// Comma-separated values, a file for each collection.
    Csv,
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
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Stix => "stix",
        }
    }

    /// Whether it can be read as it comes, and so go to standard output.
    pub(super) fn is_text(self) -> bool {
        match self {
            Self::Records | Self::Csv | Self::Stix => true,
            #[cfg(feature = "parquet")]
            Self::Parquet => false,
        }
    }

    /// Whether each collection is a file of its own.
    pub(super) fn is_file_per_collection(self) -> bool {
        match self {
            Self::Records | Self::Stix => false,
            Self::Csv => true,
            #[cfg(feature = "parquet")]
            Self::Parquet => true,
        }
    }

    /// What its files are called at the end.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Records => "ndjson",
            Self::Csv => "csv",
            #[cfg(feature = "parquet")]
            Self::Parquet => "parquet",
            Self::Stix => "json",
        }
    }

    /// What writes the text of a file that holds these collections of a store; all, where there are none. None where it is no text.
    pub(super) fn text(self, kinds: &[Kind], store_id: &str) -> Option<Box<dyn Text>> {
        match self {
            Self::Records => Some(Box::new(Lines)),
            Self::Csv => kinds.first().map(|kind| Box::new(Csv::of(*kind)) as Box<dyn Text>),
            #[cfg(feature = "parquet")]
            Self::Parquet => None,
            Self::Stix => Some(Box::new(Stix::of(store_id))),
        }
    }
}
