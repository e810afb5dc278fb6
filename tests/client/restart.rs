//! A server that is stopped and started again while clients use it.

use std::{path::Path, time::Duration};

use annals::{
    client::{ClientOptions, IngestOptions, RetryHook},
    proto::{CommitRequest, Event, Mutation, WatchRequest, watch_response::Content},
    rpc::ServerOptions,
    store::Store,
};

use super::{proxy::Proxy, server::Server, support};

/// Serves a folder.
async fn serve(folder: &Path) -> Server {
    let folder = folder.to_owned();
    let store = tokio::task::spawn_blocking(move || Store::open(folder)).await.expect("joined").expect("a store");
    Server::start_on(store, ServerOptions { drain_time_max: Duration::from_millis(500), ..ServerOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_across_restarts_and_misses_and_repeats_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = serve(folder.path()).await;
    let proxy = Proxy::start(server.address, 1).await;
    let request = WatchRequest { after_revision: Some(0), ..Default::default() };
    let mut watch = proxy.client().watch(request).await.expect("a watch");
    let mut last = 0;
    for round in 0..3 {
        for number in 0..20 {
            server.commit(&support::event(&format!("e{round}-{number}"), "")).await;
        }
        let head = server.store.info().expect("info").head_revision;
        // Half of it is read before the server stops. The rest comes from the next server.
        while last < head - 10 * i64::from(round % 2) {
            let message = watch.message().await.expect("no error").expect("a message");
            if let Some(Content::Commit(commit)) = message.content {
                assert_eq!(commit.revision, last + 1);
                last = commit.revision;
            }
        }
        server.stop().await;
        server = serve(folder.path()).await;
        proxy.lead_to(server.address);
    }
    while last < 60 {
        let message = watch.message().await.expect("no error").expect("a message");
        if let Some(Content::Commit(commit)) = message.content {
            assert_eq!(commit.revision, last + 1);
            last = commit.revision;
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_resumes_across_restarts_and_applies_each_commit_once() {
    const COMMITS: u64 = 4000;
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = serve(folder.path()).await;
    let proxy = Proxy::start(server.address, 2).await;
    let client = proxy.client();
    let ingesting = tokio::spawn(async move {
        let commits = (0..COMMITS).map(|number| {
            CommitRequest::of("", [Mutation::create(Event { title: format!("event {number}"), ..Default::default() })])
        });
        let mut outcomes = client.ingest(tokio_stream::iter(commits), IngestOptions::default());
        let mut count = 0;
        while let Some(ingested) = outcomes.message().await.expect("no error of the stream") {
            assert_eq!(ingested.index, count);
            // A stopping server refuses what it has not accepted. The error is transient, so it is not an outcome.
            ingested.outcome.expect("committed");
            count += 1;
        }
        count
    });
    for share in [COMMITS / 4, COMMITS / 2] {
        while server.store.info().expect("info").head_revision.cast_unsigned() < share {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.stop().await;
        server = serve(folder.path()).await;
        proxy.lead_to(server.address);
    }
    assert_eq!(ingesting.await.expect("joined"), COMMITS);
    assert_eq!(server.store.info().expect("info").head_revision.cast_unsigned(), COMMITS);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_a_closed_store_refuses_for_now_is_sent_again_and_is_no_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path()).await;
    let proxy = Proxy::start(server.address, 3).await;
    let (to, mut told) = tokio::sync::mpsc::unbounded_channel();
    let on_retry = RetryHook::new(move |error, _| to.send(error.reason_name().to_owned()).unwrap_or_default());
    let client = proxy.client_with(ClientOptions { on_retry: Some(on_retry), ..ClientOptions::default() });
    // The server continues and answers on the stream that its store is gone.
    let store = server.store.clone();
    tokio::task::spawn_blocking(move || store.close()).await.expect("joined").expect("closed");
    let commits = ["a", "b"].map(|id| support::fresh_request(&support::event(id, "")));
    let mut outcomes = client.ingest(tokio_stream::iter(commits), IngestOptions::default());
    let open_again = async {
        let reason = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.expect("tried again in time");
        assert_eq!(reason.as_deref(), Some("SHUTTING_DOWN"));
        let next = serve(folder.path()).await;
        proxy.lead_to(next.address);
        proxy.cut_all();
        next
    };
    let (first, next) = tokio::join!(outcomes.message(), open_again);
    let second = outcomes.message().await;
    for (index, ingested) in (0..).zip([first, second]) {
        let ingested = ingested.expect("no error of the stream").expect("an outcome");
        assert_eq!(ingested.index, index);
        assert_eq!(ingested.outcome.expect("committed").revision.cast_unsigned(), index + 1);
    }
    next.stop().await;
}
