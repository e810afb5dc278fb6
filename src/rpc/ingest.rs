//! Ingest: a stream of commits, one answer each, in order.
//!
//! Commits are in flight together, so that they share syncs; a client that sends faster than they are made is held up by flow
//! control, not refused.
//!
//! Knows the store's queue. Must not know how a stream reaches its client.

use std::{collections::VecDeque, time::Duration};

use prost::Message;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    codec::Received,
    status,
    streams::{Outlet, Unsent},
};
use crate::{
    proto::{self, IngestRequest, IngestResponse, ingest_response::Outcome},
    store::{Caller, PendingCommit, Store},
};

/// Commits of one stream that may wait for their answers.
const IN_FLIGHT_MAX: usize = 256;
/// A client that takes no answer for so long has gone without saying so.
const STALLED_AFTER: Duration = Duration::from_mins(10);

/// A commit whose answer is due.
struct Due {
    request_id: String,
    answer: Answer,
}

enum Answer {
    /// Of the store.
    Pending(PendingCommit),
    /// The message itself was refused.
    Refused(Status),
}

/// Commits what comes in, and answers each. When its connection is told to go, nothing more is taken in.
pub(super) async fn run(
    store: Store,
    caller: Caller,
    mut requests: Streaming<Received<IngestRequest>>,
    going: CancellationToken,
    outlet: Outlet<IngestResponse>,
) -> Result<(), Status> {
    let mut due = VecDeque::new();
    let mut index = 0;
    let mut in_flight_max = IN_FLIGHT_MAX;
    let mut stop_on_error = None;
    let mut open = true;
    let mut cut = false;
    loop {
        // Whatever has come in is submitted before an answer is waited for.
        let takes = open && due.len() < in_flight_max;
        let next = async { if takes { requests.next().await } else { std::future::pending().await } };
        let answered = async {
            match due.front_mut() {
                Some(Due { answer: Answer::Pending(pending), .. }) => Some(pending.await.map_err(status::from_store)),
                Some(Due { answer: Answer::Refused(status), .. }) => Some(Err(status.clone())),
                None if open => std::future::pending().await,
                None => None,
            }
        };
        tokio::select! {
            outcome = answered => {
                let Some(outcome) = outcome else { return if cut { Err(status::connection_ends()) } else { Ok(()) } };
                let request_id = due.pop_front().map(|due: Due| due.request_id).unwrap_or_default();
                let failed = outcome.is_err();
                let outcome = match outcome {
                    Ok(response) => Outcome::Committed(response),
                    Err(status) => Outcome::Error(to_proto(&status)),
                };
                match outlet.send(IngestResponse { index, request_id, outcome: Some(outcome) }, STALLED_AFTER).await {
                    Ok(()) => {}
                    Err(Unsent::Gone) => return Ok(()),
                    Err(Unsent::Stalled) => return Err(status::answer_not_taken(STALLED_AFTER)),
                }
                index += 1;
                if failed && stop_on_error == Some(true) {
                    return Ok(());
                }
            }
            () = going.cancelled(), if open => (open, cut) = (false, true),
            next = next => match next {
                None => open = false,
                // The client has gone, or broke the stream: what was submitted stands, and it asks for the rest again.
                Some(Err(status)) => return Err(status),
                Some(Ok(received)) => {
                    let (first, answer) = submit(&store, &caller, received).await;
                    // Read from the first message only. One that fails must have nothing behind it.
                    if *stop_on_error.get_or_insert(first) {
                        in_flight_max = 1;
                    }
                    due.push_back(answer);
                }
            },
        }
    }
}

/// Queues one message. Gives what it says of `stop_on_error`, and its answer to be.
async fn submit(store: &Store, caller: &Caller, received: Received<IngestRequest>) -> (bool, Due) {
    let request = match received.decode(store.limits().request_bytes) {
        Ok(request) => request,
        Err(status) => return (false, Due { request_id: String::new(), answer: Answer::Refused(status) }),
    };
    let stop_on_error = request.stop_on_error;
    let commit = request.commit.unwrap_or_default();
    let request_id = commit.request_id.clone();
    let pending = store.submit_when_free(caller, commit).await;
    (stop_on_error, Due { request_id, answer: Answer::Pending(pending) })
}

/// A status as a message carries it. tonic keeps the details in this very encoding.
fn to_proto(status: &Status) -> proto::google::rpc::Status {
    proto::google::rpc::Status::decode(status.details()).unwrap_or_else(|_| proto::google::rpc::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
