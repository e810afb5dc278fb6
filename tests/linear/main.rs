//! Checks that the answers to concurrent clients are possible in one order: a real server, killed and paused while clients call
//! it, and a checker of the histories that the clients record.
//!
//! `history` defines the lines. `checker`, with `commits`, `reads` and `watches`, compares them with the log that `replay` has
//! replayed, under the `rule`s, and returns a `verdict`. `broken` tests the checker with histories `written` by hand. `run`
//! records a history: `client`, with the random `calls`, and `watcher` make calls, and `target` is the server and disturbs it.
//! `crosscheck` records `short` histories, rewrites them with `before` as if the server had been new, falsifies them with
//! `falsified`, and compares the checker with a `search`.
#![allow(missing_docs)]

#[path = "../support/model.rs"]
mod model;
#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/trial.rs"]
mod trial;
#[path = "../support/wire.rs"]
mod wire;

mod history;
mod rule;
mod verdict;

mod checker;
mod commits;
mod reads;
mod replay;
mod watches;

mod calls;
mod client;
mod recorder;
mod target;
mod watcher;

mod before;
mod falsified;
mod search;
mod short;

mod broken;
mod crosscheck;
mod run;
mod written;
