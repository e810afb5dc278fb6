//! Lists against a model: states made of keys and versions as the store makes them, read back every way there is.

mod filters;
mod lists;
mod model;
mod pages;

/// Shared with the filter's own test, which may see the crate from outside only.
#[path = "../../../../tests/filter/brute.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic)]
mod brute;
#[path = "../../../../tests/filter/random.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic)]
mod random;
