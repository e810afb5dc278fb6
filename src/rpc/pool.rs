//! Where work runs that takes long: lists, batches, history, reads that wait for the clock, checks of long commits.
//!
//! As many at a time as there are cores, so that scans never take the threads that answer Gets; a bounded number wait, and
//! whoever comes after is told to try again.
//!
//! Knows the runtime. Must not know what runs.

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
use tonic::Status;

use super::status;

/// A bounded number of threads with a bounded queue before them.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    threads: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    /// What errors call `waiting_max`.
    limit: &'static str,
}

impl Pool {
    /// A pool of `threads`, or as many as there are cores for 0, for which at most `waiting_max` jobs wait: errors call that
    /// `limit`.
    pub(crate) fn new(threads: usize, waiting_max: usize, limit: &'static str) -> Self {
        let threads = match threads {
            0 => thread::available_parallelism().map_or(2, NonZero::get),
            threads => threads,
        };
        Self { free: Arc::new(Semaphore::new(threads)), threads, waiting: AtomicUsize::new(0), waiting_max, limit }
    }

    /// Runs a job. Dropping the answer takes a waiting job out of the queue; a running one goes on to its end.
    pub(crate) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Self::run_with(permit, job).await;
        }
        let place = self.queue()?;
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| status::shutting_down())?;
        drop(place);
        Self::run_with(permit, job).await
    }

    /// As [`Self::run`], but waits however many wait: for streams, of which there is a bounded number.
    pub(crate) async fn run_when_free<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| status::shutting_down())?;
        Self::run_with(permit, job).await
    }

    async fn run_with<T: Send + 'static>(
        permit: OwnedSemaphorePermit,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let done = task::spawn_blocking(move || {
            let answer = job();
            drop(permit);
            answer
        });
        // The hook of the panic has logged where; the join error says what.
        done.await.map_err(|error| status::internal(format_args!("work ended early: {error}")))
    }

    /// A place in the queue.
    fn queue(&self) -> Result<Place<'_>, Status> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return Err(status::too_many_requests(self.limit, self.waiting_max));
        }
        Ok(place)
    }

    /// Refuses new jobs and waits for those that run, for at most `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
        let all = u32::try_from(self.threads).unwrap_or(u32::MAX);
        if time::timeout(limit, self.free.acquire_many(all)).await.is_err() {
            tracing::warn!("work still goes on after {} ms", limit.as_millis());
        }
        self.free.close();
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    #[tokio::test]
    async fn a_job_beyond_the_threads_waits_and_one_beyond_the_queue_is_refused_with_a_reason() {
        let pool = Arc::new(Pool::new(1, 1, "waiting"));
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
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let details = refused.get_error_details();
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("TOO_MANY_REQUESTS"));
        assert!(details.retry_info().is_some());

        go.send(()).expect("the job waits");
        assert!(running.await.expect("joined").expect("ran").is_ok());
        assert_eq!(waiting.await.expect("joined").expect("ran"), 2);
        assert_eq!(pool.run(|| 4).await.expect("there is room again"), 4);
        assert_eq!((pool.free.available_permits(), pool.waiting.load(Ordering::Relaxed)), (1, 0), "nothing leaks");
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_leaves_the_queue() {
        let pool = Pool::new(1, 1, "waiting");
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
        let pool = Pool::new(1, 1, "waiting");
        let status = pool.run::<()>(|| panic!("by intent")).await.expect_err("it panicked");
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(pool.run(|| 1).await.expect("runs"), 1);
    }

    #[tokio::test]
    async fn a_closed_pool_refuses() {
        let pool = Pool::new(2, 1, "waiting");
        pool.close(Duration::from_secs(1)).await;
        assert_eq!(pool.run(|| ()).await.expect_err("closed").code(), Code::Unavailable);
    }
}
