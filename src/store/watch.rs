//! Watches the commits of a store: an iterator that waits for the next commit, without an async runtime.
//!
//! Knows change streams and selections. Must not know the log, or how a server watches.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use prost::Message as _;

use super::{
    Store,
    change_stream::{ChangeStream, CommittedChange},
    error::{Result, StoreError},
    selection::Selection,
};
use crate::proto::{Commit, WatchRequest};

/// An iterator over the commits after a revision, in order and each once. [`Store::watch`] makes it.
///
/// It blocks until there is a commit. After [`Store::close`] it returns the commits before the close and one error, and then
/// ends. It also ends after any other error, except after `STORE_REBUILDING`: then the next call tries again, and no commit is
/// lost. It keeps the store open, as a clone of the store does.
#[derive(Debug)]
pub struct StoreWatch {
    stream: ChangeStream,
    selection: Selection,
    /// Commits that were read from the stream and not yet selected.
    unread: VecDeque<Arc<CommittedChange>>,
    /// All commits up to this revision were returned, or were not selected.
    revision: u64,
    stop_at: Option<u64>,
    ended: bool,
}

impl Store {
    /// Follows the commits after a revision, or from now on if the request has none. The request selects types and records as
    /// on the service. `initial_state` and `heartbeat_interval` are for the service only. Use [`Self::export`] for the records
    /// of a revision, and [`StoreWatch::next_timeout`] to wait with a timeout.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use annals::{proto::{Actor, CommitRequest, Mutation, WatchRequest}, store::Store};
    ///
    /// let store = Store::in_memory()?;
    /// let nis = Actor { display_name: "NIS".into(), ..Default::default() };
    /// store.commit(CommitRequest::of("first", [Mutation::create(nis)]))?;
    ///
    /// let mut watch = store.watch(&WatchRequest { after_revision: Some(0), ..Default::default() })?;
    /// let commit = watch.next().expect("a watch ends with the store")?;
    /// assert_eq!((commit.revision, commit.changes.len()), (1, 1));
    /// assert_eq!(watch.next_timeout(Duration::from_millis(10))?, None);
    /// // What a later watch resumes from.
    /// assert_eq!(watch.revision(), 1);
    /// # Ok::<(), annals::store::StoreError>(())
    /// ```
    pub fn watch(&self, request: &WatchRequest) -> Result<StoreWatch> {
        if request.initial_state {
            let text = "works only in the service: export the records of a revision, and watch from that revision on";
            return Err(StoreError::field("initial_state", text));
        }
        let selection = Selection::parse(&request.types, &request.filter, self.limits())?;
        let stream = self.change_stream(after_revision(request)?)?;
        Ok(StoreWatch {
            selection,
            unread: VecDeque::new(),
            revision: stream.revision(),
            stop_at: request.stop_at_head.then(|| stream.head()),
            stream,
            ended: false,
        })
    }
}

impl StoreWatch {
    /// All commits up to this revision were returned, or were not selected. A later watch after it misses no commit and repeats
    /// none.
    pub fn revision(&self) -> i64 {
        self.revision.cast_signed()
    }

    /// Waits for the next commit that the request selects, at most for `timeout`.
    ///
    /// `None` means that the time is over. Commits that are not selected take time too: the watch has passed them, as
    /// [`Self::revision`] says, and the next call continues after them. Each call looks at one commit at least, even with a
    /// timeout of zero.
    ///
    /// If the request has `stop_at_head`, `None` also means that all commits up to the head were looked at. Then
    /// [`next`](Iterator::next) tells the two apart: it returns the next commit, or `None` at the end.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Commit>> {
        self.advance(Instant::now().checked_add(timeout))
    }

    /// The next selected commit. `None` if the time is over, or if the last commit was looked at.
    fn advance(&mut self, until: Option<Instant>) -> Result<Option<Commit>> {
        let is_over = || until.is_some_and(|until| Instant::now() >= until);
        // Whether this call has done anything yet.
        let mut has_tried = false;
        loop {
            while let Some(change) = self.unread.front() {
                let commit = self.selection.show(change, self.stream.store())?;
                self.revision = change.commit.revision;
                self.unread.pop_front();
                if let Some(commit) = commit {
                    return Commit::decode(commit).map(Some).map_err(StoreError::internal);
                }
                if is_over() {
                    return Ok(None);
                }
            }
            // This also counts entries that are not commits.
            self.revision = self.stream.revision();
            if self.is_complete() {
                return Ok(None);
            }
            // The log may hold many entries in a row that are not commits.
            if std::mem::replace(&mut has_tried, true) && is_over() {
                return Ok(None);
            }
            self.unread = self.stream.read()?.into();
            if self.unread.is_empty() {
                match block_on(self.stream.changed(), until) {
                    None => return Ok(None),
                    Some(changed) => changed?,
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.stop_at.is_some_and(|revision| self.revision >= revision)
    }
}

impl Iterator for StoreWatch {
    type Item = Result<Commit>;

    fn next(&mut self) -> Option<Result<Commit>> {
        if self.ended {
            return None;
        }
        let next = self.advance(None).transpose();
        self.ended = match &next {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => !error.is_transient(),
        };
        next
    }
}

/// The revision that a watch begins after. `None`: from now on.
pub(crate) fn after_revision(request: &WatchRequest) -> Result<Option<u64>> {
    match request.after_revision {
        Some(_) if request.initial_state => {
            let text = "cannot be combined with initial_state, which begins at the newest revision: set only one of them";
            Err(StoreError::field("after_revision", text))
        }
        Some(revision) => {
            let text = "a revision is never negative: send the revision of the last message you received, or 0";
            u64::try_from(revision).map(Some).map_err(|_| StoreError::field("after_revision", text))
        }
        None => Ok(None),
    }
}

/// A waker that unparks the thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until a future is ready. `None` if the time is over first.
pub(super) fn block_on<F: Future>(future: F, until: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}
