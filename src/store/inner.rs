//! What the writer and the readers of a store share: its health, its head, and the promises about commit times.
//!
//! Knows health and the queue. Must not know what a commit does, or what is read.

use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::{
    StoreOptions,
    change_stream::{Published, Recent},
    error::{Result, StoreError, StoreErrorKind},
    queue::{Job, Queue},
    replay::Meta,
};
use crate::{
    engine::{Engine, HeadSignal},
    proto::ErrorReason,
};

/// Whether a store answers reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    /// Reads and writes are answered.
    Serving,
    /// The state is being rebuilt from the log, or catches up with it. Nothing is answered yet.
    Rebuilding {
        /// Number of log entries that are applied.
        done: u64,
        /// Number of entries in the log.
        total: u64,
    },
    /// Reads are answered. Every write is refused with this error until the store is opened again.
    ReadOnly(StoreError),
    /// Every call is refused with this error: the log is damaged or cannot be read.
    Failed(StoreError),
    /// The store was closed.
    Closed,
}

impl StoreHealth {
    fn is_readable(&self) -> bool {
        matches!(self, Self::Serving | Self::ReadOnly(_))
    }

    /// Errs unless reads are answered.
    fn check_readable(&self) -> Result<()> {
        match self {
            Self::Serving | Self::ReadOnly(_) => Ok(()),
            Self::Rebuilding { done, total } => Err(StoreError::rebuilding(*done, *total)),
            Self::Failed(why) => Err(why.clone()),
            Self::Closed => Err(StoreError::shutting_down()),
        }
    }
}

/// What all handles on a store and its writer share.
pub(super) struct Inner {
    pub(super) engine: Engine,
    pub(super) options: StoreOptions,
    /// The newest revision that can be read. It moves when the keys of a commit are in the state.
    head: AtomicU64,
    /// Counts how often reads began or ceased to be answered. It is even while they are answered. If it changes during a read,
    /// the read may have seen a state that lacks keys.
    readable: AtomicU64,
    /// Whether a state that is trusted returned invalid data once.
    disagreed: AtomicBool,
    /// Whether the writer has been asked to catch up and has not started yet.
    catch_up_queued: AtomicBool,
    shared: Mutex<Shared>,
    /// Notified when `shared` changes.
    changed: Condvar,
    /// The jobs for the writer.
    pub(super) queue: Queue,
    /// Wakes change streams.
    published: watch::Sender<Published>,
    /// The recent entries of the log, for change streams.
    pub(super) recent: Recent,
}

struct Shared {
    health: StoreHealth,
    /// What was last published.
    meta: Meta,
    /// The newest revision that has a commit time, whether or not it is durable yet.
    numbered: u64,
    /// The greatest `as_of_time` that was answered or is being answered: no later commit gets a time up to it.
    answered_us: i64,
}

