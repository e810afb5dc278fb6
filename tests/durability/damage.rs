//! Damage to the files of the log while no process uses them. It is reported and never served.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::engine::{EngineError, LogSeek, LogSequence, embedded::disk::LocalDisk};

use crate::workload::{self, entries, read_all};

const SEED: u64 = 31;
/// Entries of the last group.
const LAST: u64 = 3;

/// A data folder with several segments, and how many entries it holds.
fn folder(closed: bool) -> (tempfile::TempDir, u64) {
    let (used, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = workload::open(used.path(), Arc::new(LocalDisk), "boot").unwrap();
    let mut head = 0;
    while head < 120 || frames(&last_segment(used.path()).unwrap()) < 5 {
        engine.log.append(LogSequence(head), &entries(SEED, head + 1..=head + LAST)).unwrap();
        head += LAST;
    }
    if closed {
        engine.close().unwrap();
    }
    workload::copy(used.path(), left.path());
    (left, head)
}

/// The files of the log, and of the data folder beside it. Without a segment that was allocated ahead and is not listed yet.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = ["MANIFEST", "MARK"].map(|name| folder.join(name)).into();
    files.extend(segments(folder));
    files
}

/// The segments in the MANIFEST.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let manifest = std::fs::read_to_string(folder.join("MANIFEST")).unwrap();
    let numbers = manifest.lines().filter_map(|line| line.strip_prefix("segment ")?.split(' ').next()?.parse::<u64>().ok());
    numbers.map(|number| folder.join(format!("log/{number:012}.segment"))).collect()
}

/// Reads a damaged folder. Nothing wrong may be returned. Returns how many entries there were, or `None` if the damage was
/// reported.
fn read(folder: &Path, what: &str) -> Option<u64> {
    let engine = match workload::open(folder, Arc::new(LocalDisk), "boot") {
        Ok(engine) => engine,
        Err(EngineError::Corrupt(_)) => return None,
        Err(other) => panic!("{what}: {other}"),
    };
    let head = engine.log.head().unwrap().0;
    let mut reported = false;
    // From every entry, so that entries after the damage are read too.
    for after in 0..head {
        match engine.log.read_after(LogSequence(after), 1) {
            Ok(found) => assert_eq!(found, entries(SEED, [after + 1]), "{what}"),
            Err(EngineError::Corrupt(said)) => {
                let said = said.to_string();
                assert!(said.contains("byte ") && said.contains(".segment"), "{what}: {said} does not say where");
                reported = true;
            }
            Err(other) => panic!("{what}: {other}"),
        }
        match engine.log.seek(LogSeek::BeforeRevision((after.cast_signed() + 1) * 3)) {
            Ok(found) => assert_eq!(found, LogSequence(after), "{what}"),
            Err(EngineError::Corrupt(_)) => reported = true,
            Err(other) => panic!("{what}: {other}"),
        }
    }
    match read_all(&engine) {
        Ok(found) => assert!(found == entries(SEED, 1..=head), "{what}"),
        Err(error) => assert!(reported, "{what}: {error}"),
    }
    (!reported).then_some(head)
}

/// Damages a copy of a folder. Checks that only the last group of a log that was not closed may be missing, and only where a
/// crash could have torn it.
fn check(left: &Path, closed: bool, head: u64, file: &Path, what: &str, damage: impl FnOnce(&Path)) -> bool {
    let copy = tempfile::tempdir().unwrap();
    workload::copy(left, copy.path());
    damage(&copy.path().join(file.strip_prefix(left).unwrap()));
    let found = read(copy.path(), what);
    let torn_by_a_crash = !closed && found == Some(head - LAST) && Some(file) == last_segment(left).as_deref();
    assert!(found.is_none() || found == Some(head) || torn_by_a_crash, "{what}: {found:?} of {head} entries, closed: {closed}");
    found.is_none()
}

/// How many frames a segment holds.
fn frames(segment: &Path) -> usize {
    std::fs::read(segment).unwrap().windows(4).filter(|bytes| bytes == b"FRM1").count()
}

fn last_segment(folder: &Path) -> Option<PathBuf> {
    segments(folder).pop()
}

