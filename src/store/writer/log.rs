//! The writer's use of the log: it appends and finds out the outcome, catches up with other appenders, and rebuilds the state.
//!
//! Knows the log and the state. Must not know plans, or what a commit does.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use ulid::Ulid;

use super::{Appended, Stop, Trust, Writer};
use crate::{
    engine::{self, EngineError, Log, LogEntry, LogSequence, State},
    store::{
        entry::{Entry, FORMAT_VERSION, Founded},
        error::{Result, StoreError},
        queue::Job,
        replay::{Meta, PendingState, STATE_FORMAT},
    },
};

/// Bytes of the log that are replayed and applied at once. Many, because keys are applied in order, and neighbouring keys share
/// a page.
const REPLAY_BYTES: usize = 16 << 20;
/// The pause before a failed rebuild is tried again.
const REBUILD_RETRY: Duration = Duration::from_secs(1);
/// The pauses before a call on a log that does not answer is repeated: the first, and the longest.
const LOG_RETRY: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));

impl Writer {
    /// Appends entries to the log. If the log's answer is lost, repeats the call until the outcome is known.
    pub(super) fn append(&mut self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<Appended, Stop> {
        let inner = Arc::clone(&self.inner);
        let log = &*inner.engine.log;
        let (mut is_unknown, mut pause) = (false, LOG_RETRY.0);
        loop {
            let error = match log.append(expected_head, entries) {
                Ok(()) => return Ok(Appended::Durable),
                Err(EngineError::Superseded { .. }) if !is_unknown => return Ok(Appended::Superseded),
                // Either an earlier try has appended the entries, or another appender was first.
                Err(EngineError::Superseded { .. }) => match holds(log, expected_head, entries) {
                    Ok(true) => return Ok(Appended::Durable),
                    Ok(false) => return Ok(Appended::Superseded),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            is_unknown |= matches!(error, EngineError::Unknown(_));
            match error {
                EngineError::Unknown(_) | EngineError::Unavailable(_) | EngineError::Full { .. } if is_unknown => {
                    self.wait_for_log(&mut pause, error)?;
                }
                error => return Ok(Appended::Refused(error)),
            }
        }
    }

    /// Calls the log, and retries while it is unavailable.
    fn ask_log<T>(&mut self, call: impl Fn(&dyn Log) -> engine::Result<T>) -> Result<T, Stop> {
        let mut pause = LOG_RETRY.0;
        loop {
            match call(&*self.inner.engine.log) {
                Err(error @ (EngineError::Unavailable(_) | EngineError::Unknown(_))) => {
                    self.wait_for_log(&mut pause, error)?;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Pauses before the log is called again. Each pause is longer than the one before, up to a maximum. Refuses the requests
    /// that come meanwhile.
    fn wait_for_log(&mut self, pause: &mut Duration, error: EngineError) -> Result<(), Stop> {
        tracing::warn!("{error}; trying again in {pause:?}");
        // Logged above, once for all who get it.
        self.refuse_for(*pause, &StoreError::from(unavailable(error)).logged())?;
        *pause = (*pause * 2).min(LOG_RETRY.1);
        Ok(())
    }

    /// Catches up: replays the entries that other appenders have added to the log, and makes them readable. Reads continue
    /// meanwhile.
    pub(super) fn catch_up(&mut self) -> Result<(), Stop> {
        match self.replay_added() {
            Err(Stop::Failed(mut error)) => {
                if !self.inner.calls_for_rebuild(self.inner.engine.state.distrust().is_none(), &mut error) {
                    return Err(Stop::Failed(error));
                }
                tracing::error!("the state failed while it caught up with the log: {}", error.in_full());
                self.rebuild(Trust::Not)
            }
            outcome => outcome,
        }
    }

    fn replay_added(&mut self) -> Result<(), Stop> {
        loop {
            // Before the log is read, so that a later signal leads to another read.
            self.behind = false;
            self.inner.begin_catch_up();
            let after = LogSequence(self.meta.sequence);
            let entries = self.ask_log(|log| log.read_after(after, REPLAY_BYTES))?;
            if !entries.is_empty() {
                self.meta = replay(&*self.inner.engine.state, self.meta.clone(), &entries)?;
                self.inner.keep_time_bound(self.meta.time_bound_us);
            }
            // Even if nothing was added: revisions may have been numbered that do not exist.
            self.inner.publish(&self.meta);
            if entries.is_empty() && !self.behind {
                return Ok(());
            }
        }
    }

    /// Brings the state up to date with the log, and retries if the state fails. Then serves.
    pub(super) fn rebuild(&mut self, mut trust: Trust) -> Result<(), Stop> {
        self.inner.rebuilding(0, self.meta.sequence);
        loop {
            match self.replay_all(trust) {
                Ok(meta) => {
                    self.meta = meta;
                    self.rebuild = false;
                    self.inner.keep_time_bound(self.meta.time_bound_us);
                    self.inner.publish(&self.meta);
                    self.inner.serving(self.refused.as_ref());
                    return if self.behind { self.catch_up() } else { Ok(()) };
                }
                Err(Stop::Closed) => return Err(Stop::Closed),
                Err(Stop::Failed(mut error)) => {
                    if !self.inner.calls_for_rebuild(self.inner.engine.state.distrust().is_none(), &mut error) {
                        return Err(Stop::Failed(error));
                    }
                    trust = Trust::Not;
                    tracing::error!("the state failed while it was rebuilt: {}; trying again", error.in_full());
                    self.refuse_for(REBUILD_RETRY, &error)?;
                }
            }
        }
    }

    /// Brings the state up to date with the log: catches up, or rebuilds the state if it cannot be trusted. Writes the first
    /// entry of an empty log.
    fn replay_all(&mut self, trust: Trust) -> Result<Meta, Stop> {
        let inner = Arc::clone(&self.inner);
        let state = &*inner.engine.state;
        self.behind = false;
        inner.begin_catch_up();
        let mut head = self.ask_log(|log| log.head())?;
        let distrust = match state.distrust() {
            Some(reason) => Some(reason),
            None => (trust == Trust::Not).then(|| "it contained invalid data".to_owned()),
        };
        if let Some(reason) = distrust {
            tracing::warn!(reason, entries = head.0, "rebuilding the state from the log");
            state.reset()?;
        }
        let mut meta = PendingState::read_meta(state)?;
        if meta.sequence > head.0 {
            // The state is written only after the log is durable, so a crash cannot cause this. The end of the log is damaged
            // and looks like a torn frame.
            let lost = format!("it ends at entry {}, and the state holds entry {} that was in it", head.0, meta.sequence);
            return Err(EngineError::Corrupt(lost.into()).into());
        }
        if meta.sequence > 0 && meta.format != STATE_FORMAT {
            tracing::warn!(format = meta.format, "rebuilding the state from the log: it is of another format");
            state.reset()?;
            meta = Meta::default();
        }
        if head.0 == 0 {
            match self.found()? {
                Some(first) => {
                    head = first.sequence;
                    meta = replay(state, meta, &[first])?;
                }
                None => head = self.ask_log(|log| log.head())?,
            }
        }
        let from = meta.sequence;
        while meta.sequence < head.0 {
            inner.rebuilding(meta.sequence, head.0);
            let entries = self.ask_log(|log| log.read_after(LogSequence(meta.sequence), REPLAY_BYTES))?;
            if entries.is_empty() {
                let gap = format!("the log says that it ends at entry {}, and has none after {}", head.0, meta.sequence);
                return Err(EngineError::Corrupt(gap.into()).into());
            }
            meta = replay(state, meta, &entries)?;
            tracing::info!(done = meta.sequence, total = head.0, "replaying the log");
        }
        tracing::info!(from, to = meta.sequence, revision = meta.revision, "the state holds all of the log");
        Ok(meta)
    }

    /// Writes the first entry of an empty log. `None` if another appender was first.
    fn found(&mut self) -> Result<Option<LogEntry>, Stop> {
        let founded = Entry::Founded(Founded { store_id: Ulid::new().to_string().to_lowercase(), format: FORMAT_VERSION });
        let first = LogEntry { sequence: LogSequence(1), revision: 0, time_us: 0, body: founded.to_bytes() };
        let mut pause = LOG_RETRY.0;
        loop {
            match self.append(LogSequence(0), std::slice::from_ref(&first))? {
                Appended::Durable => return Ok(Some(first)),
                Appended::Superseded => return Ok(None),
                Appended::Refused(error @ EngineError::Unavailable(_)) => self.wait_for_log(&mut pause, error)?,
                Appended::Refused(error) => return Err(error.into()),
            }
        }
    }

    /// For some time, answers every request with an error.
    fn refuse_for(&mut self, time: Duration, error: &StoreError) -> Result<(), Stop> {
        let until = Instant::now() + time;
        loop {
            match self.jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Job::Commit { answer, .. }) => drop(answer.send(Err(error.clone()))),
                Ok(Job::BoundTime { answer, .. }) => drop(answer.send(Err(error.clone()))),
                Ok(Job::CatchUp) => self.behind = true,
                Ok(Job::Rebuild) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(()),
                Ok(Job::Close) | Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Stop::Closed),
            }
        }
    }
}

/// The error of a call that is not made because an earlier call on the log had this error.
pub(super) fn unavailable(error: EngineError) -> EngineError {
    match error {
        EngineError::Unavailable(_) => error,
        error => EngineError::Unavailable(Box::new(error)),
    }
}

/// Whether the log holds these entries directly after `after`.
fn holds(log: &dyn Log, after: LogSequence, mut entries: &[LogEntry]) -> engine::Result<bool> {
    let mut at = after;
    while let Some(first) = entries.first() {
        let found = log.read_after(at, REPLAY_BYTES)?;
        let Some(last) = found.last() else {
            return Err(EngineError::Unavailable(format!("it does not show entry {} yet", first.sequence.0).into()));
        };
        let (expected, rest) = entries.split_at(found.len().min(entries.len()));
        if !found.starts_with(expected) {
            return Ok(false);
        }
        (at, entries) = (last.sequence, rest);
    }
    Ok(true)
}

/// Replays entries into a state.
fn replay(state: &dyn State, meta: Meta, entries: &[LogEntry]) -> Result<Meta> {
    let mut pending = PendingState::new(state, meta);
    for entry in entries {
        pending.replay(entry)?;
    }
    let (batch, meta) = pending.into_batch();
    state.apply(batch)?;
    Ok(meta)
}
