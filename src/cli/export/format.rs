//! The formats that a record can be taken out in, by name.
//!
//! Knows which there are, and whether each is text. Must not know what one looks like.

use clap::ValueEnum;

use crate::{
    exchange::export::{Beside, Csv, Lines, RowFile, Rows, Text},
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
    /// The rows of UCDP GED, in its own columns.
    UcdpGed,
    /// The rows of GDELT's events.
    GdeltEvents,
    /// The rows of GDELT's mentions.
    GdeltMentions,
    /// The rows of ACLED.
    Acled,
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
        }
    }

    /// The table of others that it is.
    pub(super) fn table(self) -> Option<&'static Rows> {
        Rows::named(self.name())
    }

    /// Whether it can be read as it comes, and so go to standard output.
    pub(super) fn is_text(self) -> bool {
        match self {
            Self::Records | Self::Csv | Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled => true,
        }
    }

    /// Whether each collection is a file of its own.
    pub(super) fn is_file_per_collection(self) -> bool {
        match self {
            Self::Records | Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled => false,
            Self::Csv => true,
        }
    }

    /// What its files are called at the end.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Records => "ndjson",
            Self::Csv | Self::UcdpGed | Self::Acled => "csv",
            Self::GdeltEvents | Self::GdeltMentions => "tsv",
        }
    }

    /// What writes the text of a file that holds these collections; all, where there are none. `beside` is for a table of others. None where
    /// it is no text.
    pub(super) fn text(self, kinds: &[Kind], beside: &Beside) -> Option<Box<dyn Text>> {
        if let Some(table) = self.table() {
            return Some(Box::new(RowFile::of(table, beside.clone())));
        }
        match self {
            Self::Records => Some(Box::new(Lines)),
            Self::Csv => kinds.first().map(|kind| Box::new(Csv::of(*kind)) as Box<dyn Text>),
            Self::UcdpGed | Self::GdeltEvents | Self::GdeltMentions | Self::Acled => None,
        }
    }
}
