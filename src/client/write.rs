//! Writes: a commit, and a stream of commits with one outcome each, across several connections.
//!
//! Knows request ids, and which commits were sent and answered. Must not know what a commit's mutations mean.

use std::{collections::VecDeque, pin::Pin};

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::Streaming;
use ulid::Ulid;

use super::{
    Client,
    error::{ClientError, Result},
    retry::Retries,
    streams::{MessageSource, MessageStream},
};
use crate::{
    limits::INGEST_COMMITS_MAX,
    proto::{CommitRequest, CommitResponse, IngestRequest, IngestResponse, ingest_response::Outcome},
};

impl Client {
    /// Applies a commit: all of its mutations as one revision, or none.
    ///
    /// An empty `request_id` is filled in before the first attempt, so that the commit is applied once even if it is sent
    /// several times. Set your own if your program may retry the same write after a restart.
    ///
    /// After an error that [is transient](ClientError::is_transient), it is unknown whether the commit was applied. If you set
    /// the request id, send the same commit again: the answer says so.
    pub async fn commit(&self, request: CommitRequest) -> Result<CommitResponse> {
        let request = with_request_id(request);
        self.call(&request, |mut grpc, request| async move { grpc.commit(request).await }).await
    }
}

/// The request with a request id. A request with `validate_only` does not need one.
fn with_request_id(mut request: CommitRequest) -> CommitRequest {
    if request.request_id.is_empty() && !request.validate_only {
        request.request_id = Ulid::new().to_string();
    }
    request
}

/// Number of commits that wait for the connection.
const SEND_QUEUE_MAX: usize = 16;

/// How a stream of commits is sent.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// End at the first commit that fails. The commits after it are not applied. Commits are then applied one at a time.
    pub stop_on_error: bool,
    /// Largest number of commits that wait for their answers. The server's limit for one stream, `ingest.commits`.
    pub in_flight_max: usize,
    /// Largest number of bytes of these commits, which are kept for a retry. 64 MiB. One commit of any size is always sent.
    pub in_flight_bytes_max: usize,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self { stop_on_error: false, in_flight_max: INGEST_COMMITS_MAX, in_flight_bytes_max: 64 << 20 }
    }
}

/// The outcome of one commit of the stream.
#[derive(Clone, Debug)]
pub struct IngestResult {
    /// Its position in the stream, from 0.
    pub index: u64,
    /// Its request id. The client may have filled it in.
    pub request_id: String,
    /// It was sent more than once, because a connection was lost. A `replayed` response may then be the answer to its own first
    /// attempt.
    pub resent: bool,
    /// The answer, or why it was refused.
    pub outcome: Result<CommitResponse>,
}

impl Client {
    /// Applies a stream of commits, and returns one outcome for each, in order.
    ///
    /// Each commit is applied completely or not at all. A commit that fails has an error as its outcome, and the stream
    /// continues, unless [`IngestOptions::stop_on_error`] is set. Many commits are in flight, so that they share the server's
    /// syncs. `commits` is read only as fast as commits are answered.
    ///
    /// An empty `request_id` is filled in. If the connection is lost, all commits without an outcome are sent again in order. A
    /// commit that was already applied gets the same answer. If the server could not be reached for `outage_time_max`, the
    /// stream itself ends with an error. It is then unknown whether the commits without an outcome were applied.
    ///
    /// ```
    /// # #[cfg(feature = "server")] {
    /// use annals::{client::{Client, IngestOptions}, proto::{Actor, CommitRequest, Mutation}, rpc, store::Store};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
    /// let commits = (0..1000).map(|number| {
    ///     let actor = Actor { display_name: format!("actor {number}"), ..Default::default() };
    ///     CommitRequest::of(format!("actor:{number}"), [Mutation::create(actor)])
    /// });
    ///
    /// let mut outcomes = client.ingest(tokio_stream::iter(commits), IngestOptions::default());
    /// while let Some(ingested) = outcomes.message().await? {
    ///     if let Err(refused) = ingested.outcome {
    ///         eprintln!("{}: {refused}", ingested.request_id);
    ///     }
    /// }
    /// assert_eq!(client.info().await?.head_revision, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ingest(
        &self,
        commits: impl Stream<Item = CommitRequest> + Send + 'static,
        options: IngestOptions,
    ) -> MessageStream<IngestResult> {
        MessageStream::from_source(Ingest {
            retries: Retries::of_stream(&self.options),
            client: self.clone(),
            options,
            commits: Some(Box::pin(commits)),
            unanswered: VecDeque::new(),
            unanswered_bytes: 0,
            stream: None,
            index: 0,
            resent_below: 0,
        })
    }
}

/// An ingest that sends unanswered commits again after the connection was lost.
struct Ingest {
    client: Client,
    options: IngestOptions,
    /// The commits that were not read yet. `None` if there are no more, or no more are wanted.
    commits: Option<Pin<Box<dyn Stream<Item = CommitRequest> + Send>>>,
    /// Commits without an outcome, in order. The first `stream.sent` of them were sent.
    unanswered: VecDeque<CommitRequest>,
    /// The encoded length of all commits in `unanswered`.
    unanswered_bytes: usize,
    stream: Option<OpenStream>,
    /// Position of the first commit in `unanswered`.
    index: u64,
    /// Commits at lower positions were sent on a connection that was lost.
    resent_below: u64,
    retries: Retries,
}

