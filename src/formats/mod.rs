//! External formats: import of records from formats other than protobuf, and export to them.
//!
//! A format is a folder with a `FORMAT` and a page, and two lines here: its `mod` and its line in [`FORMATS`]. One macro for both
//! would hide the files from rustfmt. The commands `import` and `export` with their `--help`, and the pages in docs/formats, are
//! made from that list. A test takes its sample of a table from the example on the page.
//!
//! Knows the model and the store's public API. Must not know keys or gRPC.

// The formats. Each also has a line in [`FORMATS`].
#[cfg(feature = "formats")]
pub mod acled;
#[cfg(feature = "formats")]
pub mod claimreview;
#[cfg(feature = "formats")]
pub mod csv;
#[cfg(feature = "formats")]
pub mod gdelt;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "formats")]
pub mod records;
#[cfg(feature = "formats")]
pub mod series;
#[cfg(feature = "formats")]
pub mod stix;
#[cfg(feature = "formats")]
pub mod ucdp_ged;

// What they share.
#[cfg(feature = "formats")]
pub mod export;
#[cfg(feature = "formats")]
mod format;
#[cfg(feature = "formats")]
pub mod import;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "formats")]
pub mod reading;
#[cfg(feature = "formats")]
pub mod table;
#[cfg(feature = "formats")]
pub(crate) mod values;

// Tests of all formats.
#[cfg(test)]
#[cfg(feature = "formats")]
mod documentation;
#[cfg(test)]
#[cfg(feature = "formats")]
mod round_trip;

#[cfg(feature = "formats")]
pub use format::{Format, FormatExporter, FormatImporter, ImportInput, OpenExportFile};

/// Every external format, in the order in which `--help` and the documentation list them.
///
/// ```
/// use annals::formats::{self, FORMATS};
///
/// let imported: Vec<_> = FORMATS.iter().filter(|format| format.importer.is_some()).map(|format| format.name).collect();
/// assert_eq!(imported, ["records", "ucdp-ged", "gdelt-events", "gdelt-mentions", "acled", "series", "claimreview"]);
/// assert_eq!(formats::named("csv").and_then(|csv| csv.exporter.as_ref()).map(|csv| csv.extension()), Some("csv"));
/// ```
#[cfg(feature = "formats")]
pub static FORMATS: &[&Format] = &[
    &records::FORMAT,
    &csv::FORMAT,
    #[cfg(feature = "parquet")]
    &parquet::FORMAT,
    &stix::FORMAT,
    &ucdp_ged::FORMAT,
    &gdelt::events::FORMAT,
    &gdelt::mentions::FORMAT,
    &acled::FORMAT,
    &series::FORMAT,
    &claimreview::FORMAT,
];

/// The format with this name.
#[cfg(feature = "formats")]
pub fn named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|format| format.name == name)
}
