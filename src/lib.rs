//! placeholder
pub mod engine;
pub mod exchange;
pub mod model;
pub mod proto;
#[cfg(feature = "server")]
pub mod rpc;
pub mod store;

mod open;
pub use open::{OpenOptions, verify};
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
