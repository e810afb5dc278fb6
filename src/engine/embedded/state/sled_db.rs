//! Guards sled: it is opened and ended in bounded time, and its errors and panics are caught. Two threads write a large stage.
//!
//! Knows sled. Must not know when a state is trusted.

use std::{
    fs::{self, TryLockError},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::engine::{Cause, EngineError, Result, StateBatch, StateWrite, embedded::disk::refused, explained};

/// How often sled flushes by itself, in milliseconds. Only this flush frees the space of overwritten values.
const FLUSH_EVERY_MS: u64 = 500;
/// The share of the cache memory that sled is given as its cache size. sled counts the bytes of a page in the file, and a page
/// takes about twice as many in memory (measured with 8 million keys: 192 MiB more cache take 369 MiB more memory). With half
/// of it, a server with a million events stays below its memory limit, but reads slower than it could. With all of it, the
/// server exceeds the limit.
const CACHE_SHARE: (u64, u64) = (5, 8);
/// How long to wait for sled to open. Longer than it needs for about ten million records without a snapshot.
const OPEN_WAIT_MAX: Duration = Duration::from_mins(10);
/// How long to wait for an earlier sled to let go of its file. Normally it takes less than a millisecond.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(10);
/// The caller's thread alone writes a stage with fewer writes. A write costs 4 to 20 us, and handing over a half costs about as
/// much as two writes.
const SPLIT_WRITES_MIN: usize = 64;
const SECOND_ENDED: &str = "its second thread has ended";
const GUARDED_PANICKED: &str = "a guarded call panicked";

/// Writes batches. A second thread writes the second half of each large stage. Dropping this joins the thread.
#[derive(Debug)]
pub(super) struct StageWriter {
    halves: Option<SyncSender<Half>>,
    thread: Option<JoinHandle<()>>,
}

struct Half {
    sled: Arc<sled::Db>,
    writes: Vec<StateWrite>,
    done: SyncSender<std::result::Result<(), Cause>>,
}

impl StageWriter {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self> {
        let (halves, received) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("state-half".into())
            .spawn(move || run(&received))
            .map_err(|source| EngineError::Io { context: "cannot start the thread that writes the state".into(), source })?;
        Ok(Self { halves: Some(halves), thread: Some(thread) })
    }

    /// Writes a batch, stage by stage. After an error, a part of the batch may be written.
    ///
    /// It uses single inserts, never sled's batches: `apply_batch` keeps every leaf it clones in memory until it ends, and
    /// blocks readers meanwhile (measured with 160,000 records: 5 GB, and reads that waited up to 584 ms).
    pub(super) fn write(&self, sled: &Arc<sled::Db>, batch: StateBatch) -> std::result::Result<(), Cause> {
        for mut stage in batch.stages {
            let half = self.halves.as_ref().filter(|_| stage.len() >= SPLIT_WRITES_MIN);
            let Some(half) = half else {
                write_all(sled, &stage)?;
                continue;
            };
            let (done, finished) = sync_channel(1);
            let second = stage.split_off(stage.len() / 2);
            half.send(Half { sled: Arc::clone(sled), writes: second, done }).map_err(|_| SECOND_ENDED)?;
            let first = write_all(sled, &stage);
            // Wait for the second half even if the first one failed: no write may happen after this has returned.
            let second = finished.recv().unwrap_or_else(|_| Err(SECOND_ENDED.into()));
            first.and(second)?;
        }
        Ok(())
    }
}

impl Drop for StageWriter {
    fn drop(&mut self) {
        self.halves = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes the state panicked");
        }
    }
}

fn run(halves: &Receiver<Half>) {
    while let Ok(Half { sled, writes, done }) = halves.recv() {
        let outcome = write_all(&sled, &writes);
        // Drop it before the answer, so that `end_sled` does not find this reference still in use.
        drop(sled);
        if done.send(outcome).is_err() {
            tracing::error!("nobody waited for the second half of a stage");
        }
    }
}

fn write_all(sled: &sled::Db, writes: &[StateWrite]) -> std::result::Result<(), Cause> {
    guarded("write", || {
        writes.iter().try_for_each(|write| match write {
            StateWrite::Put(key, value) => sled.insert(key, value.as_ref()).map(drop),
            StateWrite::Remove(key) => sled.remove(key).map(drop),
        })
    })
}

/// Calls sled, and turns a panic into an error. sled panics in many places if a file has been changed.
pub(super) fn guarded<T>(doing: &str, call: impl FnOnce() -> sled::Result<T>) -> std::result::Result<T, Cause> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(|error| explained(format!("sled cannot {doing}"), error)),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("sled panicked when it had to {doing}: {}", said.unwrap_or("without a word")).into())
        }
    }
}

/// Opens sled in a folder. The error says why it does not open.
pub(super) fn open(folder: &Path, cache_bytes: u64) -> std::result::Result<sled::Db, Cause> {
    remove_unfinished_snapshots(folder).map_err(refused("tidy", folder))?;
    wait_for_release(&folder.join("db")).map_err(refused("lock", folder))?;
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(cache_bytes / CACHE_SHARE.1 * CACHE_SHARE.0)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    within(OPEN_WAIT_MAX, "state-open", move || guarded("open", || config.open()))?
}

/// Waits until the sled that this process had open before has let go of its file. Its threads may do so a moment after it was
/// dropped. No other process can have it: the data folder is locked.
fn wait_for_release(file: &Path) -> std::io::Result<()> {
    let until = Instant::now() + RELEASE_WAIT_MAX;
    let file = match fs::File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    };
    loop {
        match file.try_lock() {
            // Closing the file releases the lock.
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Removes snapshots that a killed process did not finish: sled refuses to open while they are there. This is safe, because
/// nothing refers to a snapshot before it is renamed.
fn remove_unfinished_snapshots(folder: &Path) -> std::io::Result<()> {
    let list = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    };
    for entry in list {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes everything in sled's folder durable. sled's own flush calls `sync_file_range`, which does not protect from a power cut
/// (see sled's issues 1351 and 1452).
pub(super) fn make_durable(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::File::open(entry?.path())?.sync_all()?;
    }
    fs::File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |above| fs::File::open(above)?.sync_all())
}

/// Runs a call with a timeout, in its own thread, which is abandoned if the call does not return. sled waits for its own
/// threads without a timeout, and waits forever if one of them panicked.
pub(super) fn within<T: Send + 'static>(
    wait_max: Duration,
    name: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> std::result::Result<T, Cause> {
    let (done, finished) = sync_channel(1);
    let spawned = thread::Builder::new().name(name.into()).spawn(move || {
        // Sending fails if the caller no longer waits.
        done.send(call()).unwrap_or_default();
    });
    let thread = spawned.map_err(|error| explained("a thread cannot be started", error))?;
    match finished.recv_timeout(wait_max) {
        Ok(outcome) => {
            thread.join().map_err(|_| GUARDED_PANICKED)?;
            Ok(outcome)
        }
        Err(RecvTimeoutError::Disconnected) => Err(GUARDED_PANICKED.into()),
        Err(RecvTimeoutError::Timeout) => Err(format!("sled does not answer within {} s", wait_max.as_secs()).into()),
    }
}
