//! Unary calls: retried where that is safe, and still applied once each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use annals::{
    client::{Client, ClientOptions, RetryHook},
    proto::{
        Actor, BatchGetRecordsRequest, CommitRequest, Event, GetRecordRequest, ListRecordsRequest, Mutation, record::Record,
    },
    rpc,
};
use tonic::Code;

use super::{proxy::Proxy, server::Server, support};

fn event(id: &str) -> Event {
    Event { name: format!("events/{id}"), title: id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn commits_whose_connections_are_cut_are_made_once_each() {
    const COMMITS: usize = 300;
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 1).await;
    // A handshake takes about 300 bytes. Some cuts are in the handshake, some between a request and its answer.
    proxy.cut_within(3000, 60);
    let client = proxy.client();
    for number in 0..COMMITS {
        // Every second request has no id, so the client sets one.
        let id = if number % 2 == 0 { format!("r{number}") } else { String::new() };
        let request = CommitRequest::of(id, [Mutation::create(Event { title: "an event".into(), ..Default::default() })]);
        let answer = client.commit(request).await.expect("committed");
        assert_eq!(answer.revision, i64::try_from(number).expect("small") + 1, "made once");
    }
    assert!(proxy.cuts() >= 30, "{}", proxy.cuts());
    assert_eq!(server.store.info().expect("info").head_revision.cast_unsigned(), COMMITS as u64);
    server.stop().await;
}

#[tokio::test]
async fn a_list_over_many_pages_survives_cuts_and_is_whole() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 2).await;
    let names: Vec<_> = (0..500).map(|number| format!("e{number:03}")).collect();
    server.commit_request(CommitRequest::of("all", names.iter().map(|name| Mutation::create(event(name))))).await;
    proxy.cut_within(6000, 20);
    let client = proxy.client();
    let mut list = client.list::<Event>(ListRecordsRequest { page_size: 7, ..Default::default() });
    let mut listed = Vec::new();
    while let Some(event) = list.message().await.expect("no error") {
        listed.push(event.title);
    }
    assert_eq!(listed, names);
    assert!(proxy.cuts() >= 3, "{}", proxy.cuts());
    server.stop().await;
}

#[tokio::test]
async fn every_reading_call_answers_in_its_type() {
    let store = support::store();
    let client = Client::over(rpc::in_process(store).await.expect("a channel"));
    let nis = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
    client.commit(CommitRequest::of("r1", [Mutation::create(nis), Mutation::create(event("a"))])).await.expect("committed");
    let renamed =
        Actor { name: "actors/nis".into(), display_name: "National Intelligence Service".into(), ..Default::default() };
    client.commit(CommitRequest::of("r2", [Mutation::update(renamed)])).await.expect("committed");

    assert_eq!(client.get::<Event>("events/a").await.expect("there").title, "a");
    assert_eq!(client.get_at::<Actor>("actors/nis", 1).await.expect("there").display_name, "NIS");
    let request = GetRecordRequest { name: "actors/nis".into(), ..Default::default() };
    assert_eq!(client.get_with::<Actor>(&request).await.expect("there").revision, 2);
    let mut history = client.history("actors/nis");
    let mut revisions = Vec::new();
    while let Some(change) = history.message().await.expect("no error") {
        revisions.push(change.revision);
    }
    assert_eq!(revisions, [2, 1]);
    assert_eq!(client.get_commit(1).await.expect("there").changes.len(), 2);
    assert_eq!(client.info().await.expect("info").head_revision, 2);
    let wrong = client.get::<Event>("actors/nis").await.expect_err("another type");
    assert_eq!(wrong.reason_name(), "FIELD_INVALID");
}

#[tokio::test]
async fn a_batch_that_does_not_fit_into_one_answer_comes_whole_in_the_order_asked_and_from_one_revision() {
    let store = support::store();
    let client = Client::over(rpc::in_process(store).await.expect("a channel"));
    let names: Vec<_> = (0..40).map(|number| format!("events/e{number:02}")).collect();
    for name in &names {
        let description = "x".repeat(60 << 10);
        let metrics = (0..3).map(|number| (format!("k{number}"), description.clone()));
        let annotations = metrics.map(|(key, text)| (key, text[..8 << 10].to_owned())).collect();
        let event = Event { name: name.clone(), title: "t".into(), description, annotations, ..Default::default() };
        client.commit(CommitRequest::of("", [Mutation::create(event)])).await.expect("committed");
    }
    let mut asked: Vec<_> = names.iter().rev().cloned().collect();
    // Seven times as much, so that it takes several answers.
    asked.extend((0..6).flat_map(|_| names.clone()));
    asked.push("events/none".into());
    let request = BatchGetRecordsRequest { names: asked.clone(), allow_missing: true, ..Default::default() };
    let batch = client.batch_get(request).await.expect("all of them");
    let got: Vec<_> = batch
        .records
        .iter()
        .filter_map(|record| match &record.record {
            Some(Record::Event(event)) => Some(event.name.clone()),
            _ => None,
        })
        .collect();
    asked.pop();
    assert_eq!(got, asked);
    assert_eq!((batch.missing.as_slice(), batch.not_returned.len(), batch.revision), (&["events/none".to_owned()][..], 0, 40));
}

#[tokio::test]
async fn an_unavailable_server_is_retried_until_the_time_is_up_and_permanent_errors_are_not_retried() {
    let tries = Arc::new(AtomicUsize::new(0));
    let options = || {
        let tries = Arc::clone(&tries);
        ClientOptions {
            call_time_max: Duration::from_secs(2),
            on_retry: Some(RetryHook::new(move |_, _| {
                tries.fetch_add(1, Relaxed);
            })),
            ..ClientOptions::default()
        }
    };
    let began = Instant::now();
    let error = options().connect_lazy("http://127.0.0.1:1").expect("an address").info().await.expect_err("nobody there");
    assert_eq!((error.code(), error.reason(), error.is_transient()), (Code::Unavailable, None, true));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let before = tries.load(Relaxed);
    assert!(before >= 2, "{before}");

    let error = options().connect("http://127.0.0.1:1").await.expect_err("nobody there");
    assert_eq!(error.code(), Code::Unavailable);
    let error = options().connect("no address").await.expect_err("no address");
    assert_eq!(error.code(), Code::InvalidArgument);

    let channel = rpc::in_process(support::store()).await.expect("a channel");
    let error = options().over(channel).get::<Event>("events/none").await.expect_err("not there");
    assert_eq!((error.code(), tries.load(Relaxed)), (Code::NotFound, before));
}

#[tokio::test]
async fn a_call_without_an_answer_times_out() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, 3).await;
    let options = ClientOptions {
        call_time_max: Duration::from_secs(1),
        try_time_max: Duration::from_millis(300),
        ..ClientOptions::default()
    };
    let client = proxy.client_with(options);
    proxy.silence(true);
    let began = Instant::now();
    let error = client.info().await.expect_err("no answer");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    proxy.silence(false);
    proxy.cut_all();
    client.info().await.expect("it speaks again");
    server.stop().await;
}
