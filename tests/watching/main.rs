//! Watchers while writers write as fast as they can: a real server, and every stream held against the log.
//!
//! `writers` write and keep what they were answered, `log` is what follows from that, `follower` watches and is cut, `mirror` keeps
//! a set up to date from a watch, `idle` has nothing to see, `stalled` does not read.
#![allow(missing_docs)]

#[path = "../support/model.rs"]
mod model;
#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/trial.rs"]
mod trial;
#[path = "../support/wire.rs"]
mod wire;

mod log;
mod writers;

mod follower;
mod idle;
mod mirror;

mod load;
mod stalled;
