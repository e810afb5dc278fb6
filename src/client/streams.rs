//! Streams of messages: their type, and the two calls that read messages across several connections. A watch and an export
//! resume after the last message that the caller received.
//!
//! Knows checkpoints, revisions and resume tokens. Must not know what a commit or a record contains.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{self, BoxStream};
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use tonic::Streaming;

use super::{
    Client,
    error::{ClientError, Result},
    retry::Retries,
};
use crate::proto::{Checkpoint, ExportRequest, ExportResponse, WatchRequest, WatchResponse, watch_response::Content};

/// The server's heartbeat if the request does not set one.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);

/// Longest time without a message during an initial state. The server sends no heartbeats then, and may read many records
/// without a match.
const INITIAL_SILENCE_MAX: Duration = Duration::from_mins(5);

/// Messages in order, up to the end or the first error.
///
/// It is a [`Stream`]. [`Self::message`] reads it without an import of the trait. It makes progress only while it is polled,
/// and ends when it is dropped.
pub struct MessageStream<T>(BoxStream<'static, Result<T>>);

/// Where a stream gets its messages.
pub(super) trait MessageSource: Send + 'static {
    /// What the stream returns.
    type Message;

    /// The next message. `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Message>>> + Send;
}

impl<T: Send + 'static> MessageStream<T> {
    /// The next message. `None` at the end, and after an error. No message is lost if the future is dropped.
    pub async fn message(&mut self) -> Result<Option<T>> {
        self.0.next().await.transpose()
    }

    pub(super) fn from_source(source: impl MessageSource<Message = T>) -> Self {
        Self(Box::pin(stream::try_unfold(source, |mut source| async move {
            Ok(source.next().await?.map(|message| (message, source)))
        })))
    }

    /// The messages of a source, after a first message that was already read from it.
    fn with_first(first: Option<T>, source: impl MessageSource<Message = T>) -> Self {
        Self(Box::pin(stream::iter(first.map(Ok)).chain(Self::from_source(source))))
    }

    /// The elements of page after page. `fetch` takes a page token and returns the page and the next token, which is empty at
    /// the end.
    pub(super) fn paged<F>(page_token: String, fetch: impl Fn(String) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(Vec<T>, String)>> + Send + 'static,
    {
        let state = (VecDeque::new(), Some(page_token), fetch);
        Self(Box::pin(stream::try_unfold(state, |(mut ready, mut next, fetch)| async move {
            loop {
                if let Some(element) = ready.pop_front() {
                    return Ok(Some((element, (ready, next, fetch))));
                }
                let Some(page_token) = next.take() else { return Ok(None) };
                let (elements, token) = fetch(page_token).await?;
                ready = elements.into();
                next = (!token.is_empty()).then_some(token);
            }
        })))
    }
}

impl<T> Stream for MessageStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for MessageStream<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("MessageStream")
    }
}

impl Client {
    /// Follows the store: every commit after `after_revision`, in order, complete, once each.
    ///
    /// The watch is open when this returns. Without `after_revision`, it receives every commit from then on. If the connection
    /// is lost, or the server restarts or sends nothing for too long, the watch resumes after the last message that you
    /// received. No commit is missed or received twice.
    ///
    /// The watch ends with an error in three cases: the error is not transient, such as `REVISION_COMPACTED`; the server could
    /// not be reached for `outage_time_max`; or the server has another store when the watch is resumed.
    ///
    /// When a watch is resumed, you see this:
    ///
    /// - Only a checkpoint without `opened`, as after a heartbeat.
    /// - With `initial_state`, before the initial state is complete: again a checkpoint with `opened` and revision 0. The
    ///   initial state starts again from a newer revision. Drop the records that you have received.
    /// - With `stop_at_head`: the watch stops at the head of the resumed stream, unless it has already reached the first head.
    ///
    /// Store `revision` of the last message that you have processed, and send it as `after_revision` when your program starts
    /// again. A stored 0 is the beginning. With `initial_state` it means that the initial state was not complete.
    ///
    /// ```
    /// # #[cfg(feature = "server")] {
    /// use annals::{
    ///     client::Client,
    ///     proto::{Actor, CommitRequest, Mutation, WatchRequest, watch_response::Content},
    ///     rpc,
    ///     store::Store,
    /// };
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
    /// let nis = Actor { display_name: "NIS".into(), ..Default::default() };
    /// client.commit(CommitRequest::of("r", [Mutation::create(nis)])).await?;
    ///
    /// let mut watch = client.watch(WatchRequest { after_revision: Some(0), stop_at_head: true, ..Default::default() }).await?;
    /// let mut commits = 0;
    /// while let Some(message) = watch.message().await? {
    ///     if let Some(Content::Commit(commit)) = message.content {
    ///         commits += commit.changes.len();
    ///     }
    ///     // Store message.revision here.
    /// }
    /// assert_eq!(commits, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn watch(&self, request: WatchRequest) -> Result<MessageStream<WatchResponse>> {
        let mut watch = WatchSource::new(self, request);
        let opened = watch.next().await?;
        Ok(MessageStream::with_first(opened, watch))
    }
}

/// A watch that opens its stream again after the connection was lost.
#[derive(Debug)]
struct WatchSource {
    client: Client,
    /// The request that opens it again. It has the revision of the last message that the caller received and that a watch can
    /// resume from.
    request: WatchRequest,
    /// The current stream. `None` if it must be opened.
    messages: Option<Streaming<WatchResponse>>,
    /// Longest time without a message. After it, the server is considered dead.
    silence_max: Duration,
    /// The first checkpoint of the watch. Every later stream must be of the same store.
    opened: Option<Checkpoint>,
    retries: Retries,
}

