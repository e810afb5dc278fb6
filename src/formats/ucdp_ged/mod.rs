//! The UCDP Georeferenced Event Dataset. A row is an event of organised violence and five numbers of fatalities.
//!
//! Must not know files, or who sends the mutations.

mod export;
mod import;
mod layout;

use super::format::{Format, FormatExporter, FormatImporter};

/// UCDP GED: a CSV of coded events. Each row is an event and five estimates, and is exported in the same columns.
pub static FORMAT: Format = Format {
    name: "ucdp-ged",
    summary: "UCDP Georeferenced Event Dataset, CSV in its own columns",
    page: "ucdp_ged/page.md",
    importer: Some(FormatImporter { needs_mapping: false, open: import::rows }),
    exporter: Some(FormatExporter::Table(&export::ROWS)),
};
