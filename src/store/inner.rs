//! What the writer and the readers of a store share: head, condition, and the times that were promised.
//!
//! Knows conditions and the queue. Must not know what a commit does, or what is read.

use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::{
    StoreHealth, StoreOptions,
    change_stream::{Published, Recent},
    error::{Result, StoreError, StoreErrorKind},
    queue::{Job, Queue},
    replay::Meta,
};
use crate::{
    engine::{Engine, StateHealth},
    proto::ErrorReason,
};

/// Shared by all handles on a store and its writer.
pub(super) struct Inner {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) options: StoreOptions,
    /// The newest revision that can be read. Moves when its keys are in place.
    head: AtomicU64,
    /// Whether reads are answered; `condition` says why not.
    readable: AtomicBool,
    /// How often reads stopped being answered. A read during which that happened may have seen a state without its keys.
    interruptions: AtomicU64,
    /// Whether a state that the engine trusts held what makes no sense.
    disagreed: AtomicBool,
    shared: Mutex<Shared>,
    /// Told when `shared` changes.
    changed: Condvar,
    /// What the writer is asked to do.
    pub(super) queue: Queue,
    /// Wakes change streams.
    published: watch::Sender<Published>,
    /// What change streams read lately.
    pub(super) recent: Recent,
}

struct Shared {
    condition: StoreHealth,
    /// Why writes are refused until the store is opened again, if they are.
    refused: Option<String>,
    /// What was last published.
    meta: Meta,
    /// The newest revision that has a time, whether or not it is durable yet.
    numbered: u64,
    /// The greatest `as_of_time` that was answered or is being answered: no later commit gets a time up to it.
    answered_us: i64,
}

impl Inner {
    pub(super) fn new(engine: Arc<dyn Engine>, options: StoreOptions, queue: Queue) -> Self {
        Self {
            engine,
            options,
            head: AtomicU64::new(0),
            readable: AtomicBool::new(false),
            interruptions: AtomicU64::new(0),
            disagreed: AtomicBool::new(false),
            shared: Mutex::new(Shared {
                condition: StoreHealth::Rebuilding { done: 0, total: 0 },
                refused: None,
                meta: Meta::default(),
                numbered: 0,
                answered_us: i64::MIN,
            }),
            changed: Condvar::new(),
            queue,
            published: watch::Sender::new(Published::default()),
            recent: Recent::default(),
        }
    }