#[test]
fn flipped_bits_are_reported_and_never_served() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for closed in [true, false] {
        let (left, head) = folder(closed);
        let files = files(left.path());
        assert!(files.len() >= 6, "several segments");
        let mut reported = 0;
        for _ in 0..50 {
            let file = rng.choice(&files).unwrap();
            let bytes = std::fs::read(file).unwrap();
            // Within the written data, not in the zeros after it.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
            let (at, bit) = (rng.usize(..used), rng.u8(..8));
            let what = format!("seed {seed}, bit {bit} of byte {at} of {}", file.display());
            reported += u64::from(check(left.path(), closed, head, file, &what, |path| {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                std::fs::write(path, flipped).unwrap();
            }));
        }
        eprintln!("closed: {closed}, {reported} of 50 reported, the others changed nothing that is read");
    }
}

#[test]
fn a_flipped_byte_of_the_last_frames_is_reported_or_looks_like_a_crash() {
    for closed in [true, false] {
        let (left, head) = folder(closed);
        let file = last_segment(left.path()).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in (4096..end).step_by((end - 4096) / 60) {
            let what = format!("byte {at} of the last segment, whose frames end at {end}");
            check(left.path(), closed, head, &file, &what, |path| {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x40;
                std::fs::write(path, flipped).unwrap();
            });
        }
    }
}

#[test]
fn files_that_are_cut_or_gone_are_reported() {
    for closed in [true, false] {
        let (left, head) = folder(closed);
        for file in files(left.path()) {
            let bytes = std::fs::read(&file).unwrap();
            let is_marker = file.ends_with("MARK");
            for length in [0, bytes.len() / 3, bytes.len() - 1] {
                let what = format!("{} cut to {length}", file.display());
                let reported = check(left.path(), closed, head, &file, &what, |path| {
                    std::fs::write(path, &bytes[..length]).unwrap();
                });
                // Without a shutdown marker, the log is read as after a crash in which nothing was torn. After the index a
                // segment has only zeros that nothing reads.
                assert!(reported || is_marker || (length == bytes.len() - 1), "{what}");
            }
            let what = format!("{} gone", file.display());
            let reported = check(left.path(), closed, head, &file, &what, |path| std::fs::remove_file(path).unwrap());
            assert!(reported || is_marker, "{what}");
        }
    }
}

#[test]
fn swapped_segments_are_reported() {
    let (left, head) = folder(true);
    for pair in segments(left.path()).windows(2) {
        let what = format!("{} and the next swapped", pair[0].display());
        let other = pair[1].strip_prefix(left.path()).unwrap().to_path_buf();
        let name = pair[0].strip_prefix(left.path()).unwrap().to_path_buf();
        let reported = check(left.path(), true, head, &pair[0], &what, |path| {
            let root = path.ancestors().nth(name.components().count()).unwrap();
            let aside = root.join("aside");
            std::fs::rename(path, &aside).unwrap();
            std::fs::rename(root.join(&other), path).unwrap();
            std::fs::rename(&aside, root.join(&other)).unwrap();
        });
        assert!(reported, "{what}");
    }
}

#[test]
fn a_committed_body_that_looks_like_a_frame_does_not_turn_a_crash_into_damage() {
    let folder = tempfile::tempdir().unwrap();
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), "boot").unwrap();
    engine.log.append(LogSequence(0), &entries(SEED, [1])).unwrap();
    // What a client could know: the bytes of a valid frame, here of the same log that it writes to.
    let log = last_segment(folder.path()).unwrap();
    let mut frame = std::fs::read(&log).unwrap()[4096..].to_vec();
    frame.truncate(2048);
    let mut entry = workload::entry(SEED, 2);
    entry.body = frame.into();
    engine.log.append(LogSequence(1), std::slice::from_ref(&entry)).unwrap();
    drop(engine);
    // The frame with the image is torn: its first sector never arrived.
    let start = std::fs::read(&log).unwrap();
    let torn_at = start.windows(4).enumerate().skip(4097).find(|(_, bytes)| *bytes == b"FRM1").unwrap().0;
    let mut torn = start.clone();
    torn[torn_at..torn_at + 8].fill(0);
    std::fs::write(&log, torn).unwrap();
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), "boot").unwrap();
    assert_eq!(engine.log.head().unwrap(), LogSequence(1));
}
