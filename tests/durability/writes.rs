//! Writes that fail: the group is refused, what was refused is never read, and the next group lands.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use annals::{
    OpenOptions,
    engine::{
        Engine, EngineError, LogEntry, LogSequence,
        embedded::{
            EmbeddedOptions,
            disk::{Disk, DiskFile, DiskSpace, LocalDisk},
        },
    },
    proto::{Actor, CommitRequest, CommitResponse, ErrorReason, Mutation},
    store::{Store, StoreErrorKind, StoreHealth},
};

use crate::workload::{self, entries, read_all};

const SEED: u64 = 41;
/// Makes other entries in place of those that were refused.
const OTHER_SEED: u64 = 42;

/// How many bytes of a write reach the file before it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Landed {
    Nothing,
    Half,
    /// The write fails, and yet everything is written.
    All,
}

/// A disk on which calls fail as a test says.
#[derive(Clone, Debug, Default)]
struct Scripted {
    /// What becomes of the next writes to a segment.
    writes: Arc<Mutex<VecDeque<(io::ErrorKind, Landed)>>>,
    /// Whether the system says how much space there is left.
    hides_space: Arc<AtomicBool>,
    /// Whether files can be renamed, and, if not, whether they are renamed all the same.
    refuses_renames: Arc<Mutex<Option<Landed>>>,
}

impl Scripted {
    fn fail_writes(&self, fates: impl IntoIterator<Item = (io::ErrorKind, Landed)>) {
        self.writes.lock().unwrap().extend(fates);
    }

    fn file(&self, path: &Path, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let is_segment = path.extension().is_some_and(|extension| extension == "segment");
        if is_segment { Box::new(ScriptedFile { disk: self.clone(), inner }) } else { inner }
    }
}

impl Disk for Scripted {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.create(path).map(|file| self.file(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.open(path).map(|file| self.file(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match *self.refuses_renames.lock().unwrap() {
            None => LocalDisk.rename(from, to),
            Some(landed) => {
                if landed == Landed::All {
                    LocalDisk.rename(from, to)?;
                }
                Err(io::Error::other("injected"))
            }
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        LocalDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.sync_folder(folder)
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        if self.hides_space.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { LocalDisk.space(path) }
    }
}

struct ScriptedFile {
    disk: Scripted,
    inner: Box<dyn DiskFile>,
}

impl DiskFile for ScriptedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let Some((kind, landed)) = self.disk.writes.lock().unwrap().pop_front() else {
            return self.inner.write_at(bytes, position);
        };
        let length = match landed {
            Landed::Nothing => 0,
            Landed::Half => bytes.len() / 2,
            Landed::All => bytes.len(),
        };
        self.inner.write_at(&bytes[..length], position)?;
        Err(kind.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.inner.bytes()
    }
}

fn append(engine: &Engine, group: &[LogEntry]) -> Result<(), EngineError> {
    engine.log.append(LogSequence(group[0].sequence.0 - 1), group)
}

/// Ends an engine, by a kill or not, and reads what the next one finds.
fn after(engine: Engine, folder: &Path, is_closed: bool) -> Vec<LogEntry> {
    if is_closed {
        engine.close().unwrap();
    }
    drop(engine);
    let engine = workload::open(folder, Arc::new(LocalDisk), "boot").unwrap();
    let found = read_all(&engine).unwrap();
    append(&engine, &entries(SEED, [found.len() as u64 + 1])).unwrap();
    found
}

#[test]
fn a_group_whose_write_failed_is_never_read_and_the_next_one_lands() {
    let both = [true, false];
    for landed in [Landed::Nothing, Landed::Half, Landed::All] {
        for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
            for (is_closed, lands_another) in both.into_iter().flat_map(|closed| both.map(|another| (closed, another))) {
                refuse_one(kind, landed, is_closed, lands_another);
            }
        }
    }
}

fn refuse_one(kind: io::ErrorKind, landed: Landed, is_closed: bool, lands_another: bool) {
    let what = format!("{landed:?}, {kind:?}, closed: {is_closed}, another: {lands_another}");
    let folder = tempfile::tempdir().unwrap();
    let disk = Scripted::default();
    let engine = workload::open(folder.path(), Arc::new(disk.clone()), "boot").unwrap();
    let mut log = entries(SEED, 1..=3);
    append(&engine, &log).unwrap();
    disk.fail_writes([(kind, landed)]);
    let refused = append(&engine, &entries(SEED, 4..=9));
    match kind {
        io::ErrorKind::StorageFull => assert!(matches!(refused, Err(EngineError::Full { .. })), "{what}: {refused:?}"),
        _ => assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{what}: {refused:?}"),
    }
    assert!(read_all(&engine).unwrap() == log, "{what}: what was refused is read");
    if lands_another {
        // A shorter one, so that the end of the torn one stays.
        let another = entries(OTHER_SEED, [4]);
        append(&engine, &another).unwrap();
        log.extend(another);
        assert!(read_all(&engine).unwrap() == log, "{what}");
    }
    assert!(after(engine, folder.path(), is_closed) == log, "{what}: the next start finds something else");
}

#[test]
fn a_group_that_cannot_be_erased_is_in_doubt_until_it_is_repeated() {
    for (is_repeated, is_closed) in [(true, true), (true, false), (false, true), (false, false)] {
        let folder = tempfile::tempdir().unwrap();
        let disk = Scripted::default();
        let engine = workload::open(folder.path(), Arc::new(disk.clone()), "boot").unwrap();
        append(&engine, &entries(SEED, [1])).unwrap();
        disk.fail_writes([(io::ErrorKind::Other, Landed::All), (io::ErrorKind::Other, Landed::Nothing)]);
        let unknown = append(&engine, &entries(SEED, [2, 3]));
        assert!(matches!(unknown, Err(EngineError::Unknown(_))), "{unknown:?}");
        disk.fail_writes([(io::ErrorKind::Other, Landed::Nothing)]);
        let unknown = append(&engine, &entries(SEED, [2, 3]));
        assert!(matches!(unknown, Err(EngineError::Unknown(_))), "{unknown:?}");
        assert_eq!(engine.log.head().unwrap(), LogSequence(1));
        if is_repeated {
            append(&engine, &entries(SEED, [2, 3])).unwrap();
            append(&engine, &entries(SEED, [4])).unwrap();
            assert!(after(engine, folder.path(), is_closed) == entries(SEED, 1..=4));
        } else {
            assert!(
                after(engine, folder.path(), is_closed) == entries(SEED, 1..=3),
                "as a lost answer is: whole or not at all"
            );
        }
    }
}

#[test]
fn an_append_that_cannot_ask_for_the_free_space_changes_nothing_and_the_next_one_lands() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Scripted::default();
    let engine = workload::open(folder.path(), Arc::new(disk.clone()), "boot").unwrap();
    disk.hides_space.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let refused = append(&engine, &entries(SEED, [1]));
        assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
    }
    disk.hides_space.store(false, Ordering::SeqCst);
    append(&engine, &entries(OTHER_SEED, [1])).unwrap();
    assert!(after(engine, folder.path(), true) == entries(OTHER_SEED, [1]));
}

