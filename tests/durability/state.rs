//! Kills, and damage to sled's files.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    io::{BufRead as _, BufReader},
    ops::Bound,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use annals::engine::{
    Engine, EngineError, KEY_BYTES_MAX, LogSequence, ScanDirection, StateBatch, StateWrite, VALUE_BYTES_MAX,
    embedded::{EmbeddedEngine, EmbeddedOptions, disk::LocalDisk},
};
use bytes::Bytes;

use crate::workload::{self, catch_up, commit, contents, entries, model, read_all};

const FOLDER: &str = "ANNALS_CHILD_FOLDER";
const SEED: u64 = 11;
/// Bytes of a segment of sled's file.
const SEGMENT: usize = 512 * 1024;
const BOOT: &str = "this-boot";

/// The child of `a_killed_process_loses_nothing`: commits until it is killed, and prints what was acknowledged.
#[test]
#[ignore = "only as a child"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let engine = workload::open(folder.as_ref(), Arc::new(LocalDisk), BOOT).unwrap();
    if let Some(why) = engine.state.distrust() {
        println!("suspect: {why}");
        engine.state.reset().unwrap();
    }
    catch_up(&engine).unwrap();
    println!("ready");
    loop {
        let head = engine.log.head().unwrap().0;
        commit(&engine, SEED, head, 1 + head % 200).unwrap();
        println!("acknowledged {}", engine.log.head().unwrap().0);
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let rounds = std::env::var("ANNALS_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut doubts = Vec::new();
    let mut acknowledged = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pause = Duration::from_millis(rng.u64(1..1500));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in lines {
            let Ok(line) = line else { break };
            if let Some((_, head)) = line.split_once("acknowledged ") {
                // A line that was cut short would contain a smaller number, never a greater one.
                acknowledged = acknowledged.max(head.parse().unwrap_or(0));
            } else if line.contains("suspect") {
                doubts.push((round, line));
            }
        }
        killer.join().unwrap();
    }
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
    if let Some(why) = engine.state.distrust() {
        doubts.push((rounds, why));
        engine.state.reset().unwrap();
    }
    catch_up(&engine).unwrap();
    let head = engine.log.head().unwrap().0;
    eprintln!("{rounds} kills, {head} entries, {acknowledged} acknowledged, state rebuilt: {doubts:?}");
    assert!(head >= acknowledged, "entries up to {acknowledged} were acknowledged and {head} are there");
    let expected = entries(SEED, 1..=head);
    assert!(read_all(&engine).unwrap() == expected);
    assert!(contents(&engine).unwrap() == model(&expected));
}

/// What happened to a state that was damaged while no process used it.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Detected when it was opened.
    Suspect(String),
    /// Detected when it was used.
    Failed(String),
    /// Not detected, and everything was right: the damage hit unused bytes.
    Harmless,
    /// Not detected, and something was wrong.
    Wrong,
}

/// Opens a data folder whose state may be damaged, uses all of it, and compares.
fn outcome(folder: &Path) -> Outcome {
    let engine = workload::open(folder, Arc::new(LocalDisk), BOOT).unwrap();
    let expected = model(&read_all(&engine).unwrap());
    let used = match engine.state.distrust() {
        Some(why) => Outcome::Suspect(why),
        None => match catch_up(&engine).and_then(|()| contents(&engine)) {
            Ok(found) if found == expected => Outcome::Harmless,
            Ok(_) => Outcome::Wrong,
            Err(EngineError::State(why)) => {
                assert!(engine.state.distrust().is_some());
                Outcome::Failed(why.to_string())
            }
            Err(other) => panic!("{other}"),
        },
    };
    // A rebuild takes longer than everything else, so it happens only sometimes.
    if matches!(used, Outcome::Suspect(_) | Outcome::Failed(_)) && fastrand::u8(..8) == 0 {
        engine.state.reset().unwrap();
        catch_up(&engine).unwrap();
        assert!(contents(&engine).unwrap() == expected, "a rebuilt state holds what follows from the log");
        engine.close().unwrap();
        drop(engine);
        let engine = workload::open(folder, Arc::new(LocalDisk), BOOT).unwrap();
        assert_eq!(engine.state.distrust(), None);
    }
    used
}

