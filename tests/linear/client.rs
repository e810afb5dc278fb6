//! A client: calls of all kinds at random, one after the other, each recorded before it is sent and when it was answered.
//!
//! Knows calls and how they look on the wire. Must not know what the right answer is.

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
    history::{Answer, Call, Done, Logged},
    model::{Condition, Content, Write},
    recorder::Recorder,
    serving::Client,
    target::Target,
    wire,
};

/// Records of each collection: few, so that clients are in each other's way.
const EVENTS: u64 = 24;
const ACTORS: u64 = 8;
/// Counts are below this, so that some updates leave their record as it was.
const COUNTS: i64 = 8;
/// A call that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Records of one page: few, so that a listing has several, between which the head moves and the server may be killed.
const PAGE_RECORDS: i32 = 10;

/// Reasons why a commit was not done, now or ever.
const REFUSALS: [&str; 5] = ["REVISION_MISMATCH", "NAME_TAKEN", "RECORD_NOT_FOUND", "RECORD_DELETED", "REQUEST_ID_REUSED"];

pub(crate) struct Caller {
    number: usize,
    target: Target,
    recorder: Arc<Recorder>,
    rng: Rng,
    client: Client,
    /// The newest revision that this client was told of, and the revision that it last saw of a record.
    head: i64,
    seen: Vec<(String, i64)>,
    requests: u64,
}

impl Caller {
    pub(crate) async fn new(number: usize, target: Target, recorder: Arc<Recorder>, rng: Rng) -> Self {
        let client = target.connect().await;
        Self { number, target, recorder, rng, client, head: 0, seen: Vec::new(), requests: 0 }
    }

    /// Calls until told to end.
    pub(crate) async fn run(mut self, ended: Arc<AtomicBool>) {
        while !ended.load(Ordering::SeqCst) {
            let at = if self.head > 0 && self.rng.u8(..4) == 0 { self.rng.i64(1..=self.head) } else { 0 };
            match self.rng.u8(..20) {
                0..8 => self.commit().await,
                8..12 => {
                    let name = self.name();
                    self.call(Call::Get { name, at }).await;
                }
                12..15 => {
                    let names = self.names(5);
                    self.call(Call::BatchGet { names, at }).await;
                }
                15..18 => {
                    let collection = if self.rng.u8(..4) == 0 { "actors" } else { "events" };
                    let above = self.rng.bool().then(|| self.rng.i64(0..COUNTS));
                    self.call(Call::List { collection: collection.into(), above, at }).await;
                }
                18 if self.head > 0 => {
                    let revision = self.rng.i64(1..=self.head);
                    self.call(Call::GetCommit { revision }).await;
                }
                _ => self.call(Call::Head).await,
            }
        }
    }

    /// A commit, sometimes sent more than once, at once or again, on this connection or on another.
    async fn commit(&mut self) {
        let names = self.names(3);
        let writes: Vec<Write> = names.into_iter().map(|name| self.write(name)).collect();
        let conditions = if self.rng.u8(..4) == 0 { vec![self.condition()] } else { Vec::new() };
        self.requests += 1;
        let request = format!("c{}-{}", self.number, self.requests);
        let call = Call::Commit { request, conditions, writes };
        let mut patience = PATIENCE;
        match self.rng.u8(..10) {
            // Cut by its sender.
            0 => patience = Duration::from_micros(self.rng.u64(..5000)),
            1 => {
                // Two at once, on two connections.
                let (recorder, other, twin) = (Arc::clone(&self.recorder), self.target.connect().await, call.clone());
                let twin = tokio::spawn(async move { send(other, &recorder, twin, PATIENCE).await });
                self.call(call.clone()).await;
                drop(twin.await.expect("no failure"));
                return;
            }
            _ => {}
        }
        let mut answer = send(self.client.clone(), &self.recorder, call.clone(), patience).await;
        self.take_note(answer.as_ref()).await;
        // Not when it was refused: then it may be done now. And not always, so that some stay unknown.
        while !matches!(answer, Some(Answer::Refused { .. })) && self.rng.u8(..10) < if answer.is_some() { 1 } else { 6 } {
            answer = send(self.client.clone(), &self.recorder, call.clone(), PATIENCE).await;
            self.take_note(answer.as_ref()).await;
        }
    }

    async fn call(&mut self, call: Call) {
        let answer = send(self.client.clone(), &self.recorder, call, PATIENCE).await;
        self.take_note(answer.as_ref()).await;
    }

    /// Remembers what is needed for calls to come. A client that was not answered goes on on a new connection.
    async fn take_note(&mut self, answer: Option<&Answer>) {
        let revision = match answer {
            None => {
                self.client = self.target.connect().await;
                0
            }
            Some(Answer::Committed { revision, results, .. }) => {
                self.seen.extend(results.iter().map(|done| (done.name.clone(), done.revision)));
                *revision
            }
            Some(Answer::Read { revision, records }) => {
                self.seen.extend(records.iter().map(|(name, version)| (name.clone(), version.revision)));
                *revision
            }
            Some(Answer::Head { revision }) => *revision,
            Some(_) => 0,
        };
        self.head = self.head.max(revision);
        self.seen.drain(..self.seen.len().saturating_sub(64));
    }

    fn write(&mut self, name: String) -> Write {
        let content = Content { title: "t".into(), count: self.rng.i64(0..COUNTS), labels: Vec::new() };
        let if_revision = if self.rng.bool() { self.last_seen(&name) } else { 0 };
        match self.rng.u8(..16) {
            0..2 => Write::Create { name, content },
            2..8 => Write::Update { name, content, if_revision },
            8..12 => Write::Upsert { name, content },
            12..14 => Write::Delete { name, if_revision },
            _ => Write::Undelete { name },
        }
    }

    fn condition(&mut self) -> Condition {
        let name = self.name();
        if self.rng.bool() {
            Condition::Exists { name, exists: self.rng.bool() }
        } else {
            Condition::At { revision: self.last_seen(&name), name }
        }
    }

    fn last_seen(&self, name: &str) -> i64 {
        self.seen.iter().rev().find(|(seen, _)| seen == name).map_or(0, |(_, revision)| *revision)
    }

    fn name(&mut self) -> String {
        match self.rng.u64(..EVENTS + ACTORS) {
            event @ 0..EVENTS => format!("events/e{event}"),
            actor => format!("actors/a{}", actor - EVENTS),
        }
    }

    /// Some names, each once.
    fn names(&mut self, most: usize) -> Vec<String> {
        let mut names: Vec<_> = (0..self.rng.usize(1..=most)).map(|_| self.name()).collect();
        names.sort_unstable();
        names.dedup();
        self.rng.shuffle(&mut names);
        names
    }
}

/// Sends a call and records it. None: it was not answered.
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

/// What an error says for sure. None: whether the call was done is not known.
fn refusal(status: &Status) -> Option<Answer> {
    let reason = wire::reason(status);
    match reason.as_str() {
        "REVISION_IN_FUTURE" => Some(Answer::Refused { reason }),
        known if REFUSALS.contains(&known) => Some(Answer::Refused { reason }),
        // A server that is killed, starts, or never got the call.
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

/// All pages of a listing.
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

/// A commit as the log has it.
pub(crate) fn logged(commit: &annals::proto::Commit) -> Logged {
    let changes = commit.changes.iter().map(|change| wire::change(change, commit.revision)).collect();
    Logged { revision: commit.revision, request: commit.request_id.clone(), changes }
}
