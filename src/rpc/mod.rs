//! The wire: the record as a gRPC service, with limits on everything that a client can make it do.
//!
//! In reading order: [`serve`] and its options, one connection's life, how gRPC, gRPC-Web and other requests are told apart, what
//! every call passes through, the services behind one door, the methods, and how messages and errors are written.
//!
//! Knows the store's public API and the contract. Must not know keys, batches or a concrete engine.

mod options;
mod server;

mod connection;
mod traffic;

mod origins;
mod web;

mod layer;
mod load;

mod services;

mod admin;
mod export;
mod info;
mod ingest;
mod pool;
mod records;
mod streams;
mod watch;

mod codec;
mod encoded;
mod status;

mod in_process;

// The generated traits name these.
pub(crate) use codec::{Codec, Received};
pub(crate) use encoded::Encoded;
pub use in_process::in_process;
pub use options::{ServerOptions, duration};
pub use origins::WebOrigins;
pub use server::{ServeError, serve};

/// The traits that `build.rs` writes for the server's side.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/servers/annals.v1.RecordService.rs"));
    include!(concat!(env!("OUT_DIR"), "/servers/annals.v1.AdminService.rs"));
}
