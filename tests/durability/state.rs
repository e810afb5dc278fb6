//! Kills, and damage to sled's files.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use annals::engine::{Engine, Error, StateCondition, embedded::disk::LocalDisk};

use crate::workload::{self, catch_up, commit, contents, entries, model, read_all};

const FOLDER: &str = "ANNALS_CHILD_FOLDER";
const SEED: u64 = 11;
/// Bytes of a segment of sled's file.
const SEGMENT: usize = 512 * 1024;
const BOOT: &str = "this-boot";

/// The child of `a_killed_process_loses_nothing`: commits until it is killed, and says what was acknowledged.
#[test]
#[ignore = "only as a child"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let engine = workload::open(folder.as_ref(), Arc::new(LocalDisk), BOOT).unwrap();
    if let StateCondition::Suspect(why) = engine.state_condition() {
        println!("suspect: {why}");
        engine.reset_state().unwrap();
    }
    catch_up(&engine).unwrap();
    println!("ready");
    loop {
        let head = engine.head().unwrap().0;
        commit(&engine, SEED, head, 1 + head % 200).unwrap();
        println!("acknowledged {}", engine.head().unwrap().0);
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let rounds = std::env::var("ANNALS_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut rebuilt = Vec::new();
    let mut acknowledged = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let life = Duration::from_millis(rng.u64(1..1500));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(life);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in lines {
            let Ok(line) = line else { break };
            if let Some((_, head)) = line.split_once("acknowledged ") {
                // A line that was cut short would hold a smaller number, never a greater one.
                acknowledged = acknowledged.max(head.parse().unwrap_or(0));
            } else if line.contains("suspect") {
                rebuilt.push((round, line));
            }
        }
        killer.join().unwrap();
    }
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), BOOT).unwrap();
    if let StateCondition::Suspect(why) = engine.state_condition() {
        rebuilt.push((rounds, why));
        engine.reset_state().unwrap();
    }
    catch_up(&engine).unwrap();
    let head = engine.head().unwrap().0;
    eprintln!("{rounds} kills, {head} entries, {acknowledged} acknowledged, state rebuilt: {rebuilt:?}");
    assert!(head >= acknowledged, "entries up to {acknowledged} were acknowledged and {head} are there");
    let expected = entries(SEED, 1..=head);
    assert!(read_all(&engine).unwrap() == expected);
    assert!(contents(&engine).unwrap() == model(&expected));
}

/// What became of a state that was damaged while no process used it.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Found when it was opened.
    Suspect(String),
    /// Found when it was used.
    Failed(String),
    /// Not found, and everything was there: the damage hit nothing that is used.
    Harmless,
    /// Not found, and something was not as it should be.
    Wrong,
}

/// Opens a data folder whose state may be damaged, uses all of it, rebuilds it if the engine says so, and compares.
fn outcome(folder: &Path) -> Outcome {
    let engine = workload::open(folder, Arc::new(LocalDisk), BOOT).unwrap();
    let expected = model(&read_all(&engine).unwrap());
    let used = match engine.state_condition() {
        StateCondition::Suspect(why) => Outcome::Suspect(why),
        StateCondition::Trusted => match catch_up(&engine).and_then(|()| contents(&engine)) {
            Ok(found) if found == expected => Outcome::Harmless,
            Ok(_) => Outcome::Wrong,
            Err(Error::State(why)) => {
                assert!(matches!(engine.state_condition(), StateCondition::Suspect(_)));
                Outcome::Failed(why)
            }
            Err(other) => panic!("{other}"),
        },
    };
    if matches!(used, Outcome::Suspect(_) | Outcome::Failed(_)) {
        engine.reset_state().unwrap();
        catch_up(&engine).unwrap();
        assert!(contents(&engine).unwrap() == expected, "a rebuilt state holds what follows from the log");
        engine.close().unwrap();
        drop(engine);
        let engine = workload::open(folder, Arc::new(LocalDisk), BOOT).unwrap();
        assert_eq!(engine.state_condition(), StateCondition::Trusted);
    }
    used
}

/// A data folder as a killed process and as a clean stop leave it.
fn left_folders() -> (tempfile::TempDir, tempfile::TempDir) {
    let (used, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = workload::open(used.path(), Arc::new(LocalDisk), BOOT).unwrap();
    for group in 0..60 {
        commit(&engine, SEED, group * 100, 100).unwrap();
    }
    // Past sled's own flush, what is in the page cache is what a kill leaves.
    std::thread::sleep(Duration::from_millis(1500));
    workload::copy(used.path(), killed.path());
    engine.close().unwrap();
    (used, killed)
}

#[test]
fn damage_to_the_state_is_found_or_harmless() {
    let (closed, killed) = left_folders();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for (left, folder) in [("closed", closed), ("killed", killed)] {
        let db = std::fs::read(folder.path().join("state/db")).unwrap();
        eprintln!("{left}: db has {} bytes", db.len());
        let check = |what: String, damage: &dyn Fn(&Path)| {
            let copy = tempfile::tempdir().unwrap();
            workload::copy(folder.path(), copy.path());
            damage(&copy.path().join("state"));
            let found = outcome(copy.path());
            eprintln!("{left}, {what}: {found:?}");
            assert_ne!(found, Outcome::Wrong, "{left}, {what}");
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
                check(format!("cut to {length}"), &|state| std::fs::write(state.join("db"), &db[..length]).unwrap());
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
