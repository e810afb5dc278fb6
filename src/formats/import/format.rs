//! The formats that can be brought in, by name.
//!
//! Knows which there are and what opens each. Must not know what a row of one makes.

use std::{fmt, io::BufRead};

use super::{BadRow, Rows, records};
use crate::formats::{acled, claimreview, gdelt, series, ucdp_ged};

/// A file to bring in.
pub struct Input {
    /// Its content, decompressed.
    pub content: Box<dyn BufRead + Send>,
    /// The text of the mapping, for a format that needs one.
    pub mapping: Option<String>,
}

/// A format.
#[derive(Clone, Copy)]
pub struct Format {
    /// What it is called.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Whether it needs a mapping.
    pub needs_mapping: bool,
    /// Reads the rows of a file. An error says why it is no such file at all.
    pub open: fn(Input) -> Result<Rows, BadRow>,
}

/// Every format, in the order in which people are told of them.
pub const FORMATS: &[Format] = &[
    plain("ucdp-ged", "UCDP Georeferenced Event Dataset, CSV", ucdp_ged::rows),
    plain("gdelt-events", "GDELT 2.0 events, tab-separated", gdelt::events::rows),
    plain("gdelt-mentions", "GDELT 2.0 mentions, tab-separated", gdelt::mentions::rows),
    plain("acled", "ACLED, CSV", acled::rows),
    Format { name: "series", about: "numbers in CSV or JSON, as a mapping says", needs_mapping: true, open: series::open },
    plain("claimreview", "fact checks, schema.org ClaimReview in JSON-LD", |input| Ok(claimreview::rows(input.content))),
    plain("records", "records of Annals in JSON, one a line, as annals export writes them", |input| Ok(records::rows(input))),
];

/// A format that needs no mapping.
const fn plain(name: &'static str, about: &'static str, open: fn(Input) -> Result<Rows, BadRow>) -> Format {
    Format { name, about, needs_mapping: false, open }
}

impl Format {
    /// The format of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name)
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Input").finish_non_exhaustive()
    }
}