/// A data folder after a kill and after a clean stop.
fn left_folders() -> (tempfile::TempDir, tempfile::TempDir) {
    let (used, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = workload::open(used.path(), Arc::new(LocalDisk), BOOT).unwrap();
    for group in 0..20 {
        commit(&engine, SEED, group * 100, 100).unwrap();
    }
    // After sled's own flush, a kill leaves what is in the page cache.
    std::thread::sleep(Duration::from_millis(1500));
    workload::copy(used.path(), killed.path());
    engine.close().unwrap();
    (used, killed)
}

/// The known length of sled's file: all of it after a clean stop, the last recorded length after a kill.
fn known_length(folder: &Path, left: &str, length: usize) -> usize {
    if left == "closed" {
        return length;
    }
    let note = std::fs::read_to_string(folder.join("state.note")).unwrap();
    note.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn damage_to_the_state_is_found_or_harmless() {
    let (closed, killed) = left_folders();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for (left, folder) in [("closed", closed), ("killed", killed)] {
        let db = std::fs::read(folder.path().join("state/db")).unwrap();
        let known_length = known_length(folder.path(), left, db.len());
        eprintln!("{left}: db has {} bytes, {known_length} of them known", db.len());
        let check = |what: String, damage: &dyn Fn(&Path)| {
            let copy = tempfile::tempdir().unwrap();
            workload::copy(folder.path(), copy.path());
            damage(&copy.path().join("state"));
            let found = outcome(copy.path());
            eprintln!("{left}, {what}: {found:?}");
            assert_ne!(found, Outcome::Wrong, "{left}, {what}");
            found
        };
        check("untouched".into(), &|_| {});
        check("folder gone".into(), &|state| std::fs::remove_dir_all(state).unwrap());
        for name in std::fs::read_dir(folder.path().join("state")).unwrap() {
            let name = name.unwrap().file_name();
            check(format!("{} gone", name.display()), &|state| {
                let path = state.join(&name);
                if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
            });
        }
        for _ in 0..10 {
            let length = rng.usize(..db.len());
            for length in [length, length / SEGMENT * SEGMENT] {
                let cut = check(format!("cut to {length}"), &|state| std::fs::write(state.join("db"), &db[..length]).unwrap());
                // After the known length there may be nothing, or what the log restores.
                assert!(length >= known_length || matches!(cut, Outcome::Suspect(_)), "{left}, cut to {length}: {cut:?}");
            }
        }
        for _ in 0..50 {
            let (at, bit) = (rng.usize(..db.len()), rng.u8(..8));
            let mut flipped = db.clone();
            flipped[at] ^= 1 << bit;
            check(format!("bit {bit} of byte {at} flipped"), &|state| std::fs::write(state.join("db"), &flipped).unwrap());
        }
        for _ in 0..10 {
            let (at, length) = (rng.usize(..db.len() / 4096) * 4096, 4096 << rng.u8(..8));
            let mut zeroed = db.clone();
            let end = (at + length).min(db.len());
            zeroed[at..end].fill(0);
            check(format!("zeros from {at} to {end}"), &|state| std::fs::write(state.join("db"), &zeroed).unwrap());
        }
    }
}

#[test]
fn sled_that_fails_in_mid_run_makes_the_state_suspect_and_the_log_rebuilds_it() {
    for damage in ["cut", "zeros"] {
        let folder = tempfile::tempdir().unwrap();
        // A cache that holds almost nothing, so that reads come from the file.
        let options = EmbeddedOptions {
            cache_bytes: 1 << 10,
            segment_bytes: 1 << 20,
            boot_id: BOOT.into(),
            ..EmbeddedOptions::default()
        };
        let engine = Engine::from(EmbeddedEngine::open(folder.path(), options).unwrap());
        for group in 0..30 {
            commit(&engine, SEED, group * 100, 100).unwrap();
        }
        std::thread::sleep(Duration::from_millis(700));
        let db = std::fs::OpenOptions::new().write(true).open(folder.path().join("state/db")).unwrap();
        let bytes = db.metadata().unwrap().len();
        db.set_len(if damage == "cut" { bytes / 2 } else { 0 }).unwrap();
        if damage == "zeros" {
            db.set_len(bytes).unwrap();
        }
        // Reads until the damage is detected. Nothing wrong may be returned, and nothing may panic.
        let expected = model(&entries(SEED, 1..=3000));
        let failed = expected.iter().find_map(|(key, value)| match engine.state.get(key) {
            Ok(found) => {
                assert_eq!(found.as_ref(), Some(value));
                None
            }
            Err(error) => Some(error),
        });
        eprintln!("{damage}: {failed:?}");
        assert!(matches!(failed, Some(EngineError::State(_))), "{failed:?}");
        assert!(engine.state.distrust().is_some());
        let causes = [failed.unwrap(), engine.state.get(b"k").unwrap_err()].map(|error| causes(&error));
        assert_eq!(causes[0], causes[1], "every refusal has the causes of the first");
        assert!(matches!(engine.state.apply(workload::batch(&entries(SEED, [1]))), Err(EngineError::State(_))));
        assert!(matches!(contents(&engine), Err(EngineError::State(_))));
        // Meanwhile the log continues.
        engine.log.append(LogSequence(3000), &entries(SEED, [3001])).unwrap();
        engine.state.reset().unwrap();
        catch_up(&engine).unwrap();
        assert!(contents(&engine).unwrap() == model(&entries(SEED, 1..=3001)));
        let aside = set_aside(folder.path());
        assert_eq!(aside.len(), 1, "the damaged state is kept for a person");
        engine.close().unwrap();
    }
}

/// The texts of the causes of an error.
fn causes(error: &EngineError) -> Vec<String> {
    std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect()
}

#[test]
fn a_state_that_cannot_be_read_keeps_the_systems_error() {
    let (closed, _) = left_folders();
    std::fs::remove_file(closed.path().join("state/db")).unwrap();
    let engine = workload::open(closed.path(), Arc::new(LocalDisk), BOOT).unwrap();
    for _ in 0..2 {
        let error = engine.state.get(b"k").unwrap_err();
        assert!(matches!(error, EngineError::State(_)), "{error:?}");
        let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
        let system = causes.find_map(|cause| cause.downcast_ref::<std::io::Error>());
        assert_eq!(system.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound), "{error:?}");
    }
}

fn set_aside(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|found| found.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("state.set-aside-")).collect()
}

