//! The queue of the writer: what it is asked to do, in order, with a bounded number of commits waiting.
//!
//! Knows parsed requests. Must not know what the writer does with them.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::{
    error::{Result, StoreError, StoreErrorKind},
    mutate::request::Request,
};
use crate::{
    limits::Limit,
    proto::{CommitResponse, ErrorReason},
};

/// What the writer is asked to do.
pub(super) enum Job {
    /// Commit, and answer when it is durable and can be read.
    Commit {
        /// What to commit.
        request: Box<Request>,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<CommitResponse>>,
        /// Its permit, held until it is answered.
        permit: QueuePermit,
    },
    /// Make durable that no later commit gets a time up to this one.
    BoundTime { time_us: i64, answer: oneshot::Sender<Result<()>> },
    /// Replay what other appenders have added to the log.
    CatchUp,
    /// Check whether the state is to be rebuilt.
    Rebuild,
    /// Answer what was queued before, then end.
    Close,
}

/// A permit for one commit in the queue, returned when the commit is answered.
#[derive(Debug)]
pub(super) struct QueuePermit {
    _permit: OwnedSemaphorePermit,
}

/// The sending end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// Unbounded; `permits` bounds the commits in it. `None` once it is closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    permits: Arc<Semaphore>,
    permits_max: Limit,
}

impl Queue {
    /// A queue for this many commits, and its receiving end.
    pub(super) fn new(permits_max: Limit) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel();
        let permits = usize::try_from(permits_max.maximum).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        (Self { jobs: Mutex::new(Some(jobs)), permits: Arc::new(Semaphore::new(permits)), permits_max }, receiver)
    }

    /// A permit for a commit. An error where the queue is full: the same request can be sent again in a moment.
    pub(super) fn try_permit(&self) -> Result<QueuePermit> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(QueuePermit { _permit: permit }),
            Err(TryAcquireError::NoPermits) => {
                let Limit { name, maximum, .. } = self.permits_max;
                let text = format!("{maximum} commits wait already: send the same request again in a moment");
                Err(StoreError::new(StoreErrorKind::Exhausted, ErrorReason::TooManyRequests, text)
                    .with("limit", name)
                    .with("maximum", maximum))
            }
            Err(TryAcquireError::Closed) => Err(StoreError::shutting_down()),
        }
    }

    /// A permit for a commit, waited for.
    #[cfg(feature = "server")]
    pub(super) async fn permit(&self) -> Result<QueuePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map(|permit| QueuePermit { _permit: permit }).map_err(|_| StoreError::shutting_down())
    }

    /// Queues a job for the writer.
    pub(super) fn send(&self, job: Job) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.as_ref().map(|jobs| jobs.send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(StoreError::shutting_down()),
        }
    }

    /// Queues the last job: what was queued before is still done.
    pub(super) fn close(&self) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(jobs) = jobs {
            // A writer that has ended needs no signal.
            drop(jobs.send(Job::Close));
        }
    }
}
