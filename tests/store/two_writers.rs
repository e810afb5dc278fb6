//! Two stores on one log: each commits, both see every commit, and none is lost, doubled or refused without cause, whatever
//! the log answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    engine::{Engine, LogEntry, LogSequence, ScanDirection, memory::MemoryState},
    model::RecordKind,
    proto::{Actor, CommitRequest, CommitResponse, GetRecordRequest},
    store::{Clock, Store, StoreErrorKind, StoreHealth, StoreOptions},
};
use bytes::Bytes;
use prost::Message as _;

use crate::{
    shared_log::{Fate, SharedLog},
    support::{actor, get, reason, request, store_on},
};

/// Two stores on a new log, and their engines.
fn two_stores(log: &SharedLog) -> ([Store; 2], [Engine; 2]) {
    let engines = [log.engine(), log.another().engine()];
    (engines.clone().map(store_on), engines)
}

fn update(id: &str, text: &str, if_revision: i64) -> String {
    format!(
        r#"{{"update": {{"record": {{"actor": {{"name": "actors/{id}", "display_name": "{text}"}}}}, "if_revision": "{if_revision}"}}}}"#
    )
}

/// Waits until a store has every revision up to one.
fn wait_for(store: &Store, revision: i64) {
    let until = Instant::now() + Duration::from_secs(20);
    while store.info().map_or(0, |info| info.head_revision) < revision {
        assert!(Instant::now() < until, "revision {revision} does not arrive: {:?}", store.info());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn keys(engine: &Engine) -> Vec<(Bytes, Bytes)> {
    engine.state.scan((Bound::Unbounded, Bound::Unbounded), ScanDirection::Forward, usize::MAX).unwrap()
}

fn assert_sound(engine: &Engine) {
    let mut found = Vec::new();
    annals::store::verify(engine, &MemoryState::default(), &mut |found_one| found.push(found_one.to_string())).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// Sends a request until it is answered otherwise than by "not now".
fn insist(store: &Store, request: &CommitRequest) -> annals::store::Result<CommitResponse> {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        match store.commit(request.clone()) {
            Err(error) if error.kind == StoreErrorKind::Unavailable => {
                assert!(Instant::now() < until, "{error}");
                assert_ne!(error.reason.as_str_name(), "ERROR_REASON_STORE_POISONED");
            }
            outcome => return outcome,
        }
    }
}

fn get_at(store: &Store, time_us: i64) -> annals::store::Result<i64> {
    let as_of_time =
        prost_types::Timestamp { seconds: time_us / 1_000_000, nanos: i32::try_from(time_us % 1_000_000 * 1000).unwrap() };
    let request = GetRecordRequest { name: "actors/counter".into(), as_of_time: Some(as_of_time), ..Default::default() };
    store.get_encoded(RecordKind::Actor, &request).map(|record| Actor::decode(record).unwrap().revision)
}

fn now_us() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// What the threads of a run have been told.
#[derive(Default)]
struct Told {
    /// Every answer by request id.
    answers: Mutex<Vec<(String, CommitResponse)>>,
    /// Requests that were refused, under ids that no other thread used.
    refused: Mutex<BTreeSet<String>>,
    counted: AtomicU64,
    /// Times that were read at, and the revision of the counter then.
    times: Mutex<Vec<(i64, i64)>>,
}

impl Told {
    fn answered(&self, id: &str, response: CommitResponse) {
        self.answers.lock().unwrap().push((id.to_owned(), response));
    }

    /// One thread's requests: some that every thread sends, and some that count, each from what it has read.
    fn run(&self, store: &Store, thread: usize, rounds: usize) {
        for round in 0..rounds {
            let shared = format!("shared-{round}");
            let response = insist(store, &request(&shared, &actor(&shared)));
            self.answered(&shared, response.expect("a request that was committed is never refused"));

            let counter: Actor = get(store, "actors/counter").unwrap();
            let next = counter.display_name.parse::<u64>().unwrap() + 1;
            let id = format!("count-{thread}-{round}");
            match insist(store, &request(&id, &update("counter", &next.to_string(), counter.revision))) {
                Ok(response) => {
                    self.counted.fetch_add(1, Ordering::SeqCst);
                    self.answered(&id, response);
                }
                Err(error) => {
                    assert_eq!(error.reason.as_str_name(), "ERROR_REASON_REVISION_MISMATCH", "{error}");
                    self.refused.lock().unwrap().insert(id);
                }
            }
            let time_us = now_us();
            if let Ok(revision) = get_at(store, time_us) {
                self.times.lock().unwrap().push((time_us, revision));
            }
        }
    }
}

/// Concurrent commits through two stores, while so many of a thousand calls on the log fail.
fn run_two_writers(faults: u64, rounds: usize) {
    let seed = std::env::var("ANNALS_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("seed {seed}: run it again with ANNALS_SEED={seed}");
    let log = SharedLog::new(seed);
    let (stores, engines) = two_stores(&log);
    let counter = r#"{"create": {"actor": {"name": "actors/counter", "display_name": "0"}}}"#;
    let first = stores[0].commit(request("counter", counter)).unwrap();
    wait_for(&stores[1], 1);

    log.fail(faults);
    let told = Told::default();
    told.answered("counter", first);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (told, store) = (&told, &stores[thread % 2]);
            scope.spawn(move || told.run(store, thread, rounds));
        }
    });
    log.fail(0);

    let entries = log.entries();
    let head = entries.last().unwrap().revision;
    for store in &stores {
        wait_for(store, head);
    }
    let by_id = check_log(&stores[0], &entries, head);
    let answers = told.answers.into_inner().unwrap();
    let mut originals: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, response) in &answers {
        assert_eq!(by_id.get(id), Some(&response.revision), "{id} was answered and is not in the log");
        *originals.entry(id).or_default() += usize::from(!response.replayed);
    }
    assert!(originals.iter().all(|(_, count)| *count <= 1), "committed twice: {originals:?}");
    let named: BTreeSet<&String> = answers.iter().map(|(id, _)| id).collect();
    assert!(by_id.keys().all(|id| named.contains(id)), "the log holds what nobody was told");
    for id in told.refused.into_inner().unwrap() {
        assert!(!by_id.contains_key(&id), "{id} was refused and is in the log");
    }

    for store in &stores {
        let counter: Actor = get(store, "actors/counter").unwrap();
        assert_eq!(counter.display_name, told.counted.load(Ordering::SeqCst).to_string(), "an update was lost");
        for (time_us, revision) in told.times.lock().unwrap().iter() {
            assert_eq!(get_at(store, *time_us).unwrap(), *revision, "an answer as of a time has changed");
        }
        assert_eq!(store.health(), StoreHealth::Serving);
    }
    let replayed = log.another().engine();
    let store = store_on(replayed.clone());
    assert_eq!(store.info().unwrap(), stores[0].info().unwrap());
    for engine in &engines {
        // What was asked as of a time may have added a bound that the other store is about to replay.
        settle(engine, &log);
        assert_sound(engine);
    }
    settle(&replayed, &log);
    assert!(keys(&engines[0]) == keys(&engines[1]), "the states differ");
    assert!(keys(&engines[0]) == keys(&replayed), "a replay differs");
    eprintln!("{} entries, {} answers", entries.len(), answers.len());
}