impl Inner {
    pub(super) fn new(engine: Engine, options: StoreOptions, queue: Queue) -> Self {
        Self {
            engine,
            options,
            head: AtomicU64::new(0),
            readable: AtomicU64::new(1),
            disagreed: AtomicBool::new(false),
            catch_up_queued: AtomicBool::new(false),
            shared: Mutex::new(Shared {
                health: StoreHealth::Rebuilding { done: 0, total: 0 },
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

    pub(super) fn health(&self) -> StoreHealth {
        self.lock().health.clone()
    }

    /// What was last published.
    pub(super) fn meta(&self) -> Meta {
        self.lock().meta.clone()
    }

    /// Checks that a revision is not after the head and not before the oldest revision that can be read.
    pub(super) fn check_revision(&self, revision: u64) -> Result<u64> {
        let head = self.head();
        if revision > head {
            let text = format!("revision {revision} does not exist yet: the newest is {head}");
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

    /// Waits until the store answers reads. The error says why it never will.
    pub(super) fn wait_until_serving(&self) -> Result<()> {
        let mut shared = self.lock();
        while matches!(shared.health, StoreHealth::Rebuilding { .. }) {
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        shared.health.check_readable()
    }

    /// Runs a read of the state. Discards its result if the state failed or was reset meanwhile.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let readable = self.begin_read()?;
        let mut outcome = read();
        if let Err(error) = &mut outcome
            && error.reason == ErrorReason::StoreRebuilding
        {
            // Check this before `readable`: after a reset it would be about another state than the one that was read.
            let is_trusted = self.engine.state.distrust().is_none();
            if self.readable.load(Ordering::Acquire) == readable {
                if !self.calls_for_rebuild(is_trusted, error) {
                    return outcome;
                }
                self.rebuilding(0, self.meta().sequence);
                // Sending fails if the writer has ended: then there is no rebuild.
                drop(self.queue.send(Job::Rebuild));
            }
        }
        if self.readable.load(Ordering::Acquire) == readable {
            outcome
        } else {
            self.check_readable().and(Err(StoreError::rebuilding(0, 0)))
        }
    }

    /// The value of `readable` at the start of a read. Errs unless reads are answered.
    fn begin_read(&self) -> Result<u64> {
        loop {
            let readable = self.readable.load(Ordering::Acquire);
            if readable.is_multiple_of(2) {
                return Ok(readable);
            }
            self.check_readable()?;
        }
    }

    /// Whether an error of the state calls for a rebuild. If the state is trusted, it holds invalid data, and one rebuild is
    /// tried. If the rebuilt state has invalid data again, the state is not the cause: then the error becomes `STORE_CORRUPT`.
    pub(super) fn calls_for_rebuild(&self, is_trusted: bool, error: &mut StoreError) -> bool {
        if error.reason != ErrorReason::StoreRebuilding {
            return false;
        }
        if !is_trusted || !self.disagreed.swap(true, Ordering::AcqRel) {
            return true;
        }
        let text =
            "stored data cannot be read, and a rebuild of the state from the log did not repair it: see the log of the server";
        *error = StoreError::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, text).because(error.clone());
        false
    }

    /// Whether a reader has found that the state must be rebuilt.
    pub(super) fn wants_rebuild(&self) -> bool {
        matches!(self.lock().health, StoreHealth::Rebuilding { .. })
    }

    /// Errs unless reads are answered.
    pub(super) fn check_readable(&self) -> Result<()> {
        self.lock().health.check_readable()
    }

    /// Errs unless writes are answered.
    pub(super) fn check_writable(&self) -> Result<()> {
        match &self.lock().health {
            StoreHealth::ReadOnly(why) => Err(why.clone()),
            health => health.check_readable(),
        }
    }

    /// Asks the writer to catch up with what other appenders have added to the log. Does nothing if a request is queued
    /// already.
    fn catch_up(&self) {
        if !self.catch_up_queued.swap(true, Ordering::AcqRel) {
            // Sending fails if the writer has ended: then nothing catches up.
            drop(self.queue.send(Job::CatchUp));
        }
    }

    /// Called when the writer begins to catch up. An append after this needs another signal.
    pub(super) fn begin_catch_up(&self) {
        self.catch_up_queued.store(false, Ordering::Release);
    }

    /// The signal that the log calls when another appender has moved its head.
    pub(super) fn head_signal(self: &Arc<Self>) -> HeadSignal {
        let inner = Arc::downgrade(self);
        HeadSignal::new(move || {
            if let Some(inner) = inner.upgrade() {
                inner.catch_up();
            }
        })
    }

    /// Makes everything up to `meta` readable. It is also called after a group that was not logged, because the revisions that
    /// the group numbered do not exist.
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

    /// A receiver that says how far the log can be read, and wakes when that changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// Keeps the promise about commit times that an earlier process has made.
    pub(super) fn keep_time_bound(&self, time_us: i64) {
        let mut shared = self.lock();
        shared.answered_us = shared.answered_us.max(time_us);
    }

    /// The time of a commit. It is after `after_us`, and after every `as_of_time` that was answered.
    pub(super) fn number(&self, revision: u64, after_us: i64) -> i64 {
        let now_us = self.options.clock.now_us();
        let mut shared = self.lock();
        shared.numbered = revision;
        now_us.max(after_us.saturating_add(1)).max(shared.answered_us.saturating_add(1))
    }

    /// Promises that no later commit gets a time up to `time_us`. Waits until all commits with such a time can be read. The
    /// promise holds while this process runs. The caller makes it durable.
    pub(super) fn answer_time(&self, time_us: i64) -> Result<()> {
        let mut shared = self.lock();
        shared.answered_us = shared.answered_us.max(time_us);
        let numbered = shared.numbered;
        while shared.numbered >= numbered && self.head() < numbered {
            if matches!(shared.health, StoreHealth::Failed(_) | StoreHealth::Closed) {
                return shared.health.check_readable();
            }
            shared = self.changed.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Called when the state holds all of the log. `refused` says why writes are refused, if they are.
    pub(super) fn serving(&self, refused: Option<&StoreError>) {
        self.set(refused.map_or(StoreHealth::Serving, |why| StoreHealth::ReadOnly(why.clone())));
    }

    /// Called when a rebuild begins or proceeds. Nothing is answered until the state holds all of the log.
    pub(super) fn rebuilding(&self, done: u64, total: u64) {
        self.set(StoreHealth::Rebuilding { done, total });
    }

    /// Refuses writes from now on. During a rebuild it does nothing: the writer passes the error to `serving` when the rebuild
    /// ends.
    pub(super) fn read_only(&self, why: &StoreError) {
        let mut shared = self.lock();
        if shared.health == StoreHealth::Serving {
            shared.health = StoreHealth::ReadOnly(why.clone());
        }
    }

    /// Refuses every call from now on. The writer has logged why.
    pub(super) fn failed(&self, error: StoreError) {
        let mut why = error.logged();
        (why.kind, why.reason) = (StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt);
        why.metadata.clear();
        self.set(StoreHealth::Failed(why));
    }

    /// Called when the writer has ended. A failed store stays failed.
    pub(super) fn closed(&self) {
        self.queue.close();
        self.set(StoreHealth::Closed);
        // Wake the watches that wait for the next commit.
        self.published.send_modify(|published| published.ended = true);
    }

    /// Sets the health of a store that has not ended.
    fn set(&self, health: StoreHealth) {
        let mut shared = self.lock();
        if matches!(shared.health, StoreHealth::Failed(_) | StoreHealth::Closed) {
            return;
        }
        if shared.health.is_readable() != health.is_readable() {
            self.readable.fetch_add(1, Ordering::AcqRel);
        }
        shared.health = health;
        drop(shared);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
