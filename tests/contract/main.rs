//! What every engine does, run unchanged against each of them.
//!
//! A case takes a `Place`, which opens the engine under test as often as the case asks for. What differs between engines is
//! in `places` and nowhere else.

use std::{collections::BTreeMap, ops::Bound};

use annals::engine::{
    Engine, EngineError, KeyRange, LogEntry, LogSeek, LogSequence, ScanDirection, StateBatch, StateHealth, StateWrite,
    VALUE_BYTES_MAX,
    embedded::{EmbeddedEngine, EmbeddedOptions},
    memory::MemoryEngine,
};
use bytes::Bytes;

/// Where an engine keeps its bytes.
trait Place {
    /// Opens what is there. The engine opened before was closed.
    fn open(&mut self) -> Box<dyn Engine>;
}

#[derive(Default)]
struct Memory(MemoryEngine);

impl Place for Memory {
    fn open(&mut self) -> Box<dyn Engine> {
        self.0 = self.0.reopen();
        Box::new(self.0.reopen())
    }
}

struct Embedded(tempfile::TempDir);

impl Place for Embedded {
    fn open(&mut self) -> Box<dyn Engine> {
        // Small segments, so that every case crosses some.
        let options = EmbeddedOptions { segment_bytes: 16 << 10, cache_bytes: 8 << 20, ..EmbeddedOptions::default() };
        Box::new(EmbeddedEngine::open(self.0.path(), options).unwrap())
    }
}

/// Runs a case on every engine.
fn on_each(case: impl Fn(&mut dyn Place)) {
    for place in [&mut Memory::default() as &mut dyn Place, &mut Embedded(tempfile::tempdir().unwrap())] {
        case(place);
    }
}

fn entry(sequence: u64, revision: u64, time_us: i64, body: impl Into<Bytes>) -> LogEntry {
    LogEntry { sequence: LogSequence(sequence), revision, time_us, body: body.into() }
}

/// Entries whose revision is twice and whose time is ten times their sequence.
fn entries(sequences: impl IntoIterator<Item = u64>) -> Vec<LogEntry> {
    sequences.into_iter().map(|n| entry(n, n * 2, n.cast_signed() * 10, format!("body {n}"))).collect()
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
        assert_eq!(engine.head().unwrap(), LogSequence(0));
        assert_eq!(engine.read_log(LogSequence(0), 1000).unwrap(), []);
        assert_eq!(engine.seek(LogSeek::BeforeRevision(u64::MAX)).unwrap(), LogSequence(0));
        assert_eq!(engine.seek(LogSeek::AtTime(i64::MAX)).unwrap(), LogSequence(0));
        assert_eq!(engine.state_condition(), StateHealth::Trusted);
        assert_eq!(engine.scan(ALL, ScanDirection::Forward, 10).unwrap(), []);
        assert_eq!(engine.get(b"k").unwrap(), None);
    });
}

#[test]
fn entries_are_read_as_they_were_appended() {
    on_each(|place| {
        let engine = place.open();
        engine.append(LogSequence(0), &entries(1..=3)).unwrap();
        engine.append(LogSequence(3), &[entry(4, 8, 40, Bytes::new())]).unwrap();
        engine.append(LogSequence(4), &[]).unwrap();
        assert_eq!(engine.head().unwrap(), LogSequence(4));
        let mut expected = entries(1..=3);
        expected.push(entry(4, 8, 40, Bytes::new()));
        assert_eq!(engine.read_log(LogSequence(0), usize::MAX).unwrap(), expected);
        assert_eq!(engine.read_log(LogSequence(2), usize::MAX).unwrap(), expected[2..]);
        assert_eq!(engine.read_log(LogSequence(4), usize::MAX).unwrap(), []);
        assert_eq!(engine.read_log(LogSequence(99), usize::MAX).unwrap(), []);
    });
}

#[test]
fn a_read_is_bounded_by_bytes_and_still_moves_on() {
    on_each(|place| {
        let engine = place.open();
        let all: Vec<_> = (1..=200).map(|n| entry(n, n, 0, vec![7; 1000])).collect();
        for group in all.chunks(7) {
            engine.append(LogSequence(group[0].sequence.0 - 1), group).unwrap();
        }
        assert_eq!(engine.read_log(LogSequence(5), 0).unwrap(), all[5..6], "one entry where there is one");
        for bytes_max in [1, 999, 5000, 50_000] {
            let mut read = Vec::new();
            loop {
                let piece = engine.read_log(LogSequence(read.len() as u64), bytes_max).unwrap();
                assert!(piece.len() == 1 || piece.iter().map(|e| e.body.len()).sum::<usize>() <= bytes_max);
                if piece.is_empty() {
                    break;
                }
                read.extend(piece);
            }
            assert!(read == all, "pieces of {bytes_max} bytes");
        }
    });
}

