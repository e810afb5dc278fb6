//! The server: the store as a gRPC service. Everything that a client can make it do has a limit.
//!
//! [`serve`] listens on the network, and [`in_process`] serves a client in the same process. These are the files in the order
//! of a call:
//!
//! | file | |
//! |--|--|
//! | `server` | a server's life, and its parts put together |
//! | `connection`, `connection_context` | one connection: how it is served and closed, and what its calls share |
//! | `web`, `origins` | gRPC, gRPC-Web, plain GETs and other requests; which web pages may call |
//! | `layers`, `call_context` | the layers that every call passes through, and what they know of the call |
//! | `services`, `methods` | the services, and their methods |
//! | `streams`, `watch`, `bulk`, `pool` | streaming methods, and the threads for long work |
//! | `codec`, `encoded`, `status` | how requests, answers and errors are written |
//!
//! Knows the store's public API and the contract. Must not know keys, batches or a concrete engine.

mod options;
mod server;

mod connection;
mod connection_context;

mod origins;
mod web;

mod call_context;
mod layers;

mod methods;
mod services;

mod bulk;
mod pool;
mod streams;
mod watch;

mod codec;
mod encoded;
mod status;

// The generated traits use these names.
pub(crate) use codec::{Codec, Received};
pub(crate) use encoded::Encoded;
pub use options::{ServerOptions, duration};
pub use origins::WebOrigins;
pub use server::{ServeError, in_process, serve};

/// The traits that `build.rs` generates for the server.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/servers/annals.v1.RecordService.rs"));
    include!(concat!(env!("OUT_DIR"), "/servers/annals.v1.AdminService.rs"));
}
