//! Annals: one shared record of reported events. Who said what, about which event, through whom, when, and with which numbers.
//!
//! The record is kept as a library ([`store::Store`], which a Rust program embeds), as a gRPC service (`rpc`, feature `server`), which
//! Rust programs call through a client (`client`, feature `client`), and as a command line (`cli`, feature `cli`).
//!
//! ```
//! use annals::{
//!     proto::{Actor, CommitRequest, Mutation},
//!     store::Store,
//! };
//!
//! // Store::open("./annals-data") keeps it on disk.
//! let store = Store::in_memory()?;
//! let nis = Actor { name: "actors/nis".into(), display_name: "National Intelligence Service".into(), ..Default::default() };
//! let answer = store.commit(CommitRequest::of("first", [Mutation::create(nis)]))?;
//! assert_eq!(answer.revision, 1);
//! assert_eq!(store.get::<Actor>("actors/nis")?.display_name, "National Intelligence Service");
//! # Ok::<(), annals::store::StoreError>(())
//! ```
//!
//! The modules in reading order, each of which knows those before it and none behind.

// The contract.
pub mod proto;

// What a record and a store are bounded by.
mod limits;

// What a record is.
pub mod model;

// Durable ordered bytes, and on them the record's revisions.
pub mod engine;
mod open;
pub mod store;

// Other formats.
pub mod formats;

// The wire from both its ends, the command line, and the options of server and command line.
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "server")]
pub mod rpc;

pub use open::{OpenOptions, verify};

/// README.md, whose example is compiled and run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// docs/tour.md, whose example is compiled and run too.
#[cfg(doctest)]
#[doc = include_str!("../docs/tour.md")]
struct Tour;

/// docs/clients.md, whose examples in Rust are compiled.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../docs/clients.md")]
struct Clients;
