//! Kills: SIGKILL at random moments, from the first millisecond on.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    process::{Life, count, seed},
    rounds::{Ended, Moment, Place, run},
    script::Sabotage,
};

/// The longest time that a process lives after its inspection.
const LIFE_MAX: Duration = Duration::from_millis(350);

/// A folder on this machine.
struct Here {
    folder: tempfile::TempDir,
    stores: u64,
    life_max: Duration,
}

impl Here {
    fn new(life_max: Duration) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), stores: 0, life_max }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(format!("store-{}", self.stores))
    }
}

impl Place for Here {
    fn new_folder(&mut self) -> PathBuf {
        if self.store().exists() {
            std::fs::remove_dir_all(self.store()).expect("a folder of ours");
        }
        self.stores += 1;
        self.store()
    }

    fn files(&self) -> &Path {
        self.folder.path()
    }

    fn end(&mut self, life: Life, rng: &mut fastrand::Rng) -> Ended {
        Moment::random(rng, self.life_max).wait(&life);
        let (said, by_itself) = life.kill();
        Ended { said, power_cut: false, by_itself }
    }
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged_and_leaves_nothing_half_done() {
    let ends = count("ANNALS_CRASH_KILLS", 200);
    let tally = run(&mut Here::new(LIFE_MAX), seed(), ends, None, |_| false);
    tally.publish("kills");
    assert!(tally.acknowledged > ends, "a run in which little was committed shows little");
}

#[test]
fn kills_find_an_engine_that_writes_the_state_before_the_log() {
    let life_max = Duration::from_secs(3);
    let tally = run(&mut Here::new(life_max), seed(), 60, Some(Sabotage::StateFirst), |tally| !tally.violations.is_empty());
    assert!(
        tally.violations.iter().any(|what| what.contains("the log does not imply")),
        "seed {}: {:?}",
        tally.seed,
        tally.violations
    );
}
