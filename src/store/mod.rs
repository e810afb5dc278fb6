//! The store: every version of every record, by revision. It has one writer and any number of readers.
//!
//! [`Store`] is the library to embed, and the server serves it. It is synchronous: it starts one thread, the writer, and needs
//! no async runtime. A thread can wait for a [`PendingCommit`], and a task can await it.
//!
//! Knows the model and the traits of the [`Engine`]. Must not know tonic, HTTP or a concrete engine.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    thread::JoinHandle,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::{
    inner::Inner,
    mutate::request::Request,
    queue::{Job, Queue, QueuePermit},
    writer::Writer,
};
pub use crate::limits::{Limit, StoreLimits};
use crate::{
    engine::Engine,
    model::RecordKind,
    proto::{self, CommitResponse},
};

mod change_stream;
mod citations;
mod clock;
mod entry;
mod error;
mod export;
mod inner;
mod joined;
mod keys;
mod mutate;
mod postings;
pub mod query;
mod queue;
mod read;
mod replay;
mod selection;
mod snapshot;
mod verify;
mod version;
mod view;
mod watch;
mod writer;

// What the server streams.
#[cfg(feature = "server")]
pub(crate) use self::{
    change_stream::{ChangeStream, CommittedChange},
    export::{ExportChunk, ExportCursor},
    selection::Selection,
    watch::after_revision,
};

pub use clock::{Clock, SystemClock};
pub use error::{FailedPrecondition, Result, StoreError, StoreErrorDetails, StoreErrorKind};
pub use export::StoreExport;
pub use inner::StoreHealth;
pub use snapshot::{SnapshotList, SnapshotReferences, StoreSnapshot, TypedPage};
pub use verify::{Discrepancy, DiscrepancyKind, VerifyReport, verify};
pub use watch::StoreWatch;

/// What an embedding program can choose about a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// The limits that the store enforces.
    pub limits: StoreLimits,
    /// Where commit times come from.
    pub clock: Arc<dyn Clock>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { limits: StoreLimits::default(), clock: Arc::new(SystemClock) }
    }
}

/// The sender of a request. It is the scope of request ids, and the author of commits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(Arc<str>);

impl Caller {
    /// The caller of a server without authentication, and of an embedded store.
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }

    /// An authenticated caller.
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The name of the caller.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Facts about what a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// Identifies the data. It is made when the store is created.
    pub store_id: String,
    /// The newest revision. 0 before the first commit.
    pub head_revision: i64,
    /// The oldest revision that can be read.
    pub oldest_revision: i64,
    /// Live records of each kind.
    pub record_counts: BTreeMap<RecordKind, u64>,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedPage {
    /// The records, each encoded as the kind's message.
    pub records: Vec<Bytes>,
    /// Where the next page begins. Empty on the last page.
    pub next_page_token: String,
    /// The revision at which all pages are read.
    pub revision: i64,
}

/// The records of a batch of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedBatch {
    /// The records in the order of the request, each encoded as its kind's message.
    pub records: Vec<(RecordKind, Bytes)>,
    /// Names of absent or deleted records.
    pub missing: Vec<String>,
    /// Names of records that did not fit into the response.
    pub not_returned: Vec<String>,
    /// The revision at which all records were read.
    pub revision: i64,
}

/// A store: every version of every record, in the order of the commits.
///
/// It is cheap to clone, and all clones are the same store. Dropping the last clone closes the store, as [`Self::close`] does.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

impl fmt::Debug for Store {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// Ends the writer when the last handle on a store is dropped.
struct Handle {
    inner: Arc<Inner>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Starts a store on a log and a state. Returns at once, even if the state must be rebuilt first: see
    /// [`Self::wait_until_serving`].
    pub fn start(engine: impl Into<Engine>, options: StoreOptions) -> Result<Self> {
        let (queue, jobs) = Queue::new(options.limits.queue_commits());
        let inner = Arc::new(Inner::new(engine.into(), options, queue));
        let writer = Writer::new(Arc::clone(&inner), jobs);
        let shared = Arc::clone(&inner);
        let thread = std::thread::Builder::new().name("annals-writer".into()).spawn(move || {
            // A panic here is a bug. The log is still sound, and every waiting caller gets an answer.
            match catch_unwind(AssertUnwindSafe(|| writer.run())) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => give_up(&shared, error),
                Err(_) => give_up(&shared, StoreError::internal("the writer panicked")),
            }
            shared.closed();
        });
        match thread {
            Ok(thread) => Ok(Self { handle: Arc::new(Handle { inner, writer: Mutex::new(Some(thread)) }) }),
            Err(error) => Err(StoreError::internal(error)),
        }
    }

    fn inner(&self) -> &Inner {
        &self.handle.inner
    }

    /// Waits until the state holds all of the log. The error says why it never will.
    pub fn wait_until_serving(&self) -> Result<()> {
        self.inner().wait_until_serving()
    }

