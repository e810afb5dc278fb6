//! Power cuts: every state of the files that a crash may leave, rebuilt from the recorded writes and syncs.
//!
//! A `Recorder` makes every call and records it. From the calls up to some moment it builds a folder as a machine could find it
//! after a power cut at that moment. Synced data exists. Of unsynced data any part exists, down to single sectors of 512 bytes.
//! Of names that were created, renamed or removed since their folder was synced, any part exists too.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use annals::engine::{
    EngineError, LogSequence,
    embedded::disk::{Disk, DiskFile, DiskSpace, LocalDisk},
};

use crate::workload::{self, batch, catch_up, contents, entries, model, read_all};

const SECTOR: usize = 512;

/// A call that changed something, or a promise that was made.
#[derive(Debug)]
enum Call {
    Create {
        path: PathBuf,
        file: usize,
    },
    Write {
        file: usize,
        position: usize,
        bytes: Vec<u8>,
    },
    SyncFile {
        file: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    SyncFolder {
        folder: PathBuf,
    },
    /// Everything up to this entry was acknowledged.
    Acknowledged {
        head: u64,
    },
}

/// Which syncs of files do nothing but report success.
type Lie = fn(&Path) -> bool;

/// A disk that records every call.
#[derive(Clone, Debug)]
struct Recorder {
    folder: PathBuf,
    calls: Arc<Mutex<Vec<Call>>>,
    /// The files that existed at the start, all durable.
    start: Arc<BTreeMap<PathBuf, Vec<u8>>>,
    /// The files by which `calls` knows each open file.
    files: Arc<Mutex<BTreeMap<PathBuf, usize>>>,
    lie: Option<Lie>,
    lying: Arc<AtomicBool>,
    /// Whether the next sync of a file fails without doing anything.
    failing: Arc<AtomicBool>,
}

impl Recorder {
    /// A recorder for a folder as a machine finds it after a start.
    fn new(folder: &Path, lie: Option<Lie>) -> Self {
        let mut start = BTreeMap::new();
        for folder in [folder.to_path_buf(), folder.join("log")] {
            for found in std::fs::read_dir(folder).into_iter().flatten() {
                let path = found.unwrap().path();
                if path.is_file() {
                    start.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        let files = start.keys().cloned().zip(0..).collect();
        Self {
            folder: folder.to_path_buf(),
            calls: Arc::default(),
            start: Arc::new(start),
            files: Arc::new(Mutex::new(files)),
            lie,
            lying: Arc::default(),
            failing: Arc::default(),
        }
    }

    /// Makes a call and records it. Other threads see this as one step.
    fn record<T>(&self, call: Call, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut calls = self.calls.lock().unwrap();
        let done = act()?;
        calls.push(call);
        Ok(done)
    }

    fn lies_about(&self, path: &Path) -> bool {
        self.lying.load(Ordering::SeqCst) && self.lie.is_some_and(|lie| lie(path))
    }

    fn acknowledge(&self, head: u64) {
        self.calls.lock().unwrap().push(Call::Acknowledged { head });
    }

    fn moments(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Builds what a crash after the first `moment` calls may leave. Returns what had been acknowledged by then.
    fn crash(&self, moment: usize, rng: &mut fastrand::Rng, target: &Path) -> u64 {
        let calls = self.calls.lock().unwrap();
        let calls = &calls[..moment];
        // For each file: what is durable and what may exist. For each folder: the changes of names that may have happened.
        let mut files: Vec<(Vec<u8>, Vec<&Call>)> = self.start.values().map(|bytes| (bytes.clone(), Vec::new())).collect();
        let mut names: BTreeMap<PathBuf, usize> = self.start.keys().cloned().zip(0..).collect();
        let mut renaming: Vec<&Call> = Vec::new();
        let mut acknowledged = 0;
        for call in calls {
            match call {
                Call::Create { file, .. } => {
                    assert_eq!(*file, files.len());
                    files.push((Vec::new(), Vec::new()));
                    renaming.push(call);
                }
                Call::Write { file, .. } => files[*file].1.push(call),
                Call::SyncFile { file } => {
                    let (durable, pending) = &mut files[*file];
                    for call in pending.drain(..) {
                        write(durable, call, |_| true);
                    }
                }
                Call::Rename { .. } | Call::Remove { .. } => renaming.push(call),
                Call::SyncFolder { folder } => {
                    let (here, elsewhere) = renaming.into_iter().partition(|call| in_folder(call) == folder);
                    let here: Vec<_> = here;
                    for call in here {
                        rename(&mut names, call);
                    }
                    renaming = elsewhere;
                }
                Call::Acknowledged { head } => acknowledged = *head,
            }
        }
        // The rest may have happened or not.
        let keep = rng.u8(..=10);
        for call in renaming {
            if rng.u8(..10) < keep {
                rename(&mut names, call);
            }
        }
        for (durable, mut pending) in files.iter_mut().map(|(durable, pending)| (durable, std::mem::take(pending))) {
            rng.shuffle(&mut pending);
            let keep = rng.u8(..=10);
            for call in pending {
                match rng.u8(..3) {
                    0 => write(durable, call, |_| rng.u8(..10) < keep),
                    1 => write(durable, call, |_| true),
                    _ => {}
                }
            }
        }
        for (path, file) in names {
            let path = target.join(path.strip_prefix(&self.folder).unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &files[file].0).unwrap();
        }
        acknowledged
    }
}

fn in_folder(call: &Call) -> &Path {
    match call {
        Call::Create { path, .. } | Call::Remove { path } | Call::Rename { from: path, .. } => path.parent().unwrap(),
        other => panic!("{other:?} changes no name"),
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, call: &Call) {
    match call {
        Call::Create { path, file } => drop(names.insert(path.clone(), *file)),
        Call::Remove { path } => drop(names.remove(path)),
        Call::Rename { from, to } => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        other => panic!("{other:?} changes no name"),
    }
}

/// Writes those sectors of a write into a file that survive.
fn write(contents: &mut Vec<u8>, call: &Call, mut lands: impl FnMut(usize) -> bool) {
    let Call::Write { position, bytes, .. } = call else { panic!("{call:?} writes nothing") };
    let end = position + bytes.len();
    for sector in position / SECTOR..end.div_ceil(SECTOR) {
        if lands(sector) {
            let (from, to) = ((sector * SECTOR).max(*position), ((sector + 1) * SECTOR).min(end));
            if contents.len() < to {
                contents.resize(to, 0);
            }
            contents[from..to].copy_from_slice(&bytes[from - position..to - position]);
        }
    }
}

impl Disk for Recorder {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files.lock().unwrap();
        let mut calls = self.calls.lock().unwrap();
        let inner = LocalDisk.create(path)?;
        let file = self.start.len() + calls.iter().filter(|call| matches!(call, Call::Create { .. })).count();
        files.insert(path.to_path_buf(), file);
        calls.push(Call::Create { path: path.to_path_buf(), file });
        Ok(Box::new(RecordedFile { disk: self.clone(), file, path: path.to_path_buf(), inner }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let files = self.files.lock().unwrap();
        let inner = LocalDisk.open(path)?;
        Ok(Box::new(RecordedFile { disk: self.clone(), file: files[path], path: path.to_path_buf(), inner }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        self.record(Call::Rename { from: from.to_path_buf(), to: to.to_path_buf() }, || LocalDisk.rename(from, to))?;
        let file = files.remove(from).unwrap();
        files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        self.record(Call::Remove { path: path.to_path_buf() }, || LocalDisk.remove(path))?;
        files.remove(path);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        LocalDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if self.lies_about(folder) {
            return Ok(());
        }
        self.record(Call::SyncFolder { folder: folder.to_path_buf() }, || LocalDisk.sync_folder(folder))
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        LocalDisk.space(path)
    }
}

struct RecordedFile {
    disk: Recorder,
    file: usize,
    path: PathBuf,
    inner: Box<dyn DiskFile>,
}

impl DiskFile for RecordedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let call = Call::Write { file: self.file, position: usize::try_from(position).unwrap(), bytes: bytes.to_vec() };
        self.disk.record(call, || {
            assert_eq!(self.inner.write_at(bytes, position)?, bytes.len());
            Ok(bytes.len())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.disk.lies_about(&self.path) {
            return Ok(());
        }
        if self.disk.failing.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("injected failure of a sync"));
        }
        // The file is on a disk whose power is not cut.
        self.disk.record(Call::SyncFile { file: self.file }, || Ok(()))
    }

    fn bytes(&self) -> io::Result<u64> {
        self.inner.bytes()
    }
}

/// A few runs of an engine on a recorder. Each run opens the folder, commits, and ends closed, killed or with a failed sync.
/// Returns the moments at which a crash is most likely to do harm: after the opening, and after each acknowledgement.
fn life(folder: &Path, disk: &Recorder, boot_id: &str, seed: u64, rng: &mut fastrand::Rng) -> Vec<usize> {
    let mut moments = Vec::new();
    for _ in 0..3 {
        // A lie about opening concerns what was found in the folder. The very first start is honest.
        let always = disk.lie.is_some_and(|lie| lie(Path::new(ALWAYS)));
        disk.lying.store(always || folder.join("MANIFEST").exists(), Ordering::SeqCst);
        let engine = workload::open(folder, Arc::new(disk.clone()), boot_id).unwrap();
        let mut head = engine.log.head().unwrap().0;
        disk.acknowledge(head);
        moments.push(disk.moments());
        disk.lying.store(always, Ordering::SeqCst);
        for _ in 0..rng.u64(0..12) {
            let count = rng.u64(1..8);
            engine.log.append(LogSequence(head), &entries(seed, head + 1..=head + count)).unwrap();
            head += count;
            disk.acknowledge(head);
            moments.push(disk.moments());
        }
        match rng.u8(..4) {
            0 | 1 => engine.close().unwrap(),
            2 => {
                // A frame that was written and not synced: the next opening reads it from the page cache. Unless it is the
                // sync of a segment allocated ahead that fails: then this append is as good as any.
                disk.failing.store(true, Ordering::SeqCst);
                if engine.log.append(LogSequence(head), &entries(seed, [head + 1])).is_ok() {
                    disk.acknowledge(head + 1);
                }
                disk.failing.store(false, Ordering::SeqCst);
            }
            _ => {}
        }
        moments.push(disk.moments());
    }
    moments
}

/// A lie about this path is told at all times, otherwise only while an engine is opened.
const ALWAYS: &str = "always";

/// Opens a folder that a crash may have left, after a restart of the machine. Returns what is wrong with it.
fn verify(folder: &Path, boot_id: &str, seed: u64, acknowledged: u64) -> Result<(), String> {
    let engine = workload::open(folder, Arc::new(LocalDisk), boot_id).map_err(|error| format!("it does not open: {error}"))?;
    let head = engine.log.head().unwrap().0;
    if head < acknowledged {
        return Err(format!("entries up to {acknowledged} were acknowledged, and {head} are there"));
    }
    let expected = entries(seed, 1..=head + 1);
    let (next, expected) = expected.split_last().unwrap();
    let found = read_all(&engine).map_err(|error| format!("it does not read: {error}"))?;
    if found != expected {
        return Err("its entries are not those that were committed".into());
    }
    if head > 0 && engine.state.distrust().is_none() {
        return Err("it trusts a state across a power cut".into());
    }
    let serves = || -> Result<(), EngineError> {
        engine.log.append(LogSequence(head), std::slice::from_ref(next))?;
        engine.state.reset()?;
        catch_up(&engine)
    };
    serves().map_err(|error| format!("it does not serve: {error}"))?;
    Ok(())
}

/// Cuts the power until `states` states were seen. Returns what was wrong with each bad one.
fn cut_the_power(states: usize, lie: Option<Lie>) -> Vec<String> {
    let seed = std::env::var("ANNALS_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("seed {seed}: run it again with ANNALS_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bad = Vec::new();
    let mut tried = 0;
    while tried < states {
        // A machine that loses its power repeatedly.
        let mut base = tempfile::tempdir().unwrap();
        let mut boots = 0..;
        for _ in 0..5 {
            let folder = base.path().join("data");
            let disk = Recorder::new(&folder, lie);
            let boot = format!("boot {}", boots.next().unwrap());
            let moments = life(&folder, &disk, &boot, seed, &mut rng);
            let next_boot = format!("boot {}", boots.next().unwrap());
            for _ in 0..5 {
                let likely = *rng.choice(&moments).unwrap();
                let moment = if rng.u8(..3) == 0 { rng.usize(..=disk.moments()) } else { likely };
                let rebuilt = tempfile::tempdir().unwrap();
                let found = rebuilt.path().join("data");
                let acknowledged = disk.crash(moment, &mut rng, &found);
                let copy = tempfile::tempdir().unwrap();
                if found.exists() {
                    workload::copy(&found, copy.path());
                }
                tried += 1;
                if let Err(what) = verify(copy.path(), &next_boot, seed, acknowledged) {
                    bad.push(format!("after call {moment}: {what}"));
                }
                base = rebuilt;
            }
            if !bad.is_empty() && lie.is_some() {
                return bad;
            }
        }
    }
    eprintln!("{tried} states, {} bad", bad.len());
    bad
}

#[test]
fn no_power_cut_loses_or_tears_what_was_acknowledged() {
    let states = std::env::var("ANNALS_STATES").map_or(300, |states| states.parse().unwrap());
    assert_eq!(cut_the_power(states, None), [""; 0]);
}

/// The harness detects its faults: it must find each of these missing syncs.
fn is_found(lie: Lie) {
    let bad = cut_the_power(1000, Some(lie));
    eprintln!("found: {bad:?}");
    assert!(!bad.is_empty());
}

#[test]
fn a_log_that_is_not_synced_is_found() {
    is_found(|path| path.extension().is_some_and(|extension| extension == "segment") || path == Path::new(ALWAYS));
}

#[test]
fn a_tail_that_is_served_without_being_synced_again_is_found() {
    is_found(|path| path.extension().is_some_and(|extension| extension == "segment"));
}

#[test]
fn a_manifest_that_is_not_synced_is_found() {
    is_found(|path| path.ends_with("MANIFEST.new") || path == Path::new(ALWAYS));
}

#[test]
fn folders_that_are_not_synced_are_found() {
    is_found(|path| path.ends_with("log") || path == Path::new(ALWAYS));
}

#[test]
fn a_data_folder_that_is_not_synced_is_found() {
    is_found(|path| path.ends_with("data") || path == Path::new(ALWAYS));
}

#[test]
fn a_restarted_machine_serves_a_state_that_follows_from_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), "boot 1").unwrap();
    for head in 0..20 {
        engine.log.append(LogSequence(head), &entries(1, [head + 1])).unwrap();
        engine.state.apply(batch(&entries(1, [head + 1]))).unwrap();
    }
    drop(engine);
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), "boot 2").unwrap();
    assert!(engine.state.distrust().is_some());
    assert!(matches!(engine.state.get(b"applied"), Err(EngineError::State(_))), "a suspect state is not served");
    drop(engine);
    // Still suspect, although it was left in this very boot.
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), "boot 2").unwrap();
    assert!(engine.state.distrust().is_some());
    engine.state.reset().unwrap();
    catch_up(&engine).unwrap();
    assert!(contents(&engine).unwrap() == model(&entries(1, 1..=20)));
    engine.close().unwrap();
    drop(engine);
    let engine = workload::open(folder.path(), Arc::new(LocalDisk), "boot 3").unwrap();
    assert_eq!(engine.state.distrust(), None, "a clean stop is trusted in every boot");
}
