//! Every file call fails once.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use annals::engine::{
    Engine, EngineError, LogEntry, LogSequence,
    embedded::disk::{Disk, DiskFile, DiskSpace, LocalDisk},
};

use crate::{
    narrow_disk::NarrowDisk,
    workload::{self, batch, catch_up, contents, entries, model, read_all},
};

const SEED: u64 = 23;
/// Makes other entries in place of those that were refused.
const OTHER_SEED: u64 = 24;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It fails with an input/output error. A write has written half of its bytes by then.
    Broken,
    /// It fails because the disk is full. A write has written half of its bytes by then.
    Full,
    /// It does not fail, but a write writes half of its bytes and reports that.
    Short,
}

/// A disk on which one call fails.
#[derive(Clone, Debug)]
struct Faulty {
    fault: Fault,
    /// Which call fails, counted from 1.
    at: u64,
    calls: Arc<AtomicU64>,
    /// Whether the call that failed was a sync.
    failed_to_sync: Arc<AtomicBool>,
}

impl Faulty {
    fn is_due(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.at
    }

    fn was_due(&self) -> bool {
        self.calls.load(Ordering::SeqCst) >= self.at
    }

    fn error(&self) -> io::Error {
        match self.fault {
            Fault::Broken | Fault::Short => io::Error::other("injected input/output error"),
            Fault::Full => io::ErrorKind::StorageFull.into(),
        }
    }

    fn call<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.is_due() && self.fault != Fault::Short { Err(self.error()) } else { call() }
    }

    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.call(sync).inspect_err(|_| self.failed_to_sync.store(true, Ordering::SeqCst))
    }

    fn file(&self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { disk: self.clone(), inner })
    }
}

