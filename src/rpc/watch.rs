//! The method Watch: sends every commit after a revision, in order and once, until the client ends the call.
//!
//! Knows change streams, selections and time. Must not know the log, or how a stream is sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    encoded::Encoded,
    pool::Pools,
    refuse, status,
    streams::{SendError, StreamSender, WatchPermit},
};
use crate::{
    proto::{self, Checkpoint, ListRecordsRequest, WatchRequest, WatchResponse},
    store::{ChangeStream, CommittedChange, Selection, Store, StoreError, after_revision},
};

/// The heartbeat interval if the request does not set one.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);
/// The shortest and the longest heartbeat interval of a request.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// A client that reads nothing for this time gets an error, and can resume later.
const STALLED_AFTER: Duration = Duration::from_mins(10);
/// Most changes of a commit for which the task of the stream evaluates a filter itself. More would delay other tasks.
const CHANGES_INLINE: usize = 32;
/// Records of the initial state that are read and sent in one message.
const INITIAL_RECORDS: i32 = 500;

/// A watch, made from its request.
#[derive(Debug)]
pub(super) struct Watch {
    store: Store,
    pools: Arc<Pools>,
    closing: CancellationToken,
    selection: Selection,
    filter: String,
    stream: ChangeStream,
    initial_state: bool,
    heartbeat: Duration,
    stop_at: Option<u64>,
    /// Given back when the watch ends.
    _permit: WatchPermit,
}

/// Sends the messages of a watch, and keeps what was sent last.
struct WatchSender {
    sender: StreamSender<Encoded>,
    store_id: String,
    /// The revision of the last message.
    revision: u64,
    sent: Instant,
}

/// Why a watch ends before it has reached `stop_at`.
enum End {
    /// It ends with a status.
    Status(Status),
    /// The store or a pool has failed.
    Failed(StoreError),
    /// The client is gone, so nobody would read a status.
    Closed,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Watch {
    /// Parses a request. From now on the watch misses no commit after its revision.
    pub(super) fn parse(
        store: Store,
        pools: Arc<Pools>,
        closing: CancellationToken,
        permit: WatchPermit,
        request: WatchRequest,
    ) -> Result<Self, StoreError> {
        let selection = Selection::parse(&request.types, &request.filter, store.limits())?;
        let heartbeat = heartbeat(request.heartbeat_interval.as_ref())?;
        let after = after_revision(&request)?;
        let stream = store.change_stream(after)?;
        Ok(Self {
            selection,
            filter: request.filter,
            initial_state: request.initial_state,
            heartbeat,
            stop_at: request.stop_at_head.then(|| stream.head()),
            stream,
            store,
            pools,
            closing,
            _permit: permit,
        })
    }

    /// Sends messages until the watch ends. The error is the status with which it ends.
    pub(super) async fn run(mut self, sender: StreamSender<Encoded>) -> Result<(), Status> {
        match self.follow(sender).await {
            Ok(()) | Err(End::Closed) => Ok(()),
            Err(End::Status(status)) => Err(status),
            Err(End::Failed(error)) => Err(refuse(error)),
        }
    }

    async fn follow(&mut self, sender: StreamSender<Encoded>) -> Result<(), End> {
        let revision = if self.initial_state { 0 } else { self.stream.revision() };
        let store_id = self.store.info()?.store_id;
        let to = &mut WatchSender { sender, store_id, revision, sent: Instant::now() };
        to.checkpoint(self.stream.head(), CheckpointKind::Opened).await?;
        if self.initial_state {
            self.send_initial_state(to).await?;
        }
        loop {
            for change in self.next().await? {
                if let Some(commit) = self.show(&change).await? {
                    to.commit(change.commit.revision, &commit).await?;
                }
                // Many commits in a row may not match.
                if to.sent.elapsed() >= self.heartbeat {
                    to.revision = change.commit.revision;
                    to.checkpoint(self.stream.head(), CheckpointKind::Plain).await?;
                }
                if self.closing.is_cancelled() {
                    to.revision = change.commit.revision;
                    return self.end(to).await;
                }
            }
            if self.stream.revision() < self.stream.head() {
                continue;
            }
            if self.stop_at.is_some_and(|revision| self.stream.revision() >= revision) {
                if to.revision < self.stream.revision() {
                    to.revision = self.stream.revision();
                    to.checkpoint(self.stream.head(), CheckpointKind::Plain).await?;
                }
                return Ok(());
            }
            tokio::select! {
                changed = self.stream.changed() => changed?,
                () = sleep_until(to.sent + self.heartbeat) => {
                    to.revision = self.stream.revision();
                    to.checkpoint(self.stream.head(), CheckpointKind::Plain).await?;
                }
                () = self.closing.cancelled() => {
                    to.revision = self.stream.revision();
                    return self.end(to).await;
                }
            }
        }
    }

    /// Ends the watch because the connection was asked to close. Sends a last checkpoint, so that a client that resumes
    /// receives nothing twice.
    async fn end(&self, to: &mut WatchSender) -> Result<(), End> {
        to.checkpoint(self.stream.head(), CheckpointKind::Plain).await?;
        Err(status::connection_ends().into())
    }

    /// Sends every matching record, at the revision at which the change stream begins.
    async fn send_initial_state(&self, to: &mut WatchSender) -> Result<(), End> {
        let revision = self.stream.revision();
        for kind in self.selection.kinds().iter().copied().filter(|_| revision > 0) {
            let mut page_token = String::new();
            loop {
                let request = ListRecordsRequest {
                    filter: self.filter.clone(),
                    page_size: INITIAL_RECORDS,
                    page_token,
                    as_of_revision: i64::try_from(revision).unwrap_or(i64::MAX),
                    ..Default::default()
                };
                let store = self.store.clone();
                let page = self.pools.reads.run_when_free(move || store.list_encoded(kind, &request)).await??;
                if !page.records.is_empty() {
                    to.send(Encoded::watch_initial(kind, &page.records)).await?;
                }
                if page.next_page_token.is_empty() {
                    break;
                }
                // End without a checkpoint, because there is no revision yet to resume from.
                if self.closing.is_cancelled() {
                    return Err(status::connection_ends().into());
                }
                page_token = page.next_page_token;
            }
        }
        to.revision = revision;
        to.checkpoint(self.stream.head(), CheckpointKind::InitialStateComplete).await
    }

    /// The next commits. They come from memory if they are recent.
    async fn next(&mut self) -> Result<Vec<Arc<CommittedChange>>, End> {
        if let Some(recent) = self.stream.read_recent() {
            return Ok(recent);
        }
        let mut stream = self.stream.clone();
        let (stream, read) = self
            .pools
            .reads
            .run_when_free(move || {
                let read = stream.read();
                (stream, read)
            })
            .await?;
        self.stream = stream;
        Ok(read?)
    }

    /// The commit as this watch shows it. `None` if no change matches. A filter may read the records before the commit.
    async fn show(&self, change: &Arc<CommittedChange>) -> Result<Option<Bytes>, End> {
        if let Some(shown) = self.selection.shown(change) {
            return Ok(shown);
        }
        // A few reads of earlier revisions are cheaper here than on another thread.
        let is_short = change.commit.changes.len() <= CHANGES_INLINE && !self.store.reads_may_block();
        if self.filter.is_empty() || is_short {
            return Ok(self.selection.show(change, &self.store)?);
        }
        let (selection, change, store) = (self.selection.clone(), Arc::clone(change), self.store.clone());
        Ok(self.pools.reads.run_when_free(move || selection.show(&change, &store)).await??)
    }
}

/// What a checkpoint says in addition to its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckpointKind {
    Opened,
    InitialStateComplete,
    Plain,
}

