//! Annals: one shared record of reported events. Who said what, about which event, through whom, when, and with which numbers.
//!
//! The record is available as a library ([`store::Store`], which a Rust program embeds), as a gRPC service (`rpc`, feature
//! `server`), which Rust programs call through a client (`client`, feature `client`), and as a command line (`cli`, feature
//! `cli`).
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
//! The modules are in reading order. A module knows only modules of its own group and of the groups above it.

// The contract.
pub mod proto;

// The limits of a record, of a request and of a store.
mod limits;

// What a record is.
pub mod model;

// Durable ordered bytes, and the revisions that the store makes of them.
pub mod engine;
mod open;
pub mod store;

// External formats.
pub mod formats;

// The server and the client of the gRPC service, the command line, and the options of server and command line.
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "server")]
pub mod rpc;

pub use open::{OpenOptions, verify};

/// README.md. Its example is compiled and run with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// docs/tour.md. Its example is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/tour.md")]
struct Tour;

/// docs/clients.md. Its examples in Rust are compiled.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../docs/clients.md")]
struct Clients;