impl Disk for Faulty {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call(|| LocalDisk.create_folder(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call(|| LocalDisk.create(path)).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call(|| LocalDisk.open(path)).map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|| LocalDisk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|| LocalDisk.remove(path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.call(|| LocalDisk.list(folder))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync(|| LocalDisk.sync_folder(folder))
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        self.call(|| LocalDisk.space(path))
    }
}

struct FaultyFile {
    disk: Faulty,
    inner: Box<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.disk.call(|| self.inner.read_at(buffer, position))
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        if self.disk.is_due() {
            let written = self.inner.write_at(&bytes[..bytes.len() / 2], position)?;
            return if self.disk.fault == Fault::Short && written > 0 { Ok(written) } else { Err(self.disk.error()) };
        }
        self.inner.write_at(bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(|| self.inner.sync_data())
    }

    fn bytes(&self) -> io::Result<u64> {
        self.disk.call(|| self.inner.bytes())
    }
}

/// How far a run got.
#[derive(Default)]
struct Run {
    /// The entries that were acknowledged.
    log: Vec<LogEntry>,
    /// The group that may be in the log, because nobody knows what became of it.
    in_doubt: Vec<LogEntry>,
    /// How many groups were refused for the moment.
    refused: u64,
}

impl Run {
    /// Three runs: one that is closed, one that is not, and one that recovers from that. Stops at the first failure and checks
    /// that nothing is acknowledged after it.
    fn through(&mut self, folder: &Path, disk: &Faulty) -> Result<(), EngineError> {
        for life in 0..3 {
            let engine = workload::open(folder, Arc::new(disk.clone()), "boot")?;
            if engine.state.distrust().is_some() {
                engine.state.reset()?;
            }
            catch_up(&engine)?;
            for _ in 0..6 {
                self.commit(&engine, disk)?;
            }
            assert!(read_all(&engine)? == self.log, "what was acknowledged is read, and nothing else");
            if life != 1 {
                engine.close()?;
            }
        }
        Ok(())
    }

    fn commit(&mut self, engine: &Engine, disk: &Faulty) -> Result<(), EngineError> {
        let head = self.log.len() as u64;
        let mut group = entries(SEED, head + 1..=head + 1 + head % 5);
        let mut appended = engine.log.append(LogSequence(head), &group);
        if matches!(appended, Err(EngineError::Full { .. } | EngineError::Unavailable(_))) {
            // Nothing has happened, so the next group is other entries.
            assert_eq!(engine.log.head()?.0, head);
            self.refused += 1;
            group = entries(OTHER_SEED, head + 1..=head + 1 + head % 3);
            appended = engine.log.append(LogSequence(head), &group);
        }
        if let Err(error) = appended {
            assert!(disk.failed_to_sync.load(Ordering::SeqCst), "only a failed sync ends all writes: {error}");
            let again = engine.log.append(LogSequence(head), &entries(SEED, [head + 1]));
            assert!(matches!(again, Err(EngineError::Poisoned(_))), "after {error}: {again:?}");
            self.in_doubt = group;
            return Err(error);
        }
        self.log.extend_from_slice(&group);
        assert_eq!(engine.log.head()?.0, self.log.len() as u64);
        engine.state.apply(batch(&group))
    }
}

fn every_call_fails_once(fault: Fault) {
    let (mut failed, mut refused) = (0, 0);
    for at in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Faulty { fault, at, calls: Arc::default(), failed_to_sync: Arc::default() };
        let mut run = Run::default();
        let outcome = run.through(&folder.path().join("data"), &disk);
        failed += u64::from(outcome.is_err());
        refused += run.refused;
        assert!(!matches!(outcome, Err(EngineError::Corrupt(_))), "{fault:?} at call {at}: {outcome:?}");

        let engine = workload::open(&folder.path().join("data"), Arc::new(LocalDisk), "boot").unwrap();
        let expected = read_all(&engine).unwrap();
        let head = expected.len() as u64;
        let whole = [&run.log[..], &run.in_doubt].concat();
        assert!(
            expected == run.log || expected == whole,
            "{fault:?} at call {at}: {} acknowledged, {} in doubt, {head} found, {outcome:?}",
            run.log.len(),
            run.in_doubt.len()
        );
        if engine.state.distrust().is_some() {
            engine.state.reset().unwrap();
        }
        catch_up(&engine).unwrap();
        assert!(contents(&engine).unwrap() == model(&expected), "{fault:?} at call {at}");
        engine.log.append(LogSequence(head), &entries(SEED, [head + 1])).unwrap();
        if !disk.was_due() {
            eprintln!("{fault:?}: {} calls, {failed} runs failed, {refused} groups were refused", at - 1);
            return;
        }
    }
}

#[test]
fn nothing_is_lost_or_acknowledged_when_a_call_breaks() {
    every_call_fails_once(Fault::Broken);
}

#[test]
fn nothing_is_lost_or_acknowledged_when_the_disk_is_full_for_a_call() {
    every_call_fails_once(Fault::Full);
}

#[test]
fn short_writes_change_nothing() {
    every_call_fails_once(Fault::Short);
}

#[test]
fn appends_stop_at_the_reserve_and_resume_when_there_is_space() {
    // 5 percent of 10 GiB is less than 1 GiB, so it applies.
    const RESERVE: u64 = (10 << 30) / 100 * 5;
    let folder = tempfile::tempdir().unwrap();
    let available = Arc::new(AtomicU64::new(2 << 30));
    let disk = NarrowDisk { total: 10 << 30, available: Arc::clone(&available) };
    let engine = workload::open(folder.path(), Arc::new(disk), "boot").unwrap();
    let mut head = 0;
    for round in 0..40 {
        available.store(RESERVE - 1, Ordering::SeqCst);
        let refused = engine.log.append(LogSequence(head), &entries(SEED, [head + 1]));
        assert!(
            matches!(refused, Err(EngineError::Full { available, reserve: RESERVE, .. }) if available < RESERVE),
            "{refused:?}"
        );
        assert_eq!(read_all(&engine).unwrap().len() as u64, head);
        available.store(if round % 2 == 0 { RESERVE + (1 << 20) } else { 1 << 40 }, Ordering::SeqCst);
        for _ in 0..5 {
            engine.log.append(LogSequence(head), &entries(SEED, [head + 1])).unwrap();
            head += 1;
        }
    }
    assert!(read_all(&engine).unwrap() == entries(SEED, 1..=head));
}
