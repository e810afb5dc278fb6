//! What every log does.

use annals::engine::{EngineError, Log, LogSeek, LogSequence};
use bytes::Bytes;

use crate::{entries, entry, on_each_log};

#[test]
fn entries_are_read_as_they_were_appended() {
    on_each_log(|place| {
        let engine = place.open();
        engine.log.append(LogSequence(0), &entries(1..=3)).unwrap();
        engine.log.append(LogSequence(3), &[entry(4, 8, 40, Bytes::new())]).unwrap();
        engine.log.append(LogSequence(4), &[]).unwrap();
        assert_eq!(engine.log.head().unwrap(), LogSequence(4));
        let mut expected = entries(1..=3);
        expected.push(entry(4, 8, 40, Bytes::new()));
        assert_eq!(engine.log.read_after(LogSequence(0), usize::MAX).unwrap(), expected);
        assert_eq!(engine.log.read_after(LogSequence(2), usize::MAX).unwrap(), expected[2..]);
        assert_eq!(engine.log.read_after(LogSequence(4), usize::MAX).unwrap(), []);
        assert_eq!(engine.log.read_after(LogSequence(99), usize::MAX).unwrap(), []);
    });
}

#[test]
fn a_read_is_bounded_by_bytes_and_still_moves_on() {
    on_each_log(|place| {
        let engine = place.open();
        let all: Vec<_> = (1..=200).zip(1..).map(|(n, revision)| entry(n, revision, 0, vec![7; 1000])).collect();
        for group in all.chunks(7) {
            engine.log.append(LogSequence(group[0].sequence.0 - 1), group).unwrap();
        }
        assert_eq!(engine.log.read_after(LogSequence(5), 0).unwrap(), all[5..6], "one entry where there is one");
        for bytes_max in [1, 999, 5000, 50_000] {
            let mut read = Vec::new();
            loop {
                let chunk = engine.log.read_after(LogSequence(read.len() as u64), bytes_max).unwrap();
                assert!(chunk.len() == 1 || chunk.iter().map(|e| e.body.len()).sum::<usize>() <= bytes_max);
                if chunk.is_empty() {
                    break;
                }
                read.extend(chunk);
            }
            assert!(read == all, "chunks of {bytes_max} bytes");
        }
    });
}

#[test]
fn an_append_behind_another_is_superseded_and_changes_nothing() {
    on_each_log(|place| {
        let engine = place.open();
        engine.log.append(LogSequence(0), &entries(1..=2)).unwrap();
        for expected_head in [0, 1, 3] {
            let refused = engine.log.append(LogSequence(expected_head), &entries([expected_head + 1]));
            assert!(matches!(refused, Err(EngineError::Superseded { head: LogSequence(2) })), "{refused:?}");
        }
        assert_eq!(engine.log.read_after(LogSequence(0), usize::MAX).unwrap(), entries(1..=2));
        engine.log.append(LogSequence(2), &entries([3])).unwrap();
    });
}

#[test]
fn an_entry_larger_than_a_segment_works_like_others() {
    on_each_log(|place| {
        let large = entry(2, 4, 20, vec![0xab; 300_000]);
        let engine = place.open();
        engine.log.append(LogSequence(0), &entries([1])).unwrap();
        engine.log.append(LogSequence(1), std::slice::from_ref(&large)).unwrap();
        engine.log.append(LogSequence(2), &entries([3])).unwrap();
        assert_eq!(engine.log.read_after(LogSequence(1), 1).unwrap(), std::slice::from_ref(&large));
        assert_eq!(engine.log.read_after(LogSequence(2), 1).unwrap(), entries([3]));
        engine.close().unwrap();
        drop(engine);
        assert_eq!(place.open().log.read_after(LogSequence(1), 400_000).unwrap(), [vec![large], entries([3])].concat());
    });
}

#[test]
fn an_engine_whose_first_entry_is_large_holds_it() {
    on_each_log(|place| {
        let large = entry(1, 1, 1, vec![0xcd; 100_000]);
        let engine = place.open();
        engine.log.append(LogSequence(0), std::slice::from_ref(&large)).unwrap();
        engine.log.append(LogSequence(1), &entries([2])).unwrap();
        engine.close().unwrap();
        drop(engine);
        assert_eq!(place.open().log.read_after(LogSequence(0), usize::MAX).unwrap(), [vec![large], entries([2])].concat());
    });
}

#[test]
fn seeking_finds_the_entry_before_a_revision_and_at_a_time() {
    on_each_log(|place| {
        let engine = place.open();
        // Revisions and times that repeat and jump: 1 1 1 4 4 4 7 ..., and 0 0 0 0 0 50 50 ...
        let all: Vec<_> = (0..3000_u64)
            .map(|n| {
                entry(
                    n + 1,
                    n.cast_signed() / 3 * 3 + 1,
                    n.cast_signed() / 5 * 50,
                    vec![1; fastrand::Rng::with_seed(n).usize(..90)],
                )
            })
            .collect();
        let mut sizes = fastrand::Rng::with_seed(5);
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(sizes.usize(1..=rest.len().min(20)));
            engine.log.append(LogSequence(group[0].sequence.0 - 1), group).unwrap();
            rest = behind;
        }
        let check = |log: &dyn Log| {
            let mut rng = fastrand::Rng::with_seed(6);
            for round in 0..400 {
                let revision = if round == 0 { 0 } else { rng.i64(0..3100) };
                let expected = all.iter().filter(|e| e.revision < revision).count() as u64;
                assert_eq!(log.seek(LogSeek::BeforeRevision(revision)).unwrap().0, expected, "before {revision}");
                let time_us = if round == 0 { -1 } else { rng.i64(-5..31_000) };
                let expected = all.iter().filter(|e| e.time_us <= time_us).count() as u64;
                assert_eq!(log.seek(LogSeek::AtTime(time_us)).unwrap().0, expected, "at {time_us}");
            }
        };
        check(&*engine.log);
        engine.close().unwrap();
        drop(engine);
        check(&*place.open().log);
    });
}

#[test]
fn entries_that_would_leave_a_gap_or_fall_back_are_a_mistake_of_the_caller() {
    on_each_log(|place| {
        for wrong in [
            vec![entry(2, 2, 10, "")],
            vec![entry(1, 2, 10, ""), entry(3, 2, 10, "")],
            vec![entry(1, 2, 10, ""), entry(2, 1, 10, "")],
            vec![entry(1, 2, 10, ""), entry(2, 2, 9, "")],
        ] {
            let engine = place.open();
            let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.log.append(LogSequence(0), &wrong)));
            assert!(appended.is_err());
            assert_eq!(engine.log.head().unwrap(), LogSequence(0));
        }
    });
}

#[test]
fn a_closed_log_refuses_appends_and_can_still_be_read() {
    on_each_log(|place| {
        let engine = place.open();
        engine.log.append(LogSequence(0), &entries(1..=2)).unwrap();
        engine.log.close().unwrap();
        engine.log.close().unwrap();
        assert!(matches!(engine.log.append(LogSequence(2), &entries([3])), Err(EngineError::Poisoned(_))));
        assert_eq!(engine.log.read_after(LogSequence(0), usize::MAX).unwrap(), entries(1..=2));
        assert!(engine.state.distrust().is_none(), "the state is not closed with it");
    });
}
