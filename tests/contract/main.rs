//! What every log, every state, and every pair of them does, run unchanged against each.
//!
//! A case takes a `Place`, which opens the engine under test as often as the case asks for. What differs between engines is
//! in the places and nowhere else.

use std::{collections::BTreeMap, ops::Bound};

use annals::engine::{
    Engine, EngineError, KeyRange, LogEntry, LogSeek, LogSequence, ScanDirection, StateBatch, StateWrite,
    embedded::{EmbeddedEngine, EmbeddedOptions},
    memory::MemoryEngine,
};
use bytes::Bytes;

use self::shared_log::SharedLog;

mod log;
#[path = "../support/shared_log.rs"]
mod shared_log;
mod state;

/// Where an engine keeps its bytes.
trait Place {
    /// Opens what is there. The engine opened before was closed.
    fn open(&mut self) -> Engine;
}

#[derive(Default)]
struct Memory(MemoryEngine);

impl Place for Memory {
    fn open(&mut self) -> Engine {
        self.0 = self.0.reopen();
        self.0.reopen().into()
    }
}

struct Embedded(tempfile::TempDir);

impl Place for Embedded {
    fn open(&mut self) -> Engine {
        // Small segments, so that every case crosses some.
        let options = EmbeddedOptions { segment_bytes: 16 << 10, cache_bytes: 8 << 20, ..EmbeddedOptions::default() };
        EmbeddedEngine::open(self.0.path(), options).unwrap().into()
    }
}

/// A log that several stores append to; its states are new ones.
struct Shared(SharedLog);

impl Place for Shared {
    fn open(&mut self) -> Engine {
        self.0.another().engine()
    }
}

/// Runs a case on every engine.
fn on_each(case: impl Fn(&mut dyn Place)) {
    on_each_state(case);
}

/// Runs a case on every state, each with a log beside it.
fn on_each_state(case: impl Fn(&mut dyn Place)) {
    for place in [&mut Memory::default() as &mut dyn Place, &mut Embedded(tempfile::tempdir().unwrap())] {
        case(place);
    }
}

/// Runs a case on every log.
fn on_each_log(case: impl Fn(&mut dyn Place)) {
    on_each_state(&case);
    case(&mut Shared(SharedLog::new(1)));
}

fn entry(sequence: u64, revision: i64, time_us: i64, body: impl Into<Bytes>) -> LogEntry {
    LogEntry { sequence: LogSequence(sequence), revision, time_us, body: body.into() }
}

/// Entries whose revision is twice and whose time is ten times their sequence.
fn entries(sequences: impl IntoIterator<Item = u64>) -> Vec<LogEntry> {
    sequences.into_iter().map(|n| entry(n, n.cast_signed() * 2, n.cast_signed() * 10, format!("body {n}"))).collect()
}

fn put(key: impl Into<Vec<u8>>, value: impl Into<Bytes>) -> StateWrite {
    StateWrite::Put(key.into(), value.into())
}

fn batch(stage: Vec<StateWrite>) -> StateBatch {
    StateBatch { stages: vec![stage] }
}

const ALL: KeyRange = (Bound::Unbounded, Bound::Unbounded);

#[test]
fn a_new_engine_is_empty_and_trusted() {
    on_each(|place| {
        let engine = place.open();
        assert_eq!(engine.log.head().unwrap(), LogSequence(0));
        assert_eq!(engine.log.read_after(LogSequence(0), 1000).unwrap(), []);
        assert_eq!(engine.log.seek(LogSeek::BeforeRevision(i64::MAX)).unwrap(), LogSequence(0));
        assert_eq!(engine.log.seek(LogSeek::AtTime(i64::MAX)).unwrap(), LogSequence(0));
        assert_eq!(engine.state.distrust(), None);
        assert_eq!(engine.state.scan(ALL, ScanDirection::Forward, 10).unwrap(), []);
        assert_eq!(engine.state.get(b"k").unwrap(), None);
    });
}

#[test]
fn a_reset_state_is_empty_and_takes_writes_and_the_log_stays() {
    on_each(|place| {
        let engine = place.open();
        engine.log.append(LogSequence(0), &entries([1])).unwrap();
        engine.state.apply(batch(vec![put("a", "1")])).unwrap();
        engine.state.reset().unwrap();
        assert_eq!(engine.state.distrust(), None);
        assert_eq!(engine.state.scan(ALL, ScanDirection::Forward, 10).unwrap(), []);
        engine.state.apply(batch(vec![put("b", "2")])).unwrap();
        engine.close().unwrap();
        drop(engine);
        let engine = place.open();
        assert_eq!(engine.state.distrust(), None);
        assert_eq!(engine.state.scan(ALL, ScanDirection::Forward, 10).unwrap(), [("b".into(), "2".into())]);
        assert_eq!(engine.log.read_after(LogSequence(0), 100).unwrap(), entries([1]));
    });
}

#[test]
fn a_closed_engine_refuses_writes_and_opens_again_as_it_was() {
    on_each(|place| {
        let engine = place.open();
        engine.log.append(LogSequence(0), &entries(1..=5)).unwrap();
        engine.state.apply(batch(vec![put("a", "1")])).unwrap();
        engine.close().unwrap();
        engine.close().unwrap();
        assert!(matches!(engine.log.append(LogSequence(5), &entries([6])), Err(EngineError::Poisoned(_))));
        assert!(matches!(engine.state.apply(batch(vec![put("b", "1")])), Err(EngineError::State(_))));
        assert!(matches!(engine.state.get(b"a"), Err(EngineError::State(_))));
        assert!(matches!(engine.state.scan(ALL, ScanDirection::Forward, 1), Err(EngineError::State(_))));
        assert!(matches!(engine.state.reset(), Err(EngineError::State(_))));
        drop(engine);
        let engine = place.open();
        assert_eq!(engine.log.read_after(LogSequence(0), usize::MAX).unwrap(), entries(1..=5));
        assert_eq!(engine.state.get(b"a").unwrap(), Some("1".into()));
        engine.log.append(LogSequence(5), &entries([6])).unwrap();
    });
}