#[test]
fn an_append_behind_another_is_superseded_and_changes_nothing() {
    on_each(|place| {
        let engine = place.open();
        engine.append(LogSequence(0), &entries(1..=2)).unwrap();
        for expected_head in [0, 1, 3] {
            let refused = engine.append(LogSequence(expected_head), &entries([expected_head + 1]));
            assert!(matches!(refused, Err(EngineError::Superseded { head: LogSequence(2) })), "{refused:?}");
        }
        assert_eq!(engine.read_log(LogSequence(0), usize::MAX).unwrap(), entries(1..=2));
        engine.append(LogSequence(2), &entries([3])).unwrap();
    });
}

#[test]
fn an_entry_larger_than_a_segment_works_like_others() {
    on_each(|place| {
        let large = entry(2, 4, 20, vec![0xab; 300_000]);
        let engine = place.open();
        engine.append(LogSequence(0), &entries([1])).unwrap();
        engine.append(LogSequence(1), std::slice::from_ref(&large)).unwrap();
        engine.append(LogSequence(2), &entries([3])).unwrap();
        assert_eq!(engine.read_log(LogSequence(1), 1).unwrap(), std::slice::from_ref(&large));
        assert_eq!(engine.read_log(LogSequence(2), 1).unwrap(), entries([3]));
        engine.close().unwrap();
        drop(engine);
        assert_eq!(place.open().read_log(LogSequence(1), 400_000).unwrap(), [vec![large], entries([3])].concat());
    });
}

#[test]
fn an_engine_whose_first_entry_is_large_holds_it() {
    on_each(|place| {
        let large = entry(1, 1, 1, vec![0xcd; 100_000]);
        let engine = place.open();
        engine.append(LogSequence(0), std::slice::from_ref(&large)).unwrap();
        engine.append(LogSequence(1), &entries([2])).unwrap();
        engine.close().unwrap();
        drop(engine);
        assert_eq!(place.open().read_log(LogSequence(0), usize::MAX).unwrap(), [vec![large], entries([2])].concat());
    });
}

#[test]
fn seeking_finds_the_entry_before_a_revision_and_at_a_time() {
    on_each(|place| {
        let engine = place.open();
        // Revisions and times that repeat and jump: 1 1 1 4 4 4 7 ..., and 0 0 0 0 0 50 50 ...
        let all: Vec<_> = (0..3000_u64)
            .map(|n| entry(n + 1, n / 3 * 3 + 1, (n / 5 * 50).cast_signed(), vec![1; fastrand::Rng::with_seed(n).usize(..90)]))
            .collect();
        let mut sizes = fastrand::Rng::with_seed(5);
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(sizes.usize(1..=rest.len().min(20)));
            engine.append(LogSequence(group[0].sequence.0 - 1), group).unwrap();
            rest = behind;
        }
        let check = |engine: &dyn Engine| {
            let mut rng = fastrand::Rng::with_seed(6);
            for round in 0..400 {
                let revision = if round == 0 { 0 } else { rng.u64(0..3100) };
                let expected = all.iter().filter(|e| e.revision < revision).count() as u64;
                assert_eq!(engine.seek(LogSeek::BeforeRevision(revision)).unwrap().0, expected, "before {revision}");
                let time_us = if round == 0 { -1 } else { rng.i64(-5..31_000) };
                let expected = all.iter().filter(|e| e.time_us <= time_us).count() as u64;
                assert_eq!(engine.seek(LogSeek::AtTime(time_us)).unwrap().0, expected, "at {time_us}");
            }
        };
        check(&*engine);
        engine.close().unwrap();
        drop(engine);
        check(&*place.open());
    });
}

