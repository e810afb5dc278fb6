//! What every state does.

use std::ops::Bound;

use annals::engine::{EngineError, LogSequence, ScanDirection, StateBatch, StateWrite, VALUE_BYTES_MAX};
use bytes::Bytes;

use crate::{ALL, batch, entries, on_each_state, put};

#[test]
fn later_stages_win_and_removals_remove() {
    on_each_state(|place| {
        let engine = place.open();
        let stages = vec![
            vec![put("a", "1"), put("b", "1"), put("c", "1")],
            vec![StateWrite::Remove("a".into()), put("b", "2"), StateWrite::Remove("never there".into())],
            vec![put("b", "3")],
            vec![],
        ];
        engine.state.apply(StateBatch { stages }).unwrap();
        assert_eq!(engine.state.get(b"a").unwrap(), None);
        let keys = ["c", "a", "b", "b"].map(|key| key.as_bytes().to_vec());
        let found = engine.state.get_many(&keys).unwrap();
        assert_eq!(found, [Some("1".into()), None, Some("3".into()), Some("3".into())]);
    });
}

#[test]
fn a_large_stage_lands_whole() {
    on_each_state(|place| {
        let engine = place.open();
        let key = |n: u32| n.to_be_bytes().to_vec();
        let stage = (0..5000).map(|n| put(key(n), n.to_string())).collect();
        let second = (0..5000).step_by(2).map(|n| StateWrite::Remove(key(n))).collect();
        engine.state.apply(StateBatch { stages: vec![stage, second] }).unwrap();
        let left: Vec<_> = (1..5000_u32).step_by(2).map(|n| (Bytes::from(key(n)), Bytes::from(n.to_string()))).collect();
        assert!(engine.state.scan(ALL, ScanDirection::Forward, usize::MAX).unwrap() == left);
    });
}

#[test]
fn scans_keep_to_their_bounds_from_both_ends() {
    use Bound::{Excluded, Included, Unbounded};
    use ScanDirection::{Backward, Forward};
    on_each_state(|place| {
        let engine = place.open();
        engine.state.apply(batch(["a", "b", "ba", "c", "d"].map(|key| put(key, key.to_uppercase())).to_vec())).unwrap();
        let keys = |low: Bound<&str>, high: Bound<&str>, direction, limit| -> Vec<String> {
            let range = (low.map(|k| k.as_bytes().to_vec()), high.map(|k| k.as_bytes().to_vec()));
            let found = engine.state.scan(range, direction, limit).unwrap();
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
fn a_value_that_is_too_long_is_a_mistake_of_the_caller() {
    on_each_state(|place| {
        let engine = place.open();
        engine.state.apply(batch(vec![put("k", vec![0; VALUE_BYTES_MAX])])).unwrap();
        let too_long = batch(vec![put("k", vec![0; VALUE_BYTES_MAX + 1])]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.state.apply(too_long))).is_err());
        assert_eq!(engine.state.get(b"k").unwrap().unwrap().len(), VALUE_BYTES_MAX);
    });
}

#[test]
fn a_closed_state_answers_nothing_and_leaves_its_log_alone() {
    on_each_state(|place| {
        let engine = place.open();
        engine.state.apply(batch(vec![put("a", "1")])).unwrap();
        engine.state.close().unwrap();
        engine.state.close().unwrap();
        assert!(matches!(engine.state.get(b"a"), Err(EngineError::State(_))));
        engine.log.append(LogSequence(0), &entries([1])).unwrap();
        engine.log.close().unwrap();
        drop(engine);
        let engine = place.open();
        assert_eq!(engine.state.distrust(), None);
        assert_eq!(engine.state.get(b"a").unwrap(), Some("1".into()));
    });
}