    /// The newest revision that can be read.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    pub(super) fn condition(&self) -> StoreHealth {
        let shared = self.lock();
        match (&shared.condition, &shared.refused) {
            (StoreHealth::Serving, Some(reason)) => StoreHealth::ReadOnly(reason.clone()),
            (condition, _) => condition.clone(),
        }
    }

    /// What was last published.
    pub(super) fn meta(&self) -> Meta {
        self.lock().meta.clone()
    }

    /// A revision that can be read, or read on from.
    pub(super) fn check_revision(&self, revision: u64) -> Result<u64> {
        let head = self.head();
        if revision > head {
            let text = format!("revision {revision} is not reached: the newest is {head}; read that, or wait");
            return Err(StoreError::new(StoreErrorKind::OutOfRange, ErrorReason::RevisionInFuture, text)
                .with("revision", revision)
                .with("head_revision", head));
        }
        let oldest = self.lock().meta.oldest_revision;
        if revision < oldest {
            let text = format!("revision {revision} was compacted: the oldest that can be read is {oldest}");
            return Err(StoreError::new(StoreErrorKind::OutOfRange, ErrorReason::RevisionCompacted, text)
                .with("revision", revision)
                .with("oldest_revision", oldest));
        }
        Ok(revision)
    }

    /// Waits until the store answers reads, or says why it never will.
    pub(super) fn wait_until_serving(&self) -> Result<()> {
        let mut shared = self.lock();
        loop {
            match &shared.condition {
                StoreHealth::Rebuilding { .. } => {
                    shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
                }
                StoreHealth::Serving | StoreHealth::ReadOnly(_) => return Ok(()),
                StoreHealth::Failed(reason) => return Err(failed(reason)),
                StoreHealth::Closed => return Err(StoreError::shutting_down()),
            }
        }
    }

    /// Runs a read of the state. The answer is discarded where the state failed or was reset meanwhile.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let interruptions = self.interruptions.load(Ordering::Acquire);
        self.check_readable()?;
        let mut outcome = read();
        if let Err(error) = &mut outcome
            && error.reason == ErrorReason::StoreRebuilding
        {
            // Asked before the interruptions are: a state that was reset meanwhile says nothing about the one that was read.
            let condition = self.engine.state_condition();
            if self.interruptions.load(Ordering::Acquire) != interruptions {
                return self.check_readable().and(Err(StoreError::rebuilding(0, 0)));
            }
            if !self.calls_for_rebuild(&condition, error) {
                return outcome;
            }
            self.rebuilding(0, self.meta().sequence);
            // A writer that has ended rebuilds nothing.
            drop(self.queue.send(Job::Rebuild));
        }
        if self.interruptions.load(Ordering::Acquire) == interruptions {
            outcome
        } else {
            self.check_readable().and(Err(StoreError::rebuilding(0, 0)))
        }
    }

    /// Whether an error that the state gave calls for its rebuild. Where the engine trusts its state, that holds what makes no
    /// sense, and one rebuild is tried: if the next state is no better, the fault is not the state's, and the error says so.
    pub(super) fn calls_for_rebuild(&self, condition: &StateHealth, error: &mut StoreError) -> bool {
        if error.reason != ErrorReason::StoreRebuilding {
            return false;
        }
        if *condition != StateHealth::Trusted || !self.disagreed.swap(true, Ordering::AcqRel) {
            return true;
        }
        let text =
            "what is stored cannot be read, and rebuilding the state from the log did not mend it: the server's log says more";
        *error = StoreError::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, text).because(error.clone());
        false
    }

    /// Whether the state failed under a reader.
    pub(super) fn wants_rebuild(&self) -> bool {
        matches!(self.lock().condition, StoreHealth::Rebuilding { .. })
    }

    /// An error unless reads are answered.
    pub(super) fn check_readable(&self) -> Result<()> {
        if self.readable.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.condition() {
            StoreHealth::Serving | StoreHealth::ReadOnly(_) => Ok(()),
            StoreHealth::Rebuilding { done, total } => Err(StoreError::rebuilding(done, total)),
            StoreHealth::Failed(reason) => Err(failed(&reason)),
            StoreHealth::Closed => Err(StoreError::shutting_down()),
        }
    }

    /// An error unless writes are answered.
    pub(super) fn check_writable(&self) -> Result<()> {
        self.check_readable()?;
        match self.condition() {
            StoreHealth::ReadOnly(reason) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, ErrorReason::StorePoisoned, reason))
            }
            _ => Ok(()),
        }
    }

    /// Makes everything up to `meta` readable. Also after a group that could not be logged: what was numbered is no more.
    pub(super) fn publish(&self, meta: &Meta) {
        let mut shared = self.lock();
        shared.numbered = meta.revision;
        shared.meta = meta.clone();
        self.head.store(meta.revision, Ordering::Release);
        drop(shared);
        let published = Published { sequence: meta.sequence, revision: meta.revision, ended: false };
        self.published.send_if_modified(|last| std::mem::replace(last, published) != published);
        self.changed.notify_all();
    }

    /// How far the log can be read, and a wake-up when that moves.
    pub(super) fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// Takes over the promise about times that an earlier process made.
    pub(super) fn keep_time_bound(&self, time_us: i64) {
        let mut shared = self.lock();
        shared.answered_us = shared.answered_us.max(time_us);
    }

    /// The time of a commit: later than every commit before it and every `as_of_time` answered.
    pub(super) fn number(&self, revision: u64, last_commit_time_us: i64) -> i64 {
        let now_us = self.options.clock.now_us();
        let mut shared = self.lock();
        shared.numbered = revision;
        now_us.max(last_commit_time_us + 1).max(shared.answered_us.saturating_add(1))
    }

    /// Promises that no later commit gets a time up to `time_us`, and waits until every commit that has an earlier one can be
    /// read. The promise holds while this process runs; the caller makes it durable.
    pub(super) fn answer_time(&self, time_us: i64) -> Result<()> {
        let mut shared = self.lock();
        shared.answered_us = shared.answered_us.max(time_us);
        let numbered = shared.numbered;
        while shared.numbered >= numbered && self.head() < numbered {
            match &shared.condition {
                StoreHealth::Failed(reason) => return Err(failed(reason)),
                StoreHealth::Closed => return Err(StoreError::shutting_down()),
                StoreHealth::Serving | StoreHealth::Rebuilding { .. } | StoreHealth::ReadOnly(_) => {}
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    pub(super) fn serving(&self) {
        self.set(StoreHealth::Serving);
    }

    pub(super) fn rebuilding(&self, done: u64, total: u64) {
        self.set(StoreHealth::Rebuilding { done, total });
    }

    pub(super) fn refuse_writes(&self, error: &StoreError) {
        self.lock().refused.get_or_insert_with(|| error.message.clone());
    }

    pub(super) fn failed(&self, error: &StoreError) {
        self.set(StoreHealth::Failed(error.message.clone()));
    }

    /// The writer has ended. Why it failed stays, if it did.
    pub(super) fn closed(&self) {
        self.queue.close();
        if !matches!(self.condition(), StoreHealth::Failed(_)) {
            self.set(StoreHealth::Closed);
        }
        // Watches that wait for the next commit wait no longer.
        self.published.send_modify(|published| published.ended = true);
    }

    fn set(&self, condition: StoreHealth) {
        let mut shared = self.lock();
        let readable = condition == StoreHealth::Serving;
        if self.readable.swap(readable, Ordering::AcqRel) && !readable {
            self.interruptions.fetch_add(1, Ordering::AcqRel);
        }
        shared.condition = condition;
        drop(shared);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(reason: &str) -> StoreError {
    StoreError::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, reason)
}
