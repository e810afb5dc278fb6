//! The queue of the writer: its jobs, in order. The number of commits that wait in it is bounded.
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

/// A job for the writer.
pub(super) enum Job {
    /// Make a commit, and answer when it is durable and can be read.
    Commit {
        /// The parsed request.
        request: Box<Request>,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<CommitResponse>>,
        /// The permit, held until the commit is answered.
        permit: QueuePermit,
    },
    /// Make the promise durable that no later commit gets a time up to this one.
    BoundTime { time_us: i64, answer: oneshot::Sender<Result<()>> },
    /// Replay what other appenders have added to the log.
    CatchUp,
    /// Check whether the state must be rebuilt.
    Rebuild,
    /// Answer the jobs that were queued before, then end.
    Close,
}

/// A permit for one commit in the queue. It is given back when the commit is answered.
#[derive(Debug)]
pub(super) struct QueuePermit {
    _permit: OwnedSemaphorePermit,
}

/// The sending end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// The channel is unbounded, but `permits` bounds the commits in it. `None` once the queue is closed.
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

    /// A permit for a commit. `TOO_MANY_REQUESTS` if the queue is full, a transient error.
    pub(super) fn try_permit(&self) -> Result<QueuePermit> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(QueuePermit { _permit: permit }),
            Err(TryAcquireError::NoPermits) => {
                let limit = self.permits_max;
                let text = format!("{} commits wait already: send the same request again in a moment", limit.maximum);
                let error = StoreError::new(StoreErrorKind::Exhausted, ErrorReason::TooManyRequests, text);
                Err(error.with_limit(limit))
            }
            Err(TryAcquireError::Closed) => Err(StoreError::shutting_down()),
        }
    }

    /// Waits for a permit for a commit.
    #[cfg(feature = "server")]
    pub(super) async fn permit(&self) -> Result<QueuePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map(|permit| QueuePermit { _permit: permit }).map_err(|_| StoreError::shutting_down())
    }

    /// Queues a job for the writer. `SHUTTING_DOWN` if the queue is closed.
    pub(super) fn send(&self, job: Job) -> Result<()> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        match jobs.as_ref().map(|jobs| jobs.send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(StoreError::shutting_down()),
        }
    }

    /// Closes the queue. The jobs that were queued before are still done.
    pub(super) fn close(&self) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(jobs) = jobs {
            // Sending fails if the writer has ended already.
            drop(jobs.send(Job::Close));
        }
    }
}
