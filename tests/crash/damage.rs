//! Damage to files while no process uses them. The state is rebuilt. Damage to the log is reported.
//!
//! Knows the files of a data folder. Must not know how the store detects damage.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    process::{Life, count, loudly, seed},
    script::{Inspected, Purpose, Said, Script},
};

/// Requests in a folder before it is damaged.
const REQUESTS: u64 = 250;
/// Bytes of a segment of sled's file.
const SEGMENT_BYTES: usize = 512 << 10;
/// How long a process lives before it is killed. sled writes its memory twice a second, and the length of its file is recorded
/// once a second.
const SETTLED: Duration = Duration::from_millis(2500);

/// A data folder after a process has ended, and what it must answer.
struct Left {
    how: &'static str,
    /// Contains the data folder and files beside it.
    _folder: tempfile::TempDir,
    script: Script,
    /// What an inspection of the undamaged folder found.
    inspected: Inspected,
}

/// The result of an inspection of a damaged folder.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The damage was detected, and every answer was the same as before. The message of the report.
    Rebuilt(String),
    /// The damage was not detected, and every answer was the same as before: it hit unused bytes.
    Harmless,
    /// Something was refused because the log is damaged.
    Reported(String),
    /// An answer was wrong, and nothing was reported.
    Wrong(Vec<String>),
}

impl Left {
    /// Left by a process that closed it.
    fn closed(seed: u64) -> Self {
        Self::by("closed", seed, |script, files| {
            script.purpose = Purpose::CommitSome(REQUESTS);
            Life::start(script, files).wait().0
        })
    }

    /// Left by a process that was killed.
    fn killed(seed: u64) -> Self {
        Self::by("killed", seed, |script, files| {
            script.purpose = Purpose::CommitAndWait(REQUESTS);
            let life = Life::start(script, files);
            let last = |said: &Said| matches!(said, Said::Acknowledged { step, .. } if step + 1 == REQUESTS);
            life.wait_for(last);
            std::thread::sleep(SETTLED);
            life.kill().0
        })
    }

    fn by(how: &'static str, seed: u64, make: impl Fn(&mut Script, &Path) -> Vec<Said>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut script = Script::new(folder.path().join("data"), seed, Purpose::Inspect, 1);
        for said in make(&mut script, folder.path()) {
            match said {
                Said::Acknowledged { writer, answer, .. } => script.acknowledged[writer].push(answer),
                Said::Violation(what) => panic!("{what}"),
                _ => {}
            }
        }
        script.purpose = Purpose::Inspect;
        let mut left = Self { how, _folder: folder, script, inspected: Inspected::default() };
        let (inspected, outcome) = left.inspect(|_| {});
        assert_eq!(outcome, Outcome::Harmless, "{how}, undamaged");
        left.inspected = inspected.expect("an undamaged folder can be inspected");
        left
    }

    fn path(&self, name: &str) -> PathBuf {
        self.script.folder.join(name)
    }

    /// Damages a copy of the folder, then checks that everything is the same as before.
    fn inspect(&self, damage: impl FnOnce(&Path)) -> (Option<Inspected>, Outcome) {
        let files = tempfile::tempdir().expect("a folder");
        let folder = files.path().join("data");
        copy(&self.script.folder, &folder);
        damage(&folder);
        let script = Script { folder, ..self.script.clone() };
        let (said, by_itself) = Life::start(&script, files.path()).wait();
        let (mut inspected, mut noticed, mut told, mut wrong) = (None, Vec::new(), false, Vec::new());
        for said in said {
            match said {
                Said::Opened { suspect: Some(why) } => noticed.push(why),
                Said::Logged(what) if what.contains("the state failed") => noticed.push(what),
                Said::Logged(what) if what.contains("rebuilding the state from the log") => told = true,
                Said::Inspected(found) => inspected = Some(found),
                Said::Violation(what) => wrong.push(what),
                _ => {}
            }
        }
        let reported: Vec<_> = wrong.extract_if(.., |what| what.contains("the log is damaged")).collect();
        if let Some(reported) = reported.into_iter().next() {
            return (inspected, if wrong.is_empty() { Outcome::Reported(reported) } else { Outcome::Wrong(wrong) });
        }
        wrong.extend(by_itself);
        if let Some(found) = &inspected
            && self.inspected != Inspected::default()
            && (Inspected { retried: 0, ..found.clone() }) != self.inspected
        {
            wrong.push(format!("{found:?} in place of {:?}", self.inspected));
        }
        if told == noticed.is_empty() {
            wrong.push(format!("noticed: {noticed:?}, and said in the log that the state is rebuilt: {told}"));
        }
        let outcome = match noticed.into_iter().next() {
            _ if !wrong.is_empty() => Outcome::Wrong(wrong),
            Some(why) => Outcome::Rebuilt(why),
            None => Outcome::Harmless,
        };
        (inspected, outcome)
    }
}

