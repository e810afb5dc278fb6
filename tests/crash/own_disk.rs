//! A separate disk: ext4 on a loop device. A test can fill it and cut its power.
//!
//! It needs root, `mkfs.ext4`, a loop device and python3. If one is missing, this prints it on standard error, and the tests
//! that need it pass.
//!
//! Knows the system's tools. Must not know what is on the disk.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::process::loudly;

/// Opens the given mount point, reports it, and shuts the file system down on request: `EXT4_IOC_SHUTDOWN` without flushing the
/// journal. It starts in advance, so that the cut does not wait for an interpreter to start.
const SWITCH: &str = "\
import fcntl, os, struct, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
sys.stdin.readline()
fcntl.ioctl(folder, 0x8004587D, struct.pack('I', 2))
print('cut', flush=True)
";

/// A separate disk whose power can be cut.
pub(crate) struct OwnDisk {
    folder: tempfile::TempDir,
    mounted: bool,
}

impl OwnDisk {
    /// `None` if it cannot be made. Prints why.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        match Self::try_new(bytes) {
            Ok(disk) => Some(disk),
            Err(why) => {
                loudly(&format!(
                    "SKIPPED: there is no disk of our own, nothing is known about power cuts and full disks here: {why}"
                ));
                None
            }
        }
    }

    fn try_new(bytes: u64) -> Result<Self, String> {
        call(Command::new("python3").arg("--version"))?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut disk = Self { folder, mounted: false };
        let image = std::fs::File::create(disk.image()).and_then(|image| image.set_len(bytes));
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

    /// A folder for other files, on the disk of this machine.
    pub(crate) fn files(&self) -> &Path {
        self.folder.path()
    }

    /// Mounts it as a machine does after a restart.
    pub(crate) fn remount(&mut self) {
        self.unmount().expect("nobody uses the disk any more");
        self.mount().expect("it worked before");
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    /// Where it is mounted.
    pub(crate) fn mount_point(&self) -> PathBuf {
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

/// The process that waits to cut the power.
pub(crate) struct Switch {
    process: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Switch {
    pub(crate) fn new(mount_point: &Path) -> Result<Self, String> {
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

    /// Cuts the power. Whatever is not on the disk when this begins may be lost.
    pub(crate) fn cut(mut self) -> Result<(), String> {
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
        // It would keep the disk from being unmounted.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a tool of the system. An error contains its output.
fn call(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim()))
}
