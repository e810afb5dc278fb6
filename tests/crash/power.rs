//! Power cuts: ext4 on a loop device, shut down under a running life, so that nothing reaches the disk from that moment on and
//! what was not synced is gone.
//!
//! It takes root, `mkfs.ext4`, a loop device and python3; where one is missing the tests say so on standard error and pass.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::{
    process::{Life, count, loudly, seed},
    rounds::{Ended, Moment, Place, Tally, run},
    script::Sabotage,
};

/// The longest life after its inspection.
const LIFE_MAX: Duration = Duration::from_millis(1000);
/// Bytes of the disk, most of which are never written.
const DISK_BYTES: u64 = 2 << 30;

/// Opens the mount point given, says so, and shuts the file system down when told to: `EXT4_IOC_SHUTDOWN` without flushing the
/// journal. It waits ready, so that the cut comes when it is asked for, and not when an interpreter has started.
const SWITCH: &str = "\
import fcntl, os, struct, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
sys.stdin.readline()
fcntl.ioctl(folder, 0x8004587D, struct.pack('I', 2))
print('cut', flush=True)
";

/// A disk of its own, whose power can be cut.
struct OwnDisk {
    folder: tempfile::TempDir,
    mounted: bool,
    stores: u64,
}

impl OwnDisk {
    /// `None` where there can be none; says why.
    fn new() -> Option<Self> {
        match Self::try_new() {
            Ok(disk) => Some(disk),
            Err(why) => {
                loudly(&format!("SKIPPED: no power was cut, nothing is known about power cuts here: {why}"));
                None
            }
        }
    }

    fn try_new() -> Result<Self, String> {
        call(Command::new("python3").arg("--version"))?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut disk = Self { folder, mounted: false, stores: 0 };
        let image = std::fs::File::create(disk.image()).and_then(|image| image.set_len(DISK_BYTES));
        image.map_err(|error| error.to_string())?;
        call(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        std::fs::create_dir(disk.mount_point()).map_err(|error| error.to_string())?;
        disk.mount()?;
        // Some systems refuse the cut itself.
        Switch::new(&disk.mount_point())?.cut()?;
        disk.unmount()?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&mut self) -> Result<(), String> {
        call(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(self.image()).arg(self.mount_point()))?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<(), String> {
        call(Command::new("umount").arg(self.mount_point()))?;
        self.mounted = false;
        Ok(())
    }

    fn store(&self) -> PathBuf {
        self.mount_point().join(format!("store-{}", self.stores))
    }
}

impl Drop for OwnDisk {
    fn drop(&mut self) {
        if self.mounted
            && let Err(why) = self.unmount()
        {
            loudly(&format!("{} stays mounted: {why}", self.mount_point().display()));
        }
    }
}

impl Place for OwnDisk {
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

    /// One life in four is killed and its disk lives on, so that the next one finds what was written and not synced.
    fn end(&mut self, mut life: Life, rng: &mut fastrand::Rng) -> Ended {
        let moment = Moment::random(rng, LIFE_MAX);
        if rng.u8(..4) == 0 {
            moment.wait(&life);
            let (said, by_itself) = life.kill();
            return Ended { said, power_cut: false, by_itself };
        }
        let switch = Switch::new(&self.mount_point()).expect("it worked before");
        moment.wait(&life);
        // What is heard from here on may have been said after the cut, when it can no longer be true.
        let (said, by_itself) = (life.heard(), life.ended());
        switch.cut().expect("it worked before");
        drop(life.kill());
        self.unmount().expect("nobody uses the disk any more");
        self.mount().expect("it worked before");
        Ended { said, power_cut: true, by_itself }
    }
}

/// Waits to cut the power.
struct Switch {
    process: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Switch {
    fn new(mount_point: &Path) -> Result<Self, String> {
        let mut process = Command::new("python3")
            .args(["-c", SWITCH])
            .arg(mount_point)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let tell = process.stdin.take().expect("its standard input is piped");
        let hear = BufReader::new(process.stdout.take().expect("its standard output is piped"));
        let mut switch = Self { process, tell, hear };
        switch.expect("ready")?;
        Ok(switch)
    }

    fn cut(mut self) -> Result<(), String> {
        self.tell.write_all(b"\n").map_err(|error| error.to_string())?;
        self.expect("cut")
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        let mut line = String::new();
        match self.hear.read_line(&mut line) {
            Ok(_) if line.trim() == word => Ok(()),
            outcome => Err(format!("the switch says {line:?}, {outcome:?}")),
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // It keeps the disk from being unmounted.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a tool of the system. An error says what it said.
fn call(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim()))
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged_or_read() {
    let Some(mut disk) = OwnDisk::new() else { return };
    let cuts = count("ANNALS_CRASH_CUTS", 100);
    let tally = run(&mut disk, seed(), u64::MAX, None, |tally| tally.power_cuts >= cuts);
    tally.publish("power cuts");
    assert!(tally.acknowledged > cuts, "a run in which little was committed shows little");
}

/// Runs lives on a broken engine until it is found out: by what is lost, or by a log that lacks what its files name.
fn finds(sabotage: Sabotage) {
    let Some(mut disk) = OwnDisk::new() else { return };
    let tally: Tally = run(&mut disk, seed(), 100, Some(sabotage), |tally| !tally.violations.is_empty());
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