/// Damages the state of a folder in many ways and counts the results.
fn damage_the_state(left: &Left, rng: &mut fastrand::Rng) {
    let db = fs::read(left.path("state/db")).expect("sled's file");
    let (mut rebuilt, mut harmless) = (0, 0);
    let mut check = |what: String, must_be_noticed: bool, damage: &dyn Fn(&Path)| {
        let outcome = left.inspect(|folder| damage(&folder.join("state"))).1;
        match &outcome {
            Outcome::Rebuilt(_) => rebuilt += 1,
            Outcome::Harmless if !must_be_noticed => harmless += 1,
            _ => panic!("{}, {what}: {outcome:?}", left.how),
        }
    };
    check("folder deleted".into(), true, &|state| fs::remove_dir_all(state).expect("it is there"));
    for part in 0..10 {
        // One in each tenth of the file, so that no cut is the whole file.
        let length = db.len() * part / 10 + rng.usize(..db.len() / 10);
        check(format!("cut to {length} of {} bytes", db.len()), true, &|state| {
            fs::write(state.join("db"), &db[..length]).expect("room for a copy");
        });
    }
    for _ in 0..count("ANNALS_CRASH_FLIPS", 50) {
        let (at, bit) = (rng.usize(..db.len()), rng.u8(..8));
        check(format!("bit {bit} of byte {at} flipped"), false, &|state| flip(&state.join("db"), at, bit));
    }
    // sled leaves a segment of zeros where it has not written yet.
    for start in (0..db.len()).step_by(SEGMENT_BYTES) {
        let mut zeroed = db.clone();
        zeroed[start..].iter_mut().take(SEGMENT_BYTES).for_each(|byte| *byte = 0);
        check(format!("zeros from {start} on"), false, &|state| fs::write(state.join("db"), &zeroed).expect("room for a copy"));
    }
    for name in ["conf", "db", "snap"] {
        for found in fs::read_dir(left.path("state")).expect("sled's folder") {
            let found = found.expect("a name").file_name();
            if found.to_string_lossy().starts_with(name) {
                check(format!("{} removed", found.display()), name == "db", &|state| {
                    fs::remove_file(state.join(&found)).expect("it is there");
                });
            }
        }
    }
    loudly(&format!(
        "damage to the state of a {} folder: 0 wrong answers / {} trials, {rebuilt} rebuilt, {harmless} harmless",
        left.how,
        rebuilt + harmless
    ));
}

#[test]
fn a_damaged_state_that_was_closed_is_rebuilt_and_answers_as_before() {
    let seed = seed();
    damage_the_state(&Left::closed(seed), &mut fastrand::Rng::with_seed(seed));
}

#[test]
fn a_damaged_state_that_a_killed_process_left_is_rebuilt_and_answers_as_before() {
    let seed = seed();
    damage_the_state(&Left::killed(seed), &mut fastrand::Rng::with_seed(seed));
}

#[test]
fn a_byte_flipped_in_the_log_is_reported_and_never_served() {
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    for left in [Left::closed(seed), Left::killed(seed)] {
        let mut segments: Vec<_> =
            fs::read_dir(left.path("log")).expect("the log").map(|entry| entry.expect("a name").path()).collect();
        segments.sort();
        let (mut reported, mut harmless) = (0, 0);
        for _ in 0..count("ANNALS_CRASH_FLIPS", 50) / 2 {
            let segment = rng.choice(&segments).expect("a log has a segment");
            let bytes = fs::read(segment).expect("a segment");
            // Most of a segment may be empty, so half of the flips are where data was written.
            let written: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            let at = rng.choice(written).filter(|_| rng.bool()).unwrap_or_else(|| rng.usize(..bytes.len()));
            let bit = rng.u8(..8);
            let name = segment.strip_prefix(&left.script.folder).expect("it is in the folder");
            let outcome = left.inspect(|folder| flip(&folder.join(name), at, bit)).1;
            match outcome {
                Outcome::Reported(_) => reported += 1,
                Outcome::Harmless => harmless += 1,
                _ => panic!("{}, bit {bit} of byte {at} of {} flipped: {outcome:?}", left.how, name.display()),
            }
        }
        loudly(&format!(
            "flips in the log of a {} folder: 0 served / {} trials, {reported} reported, {harmless} harmless",
            left.how,
            reported + harmless
        ));
        assert!(reported > 0, "some flip hit an entry");
    }
}

/// A damaged end looks like a frame torn by a crash. But a crash never removes from the log what the state holds.
#[test]
fn a_byte_flipped_in_the_last_entry_of_the_log_is_reported() {
    let seed = seed();
    for left in [Left::closed(seed), Left::killed(seed)] {
        let segments = fs::read_dir(left.path("log")).expect("the log").map(|entry| entry.expect("a name").path());
        let written = segments.filter_map(|path| {
            let bytes = fs::read(&path).expect("a segment");
            // There may be an empty prepared segment.
            let last = bytes.iter().rposition(|byte| *byte != 0)?;
            Some((path, last))
        });
        let (segment, last) = written.max().expect("a log has a segment");
        let name = segment.strip_prefix(&left.script.folder).expect("it is in the folder");
        let outcome = left.inspect(|folder| flip(&folder.join(name), last, 0)).1;
        assert!(matches!(outcome, Outcome::Reported(_)), "{}: {outcome:?}", left.how);
    }
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).expect("room for a copy");
}

/// Copies a folder without its lock file.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a new folder");
    for found in fs::read_dir(from).expect("a folder") {
        let found = found.expect("a name");
        let target = to.join(found.file_name());
        if found.file_type().expect("a type").is_dir() {
            copy(&found.path(), &target);
        } else if found.file_name() != "LOCK" {
            fs::copy(found.path(), target).expect("room for a copy");
        }
    }
}
