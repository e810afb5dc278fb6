//! Calls that are cut after they were sent, and sent again: each takes effect once, whether or not the first attempt was
//! applied.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use annals::proto::{CommitRequest, CommitResponse, Mutation};
use fastrand::Rng;

use crate::{
    answered, clients, durable_server, event, head, rng,
    server::{Client, Server},
};

const CALLS: usize = 1_000;
const TASKS: usize = 20;

/// The outcomes of the calls that were cut.
#[derive(Default)]
struct Cut {
    answered: AtomicU32,
    done: AtomicU32,
    not_done: AtomicU32,
}

/// Sends a request, stops waiting at some moment, and sends it again until it is answered.
async fn cut_and_retry(server: &Server, client: &mut Client, request: &CommitRequest, rng: &mut Rng, cut: &Cut) {
    let mut first: Option<CommitResponse> = None;
    for _time in 0..rng.u32(1..=3) {
        let wait = Duration::from_micros(rng.u64(0..6_000));
        let mut other = client.clone();
        if rng.u32(..10) == 0 {
            // A separate connection, which ends with the call.
            other = server.client().await;
        }
        if let Ok(Ok(response)) = tokio::time::timeout(wait, other.commit(request.clone())).await {
            let response = response.into_inner();
            cut.answered.fetch_add(1, Ordering::Relaxed);
            if let Some(first) = &first {
                assert_eq!(response, CommitResponse { replayed: true, ..first.clone() });
            }
            first.get_or_insert(response);
        }
    }
    let last = answered(client, request).await.expect("it can be done");
    match first {
        Some(first) => assert_eq!(last, CommitResponse { replayed: true, ..first }),
        None if last.replayed => drop(cut.done.fetch_add(1, Ordering::Relaxed)),
        None => drop(cut.not_done.fetch_add(1, Ordering::Relaxed)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_cut_after_sending_and_sent_again_are_a_thousand_revisions() {
    let mut rng = rng();
    let (server, _folder) = durable_server().await;
    let (server, cut) = (Arc::new(server), Arc::new(Cut::default()));
    let connections = clients(&server, 4).await;
    let mut first = connections[0].clone();
    assert_eq!(head(&mut first).await, 0);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (server, cut, mut client) = (Arc::clone(&server), Arc::clone(&cut), connections[task % 4].clone());
            let mut rng = rng.fork();
            tokio::spawn(async move {
                for call in 0..CALLS / TASKS {
                    let record = event("", &format!("{task}-{call}"));
                    let request = CommitRequest::of(format!("cut-{task}-{call}"), [Mutation::create(record)]);
                    cut_and_retry(&server, &mut client, &request, &mut rng, &cut).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no failure");
    }
    let Cut { answered, done, not_done } = &*cut;
    println!("of the first calls {answered:?} were answered; of those cut {done:?} were done, {not_done:?} not");
    assert!(done.load(Ordering::Relaxed) > 0, "no call was cut when it was done already");
    let info = first.get_server_info(annals::proto::GetServerInfoRequest {}).await.expect("an answer").into_inner();
    assert_eq!((info.head_revision, info.record_counts["events"]), (1_000, 1_000));
    drop((first, connections));
    Arc::into_inner(server).expect("the tasks have ended").stop().await;
}
