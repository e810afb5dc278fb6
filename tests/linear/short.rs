//! Short histories: a few clients make a few calls each, at the same time, about a few records.
//!
//! All histories use one server, because starting a server takes longer than a history. Each has its own records and is
//! rewritten with revisions from 1.
//!
//! Knows how clients are started. Must not know what a history is used for.

use std::{ops::Range, path::Path, sync::Arc};

use annals::proto::GetServerInfoRequest;
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::{
    before::Before,
    calls::{Calls, Records},
    client::{PATIENCE, send},
    history::Line,
    recorder::{Recorder, lines},
    run::read_log,
    serving::Client,
};

/// The most calls of a history.
pub(crate) const CALLS_MAX: usize = 60;
/// The most clients of a history.
pub(crate) const CLIENTS_MAX: usize = 4;
/// Counts of the records.
pub(crate) const COUNTS: Range<i64> = 0..8;

/// The history with this number, with up to that many clients of a server. Nobody disturbs it: every call is sent once and
/// answered.
pub(crate) async fn history(number: u64, clients: &[Client], folder: &Path, mut rng: Rng) -> Vec<Line> {
    let recorder = Arc::new(Recorder::new(&folder.join("history.ndjson")));
    let info = clients[0].clone().get_server_info(GetServerInfoRequest {}).await.expect("it answers").into_inner();
    let before = Before { revision: info.head_revision, counts: i64::try_from(number).expect("few") * COUNTS.end };
    // Few, so that nearly every commit conflicts with another.
    let records = Records {
        events: 3 * number..3 * number + 3,
        actors: number..number + 1,
        counts: before.counts..before.counts + COUNTS.end,
        after: before.revision,
    };
    let at_once = rng.usize(2..=clients.len());
    let each = rng.usize(4..=CALLS_MAX / CLIENTS_MAX);
    let mut callers = JoinSet::new();
    for (client, connected) in clients.iter().enumerate().take(at_once) {
        let mut calls = Calls::new(usize::try_from(number).expect("few") * CLIENTS_MAX + client, records.clone(), rng.fork());
        let (client, recorder) = (connected.clone(), Arc::clone(&recorder));
        callers.spawn(async move {
            for _ in 0..each {
                let answer = send(client.clone(), &recorder, calls.next(), PATIENCE).await;
                calls.take_note(&answer.expect("nobody disturbs the server"));
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("no failure of a client");
    }
    for commit in read_log(clients[0].clone(), before.revision).await {
        recorder.record(&Line::Logged(commit));
    }
    let path = Arc::into_inner(recorder).expect("all clients have ended").close();
    lines(&path).map(|line| before.taken_from(line.expect("a line that was just written"))).collect()
}
