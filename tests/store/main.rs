//! The store through its public API, on the memory engine.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod cycles;
mod faults;
mod identity;
mod library;
mod merges;
mod references;
mod requests;
mod seed;
mod times;
mod updates;
