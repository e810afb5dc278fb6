//! What the embedded engine promises about crashes, failing disks and damage, and attempts to show each promise false.
//!
//! `workload` is a small store: it commits, derives keys from the log, and knows what both must hold. `faults` makes each
//! file call fail once; `crash` cuts the power wherever it hurts; `damage` flips and cuts the log's bytes; `state` does the
//! same to sled's, and kills processes.

#[path = "../support/narrow_disk.rs"]
mod narrow_disk;
mod workload;

mod crash;
mod damage;
mod faults;
mod measure;
mod state;
