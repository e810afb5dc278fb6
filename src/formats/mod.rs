//! Other formats: how records come in from, and go out to, what is not protobuf.
//!
//! Knows the model and the store's public API. Must not know keys or gRPC.

#[cfg(feature = "formats")]
pub mod acled;
#[cfg(feature = "formats")]
pub mod claimreview;
#[cfg(feature = "formats")]
mod coded;
#[cfg(test)]
#[cfg(feature = "formats")]
mod documentation;
#[cfg(feature = "formats")]
mod edtf;
#[cfg(feature = "formats")]
pub mod export;
#[cfg(feature = "formats")]
pub mod gdelt;
#[cfg(feature = "formats")]
mod identity;
#[cfg(feature = "formats")]
pub mod import;
pub mod json;
pub mod long_lines;
#[cfg(feature = "formats")]
pub(crate) mod quantity;
#[cfg(test)]
#[cfg(feature = "formats")]
mod round_trip;
#[cfg(feature = "formats")]
pub mod series;
#[cfg(feature = "formats")]
pub mod table;
#[cfg(feature = "formats")]
pub mod ucdp_ged;
