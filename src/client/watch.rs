//! Watching: one watch out of as many streams as it takes.
//!
//! Knows checkpoints and revisions. Must not know what a commit holds.

use std::time::Duration;

use tokio::time::timeout;
use tonic::Streaming;

use super::{Client, ClientError, MessageStream, Result, messages::Source, retry::Retries};
use crate::proto::{Checkpoint, WatchRequest, WatchResponse, watch_response::Content};

/// The server's heartbeat where the request does not say.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(10);

/// Longest silence of an initial state, during which the server sends no heartbeats: it may read far without finding a match.
const INITIAL_SILENCE_MAX: Duration = Duration::from_mins(5);

impl Client {
    /// Follows the record: every commit after `after_revision`, in order, whole, once each.
    ///
    /// It is open when this returns: without `after_revision`, everything committed from here on is seen. When the connection is lost,
    /// the server restarts or falls silent, the watch is opened again after the last message that was handed out: no commit is
    /// missed, none comes twice. It ends with an error that does not pass, such as `REVISION_COMPACTED`, or when the server could
    /// not be reached for `outage_time_max`. It ends with an error, too, where the server it comes back to holds another store.
    ///
    /// What the caller sees of a new beginning:
    ///
    /// - Nothing but a checkpoint without `opened`, as after a heartbeat.
    /// - With `initial_state`, while the initial state is not complete: a checkpoint with `opened` and revision 0, again. The initial
    ///   state begins anew, from a newer revision: drop the records that were received.
    /// - With `stop_at_head`: the head that counts is that of the new beginning, unless the first one was reached before.
    ///
    /// Store `revision` of the last message that you have finished with, and send it as `after_revision` when your program starts
    /// again. A stored 0 means the beginning; with `initial_state`, that it was not complete.
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
    /// client.commit(CommitRequest::of("r", [Mutation::create(Actor { display_name: "NIS".into(), ..Default::default() })])).await?;
    ///
    /// let mut watch = client.watch(WatchRequest { after_revision: Some(0), stop_at_head: true, ..Default::default() }).await?;
    /// let mut commits = 0;
    /// while let Some(message) = watch.message().await? {
    ///     if let Some(Content::Commit(commit)) = message.content {
    ///         commits += commit.changes.len();
    ///     }
    ///     // Here is where message.revision would be stored.
    /// }
    /// assert_eq!(commits, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn watch(&self, request: WatchRequest) -> Result<MessageStream<WatchResponse>> {
        let mut watch = Watch::new(self, request);
        let opened = watch.next().await?;
        Ok(MessageStream::resumed(opened, watch))
    }
}

/// A watch on its way.
#[derive(Debug)]
struct Watch {
    client: Client,
    /// What to send when it is opened again: it holds the revision of the last message that was handed out, once there is one that
    /// can be resumed from.
    request: WatchRequest,
    /// The stream, while there is one.
    messages: Option<Streaming<WatchResponse>>,
    /// Longest silence that is no sign of a dead server.
    silence_max: Duration,
    /// What the first checkpoint said.
    opened: Option<Checkpoint>,
    retries: Retries,
}

impl Watch {
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

    /// The next message as the server sends it, from a new stream where there is none.
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

    /// Notes how far the watch has come, and gives the message as the caller is to see it.
    fn hand_out(&mut self, mut message: WatchResponse) -> Result<WatchResponse> {
        match &mut message.content {
            Some(Content::Checkpoint(checkpoint)) if checkpoint.opened => {
                self.retries.reached();
                match &self.opened {
                    None => self.opened = Some(checkpoint.clone()),
                    Some(first) if first.store_id != checkpoint.store_id => {
                        return Err(ClientError::other_store(&first.store_id, &checkpoint.store_id));
                    }
                    // The caller opened it once. That an initial state begins anew, it has to know.
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

    /// Whether all was handed out that was there when the watch began.
    fn is_at_head(&self) -> bool {
        let head = self.opened.as_ref().map(|opened| opened.head_revision);
        self.request.stop_at_head && head.is_some() && self.request.after_revision >= head
    }
}

impl Source for Watch {
    type Message = WatchResponse;

    async fn next(&mut self) -> Result<Option<WatchResponse>> {
        loop {
            let error = match self.receive().await {
                Ok(Some(message)) => return self.hand_out(message).map(Some),
                Ok(None) if self.request.stop_at_head => return Ok(None),
                Ok(None) => ClientError::cut(),
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
