//! Watches through cut connections: together the messages are the log, once each, in order.

use std::{collections::BTreeMap, time::Duration};

use annals::{
    client::{Client, ClientOptions, MessageStream, RetryHook},
    proto::{
        Checkpoint, Event, ListRecordsRequest, RecordType, Transition, WatchRequest, WatchResponse, record::Record,
        watch_response::Content,
    },
    rpc::ServerOptions,
};
use tonic::Code;

use super::{
    proxy::Proxy,
    server::Server,
    support::{self, fresh_request},
};

/// The next message. There must be one.
async fn next(watch: &mut MessageStream<WatchResponse>) -> WatchResponse {
    let message = tokio::time::timeout(Duration::from_secs(30), watch.message()).await.expect("a message in time");
    message.expect("no error").expect("not the end")
}

/// The revision of the next commit.
async fn commit(watch: &mut MessageStream<WatchResponse>) -> i64 {
    loop {
        let message = next(watch).await;
        if let Some(Content::Commit(commit)) = message.content {
            return commit.revision;
        }
    }
}

fn checkpoint(message: &WatchResponse) -> &Checkpoint {
    match &message.content {
        Some(Content::Checkpoint(checkpoint)) => checkpoint,
        other => panic!("not a checkpoint: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_through_cuts_shows_every_commit_once_whole_and_in_order() {
    const COMMITS: i64 = 2000;
    let server = Server::start().await;
    let store = server.store.clone();
    let writer = tokio::task::spawn_blocking(move || {
        for number in 0..COMMITS {
            store.commit(fresh_request(&support::event(&format!("e{number}"), ""))).expect("committed");
        }
    });
    let mut watchers = tokio::task::JoinSet::new();
    for seed in 0..4 {
        let (address, store) = (server.address, server.store.clone());
        watchers.spawn(async move {
            let proxy = Proxy::start(address, seed).await;
            proxy.cut_within(20_000, 60);
            let client = proxy.client();
            let request = WatchRequest { after_revision: Some(0), ..Default::default() };
            let mut watch = client.watch(request).await.expect("a watch");
            let (mut last, mut opened) = (0, 0);
            while last < COMMITS {
                let message = next(&mut watch).await;
                assert!(message.revision >= last, "seed {seed}: {} behind {last}", message.revision);
                match message.content {
                    Some(Content::Commit(commit)) => {
                        assert_eq!(commit.revision, last + 1, "seed {seed}");
                        assert_eq!(commit, store.get_commit(commit.revision).expect("there"), "seed {seed}");
                        last = commit.revision;
                    }
                    Some(Content::Checkpoint(checkpoint)) => opened += usize::from(checkpoint.opened),
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
            assert_eq!(opened, 1, "seed {seed}: the caller opened it once");
            assert!(proxy.cuts() >= 20, "seed {seed}: {} cuts", proxy.cuts());
        });
    }
    while let Some(watcher) = watchers.join_next().await {
        watcher.expect("what it saw is right");
    }
    writer.await.expect("joined");
    server.stop().await;
}

/// Maintains a set of events from a watch.
#[derive(Default)]
struct Following {
    events: BTreeMap<String, Event>,
    begun: usize,
    complete: Option<i64>,
    revision: i64,
}

impl Following {
    fn take(&mut self, message: WatchResponse) {
        self.revision = message.revision;
        match message.content {
            Some(Content::Initial(batch)) => {
                assert_eq!((message.revision, self.complete), (0, None));
                for record in batch.records.into_iter().filter_map(|record| record.record) {
                    let Record::Event(event) = record else { panic!("not an event") };
                    assert!(self.events.insert(event.name.clone(), event).is_none(), "twice");
                }
            }
            Some(Content::Checkpoint(checkpoint)) if checkpoint.opened => {
                assert_eq!((message.revision, self.complete), (0, None));
                self.begun += 1;
                self.events.clear();
            }
            Some(Content::Checkpoint(checkpoint)) if checkpoint.initial_state_complete => {
                assert_eq!(self.complete.replace(message.revision), None);
            }
            Some(Content::Checkpoint(_)) => {}
            Some(Content::Commit(commit)) => {
                for change in commit.changes {
                    let left = change.transition() == Transition::Left;
                    let Some(Record::Event(event)) = change.record.and_then(|record| record.record) else {
                        panic!("not an event")
                    };
                    if left {
                        self.events.remove(&event.name);
                    } else {
                        self.events.insert(event.name.clone(), event);
                    }
                }
            }
            None => panic!("nothing"),
        }
    }
}

async fn listed(client: &Client, filter: &str, revision: i64) -> BTreeMap<String, Event> {
    let request = ListRecordsRequest { filter: filter.into(), page_size: 1000, as_of_revision: revision, ..Default::default() };
    let mut list = client.list::<Event>(request);
    let mut events = BTreeMap::new();
    while let Some(event) = list.message().await.expect("no error") {
        events.insert(event.name.clone(), event);
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initial_state_that_is_cut_starts_again_and_says_so_and_later_changes_maintain_the_list() {
    const FILTER: &str = r#"labels:"x:1""#;
    let server = Server::start().await;
    for batch in 0..20 {
        let events: Vec<_> =
            (0..100).map(|number| support::event(&format!("e{batch}-{number}"), r#", "labels": ["x:1"]"#)).collect();
        server.commit(&events.join(",")).await;
    }
    let proxy = Proxy::start(server.address, 5).await;
    // Its 2,000 records take about 150 kB.
    proxy.cut_within(100_000, 8);
    let client = proxy.client();
    let request = WatchRequest {
        types: vec![RecordType::Event.into()],
        filter: FILTER.into(),
        initial_state: true,
        ..Default::default()
    };
    let mut watch = client.watch(request).await.expect("a watch");
    let mut following = Following::default();
    while following.complete.is_none() {
        following.take(next(&mut watch).await);
    }
    assert!(following.begun >= 3, "begun {} times", following.begun);
    assert_eq!(following.events.len(), 2000);
    proxy.cut_within(2000, 40);
    for number in 0..200 {
        let mutation = match number % 3 {
            0 => format!(
                r#"{{"update": {{"record": {{"event": {{"name": "events/e1-{}"}}}}, "update_fields": ["labels"]}}}}"#,
                number / 3
            ),
            1 => format!(r#"{{"delete": {{"name": "events/e2-{}"}}}}"#, number / 3),
            _ => support::event(&format!("new-{number}"), r#", "labels": ["x:1"]"#),
        };
        let revision = server.commit(&mutation).await.revision;
        if number % 20 == 19 {
            proxy.cut_all();
        }
        while following.revision < revision {
            following.take(next(&mut watch).await);
        }
        if number % 10 == 9 {
            assert_eq!(following.events, listed(&client, FILTER, revision).await, "after {revision}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_watch_from_now_misses_nothing_from_the_moment_it_is_there() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 6).await;
    let client = proxy.client();
    server.commit(&support::event("before", "")).await;
    let mut watch = client.watch(WatchRequest::default()).await.expect("a watch");
    proxy.cut_all();
    let revision = server.commit(&support::event("after", "")).await.revision;
    let opened = next(&mut watch).await;
    assert_eq!((opened.revision, checkpoint(&opened).opened), (1, true));
    assert_eq!(commit(&mut watch).await, revision);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_that_stops_at_the_head_ends_through_cuts() {
    let server = Server::start().await;
    for number in 0..300 {
        server.commit(&support::event(&format!("e{number}"), "")).await;
    }
    let proxy = Proxy::start(server.address, 7).await;
    proxy.cut_within(4000, 30);
    let request = WatchRequest { after_revision: Some(0), stop_at_head: true, ..Default::default() };
    let mut watch = proxy.client().watch(request).await.expect("a watch");
    let mut commits = Vec::new();
    while let Some(message) = watch.message().await.expect("no error") {
        if let Some(Content::Commit(commit)) = message.content {
            commits.push(commit.revision);
        }
    }
    assert_eq!(commits, (1..=300).collect::<Vec<_>>());
    assert!(proxy.cuts() >= 10, "{}", proxy.cuts());
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_left_and_opened_again() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 8).await;
    let (to, mut told) = tokio::sync::mpsc::unbounded_channel();
    let options = ClientOptions {
        heartbeats_missed_max: 2,
        // Only the missing heartbeats show it.
        keepalive_interval: Duration::from_hours(1),
        on_retry: Some(RetryHook::new(move |error, _| to.send(error.code()).unwrap_or_default())),
        ..ClientOptions::default()
    };
    let client = proxy.client_with(options);
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request = WatchRequest { after_revision: Some(0), heartbeat_interval, ..Default::default() };
    let mut watch = client.watch(request).await.expect("a watch");
    next(&mut watch).await;
    proxy.silence(true);
    let revision = server.commit(&support::event("e", "")).await.revision;
    let mend = async {
        let noticed = tokio::time::timeout(Duration::from_secs(10), told.recv()).await.expect("noticed in time");
        assert_eq!(noticed, Some(Code::DeadlineExceeded));
        proxy.silence(false);
    };
    let (found, ()) = tokio::join!(commit(&mut watch), mend);
    assert_eq!(found, revision);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_whose_peer_has_vanished_is_given_up_for_a_new_one() {
    // The server cannot know either that the peer is gone.
    let server =
        Server::start_with(ServerOptions { drain_time_max: Duration::from_millis(300), ..ServerOptions::default() }).await;
    let proxy = Proxy::start(server.address, 10).await;
    let options = ClientOptions {
        keepalive_interval: Duration::from_millis(200),
        keepalive_timeout: Duration::from_millis(300),
        ..ClientOptions::default()
    };
    let client = proxy.client_with(options);
    let mut watch = client.watch(WatchRequest { after_revision: Some(0), ..Default::default() }).await.expect("a watch");
    next(&mut watch).await;
    proxy.bury();
    let revision = server.commit(&support::event("e", "")).await.revision;
    assert_eq!(tokio::time::timeout(Duration::from_secs(8), commit(&mut watch)).await, Ok(revision));
    assert_eq!(proxy.connections(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_permanent_error_ends_a_watch_at_once_and_so_does_another_store() {
    let server = Server::start().await;
    server.commit(&support::event("e", "")).await;
    let proxy = Proxy::start(server.address, 9).await;
    let client = proxy.client();
    let ahead = WatchRequest { after_revision: Some(2), ..Default::default() };
    let error = client.watch(ahead).await.expect_err("refused");
    assert_eq!((error.code(), error.reason_name()), (Code::OutOfRange, "REVISION_IN_FUTURE"));

    let mut watch = client.watch(WatchRequest { after_revision: Some(0), ..Default::default() }).await.expect("a watch");
    assert_eq!(commit(&mut watch).await, 1);
    let other = Server::start().await;
    other.commit(&support::event("other", "")).await;
    proxy.lead_to(other.address);
    proxy.cut_all();
    let error = watch.message().await.expect_err("another store");
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert!(watch.message().await.expect("no further error").is_none(), "an error ends it");
    server.stop().await;
    other.stop().await;
}