#[test]
fn only_the_newest_damaged_state_is_kept_and_a_sound_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let engine = workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
        assert_eq!(engine.state.distrust().is_some(), round > 0);
        if round > 0 {
            engine.state.reset().unwrap();
            catch_up(&engine).unwrap();
        }
        let head = engine.log.head().unwrap().0;
        commit(&engine, SEED, head, 10).unwrap();
        engine.close().unwrap();
        drop(engine);
        assert_eq!(set_aside(folder.path()).len(), usize::from(round > 0));
        std::fs::write(folder.path().join("state/db"), b"not sled's").unwrap();
    }
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
    engine.state.reset().unwrap();
    engine.state.reset().unwrap();
    assert_eq!(set_aside(folder.path()), [""; 0], "what was set aside before is gone, and a sound state is not kept");
}

#[test]
fn a_failure_in_one_run_is_remembered_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        || EmbeddedOptions { cache_bytes: 1 << 10, segment_bytes: 1 << 20, boot_id: BOOT.into(), ..EmbeddedOptions::default() };
    let engine = Engine::from(EmbeddedEngine::open(folder.path(), options()).unwrap());
    for group in 0..20 {
        commit(&engine, SEED, group * 100, 100).unwrap();
    }
    std::thread::sleep(Duration::from_millis(700));
    let db = std::fs::OpenOptions::new().write(true).open(folder.path().join("state/db")).unwrap();
    let sound = std::fs::read(folder.path().join("state/db")).unwrap();
    db.set_len(0).unwrap();
    assert!(contents(&engine).is_err());
    // Even if the file looks right again: nobody knows what happened in between.
    std::fs::write(folder.path().join("state/db"), sound).unwrap();
    drop(engine);
    let engine = Engine::from(EmbeddedEngine::open(folder.path(), options()).unwrap());
    assert!(engine.state.distrust().is_some());
}

