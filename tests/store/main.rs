//! The store through its public API, on logs and states in memory.
#![allow(missing_docs)]

#[path = "../support/shared_log.rs"]
mod shared_log;
#[path = "../support/mod.rs"]
mod support;

mod causes;
mod cycles;
mod faults;
mod identity;
mod library;
mod merges;
mod quotes;
mod references;
mod requests;
mod seed;
mod times;
mod two_writers;
mod unchanged;
mod updates;
