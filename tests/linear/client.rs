//! A client: one call after another, each recorded before it is sent and after it is answered.
//!
//! Knows calls and their messages. Must not know which call is next, or what the right answer is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::proto::{
    BatchGetRecordsRequest, CommitRequest, GetCommitRequest, GetRecordRequest, GetServerInfoRequest, ListRecordsRequest, Record,
};
use fastrand::Rng;
use tonic::Status;

use crate::{
    calls::{Calls, Records},
    history::{Answer, Call, Done, Logged},
    recorder::Recorder,
    serving::Client,
    target::Target,
    wire,
};

const RECORDS: Records = Records { events: 0..24, actors: 0..8, counts: 0..8, after: 0 };
/// The timeout of a call.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Records of a page. Few, so that a list has several pages, between which the head moves and the server may be killed.
const PAGE_RECORDS: i32 = 10;

/// Reasons that say that a commit was not applied and will not be.
const REFUSALS: [&str; 5] = ["REVISION_MISMATCH", "NAME_TAKEN", "RECORD_NOT_FOUND", "RECORD_DELETED", "REQUEST_ID_REUSED"];

pub(crate) struct Caller {
    target: Target,
    recorder: Arc<Recorder>,
    rng: Rng,
    client: Client,
    calls: Calls,
}

impl Caller {
    pub(crate) async fn new(number: usize, target: Target, recorder: Arc<Recorder>, mut rng: Rng) -> Self {
        let client = target.connect().await;
        let calls = Calls::new(number, RECORDS, rng.fork());
        Self { target, recorder, rng, client, calls }
    }

    /// Calls until it is told to stop.
    pub(crate) async fn run(mut self, ended: Arc<AtomicBool>) {
        while !ended.load(Ordering::SeqCst) {
            match self.calls.next() {
                call @ Call::Commit { .. } => self.commit(call).await,
                call => self.call(call).await,
            }
        }
    }

    /// A commit, sometimes sent more than once: at once or later, on this connection or on another.
    async fn commit(&mut self, call: Call) {
        let mut patience = PATIENCE;
        match self.rng.u8(..10) {
            // The sender cut it.
            0 => patience = Duration::from_micros(self.rng.u64(..5000)),
            1 => {
                // Two at once, on two connections.
                let (recorder, other, twin) = (Arc::clone(&self.recorder), self.target.connect().await, call.clone());
                let twin = tokio::spawn(async move { send(other, &recorder, twin, PATIENCE).await });
                self.call(call).await;
                drop(twin.await.expect("no failure"));
                return;
            }
            _ => {}
        }
        let mut answer = send(self.client.clone(), &self.recorder, call.clone(), patience).await;
        self.take_note(answer.as_ref()).await;
        // Not if it was refused, because it might be applied now. And not always, so that some outcomes stay unknown.
        while !matches!(answer, Some(Answer::Refused { .. })) && self.rng.u8(..10) < if answer.is_some() { 1 } else { 6 } {
            answer = send(self.client.clone(), &self.recorder, call.clone(), PATIENCE).await;
            self.take_note(answer.as_ref()).await;
        }
    }

    async fn call(&mut self, call: Call) {
        let answer = send(self.client.clone(), &self.recorder, call, PATIENCE).await;
        self.take_note(answer.as_ref()).await;
    }

    /// A client without an answer continues on a new connection.
    async fn take_note(&mut self, answer: Option<&Answer>) {
        match answer {
            Some(answer) => self.calls.take_note(answer),
            None => self.client = self.target.connect().await,
        }
    }
}

/// Sends a call and records it. `None` if it was not answered.
pub(crate) async fn send(mut client: Client, recorder: &Recorder, call: Call, patience: Duration) -> Option<Answer> {
    let operation = recorder.called(call.clone());
    let answer = tokio::time::timeout(patience, ask(&mut client, &call)).await;
    let answer = match answer {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(status)) => refusal(&status),
        Err(_) => None,
    };
    recorder.ended(operation, answer.clone());
    answer
}