impl WatchSender {
    async fn checkpoint(&mut self, head: u64, kind: CheckpointKind) -> Result<(), End> {
        let checkpoint = Checkpoint {
            opened: kind == CheckpointKind::Opened,
            initial_state_complete: kind == CheckpointKind::InitialStateComplete,
            head_revision: i64::try_from(head).unwrap_or(i64::MAX),
            server_time: Some(std::time::SystemTime::now().into()),
            store_id: self.store_id.clone(),
        };
        let response = WatchResponse {
            revision: i64::try_from(self.revision).unwrap_or(i64::MAX),
            content: Some(proto::watch_response::Content::Checkpoint(checkpoint)),
        };
        self.send(Encoded::encode(&response)).await
    }

    async fn commit(&mut self, revision: u64, commit: &[u8]) -> Result<(), End> {
        self.revision = revision;
        self.send(Encoded::watch_commit(revision, commit)).await
    }

    async fn send(&mut self, message: Encoded) -> Result<(), End> {
        match self.sender.send(message, STALLED_AFTER).await {
            Ok(()) => {
                self.sent = Instant::now();
                Ok(())
            }
            Err(SendError::Closed) => Err(End::Closed),
            Err(SendError::Stalled) => Err(status::watch_stalled(self.revision).into()),
        }
    }
}

fn heartbeat(asked: Option<&prost_types::Duration>) -> Result<Duration, StoreError> {
    let Some(asked) = asked else { return Ok(HEARTBEAT_DEFAULT) };
    match Duration::try_from(*asked) {
        Ok(interval) if (HEARTBEAT.0..=HEARTBEAT.1).contains(&interval) => Ok(interval),
        _ => Err(StoreError::field(
            "heartbeat_interval",
            format!("use {} to {} seconds, or leave it out", HEARTBEAT.0.as_secs(), HEARTBEAT.1.as_secs()),
        )),
    }
}
