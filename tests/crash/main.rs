//! What survives kills, power cuts and damaged files: whole processes with a store on the embedded engine, started, ended and
//! started again.
//!
//! `workload` defines the requests, `life` is the process that sends them, `inspect` checks the store afterwards. `rounds` is
//! the loop that `kill` and `power` share.
#![allow(missing_docs)]

mod inspect;
mod life;
#[path = "../support/narrow_disk.rs"]
mod narrow_disk;
mod own_disk;
mod process;
mod rounds;
mod sabotage;
mod script;
#[path = "../support/trial.rs"]
mod trial;
mod workload;

mod calls;
mod damage;
mod failing_state;
mod full_disk;
mod kill;
mod power;
mod shared_folder;
