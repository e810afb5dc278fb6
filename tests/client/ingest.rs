//! Ingests through cut connections: one outcome for each commit, in order, and each commit applied once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use annals::{
    client::{IngestOptions, IngestResult, MessageStream},
    proto::{CommitRequest, Event, Mutation},
};
use tokio_stream::StreamExt;

use super::{proxy::Proxy, server::Server};

/// A commit of an event whose name the server chooses. If it were applied twice, there would be two events.
fn create(number: usize) -> CommitRequest {
    let event = Event { title: format!("event {number}"), ..Default::default() };
    CommitRequest::of(if number.is_multiple_of(2) { String::new() } else { format!("r{number}") }, [Mutation::create(event)])
}

fn fail(number: usize) -> CommitRequest {
    CommitRequest::of(format!("f{number}"), [Mutation::delete("events/none")])
}

async fn outcomes(mut messages: MessageStream<IngestResult>) -> Vec<IngestResult> {
    let mut all = Vec::new();
    while let Some(ingested) = messages.message().await.expect("no error of the stream") {
        all.push(ingested);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_cut_fifty_times_are_made_once_each_and_answered_in_order() {
    const COMMITS: usize = 5000;
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 1).await;
    proxy.cut_within(20_000, 50);
    let client = proxy.client();
    let commits = (0..COMMITS).map(|number| if number % 100 == 50 { fail(number) } else { create(number) });
    let all = outcomes(client.ingest(tokio_stream::iter(commits), IngestOptions::default())).await;
    assert_eq!(proxy.cuts(), 50);
    assert_eq!(all.len(), COMMITS);
    let mut revision = 0;
    for (number, ingested) in all.iter().enumerate() {
        assert_eq!(ingested.index, number as u64);
        match &ingested.outcome {
            Err(error) => assert_eq!((number % 100, error.reason_name()), (50, "RECORD_NOT_FOUND")),
            Ok(response) => {
                assert!(response.revision > revision, "in order, once each");
                assert!(ingested.resent || !response.replayed, "{ingested:?}");
                revision = response.revision;
            }
        }
    }
    let refused = COMMITS / 100;
    assert_eq!(
        server.store.info().expect("info").head_revision.cast_unsigned(),
        (COMMITS - refused) as u64,
        "nothing was made twice"
    );
    assert!(all.iter().any(|ingested| ingested.resent), "some were sent again");
    server.stop().await;
}

#[tokio::test]
async fn commits_are_read_no_faster_than_they_are_answered() {
    const IN_FLIGHT: usize = 10;
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 2).await;
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let commits = tokio_stream::iter(0..500).map(move |number| {
        counted.fetch_add(1, Relaxed);
        create(number)
    });
    let options = IngestOptions { in_flight_max: IN_FLIGHT, ..IngestOptions::default() };
    let mut messages = proxy.client().ingest(commits, options);
    let mut answered = 0;
    while messages.message().await.expect("no error").is_some() {
        answered += 1;
        let ahead = read.load(Relaxed) - answered;
        assert!(ahead <= IN_FLIGHT, "{ahead}");
    }
    assert_eq!(answered, 500);
    server.stop().await;
}

#[tokio::test]
async fn one_outcome_comes_before_the_next_commit_is_there() {
    let server = Server::start().await;
    let (to, from) = tokio::sync::mpsc::channel(1);
    let commits = tokio_stream::wrappers::ReceiverStream::new(from);
    let proxy = Proxy::start(server.address, 3).await;
    let mut messages = proxy.client().ingest(commits, IngestOptions::default());
    for number in 0..5 {
        to.send(create(number)).await.expect("taken");
        let ingested = messages.message().await.expect("no error").expect("an outcome");
        assert_eq!(ingested.index, number as u64);
        // The connection of the stream is lost while nothing is in flight.
        proxy.cut_all();
    }
    drop(to);
    assert!(messages.message().await.expect("no error").is_none());
    assert_eq!(server.store.info().expect("info").head_revision, 5);
    server.stop().await;
}

#[tokio::test]
async fn stop_on_error_ends_at_the_first_failure_and_applies_nothing_after_it() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 4).await;
    proxy.cut_within(5000, 10);
    let commits = (0..200).map(|number| if number == 100 { fail(number) } else { create(number) });
    let options = IngestOptions { stop_on_error: true, ..IngestOptions::default() };
    let all = outcomes(proxy.client().ingest(tokio_stream::iter(commits), options)).await;
    assert_eq!(all.len(), 101);
    assert!(all[..100].iter().all(|ingested| ingested.outcome.is_ok()));
    assert_eq!(all[100].outcome.as_ref().expect_err("refused").reason_name(), "RECORD_NOT_FOUND");
    assert_eq!(server.store.info().expect("info").head_revision, 100);
    server.stop().await;
}

#[tokio::test]
async fn an_ingest_of_nothing_ends() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 5).await;
    let messages = proxy.client().ingest(tokio_stream::empty(), IngestOptions::default());
    assert!(outcomes(messages).await.is_empty());
    assert_eq!(proxy.connections(), 0);
    server.stop().await;
}
