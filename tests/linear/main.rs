//! Whether what concurrent clients were answered can have happened in one order: a real server, killed and paused while it is
//! called, and a checker of the histories that its clients record.
//!
//! `history` has the words; `checker`, with `commits`, `reads` and `watches` on the log that `replay` replayed, holds them against
//! the `rule`s and comes to a `verdict`; `broken` checks the checker with histories `written` by hand. `run` records a history:
//! `client`, with `calls` that chance chooses, and `watcher` call, `target` is the server and what is done to it. `crosscheck` records
//! `short` histories, told as if nothing had been `before`, has them `falsified`, and holds the checker against a `search`.
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