#[test]
fn later_stages_win_and_removals_remove() {
    on_each(|place| {
        let engine = place.open();
        let stages = vec![
            vec![put("a", "1"), put("b", "1"), put("c", "1")],
            vec![StateWrite::Remove("a".into()), put("b", "2"), StateWrite::Remove("never there".into())],
            vec![put("b", "3")],
            vec![],
        ];
        engine.apply(StateBatch { stages }).unwrap();
        assert_eq!(engine.get(b"a").unwrap(), None);
        let keys = ["c", "a", "b", "b"].map(|key| key.as_bytes().to_vec());
        let found = engine.get_many(&keys).unwrap();
        assert_eq!(found, [Some("1".into()), None, Some("3".into()), Some("3".into())]);
    });
}

#[test]
fn a_large_stage_lands_whole() {
    on_each(|place| {
        let engine = place.open();
        let key = |n: u32| n.to_be_bytes().to_vec();
        let stage = (0..5000).map(|n| put(key(n), n.to_string())).collect();
        let second = (0..5000).step_by(2).map(|n| StateWrite::Remove(key(n))).collect();
        engine.apply(StateBatch { stages: vec![stage, second] }).unwrap();
        let left: Vec<_> = (1..5000_u32).step_by(2).map(|n| (Bytes::from(key(n)), Bytes::from(n.to_string()))).collect();
        assert!(engine.scan(ALL, ScanDirection::Forward, usize::MAX).unwrap() == left);
    });
}

#[test]
fn scans_keep_to_their_bounds_from_both_ends() {
    use Bound::{Excluded, Included, Unbounded};
    use ScanDirection::{Backward, Forward};
    on_each(|place| {
        let engine = place.open();
        engine.apply(batch(["a", "b", "ba", "c", "d"].map(|key| put(key, key.to_uppercase())).to_vec())).unwrap();
        let keys = |low: Bound<&str>, high: Bound<&str>, direction, limit| -> Vec<String> {
            let range = (low.map(|k| k.as_bytes().to_vec()), high.map(|k| k.as_bytes().to_vec()));
            let found = engine.scan(range, direction, limit).unwrap();
            assert!(found.iter().all(|(key, value)| value == &key.to_ascii_uppercase()));
            found.into_iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
        };
        assert_eq!(keys(Unbounded, Unbounded, Forward, 9), ["a", "b", "ba", "c", "d"]);
        assert_eq!(keys(Unbounded, Unbounded, Backward, 9), ["d", "c", "ba", "b", "a"]);
        assert_eq!(keys(Included("b"), Excluded("c"), Forward, 9), ["b", "ba"]);
        assert_eq!(keys(Included("b"), Excluded("c"), Backward, 9), ["ba", "b"]);
        assert_eq!(keys(Excluded("b"), Included("c"), Forward, 9), ["ba", "c"]);
        assert_eq!(keys(Excluded("b"), Included("c"), Backward, 1), ["c"]);
        assert_eq!(keys(Unbounded, Excluded("b"), Backward, 9), ["a"]);
        assert_eq!(keys(Included("aa"), Unbounded, Forward, 2), ["b", "ba"]);
        assert_eq!(keys(Unbounded, Unbounded, Forward, 0), [""; 0]);
        // Ranges that cannot contain a key are empty, however they are written.
        assert_eq!(keys(Included("c"), Excluded("c"), Forward, 9), [""; 0]);
        assert_eq!(keys(Excluded("c"), Excluded("c"), Forward, 9), [""; 0]);
        assert_eq!(keys(Included("d"), Included("a"), Backward, 9), [""; 0]);
        assert_eq!(keys(Included("c"), Included("c"), Backward, 9), ["c"]);
    });
}

#[test]
fn a_reset_state_is_empty_and_takes_writes_and_the_log_stays() {
    on_each(|place| {
        let engine = place.open();
        engine.append(LogSequence(0), &entries([1])).unwrap();
        engine.apply(batch(vec![put("a", "1")])).unwrap();
        engine.reset_state().unwrap();
        assert_eq!(engine.state_condition(), StateHealth::Trusted);
        assert_eq!(engine.scan(ALL, ScanDirection::Forward, 10).unwrap(), []);
        engine.apply(batch(vec![put("b", "2")])).unwrap();
        engine.close().unwrap();
        drop(engine);
        let engine = place.open();
        assert_eq!(engine.state_condition(), StateHealth::Trusted);
        assert_eq!(engine.scan(ALL, ScanDirection::Forward, 10).unwrap(), [("b".into(), "2".into())]);
        assert_eq!(engine.read_log(LogSequence(0), 100).unwrap(), entries([1]));
    });
}

