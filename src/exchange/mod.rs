//! Other formats: how records come in from, and go out to, what is not protobuf.
//!
//! Knows the model and the store's public API. Must not know keys or gRPC.

#[cfg(feature = "exchange")]
pub mod acled;
#[cfg(feature = "exchange")]
pub mod claimreview;
#[cfg(feature = "exchange")]
mod coded;
#[cfg(test)]
#[cfg(feature = "exchange")]
mod documentation;
#[cfg(feature = "exchange")]
mod edtf;
#[cfg(feature = "exchange")]
pub mod export;
#[cfg(feature = "exchange")]
pub mod gdelt;
#[cfg(feature = "exchange")]
mod identity;
#[cfg(feature = "exchange")]
pub mod import;
pub mod json;
pub mod long_lines;
#[cfg(feature = "exchange")]
pub(crate) mod quantity;
#[cfg(test)]
#[cfg(feature = "exchange")]
mod round_trip;
#[cfg(feature = "exchange")]
pub mod series;
#[cfg(feature = "exchange")]
pub mod table;
#[cfg(feature = "exchange")]
pub mod ucdp_ged;
