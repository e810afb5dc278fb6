//! The store through its public API, on the memory engine.
#![allow(missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod seed;
