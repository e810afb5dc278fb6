//! What the embedded engine promises about crashes, failing disks and damage, and tests that try to falsify each promise.
//!
//! `workload` is a small store: it commits, derives keys from the log, and knows what both must hold. `faults` makes each file
//! call fail once. `crash` cuts the power at every harmful moment. `damage` flips and cuts bytes of the log. `state` does the
//! same to sled's files, and kills processes. `writes` makes writes fail and looks at what is left. `opening` opens what is no data folder.

#[path = "../support/narrow_disk.rs"]
mod narrow_disk;
mod workload;

mod crash;
mod damage;
mod faults;
mod measure;
mod opening;
mod state;
mod writes;
