//! Engines with planted faults. The harness must detect each of them; otherwise its silence about our engine means nothing.
//!
//! Knows how an engine can cheat. Must not know how this is detected.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::engine::{
    Engine, KeyRange, Log, LogEntry, LogSeek, LogSequence, Result, ScanDirection, State, StateBatch, StateRead,
    embedded::{
        EmbeddedEngine,
        disk::{Disk, DiskFile, DiskSpace, LocalDisk},
    },
};
use bytes::Bytes;

use crate::script::Sabotage;

/// How long a state that is written first is ahead of its log. Longer than sled needs to write its memory to disk.
const STATE_AHEAD: Duration = Duration::from_millis(300);

/// Where the frames of a segment begin.
const FRAMES_START: u64 = 4096;

/// A disk that sometimes does not sync the segments of the log.
#[derive(Clone, Debug)]
pub(crate) struct UnsyncedLog {
    sabotage: Option<Sabotage>,
    opened: Arc<AtomicBool>,
}

impl UnsyncedLog {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Self {
        Self { sabotage, opened: Arc::default() }
    }

    /// Tells that the engine is open. Before this, a disk that trusts the tail syncs nothing. After it, a disk that forgets the
    /// sync syncs no frames.
    pub(crate) fn opened(&self) {
        self.opened.store(true, Ordering::SeqCst);
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        if path.extension().is_none_or(|extension| extension != "segment") {
            return file;
        }
        let bytes = AtomicU64::new(file.bytes().unwrap_or(0));
        Box::new(UnsyncedFile { file, disk: self.clone(), bytes, frames: AtomicBool::new(false) })
    }
}

impl Disk for UnsyncedLog {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, LocalDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, LocalDisk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        LocalDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.sync_folder(folder)
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        LocalDisk.space(path)
    }
}

struct UnsyncedFile {
    file: Box<dyn DiskFile>,
    disk: UnsyncedLog,
    /// The length of the file.
    bytes: AtomicU64,
    /// Whether the last write was frames.
    frames: AtomicBool,
}

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let end = position + bytes.len() as u64;
        let fills = self.bytes.fetch_max(end, Ordering::SeqCst) < end;
        self.frames.store(!fills && position >= FRAMES_START, Ordering::SeqCst);
        self.file.write_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        let forgotten = match (self.disk.sabotage, self.disk.opened.load(Ordering::SeqCst)) {
            (Some(Sabotage::ForgetSync), true) => self.frames.load(Ordering::SeqCst),
            (Some(Sabotage::TrustTail), false) => true,
            _ => false,
        };
        if forgotten { Ok(()) } else { self.file.sync_data() }
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}

/// An engine that writes the state first and the log afterwards. What it acknowledges is still durable.
pub(crate) struct DelayedLog {
    engine: EmbeddedEngine,
    waiting: Mutex<Option<(LogSequence, Vec<LogEntry>)>>,
}

impl DelayedLog {
    pub(crate) fn engine(engine: EmbeddedEngine) -> Engine {
        let delayed = Arc::new(Self { engine, waiting: Mutex::new(None) });
        Engine { log: Arc::clone(&delayed) as Arc<dyn Log>, state: delayed }
    }
}

impl StateRead for DelayedLog {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.engine.state.get(key)
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.engine.state.scan(range, direction, limit)
    }
}

impl State for DelayedLog {
    fn distrust(&self) -> Option<String> {
        self.engine.state.distrust()
    }

    fn apply(&self, batch: StateBatch) -> Result<()> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.engine.state.apply(batch)?;
        if let Some((expected_head, entries)) = waiting {
            std::thread::sleep(STATE_AHEAD);
            self.engine.log.append(expected_head, &entries)?;
        }
        Ok(())
    }

    fn reset(&self) -> Result<()> {
        self.engine.state.reset()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.engine.state.disk_bytes()
    }

    fn close(&self) -> Result<()> {
        self.engine.state.close()
    }
}

impl Log for DelayedLog {
    fn head(&self) -> Result<LogSequence> {
        self.engine.log.head()
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some((expected_head, entries.to_vec()));
        Ok(())
    }

    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        self.engine.log.read_after(after, bytes_max)
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        self.engine.log.seek(seek)
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.engine.log.disk_bytes()
    }

    fn close(&self) -> Result<()> {
        self.engine.log.close()
    }
}