/// A stream on one connection.
struct OpenStream {
    to: mpsc::Sender<IngestRequest>,
    answers: Streaming<IngestResponse>,
    /// How many of `unanswered` were sent on it.
    sent: usize,
    /// Number of answers received on it.
    answered: i64,
}

impl Ingest {
    /// Queues a commit to be sent, with a request id.
    fn push(&mut self, commit: CommitRequest) {
        let commit = with_request_id(commit);
        self.unanswered_bytes += commit.encoded_len();
        self.unanswered.push_back(commit);
    }

    /// Reads and sends commits until an answer arrives. Called only if a commit is unanswered.
    async fn next_answer(&mut self) -> Result<IngestResponse> {
        if self.stream.is_none() {
            self.open().await?;
        }
        loop {
            let Some(stream) = &mut self.stream else { return Err(ClientError::interrupted()) };
            let next = self.unanswered.get(stream.sent).filter(|_| !stream.to.is_closed());
            let is_full = self.unanswered.len() >= self.options.in_flight_max
                || self.unanswered_bytes >= self.options.in_flight_bytes_max;
            let reads = stream.sent == self.unanswered.len() && !is_full;
            let read = tokio::select! {
                answer = stream.answers.message() => return answer?.ok_or_else(ClientError::interrupted),
                permit = stream.to.reserve(), if next.is_some() => {
                    // If the stream is closed, its answers say why.
                    if let (Ok(permit), Some(commit)) = (permit, next) {
                        permit.send(message(commit, &self.options));
                        stream.sent += 1;
                    }
                    continue;
                }
                commit = next_of(&mut self.commits), if reads && self.commits.is_some() => commit,
            };
            match read {
                Some(commit) => self.push(commit),
                None => self.commits = None,
            }
        }
    }

    /// Opens a stream that already has the first commits in it, because a server need not answer before it has received one.
    async fn open(&mut self) -> Result<()> {
        let (to, from) = mpsc::channel(SEND_QUEUE_MAX);
        let mut sent = 0;
        for commit in self.unanswered.iter().take(SEND_QUEUE_MAX) {
            if to.try_send(message(commit, &self.options)).is_ok() {
                sent += 1;
            }
        }
        let mut grpc = self.client.grpc.clone();
        let answers = self.client.open(grpc.ingest(ReceiverStream::new(from))).await?;
        self.stream = Some(OpenStream { to, answers, sent, answered: 0 });
        Ok(())
    }

    /// The outcome of an answer. A transient error is not an outcome, because its commit is sent again.
    fn settle(&mut self, answer: IngestResponse) -> Result<IngestResult> {
        let stream = self.stream.as_mut().ok_or_else(ClientError::interrupted)?;
        let first = self
            .unanswered
            .front()
            .filter(|first| stream.sent > 0 && answer.index == stream.answered && answer.request_id == first.request_id);
        let Some(first) = first else {
            let text = format!("answer {} of \"{}\" belongs to no commit that was sent", answer.index, answer.request_id);
            return Err(ClientError::contract(text));
        };
        let outcome = match answer.outcome {
            Some(Outcome::Committed(response)) => Ok(response),
            Some(Outcome::Error(status)) => Err(ClientError::from(status)),
            None => return Err(ClientError::contract("an answer without an outcome")),
        };
        if let Err(error) = &outcome
            && error.is_transient()
        {
            return Err(error.clone());
        }
        self.unanswered_bytes -= first.encoded_len();
        self.unanswered.pop_front();
        stream.sent -= 1;
        stream.answered += 1;
        let index = self.index;
        self.index += 1;
        if outcome.is_err() && self.options.stop_on_error {
            // The server has ended the stream. The commits after this one are not applied.
            self.commits = None;
            self.unanswered.clear();
            self.stream = None;
        }
        Ok(IngestResult { index, request_id: answer.request_id, resent: index < self.resent_below, outcome })
    }

    /// Gives up the stream. Its unanswered commits are sent again on the next one.
    fn drop_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.resent_below = self.resent_below.max(self.index + stream.sent as u64);
        }
    }
}

impl MessageSource for Ingest {
    type Message = IngestResult;

    async fn next(&mut self) -> Result<Option<IngestResult>> {
        loop {
            while self.unanswered.is_empty() {
                if self.commits.is_none() {
                    return Ok(None);
                }
                match next_of(&mut self.commits).await {
                    Some(commit) => self.push(commit),
                    None => self.commits = None,
                }
            }
            let answer = self.next_answer().await;
            match answer.and_then(|answer| self.settle(answer)) {
                Ok(ingested) => {
                    self.retries.progressed();
                    return Ok(Some(ingested));
                }
                Err(error) => {
                    self.drop_stream();
                    self.retries.wait(error).await?;
                }
            }
        }
    }
}

async fn next_of<S: Stream + Unpin>(commits: &mut Option<S>) -> Option<S::Item> {
    commits.as_mut()?.next().await
}

fn message(commit: &CommitRequest, options: &IngestOptions) -> IngestRequest {
    // The server reads `stop_on_error` only from the first message of a stream.
    IngestRequest { commit: Some(commit.clone()), stop_on_error: options.stop_on_error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_request_id_is_filled_in_and_another_stays() {
        let id = |request: CommitRequest| with_request_id(request).request_id;
        let [a, b] = [id(CommitRequest::default()), id(CommitRequest::default())];
        assert!(a.len() == 26 && a != b, "{a} {b}");
        assert_eq!(id(CommitRequest::of("mine", [])), "mine");
        assert_eq!(id(CommitRequest { validate_only: true, ..Default::default() }), "");
    }
}
