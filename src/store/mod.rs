//! Revisions: one writer, any number of readers, every version of every record.
//!
//! [`Store`] is the embeddable library and what the server serves. It is synchronous: it starts one thread of its own, the
//! writer, and never needs an async runtime; a [`Pending`] commit can be waited for by a thread and awaited by a task.
//!
//! Knows the model and the [`Engine`] trait. Must not know tonic, HTTP or a concrete engine.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{engine::Engine, model::Kind, proto};

mod clock;
mod error;
mod hints;
mod keys;
mod limits;
pub mod query;
mod read;
mod replay;
mod version;
mod view;

pub use clock::{Clock, SystemClock};
pub use error::{Details, Error, ErrorKind, FailedPrecondition, Result};
pub use limits::Limits;

/// How a store is run.
#[derive(Clone)]
pub struct Options {
    /// Every bound.
    pub limits: Limits,
    /// Where commit times come from.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), clock: Arc::new(SystemClock) }
    }
}

/// Who sends a request: the scope of its request ids, and the author of its commits.
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

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Whether a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Reads and writes are answered.
    Serving,
    /// The state is being rebuilt from the log, or what the state lacks is being replayed: nothing is answered yet.
    Rebuilding {
        /// Entries of the log that are done.
        done: u64,
        /// Entries of the log.
        total: u64,
    },
    /// Reads are answered; writes are refused until the store is opened again. The text says why.
    ReadOnly(String),
    /// Nothing is answered: the log is damaged or cannot be read. The text says why.
    Failed(String),
    /// It was closed.
    Closed,
}

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Identifies the data. Made when the store is created.
    pub store_id: String,
    /// The newest revision.
    pub head_revision: u64,
    /// The oldest revision that can be read.
    pub oldest_revision: u64,
    /// Live records of each kind.
    pub record_counts: BTreeMap<Kind, u64>,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records, each encoded as the kind's message.
    pub records: Vec<Bytes>,
    /// Where the next page begins; empty on the last.
    pub next_page_token: String,
    /// The revision that all pages are read at.
    pub revision: u64,
}

/// What was found of a batch of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The records in the order asked, each encoded as its kind's message.
    pub records: Vec<(Kind, Bytes)>,
    /// Names of absent or deleted records.
    pub missing: Vec<String>,
    /// Names of records that did not fit.
    pub not_returned: Vec<String>,
    /// The revision that all were read at.
    pub revision: u64,
}

/// The record: every version of every record, in one order.
///
/// Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Starts a store on an engine and returns at once, whatever has to be replayed first: see [`Self::wait_until_serving`].
    pub fn start(_engine: Arc<dyn Engine>, _options: Options) -> Result<Self> {
        todo!()
    }

    /// Waits until the state holds all of the log. An error says why it never will.
    pub fn wait_until_serving(&self) -> Result<()> {
        todo!()
    }

    /// Whether it answers.
    pub fn condition(&self) -> Condition {
        todo!()
    }

    /// What it holds.
    pub fn info(&self) -> Result<Info> {
        todo!()
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        todo!()
    }

    /// Whether a point read may wait for more than a page of a local disk: then it belongs on a thread that may block.
    pub fn reads_may_block(&self) -> bool {
        todo!()
    }

    /// Hands a commit to the writer. From here on it does not depend on the caller: dropping the answer does not undo it.
    pub fn submit(&self, _caller: &Caller, _request: proto::CommitRequest) -> Pending {
        todo!()
    }

    /// Commits and waits for the answer, as [`Caller::anonymous`].
    pub fn commit(&self, request: proto::CommitRequest) -> Result<proto::CommitResponse> {
        self.submit(&Caller::anonymous(), request).wait()
    }

    /// One record, encoded as the kind's message.
    pub fn get_encoded(&self, _kind: Kind, _request: &proto::GetRecordRequest) -> Result<Bytes> {
        todo!()
    }

    /// A page of the records of a kind.
    pub fn list_encoded(&self, _kind: Kind, _request: &proto::ListRecordsRequest) -> Result<Page> {
        todo!()
    }

    /// How a list would be read: which index, in which order, what is checked on each row. Text for people.
    pub fn explain(&self, _kind: Kind, _request: &proto::ListRecordsRequest) -> Result<String> {
        todo!()
    }

    /// Many records by name.
    pub fn batch_get(&self, _request: &proto::BatchGetRecordsRequest) -> Result<Batch> {
        todo!()
    }

    /// The revisions of one record, newest first.
    pub fn list_revisions(&self, _request: &proto::ListRevisionsRequest) -> Result<proto::ListRevisionsResponse> {
        todo!()
    }

    /// One commit whole.
    pub fn get_commit(&self, _revision: i64) -> Result<proto::Commit> {
        todo!()
    }

    /// Stops: what was submitted is committed and answered, then the engine is closed. Later calls fail.
    pub fn close(&self) -> Result<()> {
        todo!()
    }
}

/// The answer to a submitted commit, when it comes.
#[must_use = "the answer says whether the commit was made"]
pub struct Pending {
    answer: tokio::sync::oneshot::Receiver<Result<proto::CommitResponse>>,
}

impl Pending {
    /// Blocks this thread until the answer is there. Must not be called from an async task.
    pub fn wait(self) -> Result<proto::CommitResponse> {
        self.answer.blocking_recv().unwrap_or_else(|_| Err(Error::shutting_down()))
    }
}

impl Future for Pending {
    type Output = Result<proto::CommitResponse>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(Error::shutting_down())))
    }
}
