//! Watch: ordered, atomic, complete, once, resumable; filters with transitions; initial state; its end.

use std::{collections::BTreeMap, time::Duration};

use annals::proto::{
    Checkpoint, Commit, ListRecordsRequest, RecordType, Transition, WatchRequest, WatchResponse, record::Record,
    watch_response::Content,
};
use tonic::{Code, Status, Streaming};

use super::{
    server::{Client, Server, metadata, reason},
    support,
};

/// How long a message may take that is due immediately.
const AT_ONCE: Duration = Duration::from_secs(20);

async fn watch(client: &mut Client, request: WatchRequest) -> Streaming<WatchResponse> {
    client.watch(request).await.expect("a watch").into_inner()
}

async fn next(stream: &mut Streaming<WatchResponse>) -> Result<Option<WatchResponse>, Status> {
    tokio::time::timeout(AT_ONCE, stream.message()).await.expect("a message in time")
}

async fn checkpoint(stream: &mut Streaming<WatchResponse>) -> (i64, Checkpoint) {
    let message = next(stream).await.expect("no error").expect("a message");
    match message.content {
        Some(Content::Checkpoint(checkpoint)) => (message.revision, checkpoint),
        other => panic!("not a checkpoint: {other:?}"),
    }
}

async fn commit(stream: &mut Streaming<WatchResponse>) -> Commit {
    let message = next(stream).await.expect("no error").expect("a message");
    match message.content {
        Some(Content::Commit(commit)) => {
            assert_eq!(message.revision, commit.revision);
            commit
        }
        other => panic!("not a commit: {other:?}"),
    }
}

/// Everything until the stream ends by itself.
async fn rest(stream: &mut Streaming<WatchResponse>) -> Vec<WatchResponse> {
    let mut messages = Vec::new();
    while let Some(message) = next(stream).await.expect("no error") {
        messages.push(message);
    }
    messages
}

fn changes(commit: &Commit) -> Vec<(&str, Transition)> {
    commit.changes.iter().map(|change| (change.name.as_str(), change.transition())).collect()
}

#[tokio::test]
async fn every_commit_after_a_revision_comes_in_order_whole_and_as_get_commit_has_it() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for number in 1..=5 {
        server.commit(&support::event(&format!("e{number}"), "")).await;
    }
    let mut stream = watch(&mut client, WatchRequest { after_revision: Some(2), ..Default::default() }).await;
    let (revision, opened) = checkpoint(&mut stream).await;
    assert_eq!((revision, opened.opened, opened.head_revision), (2, true, 5));
    for revision in 3..=5 {
        assert_eq!(commit(&mut stream).await, server.store.get_commit(revision).expect("a commit"));
    }
    let response = server.commit(&[support::actor("a"), support::actor("b")].join(",")).await;
    let live = commit(&mut stream).await;
    assert_eq!((live.revision, changes(&live).len()), (response.revision, 2), "one commit is one message");
    server.stop().await;
}

#[tokio::test]
async fn a_watch_from_now_sees_new_commits_and_a_quiet_one_advances_its_revision() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.commit(&support::event("e1", "")).await;
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request = WatchRequest {
        types: vec![RecordType::Actor.into()],
        filter: r#"display_name = "nobody""#.into(),
        heartbeat_interval,
        ..Default::default()
    };
    let mut stream = watch(&mut client, request).await;
    assert_eq!(checkpoint(&mut stream).await.0, 1);
    server.commit(&support::actor("a")).await;
    let (revision, beat) = checkpoint(&mut stream).await;
    assert_eq!((revision, beat.opened, beat.head_revision), (2, false, 2), "nothing matched, and the revision moved");
    server.stop().await;
}