#[test]
fn a_segment_that_cannot_be_begun_loses_nothing_and_is_begun_later() {
    // Where a rename fails, the new name may be there all the same.
    for (landed, is_closed) in [(Landed::Nothing, true), (Landed::Nothing, false), (Landed::All, true), (Landed::All, false)] {
        let folder = tempfile::tempdir().unwrap();
        let disk = Scripted::default();
        let engine = workload::open(folder.path(), Arc::new(disk.clone()), "boot").unwrap();
        let mut log = Vec::new();
        for _ in 0..30 {
            *disk.refuses_renames.lock().unwrap() = Some(landed);
            let next = log.len() as u64 + 1;
            let mut group = entries(SEED, next..=next + 3);
            if let Err(refused) = append(&engine, &group) {
                assert!(matches!(refused, EngineError::Unavailable(_)), "{refused:?}");
                // Short enough for the segment that is full for the others.
                group = entries(OTHER_SEED, [next]);
                let refused = append(&engine, &group);
                assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
                *disk.refuses_renames.lock().unwrap() = None;
                append(&engine, &group).unwrap();
            }
            log.extend(group);
            assert!(read_all(&engine).unwrap() == log);
        }
        // The process ends after an attempt that has failed.
        *disk.refuses_renames.lock().unwrap() = Some(landed);
        loop {
            let group = entries(SEED, [log.len() as u64 + 1]);
            if append(&engine, &group).is_err() {
                break;
            }
            log.extend(group);
        }
        *disk.refuses_renames.lock().unwrap() = None;
        assert!(after(engine, folder.path(), is_closed) == log, "{landed:?}, closed: {is_closed}");
    }
}

/// Stores an actor with this id.
fn commit(store: &Store, id: &str) -> annals::store::Result<CommitResponse> {
    let actor = Actor { name: format!("actors/{id}"), display_name: id.into(), ..Default::default() };
    store.commit(CommitRequest::of(id, [Mutation::create(actor)]))
}

#[test]
fn a_store_refuses_the_commit_whose_write_failed_and_makes_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Scripted::default();
    let engine = EmbeddedOptions { segment_bytes: 1 << 20, disk: Arc::new(disk.clone()), ..EmbeddedOptions::default() };
    let store = Store::open_with(folder.path(), OpenOptions { engine, ..OpenOptions::default() }).unwrap();
    for (kind, landed, reason) in [
        (io::ErrorKind::Other, Landed::All, ErrorReason::LogUnavailable),
        (io::ErrorKind::StorageFull, Landed::Half, ErrorReason::StorageFull),
    ] {
        disk.fail_writes([(kind, landed)]);
        let refused = commit(&store, "refused").unwrap_err();
        assert_eq!((refused.kind, refused.reason), (StoreErrorKind::Unavailable, reason), "{}", refused.in_full());
        assert_eq!(store.health(), StoreHealth::Serving);
        assert!(store.get::<Actor>("actors/refused").is_err());
    }
    assert_eq!(commit(&store, "made").unwrap().revision, 1);
    // It is not known what became of this one, until it is written again.
    disk.fail_writes([(io::ErrorKind::Other, Landed::All), (io::ErrorKind::StorageFull, Landed::Nothing)]);
    let answer = commit(&store, "repeated").unwrap();
    assert_eq!((answer.revision, answer.replayed), (2, false));
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.info().unwrap().head_revision, 2);
    assert!(store.get::<Actor>("actors/made").is_ok() && store.get::<Actor>("actors/repeated").is_ok());
    assert!(store.get::<Actor>("actors/refused").is_err());
}
