//! Other formats: how records come in from, and go out to, what is not protobuf.
//!
//! Knows the model and the store's public API. Must not know keys or gRPC.

#[cfg(feature = "exchange")]
pub mod export;
#[cfg(feature = "exchange")]
pub mod import;
pub mod json;
#[cfg(feature = "exchange")]
pub(crate) mod quantity;
