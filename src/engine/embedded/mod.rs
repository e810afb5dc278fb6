//! The default engine: a durable log in segment files, and a state in sled that answers reads.
//!
//! ```text
//! data folder
//! ├── LOCK                       which process has the folder
//! ├── MARK                       the shutdown marker: closed, or in use in which boot of the machine
//! ├── MANIFEST                   data format, list of segments
//! ├── log/000000000001.segment   frames, each the entries of one append
//! ├── state/                     sled: everything in it can be rebuilt from the log
//! ├── state.note                 what sled's file looks like from outside
//! └── state.set-aside-<time>/    the last damaged state, for an operator to look at
//! ```
//!
//! The log and the state share the folder, its lock and its shutdown marker. They know nothing else of each other.
//!
//! Knows a data folder. Must not know what entries, keys and values mean.

use std::{path::Path, sync::Arc};

use self::{
    disk::{Disk, DiskReserve, LocalDisk},
    folder::{DataFolder, Distrust},
    log::SegmentAllocator,
    state::Settings,
};
use super::{Engine, Log as _, LogSequence, Result, State as _};

pub mod disk;
mod folder;
mod log;
mod state;

pub use self::{log::EmbeddedLog, state::EmbeddedState};

/// How an [`EmbeddedEngine`] uses the machine.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Memory for cached pages of the state, in bytes. Default: 256 MiB.
    pub cache_bytes: u64,
    /// Length of a log segment, in bytes. At least 16 KiB. A new log allocates one segment, and the next one when the active
    /// one is half full. Default: 64 MiB.
    pub segment_bytes: u64,
    /// Room on the disk, in bytes, at which appends stop. Default: 1 GiB.
    pub disk_reserve_bytes: u64,
    /// Room on the disk, in percent of its size, at which appends stop. The smaller of the two counts.
    /// Default: 5.
    pub disk_reserve_percent: u64,
    /// The id of the running boot of the machine. A state that was not closed is trusted in the same boot only. Default: the id
    /// that the system gives.
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

/// The id of the running boot of the machine. If the system gives none, an id that is never used again: then a state is trusted
/// only after a clean stop.
pub fn boot_id() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => format!("unknown-{}-{}", std::process::id(), jiff::Timestamp::now()),
    }
}

/// A log and a state in a folder of this machine. One process at a time can open it.
#[derive(Clone, Debug)]
pub struct EmbeddedEngine {
    /// The log, in the folder `log`.
    pub log: Arc<EmbeddedLog>,
    /// The state, in the folder `state`.
    pub state: Arc<EmbeddedState>,
}

impl EmbeddedEngine {
    /// Opens a data folder, or creates one. `InUse`: another process has it. `Format`: a newer program wrote it. `Corrupt`: the
    /// log is damaged, and nothing was changed. A state that cannot be used is not an error: see
    /// [`State::distrust`](super::State::distrust).
    pub fn open(folder: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self> {
        let EmbeddedOptions { cache_bytes, segment_bytes, disk_reserve_bytes, disk_reserve_percent, boot_id, disk } = options;
        let (folder, left) = DataFolder::open(Arc::clone(&disk), folder.as_ref().to_path_buf())?;
        let folder = Arc::new(folder);

        let path = folder.path().to_path_buf();
        let reserve = DiskReserve { folder: path, bytes: disk_reserve_bytes, percent: disk_reserve_percent };
        let allocator = SegmentAllocator { disk, folder: log::folder(folder.path()), reserve };
        let closed = left.as_ref().and_then(|left| left.log);
        let log = EmbeddedLog::open(Arc::clone(&folder), allocator, segment_bytes, closed)?;

        let left = left.map(|left| left.state).ok_or_else(|| Distrust::unknown("no shutdown marker says how it was left"));
        let state = EmbeddedState::open(Settings { cache_bytes, boot_id }, folder, left)?;
        // The log has no entries, so an empty state is right.
        if log.head()? == LogSequence(0) && state.distrust().is_some() {
            state.reset()?;
        }
        Ok(Self { log: Arc::new(log), state: Arc::new(state) })
    }
}

impl From<EmbeddedEngine> for Engine {
    fn from(EmbeddedEngine { log, state }: EmbeddedEngine) -> Self {
        Self { log, state }
    }
}
