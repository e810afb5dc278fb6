//! The reference engine: a log and a state in memory. What other engines are compared with, and `--in-memory`.
//!
//! Knows the engine trait. Must not know files.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;

use super::{
    DiskUsage, Engine, EngineError, KeyRange, LogEntry, LogSeek, LogSequence, Result, ScanDirection, State, StateBatch,
    StateHealth, StateWrite, assert_follow, range_is_empty,
};

/// A log and a state that live as long as the process.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    held: Arc<RwLock<Held>>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    /// Always entry `n` at place `n - 1`.
    log: Vec<LogEntry>,
    state: BTreeMap<Vec<u8>, Bytes>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new engine on the same bytes, as opening a folder again would give. The first one is meant to be closed by then.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { held: Arc::clone(&self.held), closed: AtomicBool::new(false) }
    }

    // A writer that panicked has broken an assertion before it changed anything, so what the lock guards is whole.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_is_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(EngineError::State("the engine was closed".into())) } else { Ok(()) }
    }
}

impl State for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.state_is_open()?;
        Ok(self.read().state.get(key).cloned())
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.state_is_open()?;
        if range_is_empty(&range) {
            return Ok(Vec::new());
        }
        let held = self.read();
        let found = held.state.range(range).map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()));
        Ok(match direction {
            ScanDirection::Forward => found.take(limit).collect(),
            ScanDirection::Backward => found.rev().take(limit).collect(),
        })
    }
}

impl Engine for MemoryEngine {
    fn head(&self) -> Result<LogSequence> {
        Ok(self.read().head())
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        let mut writer = self.write();
        if self.closed.load(Ordering::Acquire) {
            return Err(EngineError::Poisoned("the engine was closed".into()));
        }
        let head = writer.head();
        if head != expected_head {
            return Err(EngineError::Superseded { head });
        }
        let (revision, time_us) = writer.log.last().map_or((0, i64::MIN), |last| (last.revision, last.time_us));
        assert_follow(head, revision, time_us, entries);
        writer.log.extend_from_slice(entries);
        Ok(())
    }

    fn read_log(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        let held = self.read();
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fitting = held.log.iter().skip(start).enumerate().take_while(|(at, entry)| {
            bytes += entry.body.len();
            *at == 0 || bytes <= bytes_max
        });
        Ok(fitting.map(|(_, entry)| entry.clone()).collect())
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        let found = self.read().log.partition_point(|entry| seek.is_at_or_behind(entry.revision, entry.time_us));
        Ok(LogSequence(found as u64))
    }

    fn state_condition(&self) -> StateHealth {
        StateHealth::Trusted
    }

    fn reset_state(&self) -> Result<()> {
        self.state_is_open()?;
        self.write().state.clear();
        Ok(())
    }

    fn apply(&self, batch: StateBatch) -> Result<()> {
        batch.assert_sound();
        self.state_is_open()?;
        let mut held = self.write();
        for write in batch.stages.into_iter().flatten() {
            match write {
                StateWrite::Put(key, value) => held.state.insert(key, value),
                StateWrite::Remove(key) => held.state.remove(&key),
            };
        }
        Ok(())
    }

    fn reads_may_block(&self) -> bool {
        false
    }

    fn disk_usage(&self) -> Result<DiskUsage> {
        Ok(DiskUsage::default())
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

impl Held {
    fn head(&self) -> LogSequence {
        LogSequence(self.log.len() as u64)
    }
}
