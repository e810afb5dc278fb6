//! Tests lists against a model: writes states as the store does, and reads them in every way.

mod filters;
mod joins;
mod lists;
mod model;
mod pages;

/// Shared with the integration test of filters, which sees only the public API of the crate.
#[path = "../../../../tests/filter/brute.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic)]
mod brute;
#[path = "../../../../tests/filter/random.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic)]
mod random;
