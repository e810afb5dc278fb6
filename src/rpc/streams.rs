//! What the streaming methods share: the task behind each stream, its way to the client, and its end.
//!
//! A stream's task hands over one message at a time and waits until it is taken, so a slow client costs a place in the
//! task, never a queue. When the client goes the task ends; when the connection is told to go, the task is told by its peer's token.
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

/// Messages between a stream's task and its client: the one that is being written.
const MESSAGES_AHEAD: usize = 1;

/// A stream of answers.
pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where the tasks of streams live.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    tasks: TaskTracker,
    watches: Arc<Watches>,
}

/// How many watches there are, in all and by caller.
#[derive(Debug, Default)]
struct Watches {
    open: Mutex<(usize, HashMap<String, usize>)>,
}

/// A watch's place among all. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct WatchPlace {
    watches: Arc<Watches>,
    caller: String,
}

/// Why a message could not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The client is gone: there is nobody to tell.
    Gone,
    /// The client took nothing for the whole time.
    Stalled,
}

/// The server's end of a stream.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    to: mpsc::Sender<Result<T, Status>>,
}

impl Streams {
    /// Streams that run as tasks of `tasks`.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { tasks, watches: Arc::default() }
    }

    /// Answers with what a task hands to its outlet. An error of the task is the stream's last word.
    pub(crate) fn start<T, F>(&self, task: impl FnOnce(Outlet<T>) -> F) -> Response<Answers<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (to, answers) = mpsc::channel(MESSAGES_AHEAD);
        let last = to.clone();
        let running = task(Outlet { to });
        self.tasks.spawn(async move {
            tokio::select! {
                ended = running => if let Err(status) = ended {
                    // A client that is gone does not ask why the stream ended.
                    drop(last.send(Err(status)).await);
                },
                () = last.closed() => {}
            }
        });
        Response::new(Box::pin(ReceiverStream::new(answers)))
    }

    /// A place for one more watch, unless there are `all_max` or the caller has `caller_max`.
    pub(crate) fn watch_place(&self, caller: &str, all_max: u64, caller_max: u64) -> Result<WatchPlace, Status> {
        let mut open = self.watches.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, by_caller) = &mut *open;
        let of_caller = by_caller.get(caller).copied().unwrap_or_default();
        if *all as u64 >= all_max {
            return Err(status::too_many_watches("watches", all_max));
        }
        if of_caller as u64 >= caller_max {
            return Err(status::too_many_watches("watches.caller", caller_max));
        }
        *all += 1;
        by_caller.insert(caller.to_owned(), of_caller + 1);
        Ok(WatchPlace { watches: Arc::clone(&self.watches), caller: caller.to_owned() })
    }
}

impl Drop for WatchPlace {
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

impl<T> Outlet<T> {
    /// Hands a message over, once the client has taken the one before.
    pub(crate) async fn send(&self, message: T, stalled_after: Duration) -> Result<(), Unsent> {
        match time::timeout(stalled_after, self.to.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(Elapsed { .. }) => Err(Unsent::Stalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[test]
    fn watches_have_places_in_all_and_by_caller_and_give_them_back() {
        let streams = Streams::new(TaskTracker::new());
        let limit = |refused: Result<WatchPlace, Status>| {
            use tonic_types::StatusExt;
            let details = refused.expect_err("no place").get_error_details();
            details.error_info().map(|info| info.metadata["limit"].clone())
        };
        let first = streams.watch_place("a", 3, 2).expect("a place");
        let _second = streams.watch_place("a", 3, 2).expect("a place");
        assert_eq!(limit(streams.watch_place("a", 3, 2)).as_deref(), Some("watches.caller"));
        let _third = streams.watch_place("b", 3, 2).expect("a place");
        assert_eq!(limit(streams.watch_place("c", 3, 2)).as_deref(), Some("watches"));
        drop(first);
        streams.watch_place("a", 3, 2).expect("the place that was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_noticed_and_one_that_goes_ends_the_task() {
        let tasks = TaskTracker::new();
        let streams = Streams::new(tasks.clone());
        let mut answers = streams
            .start(|outlet: Outlet<u32>| async move {
                for number in 0.. {
                    if outlet.send(number, Duration::from_mins(1)).await == Err(Unsent::Stalled) {
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
        let answers = streams.start(|_outlet: Outlet<u32>| std::future::pending());
        drop(answers);
        tasks.close();
        tasks.wait().await;
    }
}
