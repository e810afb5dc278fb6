//! The way to the writer: what it is asked to do, in order, with a bounded number of commits waiting.
//!
//! Knows parsed requests. Must not know what becomes of them.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::{
    error::{Result, StoreError, StoreErrorKind},
    mutate::request::Request,
};
use crate::proto::{CommitResponse, ErrorReason};

/// What the writer is asked to do.
pub(super) enum Job {
    /// Commit, and answer when it is durable and can be read.
    Commit {
        /// What to commit.
        request: Box<Request>,
        /// Who waits.
        answer: oneshot::Sender<Result<CommitResponse>>,
        /// Its place in the queue, held until it is answered.
        place: QueuePermit,
    },
    /// Make durable that no later commit gets a time up to this one.
    BoundTime { time_us: i64, answer: oneshot::Sender<Result<()>> },
    /// Look whether the state is to be rebuilt.
    Rebuild,
    /// Answer what has queued before, then end.
    Close,
}

/// A place in the queue of commits, given back when the commit is answered.
#[derive(Debug)]
pub(super) struct QueuePermit {
    _permit: OwnedSemaphorePermit,
}

/// The sending end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// Unbounded; `places` bounds the commits in it. None once it is closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    places: Arc<Semaphore>,
    places_max: u64,
}

impl Queue {
    /// A queue for this many commits, and its receiving end.
    pub(super) fn new(places_max: u64) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel();
        let places = usize::try_from(places_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        (Self { jobs: Mutex::new(Some(jobs)), places: Arc::new(Semaphore::new(places)), places_max }, receiver)
    }

    /// A place in the queue of commits. An error where there is none: the same request can be sent again in a moment.
    pub(super) fn place(&self) -> Result<QueuePermit> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(QueuePermit { _permit: place }),
            Err(TryAcquireError::NoPermits) => {
                let maximum = self.places_max;
                let text = format!("{maximum} commits wait already: send the same request again in a moment");
                Err(StoreError::new(StoreErrorKind::Exhausted, ErrorReason::TooManyRequests, text)
                    .with("limit", "commit.queue")
                    .with("maximum", maximum))
            }
            Err(TryAcquireError::Closed) => Err(StoreError::shutting_down()),
        }
    }

    /// A place in the queue of commits, waited for.
    #[cfg(feature = "server")]
    pub(super) async fn place_when_free(&self) -> Result<QueuePermit> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map(|permit| QueuePermit { _permit: permit }).map_err(|_| StoreError::shutting_down())
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
            // A writer that has ended needs no telling.
            drop(jobs.send(Job::Close));
        }
    }
}
