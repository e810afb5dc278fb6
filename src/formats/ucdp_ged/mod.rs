//! The UCDP Georeferenced Event Dataset: a row is an event of organised violence and five numbers of dead.
//!
//! Must not know files, or who sends what.

mod export;
mod import;
mod layout;

use super::format::{Exporter, Format, Importer};

/// The format.
pub static FORMAT: Format = Format {
    name: "ucdp-ged",
    summary: "UCDP Georeferenced Event Dataset, CSV in its own columns",
    page: "ucdp_ged/page.md",
    importer: Some(Importer { needs_mapping: false, open: import::rows }),
    exporter: Some(Exporter::Table(&export::ROWS)),
};
