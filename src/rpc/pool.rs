//! The thread pools for long work: lists, batches, history, reads that wait for the clock, and checks of long commits.
//!
//! A pool runs a bounded number of jobs at a time, by default one per core, so that scans never block the threads that answer
//! Gets. A bounded number of further jobs wait. More are refused with a transient error, and the client retries.
//!
//! Knows the async runtime. Must not know what a job does.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task, time,
};

use super::{options::ServerOptions, status};
use crate::{
    limits::Limit,
    store::{Result, StoreError},
};

/// The pools of a server. There are two, so that commits do not wait for scans.
#[derive(Debug)]
pub(super) struct Pools {
    /// Lists, batches, history, reads that wait for the clock, and the reads of streams.
    pub(super) reads: Pool,
    /// Checks of long commits.
    pub(super) commits: Pool,
}

impl Pools {
    /// The pools with the limits of a server.
    pub(super) fn new(options: &ServerOptions) -> Self {
        Self {
            reads: Pool::new(options.read_threads, options.reads_waiting_limit()),
            commits: Pool::new(options.read_threads, options.commits_waiting_limit()),
        }
    }

    /// Refuses new jobs and waits for the running ones, for at most `limit` in each pool.
    pub(super) async fn close(&self, limit: Duration) {
        self.commits.close(limit).await;
        self.reads.close(limit).await;
    }
}

/// A bounded number of threads, and a bounded queue of jobs for them.
#[derive(Debug)]
pub(super) struct Pool {
    free: Arc<Semaphore>,
    threads: usize,
    waiting: AtomicUsize,
    waiting_max: Limit,
}

impl Pool {
    /// A pool of `threads` threads, or of one per core if it is 0. At most `waiting_max` jobs wait.
    pub(super) fn new(threads: usize, waiting_max: Limit) -> Self {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(2, NonZero::get),
            threads => threads,
        };
        Self { free: Arc::new(Semaphore::new(threads)), threads, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Runs a job. `TOO_MANY_REQUESTS` if too many jobs wait already. Dropping the future removes a waiting job from the queue,
    /// but does not stop a running job.
    pub(super) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Self::run_with(permit, job).await;
        }
        let waiting = self.wait_permit()?;
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| StoreError::shutting_down())?;
        drop(waiting);
        Self::run_with(permit, job).await
    }

    /// Like [`Self::run`], but waits however many jobs wait. It is for streams, whose number is bounded.
    pub(super) async fn run_when_free<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| StoreError::shutting_down())?;
        Self::run_with(permit, job).await
    }

    async fn run_with<T: Send + 'static>(permit: OwnedSemaphorePermit, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let done = task::spawn_blocking(move || {
            let answer = job();
            drop(permit);
            answer
        });
        // The panic hook has logged where it happened, and the join error says what happened.
        done.await.map_err(StoreError::internal)
    }

    /// A permit to wait for a thread. `TOO_MANY_REQUESTS` if `waiting_max` jobs wait already.
    fn wait_permit(&self) -> Result<WaitPermit<'_>> {
        let permit = WaitPermit(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) as u64 >= self.waiting_max.maximum {
            return Err(status::too_many_requests(self.waiting_max));
        }
        Ok(permit)
    }

    /// Refuses new jobs and waits for the running ones, for at most `limit`.
    pub(super) async fn close(&self, limit: Duration) {
        let all = u32::try_from(self.threads).unwrap_or(u32::MAX);
        if time::timeout(limit, self.free.acquire_many(all)).await.is_err() {
            tracing::warn!("reads or checks are still running after {} ms", limit.as_millis());
        }
        self.free.close();
    }
}

/// The permit of a job that waits for a thread.
struct WaitPermit<'a>(&'a AtomicUsize);

impl Drop for WaitPermit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, sync::mpsc};

    use super::*;
    use crate::{proto::ErrorReason, store::StoreErrorKind};

    /// A limit of one waiting job.
    const WAITING: Limit = Limit { name: "waiting", maximum: 1, bounds: "" };

    #[tokio::test]
    async fn a_job_beyond_the_threads_waits_and_one_beyond_the_queue_is_refused_with_a_reason() {
        let pool = Arc::new(Pool::new(1, WAITING));
        let (go, wait) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(move || wait.recv()).await }
        });
        while pool.free.available_permits() > 0 {
            task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|| 2).await }
        });
        while pool.waiting.load(Ordering::Relaxed) == 0 {
            task::yield_now().await;
        }
        let refused = pool.run(|| 3).await.expect_err("the queue is full");
        assert_eq!((refused.kind, refused.reason), (StoreErrorKind::Exhausted, ErrorReason::TooManyRequests));

        go.send(()).expect("the job waits");
        assert!(running.await.expect("joined").expect("ran").is_ok());
        assert_eq!(waiting.await.expect("joined").expect("ran"), 2);
        assert_eq!(pool.run(|| 4).await.expect("there is room again"), 4);
        assert_eq!((pool.free.available_permits(), pool.waiting.load(Ordering::Relaxed)), (1, 0), "nothing leaks");
    }

    #[tokio::test]
    async fn a_caller_who_is_gone_leaves_the_queue() {
        let pool = Pool::new(1, WAITING);
        let (go, wait) = mpsc::channel::<()>();
        let running = pool.run(move || wait.recv());
        tokio::pin!(running);
        tokio::select! { biased; _ = &mut running => panic!("it waits"), () = time::sleep(Duration::from_millis(20)) => {} }
        assert!(time::timeout(Duration::from_millis(20), pool.run(|| ())).await.is_err());
        assert_eq!(pool.waiting.load(Ordering::Relaxed), 0);
        go.send(()).expect("the job waits");
        assert!(running.await.expect("ran").is_ok());
    }

    #[tokio::test]
    async fn a_job_that_panics_is_an_internal_error_and_gives_its_thread_back() {
        let pool = Pool::new(1, WAITING);
        let error = pool.run::<()>(|| panic!("by intent")).await.expect_err("it panicked");
        assert_eq!(error.kind, StoreErrorKind::Internal);
        assert!(error.source().is_some_and(<dyn std::error::Error>::is::<task::JoinError>), "{error:?}");
        assert_eq!(pool.run(|| 1).await.expect("runs"), 1);
    }

    #[tokio::test]
    async fn a_closed_pool_refuses() {
        let pool = Pool::new(2, WAITING);
        pool.close(Duration::from_secs(1)).await;
        assert_eq!(pool.run(|| ()).await.expect_err("closed"), StoreError::shutting_down());
    }
}
