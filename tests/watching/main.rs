//! Watchers while writers write at full speed: a real server, and every stream compared with the log.
//!
//! `writers` write and keep their answers. `log` is what follows from the answers. `follower` watches and is cut. `mirror`
//! maintains a set from a watch. `idle` matches nothing. `stalled` does not read.
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
