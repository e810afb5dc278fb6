//! Commit times, and reads as of a time, also when the clock moves backwards.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use annals::{
    engine::memory::MemoryEngine,
    model::RecordKind,
    proto::GetRecordRequest,
    store::{Clock, Store, StoreOptions},
};

use crate::support::{commit, event, reason};

#[derive(Debug)]
struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

const START: i64 = 1_700_000_000_000_000;

fn store_at(engine: &MemoryEngine, clock: &Arc<Stepped>) -> Store {
    let store =
        Store::start(engine.clone(), StoreOptions { clock: Arc::clone(clock) as Arc<dyn Clock>, ..StoreOptions::default() })
            .unwrap();
    store.wait_until_serving().unwrap();
    store
}

fn micros(time: prost_types::Timestamp) -> i64 {
    time.seconds * 1_000_000 + i64::from(time.nanos) / 1000
}

fn read_at(store: &Store, time_us: i64) -> Result<bytes::Bytes, annals::store::StoreError> {
    let as_of_time =
        prost_types::Timestamp { seconds: time_us / 1_000_000, nanos: i32::try_from(time_us % 1_000_000 * 1000).unwrap() };
    store.get_encoded(
        RecordKind::Event,
        &GetRecordRequest { name: "events/e".into(), as_of_time: Some(as_of_time), ..Default::default() },
    )
}

#[test]
fn commit_times_rise_even_when_the_clock_steps_back() {
    let clock = Arc::new(Stepped(AtomicI64::new(START)));
    let store = store_at(&MemoryEngine::new(), &clock);
    let first = micros(commit(&store, &event("a", "")).unwrap().commit_time.unwrap());
    assert_eq!(first, START);
    clock.0.store(START - 5_000_000, Ordering::Relaxed);
    assert_eq!(micros(commit(&store, &event("b", "")).unwrap().commit_time.unwrap()), START + 1);
}

#[test]
fn an_answer_as_of_a_time_never_changes_not_even_after_a_restart() {
    let clock = Arc::new(Stepped(AtomicI64::new(START)));
    let engine = MemoryEngine::new();
    let store = store_at(&engine, &clock);
    assert_eq!(reason(read_at(&store, START)), "RECORD_NOT_FOUND");
    let first = micros(commit(&store, &event("e", "")).unwrap().commit_time.unwrap());
    assert_eq!(first, START + 1, "later than the time that was answered");
    assert!(read_at(&store, first).is_ok());
    assert_eq!(reason(read_at(&store, first - 1)), "RECORD_NOT_FOUND");
    clock.0.store(START + 500_000, Ordering::Relaxed);
    assert!(read_at(&store, START + 400_000).is_ok());
    store.close().unwrap();
    clock.0.store(START - 1_000_000, Ordering::Relaxed);
    let reopened = engine.reopen();
    let store = store_at(&reopened, &clock);
    let later = micros(commit(&store, r#"{"delete": {"name": "events/e"}}"#).unwrap().commit_time.unwrap());
    assert!(later > START + 400_000, "{later}");
    assert!(read_at(&store, START + 400_000).is_ok());
}

#[test]
fn a_time_more_than_a_second_ahead_is_refused_and_one_within_it_is_waited_for() {
    let store = crate::support::store();
    commit(&store, &event("e", "")).unwrap();
    let now_us = annals::store::SystemClock.now_us();
    assert_eq!(reason(read_at(&store, now_us + 60_000_000)), "FIELD_INVALID");
    assert!(read_at(&store, now_us + 300_000).is_ok());
    assert!(annals::store::SystemClock.now_us() >= now_us + 300_000);
    let both = GetRecordRequest {
        name: "events/e".into(),
        as_of_revision: 1,
        as_of_time: Some(prost_types::Timestamp::default()),
        ..Default::default()
    };
    assert_eq!(reason(store.get_encoded(RecordKind::Event, &both)), "FIELD_INVALID");
}

#[test]
fn a_revision_that_does_not_exist_yet_is_refused_with_the_newest() {
    let store = crate::support::store();
    commit(&store, &event("e", "")).unwrap();
    let later = GetRecordRequest { name: "events/e".into(), as_of_revision: 99, ..Default::default() };
    let error = store.get_encoded(RecordKind::Event, &later).unwrap_err();
    assert_eq!(error.to_string(), "revision 99 does not exist yet: the newest is 1");
}

#[test]
fn before_the_first_commit_the_store_is_empty() {
    let store = crate::support::store();
    commit(&store, &event("e", "")).unwrap();
    assert_eq!(reason(read_at(&store, 1_000_000)), "RECORD_NOT_FOUND");
}

#[test]
fn an_id_that_the_server_makes_is_never_one_in_use() {
    // With a clock that does not move, ids are counted up, so the next one is known.
    let clock = Arc::new(Stepped(AtomicI64::new(START)));
    let store = store_at(&MemoryEngine::new(), &clock);
    let made = commit(&store, r#"{"create": {"event": {"title": "first"}}}"#).unwrap().results.remove(0).name;
    let next: ulid::Ulid = made.trim_start_matches("events/").to_uppercase().parse().unwrap();
    let next = next.increment().unwrap().to_string().to_lowercase();
    commit(&store, &event(&next, "")).unwrap();
    let response = commit(&store, r#"{"create": {"event": {"title": "second"}}}"#).unwrap();
    assert_ne!(response.results[0].name, format!("events/{next}"));
    assert_eq!(store.info().unwrap().record_counts[&RecordKind::Event], 3);
}
