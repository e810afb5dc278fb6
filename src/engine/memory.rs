//! An engine in memory. It is the reference that tests compare other engines with, and it serves `--in-memory`.
//!
//! Knows the engine's traits. Must not know files.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use super::{
    Engine, EngineError, KeyRange, Log, LogEntry, LogSeek, LogSequence, Result, ScanDirection, State, StateBatch, StateRead,
    StateWrite, assert_follow, range_is_empty,
};

const CLOSED: &str = "the engine was closed";

/// A log in memory. It is lost when the process ends.
#[derive(Debug, Default)]
pub struct MemoryLog {
    /// Entry `n` has index `n - 1`. An append can panic only before it changes this, so a poisoned lock is harmless.
    entries: Arc<RwLock<Vec<LogEntry>>>,
    closed: AtomicBool,
}

/// A state in memory. It is lost when the process ends.
#[derive(Debug, Default)]
pub struct MemoryState {
    keys: Arc<RwLock<BTreeMap<Vec<u8>, Bytes>>>,
    closed: AtomicBool,
}

/// A log and a state in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryEngine {
    /// The log.
    pub log: Arc<MemoryLog>,
    /// The state.
    pub state: Arc<MemoryState>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new engine on the same log and state, as if a data folder was opened again. Close the first engine before.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let log = MemoryLog { entries: Arc::clone(&self.log.entries), closed: AtomicBool::new(false) };
        let state = MemoryState { keys: Arc::clone(&self.state.keys), closed: AtomicBool::new(false) };
        Self { log: Arc::new(log), state: Arc::new(state) }
    }
}

impl From<MemoryEngine> for Engine {
    fn from(MemoryEngine { log, state }: MemoryEngine) -> Self {
        Self { log, state }
    }
}

impl MemoryState {
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(EngineError::State(CLOSED.into())) } else { Ok(()) }
    }
}

impl Log for MemoryLog {
    fn head(&self) -> Result<LogSequence> {
        Ok(LogSequence(self.entries.read().unwrap_or_else(PoisonError::into_inner).len() as u64))
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        let mut log = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Err(EngineError::Poisoned(CLOSED.into()));
        }
        let head = LogSequence(log.len() as u64);
        if head != expected_head {
            return Err(EngineError::Superseded { head });
        }
        let (revision, time_us) = log.last().map_or((0, i64::MIN), |last| (last.revision, last.time_us));
        assert_follow(head, revision, time_us, entries);
        log.extend_from_slice(entries);
        Ok(())
    }

    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        let log = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fitting = log.iter().skip(start).enumerate().take_while(|(at, entry)| {
            bytes += entry.body.len();
            *at == 0 || bytes <= bytes_max
        });
        Ok(fitting.map(|(_, entry)| entry.clone()).collect())
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        let log = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        Ok(LogSequence(log.partition_point(|entry| seek.includes(entry.revision, entry.time_us)) as u64))
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.check_open()?;
        Ok(self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.check_open()?;
        if range_is_empty(&range) {
            return Ok(Vec::new());
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let found = keys.range(range).map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()));
        Ok(match direction {
            ScanDirection::Forward => found.take(limit).collect(),
            ScanDirection::Backward => found.rev().take(limit).collect(),
        })
    }
}

impl State for MemoryState {
    fn distrust(&self) -> Option<String> {
        None
    }

    fn apply(&self, batch: StateBatch) -> Result<()> {
        batch.assert_sound();
        self.check_open()?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        for write in batch.stages.into_iter().flatten() {
            match write {
                StateWrite::Put(key, value) => keys.insert(key, value),
                StateWrite::Remove(key) => keys.remove(&key),
            };
        }
        Ok(())
    }

    fn reset(&self) -> Result<()> {
        self.check_open()?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}
