//! The default engine: a log in segment files that remembers, and sled that serves.
//!
//! ```text
//! data folder
//! ├── LOCK                       who has the folder
//! ├── MARK                       how it was left: closed, or in use in which boot of the machine
//! ├── MANIFEST                   data format, list of segments
//! ├── log/000000000001.segment   frames, each a group of entries
//! ├── state/                     sled: everything in it can be rebuilt from the log
//! ├── state.note                 what sled's file looks like from outside
//! └── state.set-aside-<time>/    the last damaged state, for whoever wants to look at it
//! ```
//!
//! Knows a data folder. Must not know what entries, keys and values mean.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    DiskUsage, Engine, EngineError, KeyRange, LogEntry, LogSeek, LogSequence, Result, ScanDirection, StateBatch, StateHealth,
};

mod audit;
pub mod disk;
mod frame;
mod index;
mod lock;
mod log;
mod manifest;
mod mark;
mod note;
mod prepare;
mod recover;
mod reserve;
mod segment;
mod stages;
mod state;

use disk::{Disk, LocalDisk};
use lock::Lock;
use log::Log;
use mark::{Doubt, Mark, MarkFile, StateMark};
use prepare::Workshop;
use reserve::Reserve;
use state::State;

/// How an [`EmbeddedEngine`] uses the machine.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Memory for cached pages of the state, in bytes. Default: 256 MiB.
    pub cache_bytes: u64,
    /// Length of a log segment, in bytes; at least 16 KiB. A log takes up one segment from the start, and a second from when
    /// the first is half full. Default: 64 MiB.
    pub segment_bytes: u64,
    /// Room on the disk, in bytes, at which appends stop. Default: 1 GiB.
    pub disk_reserve_bytes: u64,
    /// Room on the disk, in percent of its size, at which appends stop. Whichever of the two is less room counts.
    /// Default: 5.
    pub disk_reserve_percent: u64,
    /// Names the running boot of the machine: a state that a process left in use is trusted in the same boot only.
    /// Default: what the system says.
    pub boot_id: String,
    /// The file calls of the log. Default: those of the system.
    pub disk: Arc<dyn Disk>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            segment_bytes: 64 << 20,
            disk_reserve_bytes: 1 << 30,
            disk_reserve_percent: 5,
            boot_id: boot_id(),
            disk: Arc::new(LocalDisk),
        }
    }
}

/// The running boot of the machine. Where the system does not say, a name that is never given again: then only a clean stop
/// leaves a state that is trusted.
pub fn boot_id() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => format!("unknown-{}-{}", std::process::id(), jiff::Timestamp::now()),
    }
}

/// A log and a state in a folder of this machine, used by one process at a time.
#[derive(Debug)]
pub struct EmbeddedEngine {
    folder: PathBuf,
    log: Log,
    state: State,
    marks: Arc<MarkFile>,
    /// `None` once closed. Declared last: let go of after everything else.
    lock: Mutex<Option<Lock>>,
}

impl EmbeddedEngine {
    /// Opens a data folder, or starts one. `InUse`: another process has it. `Format`: a newer program wrote it. `Corrupt`: the
    /// log is damaged, and nothing was changed. A state that cannot be used is not an error: see
    /// [`Engine::state_condition`].
    pub fn open(folder: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let EmbeddedOptions { cache_bytes, segment_bytes, disk_reserve_bytes, disk_reserve_percent, boot_id, disk } = options;
        disk::create_folders(&*disk, &folder)?;
        let lock = Lock::take(&folder)?;
        let (marks, left) = MarkFile::read(Arc::clone(&disk), &folder)?;
        let marks = Arc::new(marks);

        let reserve = Reserve { folder: folder.clone(), bytes: disk_reserve_bytes, percent: disk_reserve_percent };
        let workshop = Workshop { disk: Arc::clone(&disk), folder: log::folder(&folder), reserve };
        let log = Log::open(&folder, workshop, segment_bytes, left.as_ref().and_then(|left| left.log))?;

        let settings = state::Settings { data_folder: folder.clone(), disk, cache_bytes, boot_id };
        let left = match left {
            Some(left) => Ok(left.state),
            None => Err(Doubt::unknown("no mark says how it was left")),
        };
        let state = State::open(settings, Arc::clone(&marks), left)?;
        // Nothing was ever committed, so an empty state is right.
        if log.head() == LogSequence(0) && state.condition() != StateHealth::Trusted {
            state.reset()?;
        }
        Ok(Self { folder, log, state, marks, lock: Mutex::new(Some(lock)) })
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl super::State for EmbeddedEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.state.get(key)
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.state.scan(range, direction, limit)
    }
}

impl Engine for EmbeddedEngine {
    fn head(&self) -> Result<LogSequence> {
        Ok(self.log.head())
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        self.log.append(expected_head, entries)
    }

    fn read_log(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        self.log.read(after, bytes_max)
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        self.log.seek(seek)
    }

    fn state_condition(&self) -> StateHealth {
        self.state.condition()
    }

    fn reset_state(&self) -> Result<()> {
        self.state.reset()
    }

    fn apply(&self, batch: StateBatch) -> Result<()> {
        batch.assert_sound();
        self.state.apply(batch)
    }

    fn reads_may_block(&self) -> bool {
        false
    }

    fn disk_usage(&self) -> Result<DiskUsage> {
        Ok(DiskUsage { log_bytes: self.log.bytes(), state_bytes: self.state.bytes() })
    }

    fn close(&self) -> Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            return Ok(());
        }
        let log = self.log.close();
        let was_trusted = self.state.condition() == StateHealth::Trusted;
        let state = self.state.close();
        let failure = match &state {
            StateMark::Suspect(doubt) if was_trusted => Some(doubt.why.clone()),
            _ => None,
        };
        self.marks.write(Mark { log, state })?;
        *lock = None;
        failure.map_or(Ok(()), |why| Err(EngineError::State(why)))
    }
}
