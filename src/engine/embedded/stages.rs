//! Writes the stages of a batch into sled: in order, and a large one as two halves on two threads.
//!
//! Knows sled's single writes. Must not know when a state is trusted.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use crate::engine::{EngineError, Result, StateBatch, StateWrite};

/// A stage with fewer writes is written by the caller's thread alone: a single write costs 4 to 20 us, handing a half over
/// about as much as two.
const SPLIT_WRITES_MIN: usize = 64;

/// The thread that writes second halves. Joined when dropped.
#[derive(Debug)]
pub(super) struct Stages {
    halves: Option<SyncSender<Half>>,
    thread: Option<JoinHandle<()>>,
}

struct Half {
    sled: Arc<sled::Db>,
    writes: Vec<StateWrite>,
    done: SyncSender<std::result::Result<(), String>>,
}

impl Stages {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self> {
        let (halves, received) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("state-half".into())
            .spawn(move || run(&received))
            .map_err(|source| EngineError::Io { context: "cannot start the thread that writes the state".into(), source })?;
        Ok(Self { halves: Some(halves), thread: Some(thread) })
    }

    /// Writes a batch. What landed when this fails is a part of it.
    ///
    /// Single inserts, never sled's batches: `apply_batch` keeps every leaf it clones in memory until it ends, and stalls
    /// readers meanwhile (measured: 5 GB at 160,000 records, reads waiting for up to 584 ms).
    pub(super) fn write(&self, sled: &Arc<sled::Db>, batch: StateBatch) -> std::result::Result<(), String> {
        for mut stage in batch.stages {
            let half = self.halves.as_ref().filter(|_| stage.len() >= SPLIT_WRITES_MIN);
            let Some(half) = half else {
                write_all(sled, &stage)?;
                continue;
            };
            let (done, finished) = sync_channel(1);
            let second = stage.split_off(stage.len() / 2);
            half.send(Half { sled: Arc::clone(sled), writes: second, done }).map_err(|_| "its second thread has ended")?;
            let first = write_all(sled, &stage);
            // Waited for even if the first half failed: nothing may be written behind the caller's back.
            let second = finished.recv().unwrap_or_else(|_| Err("its second thread has ended".into()));
            first.and(second)?;
        }
        Ok(())
    }
}

impl Drop for Stages {
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
        // Given back before the answer: whoever waits for the last user of a sled must not find this thread.
        drop(sled);
        if done.send(outcome).is_err() {
            tracing::error!("nobody waited for the second half of a stage");
        }
    }
}

fn write_all(sled: &sled::Db, writes: &[StateWrite]) -> std::result::Result<(), String> {
    guarded("write", || {
        writes.iter().try_for_each(|write| match write {
            StateWrite::Put(key, value) => sled.insert(key, value.as_ref()).map(drop),
            StateWrite::Remove(key) => sled.remove(key).map(drop),
        })
    })
}

/// Calls sled, and says what went wrong: sled panics in many places where a file is not as it left it.
pub(super) fn guarded<T>(doing: &str, call: impl FnOnce() -> sled::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome.map_err(|error| format!("sled cannot {doing}: {error}")),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("sled panicked when it had to {doing}: {}", said.unwrap_or("without a word")))
        }
    }
}