/// Random operations. Every answer is compared with that of a map and a vector. A failing seed becomes a test with its name.
fn agrees_with_a_model(place: &mut dyn Place, seed: u64, operations: usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut log: Vec<LogEntry> = Vec::new();
    let mut state: BTreeMap<Vec<u8>, Bytes> = BTreeMap::new();
    let mut engine = place.open();
    for operation in 0..operations {
        let at = format!("seed {seed}, operation {operation}");
        match rng.u32(..100) {
            0..25 => {
                let mut last = log.last().map_or((0, 0), |last| (last.revision, last.time_us));
                let group: Vec<_> = (1..=rng.u64(1..8))
                    .map(|n| {
                        last = (last.0 + rng.i64(0..3), last.1 + rng.i64(0..30));
                        let length = if rng.u8(..50) == 0 { rng.usize(..40_000) } else { rng.usize(..300) };
                        entry(log.len() as u64 + n, last.0, last.1, vec![rng.u8(..); length])
                    })
                    .collect();
                engine.log.append(LogSequence(log.len() as u64), &group).expect(&at);
                log.extend(group);
            }
            25..50 => {
                let stages = (0..rng.usize(1..4)).map(|_| random_stage(&mut rng)).collect::<Vec<_>>();
                for write in stages.iter().flatten() {
                    match write.clone() {
                        StateWrite::Put(key, value) => state.insert(key, value),
                        StateWrite::Remove(key) => state.remove(&key),
                    };
                }
                engine.state.apply(StateBatch { stages }).expect(&at);
            }
            50..65 => {
                let key = random_key(&mut rng);
                assert_eq!(engine.state.get(&key).expect(&at), state.get(&key).cloned(), "{at}");
            }
            65..85 => {
                let range = (random_bound(&mut rng), random_bound(&mut rng));
                let limit = if rng.bool() { rng.usize(..20) } else { usize::MAX };
                let inside = |key: &[u8]| {
                    let above = match &range.0 {
                        Bound::Included(low) => key >= &low[..],
                        Bound::Excluded(low) => key > &low[..],
                        Bound::Unbounded => true,
                    };
                    above
                        && match &range.1 {
                            Bound::Included(high) => key <= &high[..],
                            Bound::Excluded(high) => key < &high[..],
                            Bound::Unbounded => true,
                        }
                };
                let mut expected: Vec<_> = state
                    .iter()
                    .filter(|(key, _)| inside(key))
                    .map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()))
                    .collect();
                let direction = if rng.bool() { ScanDirection::Forward } else { ScanDirection::Backward };
                if direction == ScanDirection::Backward {
                    expected.reverse();
                }
                expected.truncate(limit);
                assert!(engine.state.scan(range.clone(), direction, limit).expect(&at) == expected, "{at}");
            }
            85..92 => {
                let after = rng.u64(..log.len() as u64 + 2);
                let read = engine.log.read_after(LogSequence(after), rng.usize(..5000)).expect(&at);
                let expected = log.get(usize::try_from(after).unwrap()..).unwrap_or_default();
                assert!(expected.starts_with(&read) && read.is_empty() == expected.is_empty(), "{at}");
            }
            92..97 => {
                let revision = rng.i64(0..log.last().map_or(3, |last| last.revision + 3));
                let expected = log.iter().filter(|entry| entry.revision < revision).count() as u64;
                assert_eq!(engine.log.seek(LogSeek::BeforeRevision(revision)).expect(&at).0, expected, "{at}");
            }
            97..99 => {
                engine.state.reset().expect(&at);
                state.clear();
            }
            _ => {
                engine.close().expect(&at);
                drop(engine);
                engine = place.open();
                assert_eq!(engine.state.distrust(), None, "{at}");
            }
        }
        assert_eq!(engine.log.head().expect(&at).0, log.len() as u64, "{at}");
    }
    assert!(engine.log.read_after(LogSequence(0), usize::MAX).unwrap() == log, "seed {seed}");
}

/// Keys that are often prefixes of one another, and contain 0x00 and up to three 0xff in a row.
fn random_key(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut key = Vec::new();
    for _ in 0..rng.usize(..7) {
        key.push(*rng.choice([0, 1, 7, 0xfe, 0xff].iter()).unwrap());
        if key.ends_with(&[0xff; 4]) {
            key.pop();
        }
    }
    key
}

fn random_bound(rng: &mut fastrand::Rng) -> Bound<Vec<u8>> {
    match rng.u8(..5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(random_key(rng)),
        _ => Bound::Excluded(random_key(rng)),
    }
}

fn random_stage(rng: &mut fastrand::Rng) -> Vec<StateWrite> {
    let count = if rng.u8(..10) == 0 { rng.usize(60..300) } else { rng.usize(..12) };
    let writes: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
        (0..count).map(|_| (random_key(rng), (rng.u8(..4) > 0).then(|| vec![rng.u8(..); rng.usize(..200)]))).collect();
    writes
        .into_iter()
        .map(|(key, value)| match value {
            Some(value) => put(key, value),
            None => StateWrite::Remove(key),
        })
        .collect()
}

#[test]
fn random_operations_agree_with_a_model() {
    let seeds = match std::env::var("ANNALS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..4).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        eprintln!("seed {seed}: run it again with ANNALS_SEED={seed}");
        on_each(|place| agrees_with_a_model(place, seed, 1000));
    }
}
