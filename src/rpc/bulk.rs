//! The bulk methods. Ingest is a stream of commits with one answer each, in order. Export sends all records at one revision.
//!
//! Many commits of an Ingest are in progress at the same time, so that they share syncs. If a client sends faster than commits
//! are made, flow control slows it down; it is not refused. An Export is as fast as its client reads.
//!
//! Knows the store's queue and its exports. Must not know how a stream is sent.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use prost::Message;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    codec::Received,
    encoded::Encoded,
    pool::Pools,
    refuse, status,
    streams::{SendError, StreamSender},
};
use crate::{
    limits::INGEST_COMMITS_MAX,
    proto::{self, IngestRequest, IngestResponse, ingest_response::Outcome},
    store::{Caller, ExportCursor, PendingCommit, Store},
};

/// A client that reads nothing for this time is considered lost.
const STALLED_AFTER: Duration = Duration::from_mins(10);

/// A commit that has no answer yet.
struct Unanswered {
    request_id: String,
    outcome: PendingOutcome,
}

enum PendingOutcome {
    /// The store has the commit, and will answer.
    Submitted(PendingCommit),
    /// The message could not be decoded.
    Refused(Status),
}

/// Submits each received commit, and answers it. Receives no more when the connection is asked to close.
pub(super) async fn ingest(
    store: Store,
    caller: Caller,
    mut requests: Streaming<Received<IngestRequest>>,
    closing: CancellationToken,
    sender: StreamSender<IngestResponse>,
) -> Result<(), Status> {
    let mut unanswered = VecDeque::new();
    let mut index = 0;
    let mut in_flight_max = INGEST_COMMITS_MAX;
    let mut stop_on_error = None;
    let mut open = true;
    let mut interrupted = false;
    loop {
        // Submit all that was received before waiting for an answer.
        let receives = open && unanswered.len() < in_flight_max;
        let next = async { if receives { requests.next().await } else { std::future::pending().await } };
        let answered = async {
            match unanswered.front_mut() {
                Some(Unanswered { outcome: PendingOutcome::Submitted(commit), .. }) => Some(commit.await.map_err(refuse)),
                Some(Unanswered { outcome: PendingOutcome::Refused(status), .. }) => Some(Err(status.clone())),
                None if open => std::future::pending().await,
                None => None,
            }
        };
        tokio::select! {
            outcome = answered => {
                let Some(outcome) = outcome else {
                    return if interrupted { Err(status::connection_ends()) } else { Ok(()) };
                };
                let request_id = unanswered.pop_front().map(|commit: Unanswered| commit.request_id).unwrap_or_default();
                let failed = outcome.is_err();
                let outcome = match outcome {
                    Ok(response) => Outcome::Committed(response),
                    Err(status) => Outcome::Error(to_proto(&status)),
                };
                if !send(&sender, IngestResponse { index, request_id, outcome: Some(outcome) }).await? {
                    return Ok(());
                }
                index += 1;
                if failed && stop_on_error == Some(true) {
                    return Ok(());
                }
            }
            () = closing.cancelled(), if open => (open, interrupted) = (false, true),
            next = next => match next {
                None => open = false,
                // The client is gone, or broke the stream. Submitted commits are made. The client must send the others again.
                Some(Err(status)) => return Err(status),
                Some(Ok(received)) => {
                    let (stops, commit) = submit(&store, &caller, received).await;
                    // Only the flag of the first message counts. If it is set, no commit may be submitted after one that fails.
                    if *stop_on_error.get_or_insert(stops) {
                        in_flight_max = 1;
                    }
                    unanswered.push_back(commit);
                }
            },
        }
    }
}

/// Submits one message. Returns its `stop_on_error` and the commit.
async fn submit(store: &Store, caller: &Caller, received: Received<IngestRequest>) -> (bool, Unanswered) {
    let request = match received.decode(store.limits().request_bytes()) {
        Ok(request) => request,
        Err(status) => {
            return (false, Unanswered { request_id: String::new(), outcome: PendingOutcome::Refused(status) });
        }
    };
    let stop_on_error = request.stop_on_error;
    let commit = request.commit.unwrap_or_default();
    let request_id = commit.request_id.clone();
    let pending = store.submit_when_free(caller, commit).await;
    (stop_on_error, Unanswered { request_id, outcome: PendingOutcome::Submitted(pending) })
}

/// Converts a status for use in a message. tonic keeps the details in the same encoding.
fn to_proto(status: &Status) -> proto::google::rpc::Status {
    proto::google::rpc::Status::decode(status.details()).unwrap_or_else(|_| proto::google::rpc::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// Sends the rest of an export. Stops when the connection is asked to close. Each message has the token with which the client
/// can resume.
pub(super) async fn export(
    mut export: ExportCursor,
    pools: Arc<Pools>,
    closing: CancellationToken,
    sender: StreamSender<Encoded>,
) -> Result<(), Status> {
    loop {
        let (rest, chunk) = pools
            .reads
            .run_when_free(move || {
                let chunk = export.next();
                (export, chunk)
            })
            .await
            .map_err(refuse)?;
        export = rest;
        let Some(chunk) = chunk.map_err(refuse)? else { return Ok(()) };
        if !send(&sender, Encoded::export_chunk(&chunk, export.revision())).await? {
            return Ok(());
        }
        if closing.is_cancelled() {
            return Err(status::connection_ends());
        }
    }
}

/// Sends a message. False if the client is gone.
async fn send<T>(sender: &StreamSender<T>, message: T) -> Result<bool, Status> {
    match sender.send(message, STALLED_AFTER).await {
        Ok(()) => Ok(true),
        Err(SendError::Closed) => Ok(false),
        Err(SendError::Stalled) => Err(status::answer_not_read(STALLED_AFTER)),
    }
}