impl WatchSource {
    fn new(client: &Client, request: WatchRequest) -> Self {
        let heartbeat = request.heartbeat_interval.and_then(|interval| Duration::try_from(interval).ok());
        let heartbeat = heartbeat.unwrap_or(HEARTBEAT_DEFAULT);
        Self {
            client: client.clone(),
            request,
            messages: None,
            silence_max: heartbeat.saturating_mul(client.options.heartbeats_missed_max.max(1)),
            opened: None,
            retries: Retries::of_stream(&client.options),
        }
    }

    /// The server's next message. Opens a stream if there is none.
    async fn receive(&mut self) -> Result<Option<WatchResponse>> {
        let messages = match &mut self.messages {
            Some(messages) => messages,
            none => {
                let mut grpc = self.client.grpc.clone();
                let opened = self.client.open(grpc.watch(self.request.clone())).await?;
                none.insert(opened)
            }
        };
        let limit = if self.request.initial_state { INITIAL_SILENCE_MAX } else { self.silence_max };
        match timeout(limit, messages.message()).await {
            Ok(received) => Ok(received?),
            Err(_) => Err(ClientError::no_answer(limit)),
        }
    }

    /// Records the progress of the watch, and returns the message for the caller.
    fn record_progress(&mut self, mut message: WatchResponse) -> Result<WatchResponse> {
        match &mut message.content {
            Some(Content::Checkpoint(checkpoint)) if checkpoint.opened => {
                self.retries.reached();
                match &self.opened {
                    None => self.opened = Some(checkpoint.clone()),
                    Some(first) if first.store_id != checkpoint.store_id => {
                        return Err(ClientError::other_store(&first.store_id, &checkpoint.store_id));
                    }
                    // The caller sees the watch opened once. But the caller must know if an initial state starts again.
                    Some(_) => checkpoint.opened = self.request.initial_state,
                }
            }
            content => {
                self.retries.progressed();
                if let Some(Content::Checkpoint(checkpoint)) = content {
                    self.request.initial_state &= !checkpoint.initial_state_complete;
                }
            }
        }
        if !self.request.initial_state {
            self.request.after_revision = Some(message.revision);
        }
        Ok(message)
    }

    /// Whether the caller has received everything up to the head at which it stops.
    fn is_at_head(&self) -> bool {
        let head = self.opened.as_ref().map(|opened| opened.head_revision);
        self.request.stop_at_head && head.is_some() && self.request.after_revision >= head
    }
}

impl MessageSource for WatchSource {
    type Message = WatchResponse;

    async fn next(&mut self) -> Result<Option<WatchResponse>> {
        loop {
            let error = match self.receive().await {
                Ok(Some(message)) => return self.record_progress(message).map(Some),
                Ok(None) if self.request.stop_at_head => return Ok(None),
                Ok(None) => ClientError::interrupted(),
                Err(error) => error,
            };
            self.messages = None;
            if self.is_at_head() && error.is_transient() {
                return Ok(None);
            }
            self.retries.wait(error).await?;
        }
    }
}

impl Client {
    /// Every record of the requested types, as of one revision, in messages of many records.
    ///
    /// If the connection is lost, the export resumes after the last message that you received. No record is missed or received
    /// twice. To resume it in another run of your program, store the `resume_token` of the last message that you have
    /// processed, and send it with the same request.
    ///
    /// ```
    /// # #[cfg(feature = "server")] {
    /// use annals::{client::Client, proto::{Actor, CommitRequest, ExportRequest, Mutation}, rpc, store::Store};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
    /// let nis = Actor { display_name: "NIS".into(), ..Default::default() };
    /// client.commit(CommitRequest::of("r", [Mutation::create(nis)])).await?;
    ///
    /// let mut export = client.export(ExportRequest::default());
    /// let mut records = 0;
    /// while let Some(message) = export.message().await? {
    ///     records += message.records.len();
    /// }
    /// assert_eq!(records, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self, request: ExportRequest) -> MessageStream<ExportResponse> {
        let retries = Retries::of_stream(&self.options);
        MessageStream::from_source(ExportSource { client: self.clone(), request, messages: None, retries })
    }
}

/// An export that opens its stream again after the connection was lost.
#[derive(Debug)]
struct ExportSource {
    client: Client,
    /// The request that opens it again. It has the token of the last message that the caller received.
    request: ExportRequest,
    /// The current stream. `None` if it must be opened.
    messages: Option<Streaming<ExportResponse>>,
    retries: Retries,
}

impl ExportSource {
    async fn receive(&mut self) -> Result<Option<ExportResponse>> {
        let messages = match &mut self.messages {
            Some(messages) => messages,
            none => {
                let mut grpc = self.client.grpc.clone();
                let opened = self.client.open(grpc.export(self.request.clone())).await?;
                none.insert(opened)
            }
        };
        Ok(messages.message().await?)
    }
}

impl MessageSource for ExportSource {
    type Message = ExportResponse;

    async fn next(&mut self) -> Result<Option<ExportResponse>> {
        loop {
            match self.receive().await {
                Ok(Some(message)) => {
                    self.retries.progressed();
                    self.request.resume_token.clone_from(&message.resume_token);
                    return Ok(Some(message));
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.messages = None;
                    self.retries.wait(error).await?;
                }
            }
        }
    }
}