/// Waits until a state holds all of the log: its meta value names the last entry.
fn settle(engine: &Engine, log: &SharedLog) {
    let scratch = MemoryState::default();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut differs = false;
        annals::store::verify(engine, &scratch, &mut |_| differs = true).unwrap();
        if !differs {
            return;
        }
        assert!(Instant::now() < until, "{} entries are not replayed", log.entries().len());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Revisions have no gaps, commit times rise, and no request is there twice. Gives the revision of each request.
fn check_log(store: &Store, entries: &[LogEntry], head: i64) -> BTreeMap<String, i64> {
    for (entry, sequence) in entries.iter().zip(1..) {
        assert_eq!(entry.sequence, LogSequence(sequence));
    }
    let mut by_id = BTreeMap::new();
    let mut last = None;
    for revision in 1..=head {
        let commit = store.get_commit(revision).unwrap();
        assert_eq!(commit.revision, revision);
        let time = commit.commit_time.map(|time| (time.seconds, time.nanos));
        assert!(time > last, "revision {revision} is not later than the one before");
        last = time;
        let before = by_id.insert(commit.request_id.clone(), revision);
        assert_eq!(before, None, "{} was committed twice", commit.request_id);
    }
    by_id
}

#[test]
fn two_stores_that_write_one_log_lose_and_double_nothing() {
    run_two_writers(0, 60);
}

#[test]
fn nor_do_they_where_the_log_fails_and_does_not_say_what_it_did() {
    run_two_writers(150, 60);
}

#[test]
fn an_idle_store_learns_of_a_commit_by_the_signal() {
    let (stores, _) = two_stores(&SharedLog::new(1));
    stores[0].commit(request("1", &actor("a"))).unwrap();
    wait_for(&stores[1], 1);
    assert_eq!(get::<Actor>(&stores[1], "actors/a").unwrap().display_name, "a");
    stores[1].commit(request("2", &actor("b"))).unwrap();
    wait_for(&stores[0], 2);
}

#[test]
fn a_request_that_the_other_store_committed_is_answered_from_its_receipt() {
    let log = SharedLog::new(1);
    let (stores, _) = two_stores(&log);
    let first = stores[0].commit(request("1", &actor("a"))).unwrap();
    let again = stores[1].commit(request("1", &actor("a"))).unwrap();
    assert_eq!(again, CommitResponse { replayed: true, ..first });
    assert_eq!(reason(stores[1].commit(request("1", &actor("b")))), "REQUEST_ID_REUSED");
    assert_eq!(reason(stores[1].commit(request("2", &actor("a")))), "NAME_TAKEN");
    assert_eq!(log.entries().last().unwrap().revision, 1);
}

#[test]
fn a_store_that_is_behind_refuses_nothing_that_the_log_has_accepted() {
    let log = SharedLog::new(1);
    let (stores, _) = two_stores(&log);
    log.silence();
    stores[0].commit(request("1", &actor("a"))).unwrap();
    let first = stores[0].commit(request("2", &update("a", "b", 1))).unwrap();
    // The other store has not seen the record that the request updates.
    let again = stores[1].commit(request("2", &update("a", "b", 1))).unwrap();
    assert_eq!(again, CommitResponse { replayed: true, ..first });
}

/// A clock that stands still.
#[derive(Debug)]
struct Still(i64);

impl Clock for Still {
    fn now_us(&self) -> i64 {
        self.0
    }
}

#[test]
fn a_time_that_one_store_has_answered_is_before_every_later_commit_of_the_other() {
    const NOW: i64 = 1_700_000_000_000_000;
    let log = SharedLog::new(1);
    let [ahead, late] = [NOW, NOW - 5_000_000].map(|now_us| {
        let options = StoreOptions { clock: Arc::new(Still(now_us)), ..StoreOptions::default() };
        let store = Store::start(log.another().engine(), options).unwrap();
        store.wait_until_serving().unwrap();
        store
    });
    log.silence();
    ahead.commit(request("1", r#"{"create": {"actor": {"name": "actors/counter", "display_name": "0"}}}"#)).unwrap();
    let promised = NOW + 500_000;
    let store =
        Store::start(log.another().engine(), StoreOptions { clock: Arc::new(Still(promised)), ..StoreOptions::default() })
            .unwrap();
    store.wait_until_serving().unwrap();
    assert_eq!(get_at(&store, promised).unwrap(), 1);
    let later = late.commit(request("2", &update("counter", "1", 1))).unwrap().commit_time.unwrap();
    assert!(later.seconds * 1_000_000 + i64::from(later.nanos) / 1000 > promised, "{later:?}");
    assert_eq!(late.commit(request("3", &update("counter", "2", 2))).unwrap().revision, 3);
    assert_eq!(get_at(&store, promised).unwrap(), 1, "an answer as of a time has changed");
}

#[test]
fn what_became_of_an_append_is_found_out_before_it_is_answered() {
    let log = SharedLog::new(1);
    let (stores, _) = two_stores(&log);
    for (number, fates) in [
        &[Fate::Lost][..],
        &[Fate::Unanswered],
        &[Fate::Late],
        &[Fate::Unanswered, Fate::Unavailable, Fate::Full, Fate::Lost],
        &[Fate::Late, Fate::Unavailable, Fate::Lost, Fate::Late],
        &[Fate::Unanswered, Fate::Unanswered],
    ]
    .into_iter()
    .enumerate()
    {
        log.script(fates.iter().copied());
        let id = format!("r{number}");
        let answer = stores[number % 2].commit(request(&id, &actor(&id))).unwrap();
        assert!(!answer.replayed, "{fates:?}: it is the first answer");
        assert_eq!(answer.revision, i64::try_from(number).unwrap() + 1, "{fates:?}");
        assert_eq!(log.entries().last().unwrap().revision, answer.revision, "{fates:?}");
    }
}

#[test]
fn transient_failures_of_the_log_refuse_a_commit_and_poison_nothing() {
    let log = SharedLog::new(1);
    let store = store_on(log.engine());
    for fate in [Fate::Unavailable, Fate::Full] {
        log.script([fate]);
        let refused = store.commit(request("1", &actor("a"))).unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Unavailable, "{fate:?}: {refused}");
        assert_eq!(store.health(), StoreHealth::Serving, "{fate:?}");
    }
    assert_eq!(store.commit(request("1", &actor("a"))).unwrap().revision, 1);
}

#[test]
fn a_failed_sync_refuses_writes_and_reads_go_on() {
    let log = SharedLog::new(1);
    let store = store_on(log.engine());
    store.commit(request("1", &actor("a"))).unwrap();
    log.script([Fate::Failed]);
    assert_eq!(reason(store.commit(request("2", &actor("b")))), "STORE_POISONED");
    assert!(matches!(store.health(), StoreHealth::ReadOnly(_)), "{:?}", store.health());
    assert_eq!(reason(store.commit(request("3", &actor("c")))), "STORE_POISONED");
    assert!(get::<Actor>(&store, "actors/a").is_ok());
}

#[test]
fn a_store_opens_although_its_log_is_not_there_at_first() {
    let log = SharedLog::new(1);
    log.script([Fate::Unavailable, Fate::Lost, Fate::Unavailable, Fate::Unanswered]);
    log.fail(300);
    let store = store_on(log.engine());
    log.fail(0);
    assert_eq!(log.entries().len(), 1, "founded once");
    assert_eq!(store.commit(request("1", &actor("a"))).unwrap().revision, 1);
}
