//! What all streaming methods share: the task of each stream, the sender to its client, and its end.
//!
//! The task of a stream sends one message at a time, and waits until the client reads it. So a slow client slows down its task,
//! and messages do not queue up. The task ends when the client is gone. A token tells the task when the connection is asked to
//! close.
//!
//! Knows tasks and time. Must not know what is sent.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{self, error::Elapsed},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::task::TaskTracker;
use tonic::{Response, Status};

use super::status;
use crate::limits::StoreLimits;

/// Messages between the task of a stream and its client: one, which is being written.
const MESSAGES_AHEAD: usize = 1;

/// A stream of answers.
pub(super) type AnswerStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Starts and tracks the tasks of streams.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    tasks: TaskTracker,
    watches: Arc<Watches>,
}

/// The number of open watches, in total and by caller.
#[derive(Debug, Default)]
struct Watches {
    open: Mutex<(usize, HashMap<String, usize>)>,
}

/// The permit of one watch. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct WatchPermit {
    watches: Arc<Watches>,
    caller: String,
}

/// Why a message could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The client is gone, so nobody would read a status.
    Closed,
    /// The client has read nothing for the whole time.
    Stalled,
}

/// Sends the messages of a stream.
#[derive(Debug)]
pub(super) struct StreamSender<T> {
    to: mpsc::Sender<Result<T, Status>>,
}

impl Streams {
    /// Streams that run as tasks of `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self { tasks, watches: Arc::default() }
    }

    /// Starts a task, and answers with the messages that it sends. If the task errs, the stream ends with its status.
    pub(super) fn start<T, F>(&self, task: impl FnOnce(StreamSender<T>) -> F) -> Response<AnswerStream<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (to, answers) = mpsc::channel(MESSAGES_AHEAD);
        let last = to.clone();
        let running = task(StreamSender { to });
        self.tasks.spawn(async move {
            tokio::select! {
                ended = running => if let Err(status) = ended {
                    // Sending fails if the client is gone: then nobody reads the status.
                    drop(last.send(Err(status)).await);
                },
                () = last.closed() => {}
            }
        });
        Response::new(Box::pin(ReceiverStream::new(answers)))
    }

    /// A permit for one more watch of a caller. `TOO_MANY_WATCHES` at the limit of the server or of the caller.
    pub(super) fn watch_permit(&self, caller: &str, limits: &StoreLimits) -> Result<WatchPermit, Status> {
        let mut open = self.watches.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_caller) = &mut *open;
        let of_caller = by_caller.get(caller).copied().unwrap_or_default();
        for (open, limit) in [(*all, limits.watches()), (of_caller, limits.watches_caller())] {
            if open as u64 >= limit.maximum {
                return Err(status::too_many_watches(limit));
            }
        }
        *all += 1;
        by_caller.insert(caller.to_owned(), of_caller + 1);
        Ok(WatchPermit { watches: Arc::clone(&self.watches), caller: caller.to_owned() })
    }
}

impl Drop for WatchPermit {
    fn drop(&mut self) {
        let mut open = self.watches.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_caller) = &mut *open;
        *all -= 1;
        if let Some(of_caller) = by_caller.get_mut(&self.caller) {
            *of_caller -= 1;
            if *of_caller == 0 {
                by_caller.remove(&self.caller);
            }
        }
    }
}

impl<T> StreamSender<T> {
    /// Sends a message once the client has read the one before. Errs if that takes longer than `stalled_after`.
    pub(super) async fn send(&self, message: T, stalled_after: Duration) -> Result<(), SendError> {
        match time::timeout(stalled_after, self.to.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Closed),
            Err(Elapsed { .. }) => Err(SendError::Stalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[test]
    fn watches_have_permits_in_all_and_by_caller_and_give_them_back() {
        let streams = Streams::new(TaskTracker::new());
        let limits = StoreLimits { watches: 3, watches_caller: 2, ..StoreLimits::default() };
        let limit = |refused: Result<WatchPermit, Status>| {
            use tonic_types::StatusExt;
            let details = refused.expect_err("no permit").get_error_details();
            details.error_info().map(|info| info.metadata["limit"].clone())
        };
        let first = streams.watch_permit("a", &limits).expect("a permit");
        let _second = streams.watch_permit("a", &limits).expect("a permit");
        assert_eq!(limit(streams.watch_permit("a", &limits)).as_deref(), Some("watches.caller"));
        let _third = streams.watch_permit("b", &limits).expect("a permit");
        assert_eq!(limit(streams.watch_permit("c", &limits)).as_deref(), Some("watches"));
        drop(first);
        streams.watch_permit("a", &limits).expect("the permit that was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_noticed_and_one_that_is_gone_ends_the_task() {
        let tasks = TaskTracker::new();
        let streams = Streams::new(tasks.clone());
        let mut answers = streams
            .start(|sender: StreamSender<u32>| async move {
                for number in 0.. {
                    if sender.send(number, Duration::from_mins(1)).await == Err(SendError::Stalled) {
                        return Err(Status::aborted("stalled"));
                    }
                }
                Ok(())
            })
            .into_inner();
        time::sleep(Duration::from_secs(61)).await;
        assert_eq!(answers.next().await.expect("a message").expect("no error yet"), 0);
        assert_eq!(answers.next().await.expect("the end").expect_err("an error").message(), "stalled");
        assert!(answers.next().await.is_none());
        let answers = streams.start(|_sender: StreamSender<u32>| std::future::pending());
        drop(answers);
        tasks.close();
        tasks.wait().await;
    }
}
