//! Power cuts: the file system is shut down under a running process. From that moment nothing reaches the disk, and unsynced
//! data is lost.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    own_disk::{OwnDisk, Switch},
    process::{Life, count, loudly, seed},
    rounds::{Ended, Moment, Place, Tally, run},
    script::Sabotage,
};

/// The longest time that a process lives after its inspection.
const LIFE_MAX: Duration = Duration::from_secs(1);
/// Bytes of the disk, most of which are never written.
const DISK_BYTES: u64 = 2 << 30;

/// A machine whose power can be cut.
struct Machine {
    disk: OwnDisk,
    stores: u64,
}

impl Machine {
    fn new() -> Option<Self> {
        Some(Self { disk: OwnDisk::new(DISK_BYTES)?, stores: 0 })
    }

    fn store(&self) -> PathBuf {
        self.disk.mount_point().join(format!("store-{}", self.stores))
    }
}

impl Place for Machine {
    fn new_folder(&mut self) -> PathBuf {
        if self.store().exists() {
            std::fs::remove_dir_all(self.store()).expect("a folder of ours");
        }
        self.stores += 1;
        self.store()
    }

    fn files(&self) -> &Path {
        self.disk.files()
    }

    /// One process in four is killed while its disk keeps running, so that the next one finds data that was written but not
    /// synced.
    fn end(&mut self, mut life: Life, rng: &mut fastrand::Rng) -> Ended {
        let moment = Moment::random(rng, LIFE_MAX);
        if rng.u8(..4) == 0 {
            moment.wait(&life);
            let (said, by_itself) = life.kill();
            return Ended { said, power_cut: false, by_itself };
        }
        let switch = Switch::new(&self.disk.mount_point()).expect("it worked before");
        moment.wait(&life);
        // Lines received from here on may have been written after the cut, when they can no longer be true.
        let (said, by_itself) = (life.heard(), life.ended());
        switch.cut().expect("it worked before");
        drop(life.kill());
        self.disk.remount();
        Ended { said, power_cut: true, by_itself }
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged_or_read() {
    let Some(mut machine) = Machine::new() else { return };
    let cuts = count("ANNALS_CRASH_CUTS", 100);
    let tally = run(&mut machine, seed(), u64::MAX, None, |tally| tally.power_cuts >= cuts);
    tally.publish("power cuts");
    assert!(tally.acknowledged > cuts, "a run in which little was committed shows little");
}

/// Runs processes on an engine with a planted fault until it is detected: by lost data, or by a log that lacks what its files
/// name.
fn finds(sabotage: Sabotage) {
    let Some(mut machine) = Machine::new() else { return };
    let tally: Tally = run(&mut machine, seed(), 100, Some(sabotage), |tally| !tally.violations.is_empty());
    let Tally { seed, ends, violations, .. } = tally;
    loudly(&format!("{sabotage:?} was found after {ends} ends: {}", violations.first().map_or("not at all", |what| what)));
    let found = violations.iter().any(|what| what.contains("lost: revision") || what.contains("the log is damaged"));
    assert!(found, "{sabotage:?}, seed {seed}: {violations:?}");
}

#[test]
fn power_cuts_find_an_engine_that_forgets_the_sync() {
    finds(Sabotage::ForgetSync);
}

#[test]
fn power_cuts_find_an_engine_that_serves_the_tail_of_its_log_unsynced() {
    finds(Sabotage::TrustTail);
}