#[tokio::test]
async fn a_filter_says_what_entered_stayed_and_left() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = WatchRequest {
        after_revision: Some(0),
        types: vec![RecordType::Event.into()],
        filter: r#"labels:"x:1""#.into(),
        ..Default::default()
    };
    let mut stream = watch(&mut client, request).await;
    checkpoint(&mut stream).await;
    let update = |labels: &str, title: &str| {
        let record = format!(r#"{{"event": {{"name": "events/e", "title": "{title}", "labels": [{labels}]}}}}"#);
        format!(r#"{{"update": {{"record": {record}, "update_fields": ["labels", "title"]}}}}"#)
    };
    for mutations in [
        support::event("e", ""),
        support::actor("a"),
        update(r#""x:1""#, "one"),
        update(r#""x:1""#, "two"),
        update("", "three"),
        update(r#""x:1""#, "four"),
        r#"{"delete": {"name": "events/e"}}"#.to_owned(),
        r#"{"undelete": {"name": "events/e"}}"#.to_owned(),
    ] {
        server.commit(&mutations).await;
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        let commit = commit(&mut stream).await;
        seen.push((commit.revision, commit.changes[0].transition()));
    }
    let (entered, stayed, left) = (Transition::Entered, Transition::Stayed, Transition::Left);
    assert_eq!(seen, [(3, entered), (4, stayed), (5, left), (6, entered), (7, left), (8, entered)]);
    server.stop().await;
}

#[tokio::test]
async fn a_merge_leaves_and_types_select_changes_within_a_commit() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.commit(&[support::actor("a"), support::actor("b"), support::event("e", "")].join(",")).await;
    server.commit(r#"{"merge": {"name": "actors/a", "into": "actors/b"}}"#).await;
    let request = |filter: &str| WatchRequest {
        after_revision: Some(0),
        types: vec![RecordType::Actor.into()],
        filter: filter.into(),
        stop_at_head: true,
        ..Default::default()
    };
    let mut stream = watch(&mut client, request("")).await;
    checkpoint(&mut stream).await;
    assert_eq!(commit(&mut stream).await.changes.len(), 2, "the event is not shown");
    assert_eq!(changes(&commit(&mut stream).await).len(), 2);
    assert!(next(&mut stream).await.expect("no error").is_none(), "it ends at the head");
    let mut stream = watch(&mut client, request("display_name:*")).await;
    checkpoint(&mut stream).await;
    commit(&mut stream).await;
    let merged = commit(&mut stream).await;
    assert_eq!(changes(&merged), [("actors/a", Transition::Left), ("actors/b", Transition::Stayed)]);
    server.stop().await;
}

#[tokio::test]
async fn initial_state_and_later_changes_make_the_list_of_any_later_revision() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let types = vec![RecordType::Event.into()];
    let filter = r#"labels:"x:1""#;
    for number in 0..1200 {
        let label = if number % 3 == 0 { r#", "labels": ["x:1"]"# } else { "" };
        server.commit(&support::event(&format!("e{number}"), label)).await;
    }
    let request = WatchRequest { types, filter: filter.into(), initial_state: true, ..Default::default() };
    let mut stream = watch(&mut client, request).await;
    let (revision, opened) = checkpoint(&mut stream).await;
    assert_eq!((revision, opened.opened), (0, true));
    let mut set = BTreeMap::new();
    let at = loop {
        let message = next(&mut stream).await.expect("no error").expect("a message");
        match message.content {
            Some(Content::Initial(batch)) => {
                assert_eq!(message.revision, 0, "a stored 0 means: start again");
                for record in batch.records {
                    let Some(Record::Event(event)) = record.record else { panic!("not an event") };
                    set.insert(event.name.clone(), event);
                }
            }
            Some(Content::Checkpoint(checkpoint)) => {
                assert!(checkpoint.initial_state_complete);
                break message.revision;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((at, set.len()), (1200, 400));
    for (number, mutation) in [
        r#"{"update": {"record": {"event": {"name": "events/e3"}}, "update_fields": ["labels"]}}"#,
        r#"{"update": {"record": {"event": {"name": "events/e4", "labels": ["x:1"]}}}}"#,
        r#"{"delete": {"name": "events/e6"}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let response = server.commit(mutation).await;
        let commit = commit(&mut stream).await;
        assert_eq!(commit.revision, response.revision, "{number}");
        for change in commit.changes {
            let Some(Record::Event(event)) = change.record.and_then(|record| record.record) else { panic!("not an event") };
            match Transition::try_from(change.transition).expect("known") {
                Transition::Left => drop(set.remove(&event.name)),
                _ => drop(set.insert(event.name.clone(), event)),
            }
        }
        let list = all_events(&server, filter, response.revision);
        assert_eq!(set, list);
    }
    server.stop().await;
}

fn all_events(server: &Server, filter: &str, revision: i64) -> BTreeMap<String, annals::proto::Event> {
    let mut events = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListRecordsRequest {
            filter: filter.into(),
            page_size: 1000,
            page_token,
            as_of_revision: revision,
            ..Default::default()
        };
        let page = server.store.list::<annals::proto::Event>(&request).expect("a page");
        events.extend(page.records.into_iter().map(|event| (event.name.clone(), event)));
        if page.next_page_token.is_empty() {
            return events;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_cut_and_resumed_under_load_get_every_commit_once_and_in_order() {
    const COMMITS: i64 = 300;
    let server = Server::start().await;
    let writer = {
        let store = server.store.clone();
        tokio::task::spawn_blocking(move || {
            for number in 0..COMMITS {
                support::commit(&store, &support::event(&format!("e{number}"), "")).expect("committed");
            }
        })
    };
    let mut watchers = tokio::task::JoinSet::new();
    for seed in 0..30 {
        let mut client = server.client().await;
        watchers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut seen = Vec::new();
            let mut after = 0;
            while after < COMMITS {
                let mut stream = watch(&mut client, WatchRequest { after_revision: Some(after), ..Default::default() }).await;
                checkpoint(&mut stream).await;
                for _ in 0..random.usize(1..40) {
                    if after == COMMITS {
                        break;
                    }
                    let commit = commit(&mut stream).await;
                    after = commit.revision;
                    seen.push(after);
                }
            }
            assert_eq!(seen, (1..=COMMITS).collect::<Vec<_>>(), "seed {seed}");
        });
    }
    while let Some(watcher) = watchers.join_next().await {
        watcher.expect("what it saw is right");
    }
    writer.await.expect("joined");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_reported_at_once() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.commit(&support::event("e", "")).await;
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let cases = [
        (WatchRequest { after_revision: Some(2), ..Default::default() }, Code::OutOfRange, "REVISION_IN_FUTURE"),
        (WatchRequest { after_revision: Some(-1), ..Default::default() }, Code::InvalidArgument, "FIELD_INVALID"),
        (
            WatchRequest { after_revision: Some(0), initial_state: true, ..Default::default() },
            Code::InvalidArgument,
            "FIELD_INVALID",
        ),
        (WatchRequest { filter: "title:*".into(), ..Default::default() }, Code::InvalidArgument, "FIELD_INVALID"),
        (WatchRequest { filter: "x".into(), types: vec![3], ..Default::default() }, Code::InvalidArgument, "FILTER_INVALID"),
        (WatchRequest { types: vec![99], ..Default::default() }, Code::InvalidArgument, "FIELD_INVALID"),
        (WatchRequest { heartbeat_interval: seconds(0), ..Default::default() }, Code::InvalidArgument, "FIELD_INVALID"),
        (WatchRequest { heartbeat_interval: seconds(301), ..Default::default() }, Code::InvalidArgument, "FIELD_INVALID"),
    ];
    for (request, code, expected) in cases {
        let status = client.watch(request.clone()).await.expect_err("refused");
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{request:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn one_watch_too_many_is_refused_until_one_ends() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut open = Vec::new();
    for _ in 0..server.store.limits().watches_caller {
        open.push(watch(&mut client, WatchRequest::default()).await);
    }
    let status = client.watch(WatchRequest::default()).await.expect_err("one too many");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY_WATCHES"));
    assert_eq!(metadata(&status, "limit"), "watches.caller");
    let mut other = server.client().await;
    watch(&mut other, WatchRequest::default()).await;
    drop(open.pop());
    loop {
        match client.watch(WatchRequest::default()).await {
            Ok(_) => break,
            Err(status) => assert_eq!(reason(&status), "TOO_MANY_WATCHES"),
        }
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stop_is_a_last_checkpoint_and_then_a_status_that_says_so() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    let mut stream = watch(&mut client, WatchRequest { after_revision: Some(0), ..Default::default() }).await;
    checkpoint(&mut stream).await;
    server.commit(&support::event("e", "")).await;
    commit(&mut stream).await;
    server.tell_to_stop();
    assert_eq!(checkpoint(&mut stream).await.0, 1);
    let status = next(&mut stream).await.expect_err("an end");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    server.stopped().await;
}

#[tokio::test]
async fn a_watch_that_stops_at_the_head_tells_how_far_it_came() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.commit(&support::event("e", "")).await;
    server.commit(&support::actor("a")).await;
    let types = vec![RecordType::Event.into()];
    let mut stream =
        watch(&mut client, WatchRequest { after_revision: Some(0), types, stop_at_head: true, ..Default::default() }).await;
    let revisions: Vec<_> = rest(&mut stream).await.into_iter().map(|message| message.revision).collect();
    assert_eq!(revisions, [0, 1, 2]);
    server.stop().await;
}
