//! Watch: every commit after a revision, in order, whole, once, for as long as the client likes.
//!
//! Knows change streams, selections and time. Must not know the log, or how a stream reaches its client.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    Encoded,
    pool::Pools,
    status,
    streams::{Outlet, Unsent, WatchPlace},
};
use crate::{
    model::wire,
    proto::{self, Checkpoint, ListRecordsRequest, WatchRequest, WatchResponse},
    store::{
        Store, StoreError,
        stream::{ChangeStream, CommittedChange, Selection},
    },
};

/// Longest silence where the request does not say.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);
/// Shortest and longest silence that a request may ask for.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// A client that takes nothing for so long is told to resume later.
const STALLED_AFTER: Duration = Duration::from_mins(10);
/// Changes of a commit that a filter is held against where the stream runs. More would keep other streams waiting there.
const CHANGES_INLINE: usize = 32;
/// Records of the initial state that are read and sent at once.
const BATCH_RECORDS: i32 = 500;

/// Number of `WatchResponse.revision`.
const REVISION: u32 = 1;
/// Number of `WatchResponse.commit`.
const COMMIT: u32 = 2;
/// Number of `WatchResponse.initial`.
const INITIAL: u32 = 4;
/// Number of `RecordBatch.records`.
const BATCH_RECORD: u32 = 1;

/// A watch as it was asked for.
#[derive(Debug)]
pub(super) struct Watch {
    store: Store,
    pools: Arc<Pools>,
    going: CancellationToken,
    selection: Selection,
    filter: String,
    stream: ChangeStream,
    initial_state: bool,
    heartbeat: Duration,
    stop_at: Option<u64>,
    /// Given back when the watch ends.
    _place: WatchPlace,
}

/// Where a watch's messages go, and what was sent last.
struct Line {
    outlet: Outlet<Encoded>,
    store_id: String,
    /// The revision of the last message.
    revision: u64,
    sent: Instant,
}

/// Why a watch ends before its time.
enum End {
    /// With a status.
    Status(Status),
    /// There is nobody to tell.
    Gone,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Status(status::from_store(error))
    }
}