#[test]
fn a_closed_engine_refuses_writes_and_opens_again_as_it_was() {
    on_each(|place| {
        let engine = place.open();
        engine.append(LogSequence(0), &entries(1..=5)).unwrap();
        engine.apply(batch(vec![put("a", "1")])).unwrap();
        engine.close().unwrap();
        engine.close().unwrap();
        assert!(matches!(engine.append(LogSequence(5), &entries([6])), Err(EngineError::Poisoned(_))));
        assert!(matches!(engine.apply(batch(vec![put("b", "1")])), Err(EngineError::State(_))));
        assert!(matches!(engine.get(b"a"), Err(EngineError::State(_))));
        assert!(matches!(engine.scan(ALL, ScanDirection::Forward, 1), Err(EngineError::State(_))));
        assert!(matches!(engine.reset_state(), Err(EngineError::State(_))));
        drop(engine);
        let engine = place.open();
        assert_eq!(engine.read_log(LogSequence(0), usize::MAX).unwrap(), entries(1..=5));
        assert_eq!(engine.get(b"a").unwrap(), Some("1".into()));
        engine.append(LogSequence(5), &entries([6])).unwrap();
    });
}

#[test]
fn entries_that_would_leave_a_gap_or_fall_back_are_a_mistake_of_the_caller() {
    on_each(|place| {
        for wrong in [
            vec![entry(2, 2, 10, "")],
            vec![entry(1, 2, 10, ""), entry(3, 2, 10, "")],
            vec![entry(1, 2, 10, ""), entry(2, 1, 10, "")],
            vec![entry(1, 2, 10, ""), entry(2, 2, 9, "")],
        ] {
            let engine = place.open();
            let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.append(LogSequence(0), &wrong)));
            assert!(appended.is_err());
            assert_eq!(engine.head().unwrap(), LogSequence(0));
        }
    });
}

#[test]
fn a_value_that_is_too_long_is_a_mistake_of_the_caller() {
    on_each(|place| {
        let engine = place.open();
        engine.apply(batch(vec![put("k", vec![0; VALUE_BYTES_MAX])])).unwrap();
        let too_long = batch(vec![put("k", vec![0; VALUE_BYTES_MAX + 1])]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.apply(too_long))).is_err());
        assert_eq!(engine.get(b"k").unwrap().unwrap().len(), VALUE_BYTES_MAX);
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
                        last = (last.0 + rng.u64(..3), last.1 + rng.i64(0..30));
                        let length = if rng.u8(..50) == 0 { rng.usize(..40_000) } else { rng.usize(..300) };
                        entry(log.len() as u64 + n, last.0, last.1, vec![rng.u8(..); length])
                    })
                    .collect();
                engine.append(LogSequence(log.len() as u64), &group).expect(&at);
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
                engine.apply(StateBatch { stages }).expect(&at);
            }
            50..65 => {
                let key = random_key(&mut rng);
                assert_eq!(engine.get(&key).expect(&at), state.get(&key).cloned(), "{at}");
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
                assert!(engine.scan(range.clone(), direction, limit).expect(&at) == expected, "{at}");
            }
            85..92 => {
                let after = rng.u64(..log.len() as u64 + 2);
                let read = engine.read_log(LogSequence(after), rng.usize(..5000)).expect(&at);
                let expected = log.get(usize::try_from(after).unwrap()..).unwrap_or_default();
                assert!(expected.starts_with(&read) && read.is_empty() == expected.is_empty(), "{at}");
            }
            92..97 => {
                let revision = rng.u64(..log.last().map_or(3, |last| last.revision + 3));
                let expected = log.iter().filter(|entry| entry.revision < revision).count() as u64;
                assert_eq!(engine.seek(LogSeek::BeforeRevision(revision)).expect(&at).0, expected, "{at}");
            }
            97..99 => {
                engine.reset_state().expect(&at);
                state.clear();
            }
            _ => {
                engine.close().expect(&at);
                drop(engine);
                engine = place.open();
                assert_eq!(engine.state_condition(), StateHealth::Trusted, "{at}");
            }
        }
        assert_eq!(engine.head().expect(&at).0, log.len() as u64, "{at}");
    }
    assert!(engine.read_log(LogSequence(0), usize::MAX).unwrap() == log, "seed {seed}");
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