#[test]
fn values_of_the_greatest_length_stay_in_sleds_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { segment_bytes: 1 << 20, ..EmbeddedOptions::default() };
    let engine = Engine::from(EmbeddedEngine::open(folder.path(), options).unwrap());
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..30_u32 {
        let keys: BTreeSet<Vec<u8>> = (0..200_u32)
            .map(|n| {
                let mut key = if round % 2 == 0 { rng.u32(..).to_be_bytes() } else { (round * 200 + n).to_be_bytes() }.to_vec();
                // Keys never contain four times 0xff in a row.
                for byte in &mut key {
                    *byte &= 0x7f;
                }
                key.resize(KEY_BYTES_MAX, b'k');
                key
            })
            .collect();
        let stage = keys.into_iter().map(|key| StateWrite::Put(key, vec![rng.u8(..); VALUE_BYTES_MAX].into())).collect();
        engine.state.apply(StateBatch { stages: vec![stage] }).unwrap();
    }
    engine.close().unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("state/blobs")).unwrap().count(), 0);
}

#[test]
fn scans_agree_with_a_map_both_ways_over_keys_with_high_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
    let mut rng = fastrand::Rng::with_seed(9);
    let mut model = BTreeMap::new();
    for _ in 0..20 {
        let stage: BTreeMap<Vec<u8>, Bytes> = (0..300)
            .map(|n: u32| {
                let mut key = Vec::new();
                for _ in 0..rng.usize(1..12) {
                    key.push(if rng.bool() { 0xff } else { rng.u8(..) });
                    if key.ends_with(&[0xff; 4]) {
                        key.pop();
                    }
                }
                (key, Bytes::from(n.to_string()))
            })
            .collect();
        model.extend(stage.clone());
        let stage = stage.into_iter().map(|(key, value)| StateWrite::Put(key, value)).collect();
        engine.state.apply(StateBatch { stages: vec![stage] }).unwrap();
    }
    let scan = |range, direction| -> Vec<(Bytes, Bytes)> { engine.state.scan(range, direction, usize::MAX).unwrap() };
    let expected_in = |range: (Bound<Vec<u8>>, Bound<Vec<u8>>)| -> Vec<(Bytes, Bytes)> {
        model.range(range).map(|(key, value)| (Bytes::copy_from_slice(key), value.clone())).collect()
    };
    let keys: Vec<_> = model.keys().cloned().collect();
    for round in 0..300 {
        let mut ends = [rng.choice(&keys).unwrap().clone(), rng.choice(&keys).unwrap().clone()];
        ends.sort();
        let [low, high] = ends;
        let range =
            if round == 0 { (Bound::Unbounded, Bound::Unbounded) } else { (Bound::Included(low), Bound::Included(high)) };
        let mut expected = expected_in(range.clone());
        assert!(scan(range.clone(), ScanDirection::Forward) == expected, "round {round}");
        expected.reverse();
        assert!(scan(range, ScanDirection::Backward) == expected, "round {round}");
    }
}

#[test]
fn a_second_process_is_told_which_process_has_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
    match workload::open(folder.path(), Arc::new(LocalDisk), BOOT) {
        Err(EngineError::InUse { holder, .. }) => assert!(holder.contains(&std::process::id().to_string()), "{holder}"),
        other => panic!("{other:?}"),
    }
    engine.close().unwrap();
    workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
}

#[test]
fn a_state_whose_leaving_is_not_known_is_suspect() {
    let (closed, _) = left_folders();
    for (what, damage) in [
        ("gone", (|marker| std::fs::remove_file(marker).unwrap()) as fn(&Path)),
        ("cut", |marker| std::fs::write(marker, b"annals mark\nlog open\n").unwrap()),
        ("empty", |marker| std::fs::write(marker, b"").unwrap()),
    ] {
        let copy = tempfile::tempdir().unwrap();
        workload::copy(closed.path(), copy.path());
        damage(&copy.path().join("MARK"));
        assert!(matches!(outcome(copy.path()), Outcome::Suspect(_)), "marker {what}");
    }
}

#[test]
fn a_state_waits_until_the_sled_before_has_let_go_of_its_file() {
    let (closed, _) = left_folders();
    let file = std::fs::File::open(closed.path().join("state/db")).unwrap();
    file.lock().unwrap();
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(file);
    });
    assert_eq!(outcome(closed.path()), Outcome::Harmless);
    letting_go.join().unwrap();
}

#[test]
fn an_unfinished_snapshot_does_not_keep_the_state_from_opening() {
    let (_, killed) = left_folders();
    std::fs::write(killed.path().join("state/snap.00000000000FFFFF.generating"), b"half").unwrap();
    assert_eq!(outcome(killed.path()), Outcome::Harmless);
}