impl Watch {
    /// Reads a request. From here on nothing after its revision is missed.
    pub(super) fn parse(
        store: Store,
        pools: Arc<Pools>,
        going: CancellationToken,
        place: WatchPlace,
        request: WatchRequest,
    ) -> Result<Self, StoreError> {
        let selection = Selection::parse(&request.types, &request.filter, store.limits())?;
        let heartbeat = heartbeat(request.heartbeat_interval.as_ref())?;
        let after = match request.after_revision {
            Some(_) if request.initial_state => {
                let text = "not with initial_state, which begins at the newest revision: set one of the two";
                return Err(StoreError::field("after_revision", text));
            }
            Some(revision) => {
                let text = "a revision is never negative: send the revision of the last message you received, or 0";
                Some(u64::try_from(revision).map_err(|_| StoreError::field("after_revision", text))?)
            }
            None => None,
        };
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
            going,
            _place: place,
        })
    }

    /// Sends until there is a reason to end.
    pub(super) async fn run(mut self, outlet: Outlet<Encoded>) -> Result<(), Status> {
        let revision = if self.initial_state { 0 } else { self.stream.revision() };
        let store_id = self.store.info().map_err(status::from_store)?.store_id;
        let mut line = Line { outlet, store_id, revision, sent: Instant::now() };
        match self.follow(&mut line).await {
            Ok(()) | Err(End::Gone) => Ok(()),
            Err(End::Status(status)) => Err(status),
        }
    }

    async fn follow(&mut self, line: &mut Line) -> Result<(), End> {
        line.checkpoint(self.stream.head(), Mark::Opened).await?;
        if self.initial_state {
            self.send_initial_state(line).await?;
        }
        loop {
            for change in self.next().await? {
                if let Some(commit) = self.show(&change).await? {
                    line.commit(change.commit.revision, &commit).await?;
                }
                // What lies between may match nothing for long.
                if line.sent.elapsed() >= self.heartbeat {
                    line.revision = change.commit.revision;
                    line.checkpoint(self.stream.head(), Mark::Plain).await?;
                }
                if self.going.is_cancelled() {
                    line.revision = change.commit.revision;
                    return self.end(line).await;
                }
            }
            if self.stream.revision() < self.stream.head() {
                continue;
            }
            if self.stop_at.is_some_and(|revision| self.stream.revision() >= revision) {
                if line.revision < self.stream.revision() {
                    line.revision = self.stream.revision();
                    line.checkpoint(self.stream.head(), Mark::Plain).await?;
                }
                return Ok(());
            }
            tokio::select! {
                changed = self.stream.changed() => changed?,
                () = sleep_until(line.sent + self.heartbeat) => {
                    line.revision = self.stream.revision();
                    line.checkpoint(self.stream.head(), Mark::Plain).await?;
                }
                () = self.going.cancelled() => {
                    line.revision = self.stream.revision();
                    return self.end(line).await;
                }
            }
        }
    }

    /// The connection was told to go: a last checkpoint, so that nothing is sent twice to whoever resumes.
    async fn end(&self, line: &mut Line) -> Result<(), End> {
        line.checkpoint(self.stream.head(), Mark::Plain).await?;
        Err(status::connection_ends().into())
    }

    /// Every matching record as of the revision at which the change stream begins.
    async fn send_initial_state(&self, line: &mut Line) -> Result<(), End> {
        let revision = self.stream.revision();
        for kind in self.selection.kinds().iter().copied().filter(|_| revision > 0) {
            let mut page_token = String::new();
            loop {
                let request = ListRecordsRequest {
                    filter: self.filter.clone(),
                    page_size: BATCH_RECORDS,
                    page_token,
                    as_of_revision: i64::try_from(revision).unwrap_or(i64::MAX),
                    ..Default::default()
                };
                let store = self.store.clone();
                let page = self.pools.reads.run_when_free(move || store.list_encoded(kind, &request)).await??;
                if !page.records.is_empty() {
                    let mut batch = Vec::new();
                    for record in &page.records {
                        let mut wrapped = Vec::with_capacity(record.len() + 8);
                        wire::put_bytes(kind as u32, record, &mut wrapped);
                        wire::put_bytes(BATCH_RECORD, &wrapped, &mut batch);
                    }
                    let mut message = Vec::with_capacity(batch.len() + 8);
                    wire::put_bytes(INITIAL, &batch, &mut message);
                    line.send(message).await?;
                }
                if page.next_page_token.is_empty() {
                    break;
                }
                // Without a checkpoint: there is no revision yet to resume from.
                if self.going.is_cancelled() {
                    return Err(status::connection_ends().into());
                }
                page_token = page.next_page_token;
            }
        }
        line.revision = revision;
        line.checkpoint(self.stream.head(), Mark::InitialStateComplete).await
    }

    /// What follows, from memory where it was read lately.
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

    /// The commit as this watch is shown it. A filter may have to read what was there before.
    async fn show(&self, change: &Arc<CommittedChange>) -> Result<Option<Bytes>, End> {
        if let Some(shown) = self.selection.shown(change) {
            return Ok(shown);
        }
        // A few looks at what was there before are cheaper here than the way to another thread.
        let is_short = change.commit.changes.len() <= CHANGES_INLINE && !self.store.reads_may_block();
        if self.filter.is_empty() || is_short {
            return Ok(self.selection.show(change, &self.store)?);
        }
        let (selection, change, store) = (self.selection.clone(), Arc::clone(change), self.store.clone());
        Ok(self.pools.reads.run_when_free(move || selection.show(&change, &store)).await??)
    }
}

/// What a checkpoint marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Opened,
    InitialStateComplete,
    Plain,
}

impl Line {
    async fn checkpoint(&mut self, head: u64, mark: Mark) -> Result<(), End> {
        let checkpoint = Checkpoint {
            opened: mark == Mark::Opened,
            initial_state_complete: mark == Mark::InitialStateComplete,
            head_revision: i64::try_from(head).unwrap_or(i64::MAX),
            server_time: Some(std::time::SystemTime::now().into()),
            store_id: self.store_id.clone(),
        };
        let response = WatchResponse {
            revision: i64::try_from(self.revision).unwrap_or(i64::MAX),
            content: Some(proto::watch_response::Content::Checkpoint(checkpoint)),
        };
        self.send(response.encode_to_vec()).await
    }

    async fn commit(&mut self, revision: u64, commit: &[u8]) -> Result<(), End> {
        self.revision = revision;
        let mut message = Vec::with_capacity(commit.len() + 24);
        wire::put_int(REVISION, revision, &mut message);
        wire::put_bytes(COMMIT, commit, &mut message);
        self.send(message).await
    }

    async fn send(&mut self, message: Vec<u8>) -> Result<(), End> {
        match self.outlet.send(Encoded::message(message.into()), STALLED_AFTER).await {
            Ok(()) => {
                self.sent = Instant::now();
                Ok(())
            }
            Err(Unsent::Gone) => Err(End::Gone),
            Err(Unsent::Stalled) => Err(status::watch_stalled(self.revision).into()),
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