/// What an error says for certain. `None` if it does not say whether the call was applied.
fn refusal(status: &Status) -> Option<Answer> {
    let reason = wire::reason(status);
    match reason.as_str() {
        "REVISION_IN_FUTURE" => Some(Answer::Refused { reason }),
        known if REFUSALS.contains(&known) => Some(Answer::Refused { reason }),
        // The server is killed, is starting, or never got the call.
        "" | "SHUTTING_DOWN" | "STORE_REBUILDING" | "TOO_MANY_REQUESTS" => None,
        _ => panic!("no client gave cause for {status:?}"),
    }
}

async fn ask(client: &mut Client, call: &Call) -> Result<Answer, Status> {
    Ok(match call {
        Call::Commit { request, conditions, writes } => {
            let request = CommitRequest {
                request_id: request.clone(),
                mutations: writes.iter().map(wire::mutation).collect(),
                preconditions: conditions.iter().map(wire::precondition).collect(),
                ..Default::default()
            };
            let response = client.commit(request).await?.into_inner();
            let done = |result: &annals::proto::MutationResult| Done {
                name: result.name.clone(),
                revision: result.revision,
                kind: wire::kind(result.kind()),
            };
            let results = response.results.iter().map(done).collect();
            Answer::Committed { revision: response.revision, replayed: response.replayed, results }
        }
        Call::Get { name, at } => {
            let request =
                GetRecordRequest { name: name.clone(), as_of_revision: *at, show_deleted: true, ..Default::default() };
            let got = if name.starts_with("actors/") {
                client.get_actor(request).await.map(|actor| Record::from(actor.into_inner()))
            } else {
                client.get_event(request).await.map(|event| Record::from(event.into_inner()))
            };
            match got {
                Ok(record) => Answer::Got { version: Some(wire::read(&record).1) },
                Err(status) if wire::reason(&status) == "RECORD_NOT_FOUND" => Answer::Got { version: None },
                Err(status) => return Err(status),
            }
        }
        Call::BatchGet { names, at } => {
            let request =
                BatchGetRecordsRequest { names: names.clone(), as_of_revision: *at, allow_missing: true, ..Default::default() };
            let response = client.batch_get_records(request).await?.into_inner();
            Answer::Read { revision: response.revision, records: response.records.iter().map(wire::read).collect() }
        }
        Call::List { collection, above, at } => list(client, collection, *above, *at).await?,
        Call::GetCommit { revision } => {
            let commit = client.get_commit(GetCommitRequest { revision: *revision }).await?.into_inner();
            Answer::Commit(logged(&commit))
        }
        Call::Head => {
            let info = client.get_server_info(GetServerInfoRequest {}).await?.into_inner();
            Answer::Head { revision: info.head_revision }
        }
    })
}

/// All pages of a list.
async fn list(client: &mut Client, collection: &str, above: Option<i64>, at: i64) -> Result<Answer, Status> {
    let filter = above.map(above_filter).unwrap_or_default();
    let mut request = ListRecordsRequest { filter, as_of_revision: at, page_size: PAGE_RECORDS, ..Default::default() };
    let (mut records, mut revision) = (Vec::new(), None);
    loop {
        let (page, page_token, read_at) = if collection == "actors" {
            let page = client.list_actors(request.clone()).await?.into_inner();
            (page.actors.into_iter().map(Record::from).collect::<Vec<_>>(), page.next_page_token, page.revision)
        } else {
            let page = client.list_events(request.clone()).await?.into_inner();
            (page.events.into_iter().map(Record::from).collect::<Vec<_>>(), page.next_page_token, page.revision)
        };
        records.extend(page.iter().map(wire::read));
        assert_eq!(*revision.get_or_insert(read_at), read_at, "all pages of a listing are read at one revision");
        if page_token.is_empty() {
            return Ok(Answer::Read { revision: read_at, records });
        }
        request.page_token = page_token;
    }
}

/// The filter for counts above a number.
pub(crate) fn above_filter(above: i64) -> String {
    format!("metrics.count > {above}")
}

/// A commit as the log contains it.
pub(crate) fn logged(commit: &annals::proto::Commit) -> Logged {
    let changes = commit.changes.iter().map(|change| wire::change(change, commit.revision)).collect();
    Logged { revision: commit.revision, request: commit.request_id.clone(), changes }
}