    /// Whether the store answers reads and writes.
    pub fn health(&self) -> StoreHealth {
        self.inner().health()
    }

    /// What the store holds. During a rebuild this fails with `STORE_REBUILDING`, as every read does, because the log may hold
    /// more than is known yet.
    pub fn info(&self) -> Result<StoreInfo> {
        let meta = self.read(|inner| Ok(inner.meta()))?;
        let live = |kind: RecordKind| meta.live.get(&u32::from(kind as u8)).copied().unwrap_or_default();
        Ok(StoreInfo {
            store_id: meta.store_id.clone(),
            head_revision: meta.revision.cast_signed(),
            oldest_revision: meta.oldest_revision.cast_signed(),
            record_counts: RecordKind::ALL.into_iter().map(|kind| (kind, live(kind))).collect(),
        })
    }

    /// The limits that the store enforces.
    pub fn limits(&self) -> &StoreLimits {
        &self.inner().options.limits
    }

    /// Whether a read of one record may take longer than reading one page of a local disk. If so, read on a thread that may
    /// block.
    pub fn reads_may_block(&self) -> bool {
        self.inner().engine.state.reads_may_block()
    }

    /// Queues a commit for the writer. From then on the commit does not depend on the caller: dropping the answer does not undo
    /// it. If the queue is full, the answer is `TOO_MANY_REQUESTS`.
    pub fn submit(&self, caller: &Caller, request: proto::CommitRequest) -> PendingCommit {
        match self.inner().queue.try_permit() {
            Ok(permit) => self.submit_with(permit, caller, request),
            Err(error) => PendingCommit::ready(Err(error)),
        }
    }

    /// Like [`Self::submit`], but waits for a permit of the queue. It is for streams, where flow control slows down the sender.
    #[cfg(feature = "server")]
    pub(crate) async fn submit_when_free(&self, caller: &Caller, request: proto::CommitRequest) -> PendingCommit {
        match self.inner().queue.permit().await {
            Ok(permit) => self.submit_with(permit, caller, request),
            Err(error) => PendingCommit::ready(Err(error)),
        }
    }

    fn submit_with(&self, permit: QueuePermit, caller: &Caller, request: proto::CommitRequest) -> PendingCommit {
        let request = match self.inner().check_writable().and_then(|()| Request::parse(caller, request, self.limits())) {
            Err(error) => return PendingCommit::ready(Err(error)),
            Ok(request) if request.validate_only => return PendingCommit::ready(self.validate(request)),
            Ok(request) => Box::new(request),
        };
        let (answer, pending) = oneshot::channel();
        match self.inner().queue.send(Job::Commit { request, answer, permit }) {
            Ok(()) => PendingCommit { answer: pending },
            Err(error) => PendingCommit::ready(Err(error)),
        }
    }

    /// Commits and waits for the answer, as [`Caller::anonymous`].
    pub fn commit(&self, request: proto::CommitRequest) -> Result<CommitResponse> {
        self.submit(&Caller::anonymous(), request).wait()
    }

    /// Runs a read of the state: see [`Inner::read`].
    fn read<T>(&self, read: impl FnOnce(&Inner) -> Result<T>) -> Result<T> {
        let inner = self.inner();
        inner.read(|| read(inner))
    }

    /// Closes the store: completes and answers the submitted commits, then closes the engine. Later calls fail.
    pub fn close(&self) -> Result<()> {
        self.handle.stop();
        Ok(self.inner().engine.close()?)
    }
}

/// Logs why the writer failed, and makes every later call fail with that error.
fn give_up(inner: &Inner, error: StoreError) {
    tracing::error!("{}", error.in_full());
    inner.failed(error);
}

impl Handle {
    fn stop(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            self.inner.queue.close();
            // The thread catches its own panics, so there is no error to handle.
            drop(writer.join());
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.writer.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            self.stop();
            if let Err(error) = self.inner.engine.close() {
                tracing::error!("the engine was not closed cleanly: {error}");
            }
        }
    }
}

/// The answer to a submitted commit. A thread can wait for it, and a task can await it.
#[must_use = "the answer says whether the commit was made"]
pub struct PendingCommit {
    answer: tokio::sync::oneshot::Receiver<Result<proto::CommitResponse>>,
}

impl PendingCommit {
    /// An answer that is known already.
    fn ready(outcome: Result<CommitResponse>) -> Self {
        let (sender, answer) = oneshot::channel();
        // Cannot fail: the receiver is alive.
        drop(sender.send(outcome));
        Self { answer }
    }

    /// Blocks this thread until the commit is answered. Must not be called from an async task.
    pub fn wait(self) -> Result<proto::CommitResponse> {
        self.answer.blocking_recv().unwrap_or_else(|_| Err(StoreError::shutting_down()))
    }
}

impl Future for PendingCommit {
    type Output = Result<proto::CommitResponse>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(StoreError::shutting_down())))
    }
}
