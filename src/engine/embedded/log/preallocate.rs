//! Allocates the next segment of the log ahead, in its own thread, so that an append need not wait for a file to be filled and
//! synced.
//!
//! Knows one folder and the files it makes there. Must not know which segments the log has.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::segment;
use crate::engine::{
    EngineError, Result,
    embedded::disk::{Disk, DiskFile, DiskReserve, is_full, remove_if_there, sync_failed},
};

/// A file that is ready to become a segment. It is filled with zeros and durable, and has no header yet.
pub(super) struct Allocated {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) file: Box<dyn DiskFile>,
}

/// Creates segment files.
#[derive(Clone, Debug)]
pub(in crate::engine::embedded) struct SegmentAllocator {
    pub(in crate::engine::embedded) disk: Arc<dyn Disk>,
    pub(in crate::engine::embedded) folder: PathBuf,
    pub(in crate::engine::embedded) reserve: DiskReserve,
}

impl SegmentAllocator {
    /// Creates a file that can become a segment. After an error no file is left. If it cannot be removed, it is never used, and
    /// the next start removes it.
    pub(super) fn allocate(&self, number: u64, bytes: u64) -> Result<Allocated> {
        self.reserve.check(&*self.disk, bytes)?;
        let path = segment::path(&self.folder, number);
        let created = segment::create_filled(&*self.disk, &path, bytes)
            .and_then(|file| self.disk.sync_folder(&self.folder).map_err(sync_failed(&self.folder)).map(|()| file));
        created.map(|file| Allocated { number, bytes, file }).map_err(|error| {
            if let Err(error) = remove_if_there(&*self.disk, &path) {
                tracing::warn!(%error, "cannot remove an unfinished log segment; the next start will");
            }
            match &error {
                // Even from a sync: the file is not part of the log yet.
                EngineError::Io { source, .. } | EngineError::SyncFailed { source, .. } if is_full(source) => {
                    self.reserve.exhausted()
                }
                _ => error,
            }
        })
    }
}

/// The thread, and the slot where it puts the file. Dropping this stops and joins the thread.
#[derive(Debug)]
pub(super) struct Preallocator {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

enum Slot {
    Idle,
    Requested { number: u64 },
    Ready(Allocated),
    Failed(EngineError),
    Stopped,
}

impl Preallocator {
    /// Starts the thread. It allocates one segment of `bytes` bytes for each request.
    pub(super) fn start(allocator: SegmentAllocator, bytes: u64) -> Result<Self> {
        let shared = Arc::new(Shared { slot: Mutex::new(Slot::Idle), changed: Condvar::new() });
        let slot = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log-preallocate".into()).spawn(move || run(&slot, &allocator, bytes));
        let thread = thread.map_err(|source| EngineError::Io {
            context: "cannot start the thread that allocates log segments".into(),
            source,
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for a segment with this number, unless one is being allocated or is ready. True if the request was taken, and so
    /// the number is used.
    pub(super) fn request(&self, number: u64) -> bool {
        let mut slot = self.shared.lock();
        let idle = matches!(*slot, Slot::Idle);
        if idle {
            *slot = Slot::Requested { number };
            self.shared.changed.notify_all();
        }
        idle
    }

    /// The failed sync of the last allocation. After any other failure, the allocation is tried again.
    pub(super) fn take_failed_sync(&self) -> Option<EngineError> {
        let mut slot = self.shared.lock();
        match std::mem::replace(&mut *slot, Slot::Idle) {
            Slot::Failed(error @ EngineError::SyncFailed { .. }) => Some(error),
            Slot::Failed(EngineError::Full { .. }) => None,
            Slot::Failed(error) => {
                tracing::warn!(%error, "cannot allocate a log segment ahead; trying again");
                None
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Waits for the requested segment.
    pub(super) fn take(&self) -> Result<Allocated> {
        let mut slot = self.shared.lock();
        loop {
            match std::mem::replace(&mut *slot, Slot::Idle) {
                Slot::Ready(allocated) => return Ok(allocated),
                Slot::Failed(error) => return Err(error),
                other => *slot = other,
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(EngineError::Poisoned("the thread that allocates log segments has ended".into()));
            }
            slot = self.shared.changed.wait_timeout(slot, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stops the thread and returns a file that was not used.
    pub(super) fn stop(mut self) -> Option<Allocated> {
        self.end()
    }

    fn end(&mut self) -> Option<Allocated> {
        let last = std::mem::replace(&mut *self.shared.lock(), Slot::Stopped);
        self.shared.changed.notify_all();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that allocates log segments panicked");
        }
        match last {
            Slot::Ready(allocated) => Some(allocated),
            _ => None,
        }
    }
}

impl Drop for Preallocator {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // A slot is always replaced as a whole, so a panic cannot leave it half changed.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Idle => "idle",
            Self::Requested { .. } => "requested",
            Self::Ready(_) => "ready",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        })
    }
}

fn run(shared: &Shared, allocator: &SegmentAllocator, bytes: u64) {
    let mut slot = shared.lock();
    loop {
        match *slot {
            Slot::Stopped => return,
            Slot::Requested { number } => {
                drop(slot);
                let outcome = allocator.allocate(number, bytes);
                slot = shared.lock();
                if !matches!(*slot, Slot::Stopped) {
                    *slot = outcome.map_or_else(Slot::Failed, Slot::Ready);
                    shared.changed.notify_all();
                }
            }
            _ => slot = shared.changed.wait(slot).unwrap_or_else(PoisonError::into_inner),
        }
    }
}
