//! placeholder
pub mod engine;
pub mod exchange;
pub mod model;
pub mod proto;
#[cfg(feature = "server")]
pub mod rpc;
pub mod store;
