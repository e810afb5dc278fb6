//! The batches of an import: the next one, those that wait for an answer, and the halves of refused ones.
//!
//! Must not know formats, or how a commit is sent or retried.

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

use super::report::RowReport;
use crate::{
    client::{Client, ClientError, IngestResult},
    formats::import::{
        ImportRowError,
        batch::{self, ImportBatch},
        mutation,
    },
    proto::{CommitRequest, CommitResponse, ErrorReason},
};

/// A batch of a file, or a row that cannot be read.
#[derive(Debug)]
pub(super) struct FileBatch {
    /// The index of the file.
    pub(super) file: usize,
    pub(super) content: Result<ImportBatch, ImportRowError>,
}

/// The batches of an import.
#[derive(Clone)]
pub(super) struct Sending(Arc<Mutex<SendingState>>);

struct SendingState {
    batches: mpsc::Receiver<FileBatch>,
    /// Refused batches. They are changed and sent again before the next batch.
    again: VecDeque<SentBatch>,
    /// Batches without an answer, in the order in which they were sent.
    sent: VecDeque<SentBatch>,
    /// The names of records that exist under another name than the import expected.
    names: BTreeMap<String, String>,
    report: RowReport,
    validate_only: bool,
    strict: bool,
    /// Whether no more batches are sent.
    ended: bool,
}

struct SentBatch {
    file: usize,
    batch: ImportBatch,
    /// Whether the names of its shared records were looked up.
    looked_up: bool,
}

impl Sending {
    /// Sends batches as they arrive. With `validate_only` the server only checks them. With `strict` the first bad row ends the
    /// import.
    pub(super) fn new(batches: mpsc::Receiver<FileBatch>, report: RowReport, validate_only: bool, strict: bool) -> Self {
        let (again, sent, names) = (VecDeque::new(), VecDeque::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(SendingState { batches, again, sent, names, report, validate_only, strict, ended: false })))
    }

    /// The commits. The stream does not end while batches wait for answers, because a refused batch is sent again in halves.
    /// The caller passes every answer to [`Self::answered`] before it polls again, so a pending poll needs no waker.
    pub(super) fn commits(&self) -> impl Stream<Item = CommitRequest> + Send + 'static {
        let sending = self.clone();
        stream::poll_fn(move |context| sending.state().poll_next(context))
    }

    /// Processes the answer to the oldest batch that has none yet.
    pub(super) async fn answered(&self, client: &Client, ingested: IngestResult) -> anyhow::Result<()> {
        let Some(sent) = self.state().sent.pop_front() else { anyhow::bail!("an answer without a batch") };
        match ingested.outcome {
            Ok(response) => {
                let before = response.replayed && !ingested.resent;
                self.state().learn(&sent.batch.commit, &response);
                self.state().report.applied(&sent.batch, &response, before);
                Ok(())
            }
            Err(error) if !is_about_rows(&error) => Err(error.into()),
            Err(error) if error.reason() == Some(ErrorReason::ReferenceNotFound) && !sent.looked_up => {
                self.look_up(client, &sent.batch).await;
                self.state().again.push_front(SentBatch { batch: sent.batch.whole(), looked_up: true, ..sent });
                Ok(())
            }
            Err(error) => {
                self.state().refuse(sent, &error);
                Ok(())
            }
        }
    }

    /// The report of the import.
    pub(super) fn into_report(self) -> RowReport {
        let mut state = self.state();
        let empty = RowReport::new(Vec::new(), false, indicatif::ProgressBar::hidden());
        mem::replace(&mut state.report, empty)
    }

    /// Learns the names of the records that the rows of a batch share. A record with the external id may have another name than
    /// a row expects. Records that refer to each other cannot be upserted together, so they are upserted one by one.
    async fn look_up(&self, client: &Client, batch: &ImportBatch) {
        let Some(shared) = batch.shared() else { return };
        if self.upsert(client, shared.clone()).await {
            return;
        }
        for (number, item) in shared.mutations.iter().enumerate() {
            let request_id = format!("{}.{number}", shared.request_id);
            // If this fails, the rows that need the record fail, each with its own report.
            self.upsert(client, CommitRequest::of(request_id, [item.clone()])).await;
        }
    }

    async fn upsert(&self, client: &Client, request: CommitRequest) -> bool {
        let request = self.state().prepare(request);
        match client.commit(request.clone()).await {
            Ok(response) => {
                let mut state = self.state();
                state.learn(&request, &response);
                state.report.created(&response);
                true
            }
            Err(_) => false,
        }
    }

    fn state(&self) -> MutexGuard<'_, SendingState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SendingState {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<CommitRequest>> {
        while !self.ended {
            let next = match self.again.pop_front() {
                Some(sent) => sent,
                None => match self.batches.poll_recv(context) {
                    Poll::Ready(Some(FileBatch { file, content: Ok(batch) })) => SentBatch { file, batch, looked_up: false },
                    Poll::Ready(Some(FileBatch { file, content: Err(bad) })) => {
                        self.report.refuse_row(file, &bad);
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

    /// The commit to send: with the learned names, and `validate_only` if the import is a dry run.
    fn prepare(&self, commit: CommitRequest) -> CommitRequest {
        let commit = if self.names.is_empty() { commit } else { batch::rename(commit, &self.names) };
        CommitRequest { validate_only: self.validate_only, ..commit }
    }

    /// Learns the names of records that exist under another name than the import expected.
    fn learn(&mut self, request: &CommitRequest, response: &CommitResponse) {
        for (asked, result) in request.mutations.iter().zip(&response.results) {
            let asked = mutation::name(asked);
            if asked != result.name && !asked.is_empty() && !result.name.is_empty() {
                self.names.insert(asked.to_owned(), result.name.clone());
            }
        }
    }

    /// Splits a refused batch into halves, to be sent again. Reports a batch of one row.
    fn refuse(&mut self, sent: SentBatch, error: &ClientError) {
        let SentBatch { file, batch, looked_up } = sent;
        let row = batch.rows.first().map_or(0, |row| row.number);
        if let Some(halves) = batch.halve() {
            for batch in halves.into_iter().rev() {
                self.again.push_front(SentBatch { file, batch, looked_up });
            }
        } else {
            self.report.refuse_answer(file, row, error);
            self.ended = self.strict;
        }
    }
}

/// Whether an error is about the content of a commit. Other rows may then still be applied.
fn is_about_rows(error: &ClientError) -> bool {
    let of_content = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::ResourceExhausted,
    ];
    !error.reason_name().is_empty() && of_content.contains(&error.code())
}
