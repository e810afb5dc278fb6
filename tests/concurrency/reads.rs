//! Reads beside writes: every connection sees what was answered, no revision is taken back, and a read as of a time always
//! returns the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use annals::{
    proto::{
        BatchGetRecordsRequest, CommitRequest, GetCommitRequest, GetRecordRequest, ListRecordsRequest, Mutation, Update,
        mutation::Op,
    },
    store::{Clock, SystemClock},
};
use fastrand::Rng;
use prost_types::Timestamp;

use crate::{answered, clients, create, durable_server, event, head, rng, server::Client};

const CONNECTIONS: usize = 8;
const WRITES: usize = 60;

fn timestamp(time_us: i64) -> Timestamp {
    let nanos = i32::try_from(time_us.rem_euclid(1_000_000)).expect("less than a second") * 1000;
    Timestamp { seconds: time_us.div_euclid(1_000_000), nanos }
}

fn retitle(name: &str, request_id: &str) -> CommitRequest {
    let update = Update { record: Some(event(name, request_id).into()), ..Default::default() };
    CommitRequest {
        request_id: request_id.into(),
        mutations: vec![Mutation { label: String::new(), op: Some(Op::Update(update)) }],
        ..Default::default()
    }
}

/// Reads in one of several ways and returns the revision of the read.
async fn read_head(client: &mut Client, rng: &mut Rng, name: &str) -> i64 {
    match rng.u32(..3) {
        0 => head(client).await,
        1 => {
            let request = BatchGetRecordsRequest { names: vec![name.into()], ..Default::default() };
            client.batch_get_records(request).await.expect("an answer").into_inner().revision
        }
        _ => {
            let request = ListRecordsRequest { page_size: 2, ..Default::default() };
            client.list_events(request).await.expect("an answer").into_inner().revision
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_seen_on_every_connection_and_heads_never_decrease() {
    let mut rng = rng();
    let (server, _folder) = durable_server().await;
    let connections = clients(&server, CONNECTIONS).await;
    let names: Vec<_> = (0..CONNECTIONS).map(|number| format!("events/e{number}")).collect();
    create(&mut connections[0].clone(), "make", names.iter().map(|name| event(name, "first"))).await;
    // The newest revision that any client has seen.
    let told = Arc::new(AtomicI64::new(1));
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (connections, names, told, mut rng) = (connections.clone(), names.clone(), Arc::clone(&told), rng.fork());
            tokio::spawn(async move {
                let mut writer = connections[number].clone();
                for write in 0..WRITES {
                    let title = format!("t{number}-{write}");
                    let before = told.load(Ordering::SeqCst);
                    let written = answered(&mut writer, &retitle(&names[number], &title)).await.expect("written").revision;
                    assert!(written > before, "a commit that was sent after {before} was answered is {written}");
                    told.fetch_max(written, Ordering::SeqCst);

                    let mut reader = connections[rng.usize(..CONNECTIONS)].clone();
                    let own = GetRecordRequest { name: names[number].clone(), ..Default::default() };
                    let own = reader.get_event(own).await.expect("there").into_inner();
                    assert_eq!((own.title, own.revision), (title, written), "nobody else writes this record");

                    let other = &names[rng.usize(..CONNECTIONS)];
                    let before = told.load(Ordering::SeqCst);
                    let seen = read_head(&mut reader, &mut rng, other).await;
                    assert!(seen >= before, "{seen} after {before}");
                    told.fetch_max(seen, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no failure");
    }
    let all = i64::try_from(1 + CONNECTIONS * WRITES).expect("small");
    assert_eq!(head(&mut connections[0].clone()).await, all);
    server.stop().await;
}

/// The answer for each time.
type Answers = Arc<Mutex<BTreeMap<i64, (i64, Vec<(String, i64)>)>>>;

async fn read_at(client: &mut Client, time_us: i64) -> (i64, Vec<(String, i64)>) {
    let request = ListRecordsRequest { as_of_time: Some(timestamp(time_us)), page_size: 1000, ..Default::default() };
    let page = client.list_events(request).await.expect("an answer").into_inner();
    assert_eq!(page.next_page_token, "");
    (page.revision, page.events.into_iter().map(|event| (event.name, event.revision)).collect())
}

/// Reads repeatedly at times of the last second and slightly ahead.
async fn read_times(mut client: Client, answers: Answers, ended: Arc<AtomicBool>, mut rng: Rng) {
    while !ended.load(Ordering::SeqCst) {
        let now_us = SystemClock.now_us();
        let known = answers.lock().expect("no failure").keys().copied().collect::<Vec<_>>();
        let time_us = match rng.u32(..8) {
            0..3 if !known.is_empty() => known[rng.usize(..known.len())],
            3 => now_us + rng.i64(0..20_000),
            4 => now_us,
            _ => now_us - rng.i64(0..1_000_000),
        };
        let answer = read_at(&mut client, time_us).await;
        let mut answers = answers.lock().expect("no failure");
        let first = answers.entry(time_us).or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "the answer as of {time_us} has changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_as_of_a_time_of_the_last_second_never_changes() {
    let mut rng = rng();
    let (server, _folder) = durable_server().await;
    let connections = clients(&server, 4).await;
    let mut client = connections[0].clone();
    let names: Vec<_> = (0..10).map(|number| format!("events/e{number}")).collect();
    create(&mut client, "make", names.iter().map(|name| event(name, "first"))).await;
    let (answers, ended) = (Answers::default(), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = connections[1..]
        .iter()
        .map(|client| tokio::spawn(read_times(client.clone(), Arc::clone(&answers), Arc::clone(&ended), rng.fork())))
        .collect();
    let started = SystemTime::now();
    let mut writes = 0;
    // Long enough that times read early are a second in the past.
    while started.elapsed().unwrap_or_default() < Duration::from_millis(2_500) || writes < 300 {
        writes += 1;
        let request = retitle(&names[rng.usize(..names.len())], &format!("w{writes}"));
        answered(&mut client, &request).await.expect("written");
    }
    ended.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("no failure");
    }

    let head = head(&mut client).await;
    let mut times = Vec::new();
    for revision in 1..=head {
        let commit = client.get_commit(GetCommitRequest { revision }).await.expect("there").into_inner();
        let time = commit.commit_time.expect("always there");
        times.push(time.seconds * 1_000_000 + i64::from(time.nanos) / 1000);
    }
    assert!(times.is_sorted_by(|a, b| a < b), "commit times rise");
    let answers = answers.lock().expect("no failure").clone();
    println!("{} times, {head} revisions", answers.len());
    assert!(answers.len() > 30);
    for (time_us, answer) in answers {
        let revision = times.iter().take_while(|commit_us| **commit_us <= time_us).count();
        assert_eq!(answer.0, i64::try_from(revision).expect("small"), "as of {time_us}");
        assert_eq!(read_at(&mut client, time_us).await, answer, "as of {time_us}");
    }
    server.stop().await;
}
