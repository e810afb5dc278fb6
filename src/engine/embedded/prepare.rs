//! Prepares the log's next segment in a thread of its own, so that no append waits for a file to be filled and synced.
//!
//! Knows one folder and the files it makes there. Must not know which segments the log has.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use super::{
    disk::{Disk, DiskFile, refused},
    reserve::Reserve,
    segment,
};
use crate::engine::{EngineError, Result};

/// A file that waits to become a segment: full of zeros, durable, named, without a header.
pub(super) struct Prepared {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) file: Box<dyn DiskFile>,
}

/// What it takes to make a segment file.
#[derive(Clone, Debug)]
pub(super) struct Workshop {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) reserve: Reserve,
}

impl Workshop {
    /// Makes a file that can become a segment. `Full` leaves nothing behind; after any other error the file may be there and
    /// is never used.
    pub(super) fn prepare(&self, number: u64, bytes: u64) -> Result<Prepared> {
        self.reserve.check(&*self.disk, bytes)?;
        let path = segment::path(&self.folder, number);
        let made = segment::create_filled(&*self.disk, &path, bytes)
            .and_then(|file| self.disk.sync_folder(&self.folder).map_err(refused("sync", &self.folder)).map(|()| file));
        match made {
            Ok(file) => Ok(Prepared { number, bytes, file }),
            Err(EngineError::Io { source, .. }) if is_full(&source) => {
                if let Err(error) = self.disk.remove(&path) {
                    tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished log segment; the next start will");
                }
                Err(self.reserve.exhausted())
            }
            Err(error) => Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The thread, and the place where it leaves what it made. Stopped and joined when dropped.
#[derive(Debug)]
pub(super) struct Preparer {
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
    Wanted { number: u64 },
    Ready(Prepared),
    Failed(EngineError),
    Stopped,
}

impl Preparer {
    /// Starts the thread. It makes one segment of `bytes` bytes each time it is asked to.
    pub(super) fn start(workshop: Workshop, bytes: u64) -> Result<Self> {
        let shared = Arc::new(Shared { slot: Mutex::new(Slot::Idle), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("log-prepare".into()).spawn(move || run(&theirs, &workshop, bytes)).map_err(
                |source| EngineError::Io { context: "cannot start the thread that prepares log segments".into(), source },
            )?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for a segment with this number, unless one is being made or lies ready. True if the number will be used.
    pub(super) fn want(&self, number: u64) -> bool {
        let mut slot = self.shared.lock();
        let idle = matches!(*slot, Slot::Idle);
        if idle {
            *slot = Slot::Wanted { number };
            self.shared.changed.notify_all();
        }
        idle
    }

    /// The failure of the last preparation, if it leaves the disk in doubt. A full disk does not: it is asked again.
    pub(super) fn take_failure(&self) -> Option<EngineError> {
        let mut slot = self.shared.lock();
        match std::mem::replace(&mut *slot, Slot::Idle) {
            Slot::Failed(EngineError::Full { .. }) => None,
            Slot::Failed(error) => Some(error),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Waits for the segment that was asked for.
    pub(super) fn take(&self) -> Result<Prepared> {
        let mut slot = self.shared.lock();
        loop {
            match std::mem::replace(&mut *slot, Slot::Idle) {
                Slot::Ready(prepared) => return Ok(prepared),
                Slot::Failed(error) => return Err(error),
                other => *slot = other,
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                let source = io::Error::other("it has ended");
                return Err(EngineError::Io {
                    context: "the thread that prepares log segments does not answer".into(),
                    source,
                });
            }
            slot = self.shared.changed.wait_timeout(slot, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stops the thread and gives back a file that was not used.
    pub(super) fn stop(mut self) -> Option<Prepared> {
        self.end()
    }

    fn end(&mut self) -> Option<Prepared> {
        let left = std::mem::replace(&mut *self.shared.lock(), Slot::Stopped);
        self.shared.changed.notify_all();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that prepares log segments panicked");
        }
        match left {
            Slot::Ready(prepared) => Some(prepared),
            _ => None,
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // A slot is only ever replaced whole.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Idle => "idle",
            Self::Wanted { .. } => "wanted",
            Self::Ready(_) => "ready",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        })
    }
}

fn run(shared: &Shared, workshop: &Workshop, bytes: u64) {
    let mut slot = shared.lock();
    loop {
        match *slot {
            Slot::Stopped => return,
            Slot::Wanted { number } => {
                drop(slot);
                let outcome = workshop.prepare(number, bytes);
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
