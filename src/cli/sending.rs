//! Batches on their way: which come next, which wait for an answer, which are tried again in parts.
//!
//! Knows batches and answers. Must not know formats, or how a commit is sent.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::stream;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Code;

use super::tally::Tally;
use crate::{
    client::{self, Client, Ingested},
    formats::import::{
        BadRow,
        batch::{self, Batch},
        mutation,
    },
    proto::{CommitRequest, CommitResponse, ErrorReason},
};

/// A piece of a file.
#[derive(Debug)]
pub(super) struct Piece {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) content: Result<Batch, BadRow>,
}

/// The batches of an import.
#[derive(Clone)]
pub(super) struct Sending(Arc<Mutex<State>>);

struct State {
    pieces: mpsc::Receiver<Piece>,
    /// Refused, and to be sent again before anything else, changed.
    again: VecDeque<Sent>,
    /// Without an answer, in the order in which they were sent.
    sent: VecDeque<Sent>,
    /// Names that were asked for, of records that are there under other names.
    names: BTreeMap<String, String>,
    tally: Tally,
    validate_only: bool,
    strict: bool,
    /// Nothing more is wanted.
    ended: bool,
}

struct Sent {
    file: usize,
    batch: Batch,
    /// The names of what its rows share were looked up.
    looked_up: bool,
}

impl Sending {
    /// Sends pieces as they come; only to be checked with `validate_only`, and up to the first bad row with `strict`.
    pub(super) fn new(pieces: mpsc::Receiver<Piece>, tally: Tally, validate_only: bool, strict: bool) -> Self {
        let (again, sent, names) = (VecDeque::new(), VecDeque::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State { pieces, again, sent, names, tally, validate_only, strict, ended: false })))
    }

    /// The commits. There are more as long as batches wait for answers, since a refused one is sent again in parts: so whoever polls
    /// them tells every answer before polling again, and a poll that finds nothing needs no waking.
    pub(super) fn commits(&self) -> impl Stream<Item = CommitRequest> + Send + 'static {
        let sending = self.clone();
        stream::poll_fn(move |context| sending.state().poll_next(context))
    }

    /// What became of the oldest batch without an answer.
    pub(super) async fn answered(&self, client: &Client, ingested: Ingested) -> anyhow::Result<()> {
        let Some(sent) = self.state().sent.pop_front() else { anyhow::bail!("an answer to nothing that was sent") };
        match ingested.outcome {
            Ok(response) => {
                let before = response.replayed && !ingested.resent;
                self.state().learn(&sent.batch.commit, &response);
                self.state().tally.applied(&sent.batch, &response, before);
                Ok(())
            }
            Err(error) if !is_of_rows(&error) => Err(error.into()),
            Err(error) if error.reason() == Some(ErrorReason::ReferenceNotFound) && !sent.looked_up => {
                self.look_up(client, &sent.batch).await;
                self.state().again.push_front(Sent { batch: sent.batch.whole(), looked_up: true, ..sent });
                Ok(())
            }
            Err(error) => {
                self.state().refuse(sent, &error);
                Ok(())
            }
        }
    }

    /// What it all came to.
    pub(super) fn into_tally(self) -> Tally {
        let mut state = self.state();
        let nothing = Tally::new(Vec::new(), false, indicatif::ProgressBar::hidden());
        mem::replace(&mut state.tally, nothing)
    }

    /// Asks under which names the things are there that the rows of a batch share: a record that has the external id may have another name
    /// than a row expects. What cannot be asked at once, because one of them refers to another, is asked one by one.
    async fn look_up(&self, client: &Client, batch: &Batch) {
        let Some(shared) = batch.shared() else { return };
        if self.make(client, shared.clone()).await {
            return;
        }
        for (number, item) in shared.mutations.iter().enumerate() {
            let request_id = format!("{}.{number}", shared.request_id);
            // A row that needs what cannot be made is refused by itself.
            self.make(client, CommitRequest::of(request_id, [item.clone()])).await;
        }
    }

    async fn make(&self, client: &Client, request: CommitRequest) -> bool {
        let request = self.state().prepare(request);
        match client.commit(request.clone()).await {
            Ok(response) => {
                let mut state = self.state();
                state.learn(&request, &response);
                state.tally.made(&response);
                true
            }
            Err(_) => false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<CommitRequest>> {
        while !self.ended {
            let next = match self.again.pop_front() {
                Some(sent) => sent,
                None => match self.pieces.poll_recv(context) {
                    Poll::Ready(Some(Piece { file, content: Ok(batch) })) => Sent { file, batch, looked_up: false },
                    Poll::Ready(Some(Piece { file, content: Err(bad) })) => {
                        self.tally.refuse_row(file, &bad);
                        self.ended = self.strict;
                        continue;
                    }
                    Poll::Ready(None) if self.sent.is_empty() => break,
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                },
            };
            let commit = self.prepare(next.batch.commit.clone());
            self.sent.push_back(next);
            return Poll::Ready(Some(commit));
        }
        Poll::Ready(None)
    }

    /// A commit as it is sent.
    fn prepare(&self, commit: CommitRequest) -> CommitRequest {
        let commit = if self.names.is_empty() { commit } else { batch::rename(commit, &self.names) };
        CommitRequest { validate_only: self.validate_only, ..commit }
    }

    /// Notes what is there under another name than was asked for.
    fn learn(&mut self, request: &CommitRequest, response: &CommitResponse) {
        for (asked, result) in request.mutations.iter().zip(&response.results) {
            let asked = mutation::name(asked);
            if asked != result.name && !asked.is_empty() && !result.name.is_empty() {
                self.names.insert(asked.to_owned(), result.name.clone());
            }
        }
    }

    /// Halves what was refused; a row that stands alone is the bad one.
    fn refuse(&mut self, sent: Sent, error: &client::ClientError) {
        let Sent { file, batch, looked_up } = sent;
        let row = batch.rows.first().map_or(0, |row| row.number);
        if let Some(halves) = batch.halve() {
            for batch in halves.into_iter().rev() {
                self.again.push_front(Sent { file, batch, looked_up });
            }
        } else {
            self.tally.refuse_answer(file, row, error);
            self.ended = self.strict;
        }
    }
}

/// Whether an error is about what a commit says, so that other rows may pass.
fn is_of_rows(error: &client::ClientError) -> bool {
    let about = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::ResourceExhausted,
    ];
    !error.reason_name().is_empty() && about.contains(&error.code())
}
