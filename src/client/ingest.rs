//! Ingesting: a stream of commits, many in flight, one outcome each, out of as many streams as it takes.
//!
//! Knows what was sent and what was answered. Must not know what a commit's mutations mean.

use std::{collections::VecDeque, pin::Pin};

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::Streaming;

use super::{Client, ClientError, MessageStream, Result, commit::identified, messages::Source, retry::Retries};
use crate::proto::{CommitRequest, CommitResponse, IngestRequest, IngestResponse, ingest_response::Outcome};

/// Commits between this stream and its connection.
const AHEAD_MAX: usize = 16;

/// How a stream of commits is sent.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// End at the first commit that fails: what is behind it is not applied. Commits are then made one at a time.
    pub stop_on_error: bool,
    /// Commits that wait for their answers. 256, which is what the server takes of one stream.
    pub in_flight_max: usize,
    /// Bytes of such commits, which are kept to be sent again. 64 MiB; one commit is sent whatever its size.
    pub in_flight_bytes_max: usize,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self { stop_on_error: false, in_flight_max: 256, in_flight_bytes_max: 64 << 20 }
    }
}

/// What became of one commit of the stream.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// Its position in the stream, from 0.
    pub index: u64,
    /// Its request id, also where the client chose it.
    pub request_id: String,
    /// It was sent more than once, because a connection was lost: if its response is marked `replayed`, that may be its own first
    /// sending.
    pub resent: bool,
    /// The answer, or why it was refused.
    pub outcome: Result<CommitResponse>,
}

impl Client {
    /// Applies a stream of commits, and gives one outcome for each, in order.
    ///
    /// Each commit is applied whole or not at all. One that fails is an outcome, and the stream goes on, unless
    /// [`IngestOptions::stop_on_error`] is set. Many are in flight, so that they share the server's syncs; `commits` is read no faster
    /// than they are answered.
    ///
    /// A `request_id` that is empty is filled in. When the connection is lost, everything that has no outcome is sent again in order;
    /// what was applied before is answered as it was then. An error of the stream itself, when the server could not be reached for
    /// `outage_time_max`, ends it: commits without an outcome may have been applied or not.
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
    ) -> MessageStream<Ingested> {
        MessageStream::from_source(Ingest {
            retries: Retries::of_stream(&self.options),
            client: self.clone(),
            options,
            commits: Some(Box::pin(commits)),
            unanswered: VecDeque::new(),
            unanswered_bytes: 0,
            line: None,
            index: 0,
            resent_below: 0,
        })
    }
}

/// A stream of commits on its way.
struct Ingest {
    client: Client,
    options: IngestOptions,
    /// What is still to come; none when there is no more, or no more is wanted.
    commits: Option<Pin<Box<dyn Stream<Item = CommitRequest> + Send>>>,
    /// Commits without an outcome, in order. The first `line.sent` of them are on their way.
    unanswered: VecDeque<CommitRequest>,
    /// Always the encoded length of all in `unanswered`.
    unanswered_bytes: usize,
    line: Option<Line>,
    /// Position of the first in `unanswered`.
    index: u64,
    /// Positions below were on a connection that was lost.
    resent_below: u64,
    retries: Retries,
}

/// A connection's stream.
struct Line {
    to: mpsc::Sender<IngestRequest>,
    answers: Streaming<IngestResponse>,
    /// How many of `unanswered` were sent on it.
    sent: usize,
    /// Answers that came on it.
    answered: i64,
}

impl Ingest {
    /// Takes a commit in.
    fn take(&mut self, commit: CommitRequest) {
        let commit = identified(commit);
        self.unanswered_bytes += commit.encoded_len();
        self.unanswered.push_back(commit);
    }

    /// Sends, takes in and waits until an answer comes. There is something to be answered.
    async fn exchange(&mut self) -> Result<IngestResponse> {
        if self.line.is_none() {
            self.open().await?;
        }
        loop {
            let Some(line) = &mut self.line else { return Err(ClientError::cut()) };
            let next = self.unanswered.get(line.sent).filter(|_| !line.to.is_closed());
            let is_full = self.unanswered.len() >= self.options.in_flight_max
                || self.unanswered_bytes >= self.options.in_flight_bytes_max;
            let takes = line.sent == self.unanswered.len() && !is_full;
            let taken = tokio::select! {
                answer = line.answers.message() => return answer?.ok_or_else(ClientError::cut),
                permit = line.to.reserve(), if next.is_some() => {
                    // Where it is closed, the answers will say why.
                    if let (Ok(permit), Some(commit)) = (permit, next) {
                        permit.send(message(commit, &self.options));
                        line.sent += 1;
                    }
                    continue;
                }
                commit = next_of(&mut self.commits), if takes && self.commits.is_some() => commit,
            };
            match taken {
                Some(commit) => self.take(commit),
                None => self.commits = None,
            }
        }
    }

    /// Opens a stream with the first commit on it, since a server need not answer before there is something to answer.
    async fn open(&mut self) -> Result<()> {
        let (to, from) = mpsc::channel(AHEAD_MAX);
        let mut sent = 0;
        for commit in self.unanswered.iter().take(AHEAD_MAX) {
            if to.try_send(message(commit, &self.options)).is_ok() {
                sent += 1;
            }
        }
        let mut grpc = self.client.grpc.clone();
        let answers = self.client.open(grpc.ingest(ReceiverStream::new(from))).await?;
        self.line = Some(Line { to, answers, sent, answered: 0 });
        Ok(())
    }

    /// The outcome that an answer tells. One that passes is none: its commit is sent again.
    fn settle(&mut self, answer: IngestResponse) -> Result<Ingested> {
        let line = self.line.as_mut().ok_or_else(ClientError::cut)?;
        let first = self
            .unanswered
            .front()
            .filter(|first| line.sent > 0 && answer.index == line.answered && answer.request_id == first.request_id);
        let Some(first) = first else {
            let text = format!("answer {} of \"{}\" is to nothing that was sent", answer.index, answer.request_id);
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
        line.sent -= 1;
        line.answered += 1;
        let index = self.index;
        self.index += 1;
        if outcome.is_err() && self.options.stop_on_error {
            // The server has ended the stream; what was sent behind it is not applied.
            self.commits = None;
            self.unanswered.clear();
            self.line = None;
        }
        Ok(Ingested { index, request_id: answer.request_id, resent: index < self.resent_below, outcome })
    }

    /// The connection is of no more use.
    fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            self.resent_below = self.resent_below.max(self.index + line.sent as u64);
        }
    }
}

impl Source for Ingest {
    type Message = Ingested;

    async fn next(&mut self) -> Result<Option<Ingested>> {
        loop {
            while self.unanswered.is_empty() {
                if self.commits.is_none() {
                    return Ok(None);
                }
                match next_of(&mut self.commits).await {
                    Some(commit) => self.take(commit),
                    None => self.commits = None,
                }
            }
            let answer = self.exchange().await;
            match answer.and_then(|answer| self.settle(answer)) {
                Ok(ingested) => {
                    self.retries.progressed();
                    return Ok(Some(ingested));
                }
                Err(error) => {
                    self.hang_up();
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
    // Read from the first message of a stream only.
    IngestRequest { commit: Some(commit.clone()), stop_on_error: options.stop_on_error }
}
