//! The state: sled, which answers reads fast and is not relied on for anything. Whatever it does wrong, the log stands.
//!
//! Every call of sled is guarded against errors and panics, and those that can wait for sled's own threads against waiting
//! for ever. After the first failure the state is suspect and answers nothing until it has been reset.
//!
//! Knows sled. Must not know the log.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;

use super::{
    audit::{self, Left},
    disk::{Disk, refused},
    mark::{Doubt, MarkFile, StateMark},
    note::{Note, NoteTaker},
    stages::{Stages, guarded},
};
use crate::engine::{EngineError, KeyRange, Result, ScanDirection, StateBatch, StateHealth, range_is_empty};

/// sled's folder, in the data folder.
const FOLDER: &str = "state";
/// What the folder of a damaged state is renamed to, before the time.
const SET_ASIDE: &str = "state.set-aside-";
/// sled's own flush: it also gives back the space of what was overwritten, which nothing else does.
const FLUSH_EVERY_MS: u64 = 500;
/// What sled is told of the cache it may have. It counts a page by its bytes in the file, and in memory a page takes about twice as many
/// (measured at 8 million keys: 192 MiB more of its cache take 369 MiB). With a half, a server of a million events stays below its bound
/// and reads slower than it could; with all of it, it passes the bound.
const CACHE_SHARE: (u64, u64) = (5, 8);
/// Longer than sled needs to open some ten million records without a snapshot.
const OPEN_WAIT_MAX: Duration = Duration::from_mins(10);
/// Longer than sled needs to write what it holds in memory.
const CLOSE_WAIT_MAX: Duration = Duration::from_mins(1);

/// How sled is set up.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) data_folder: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) cache_bytes: u64,
    pub(super) boot_id: String,
}

/// The state of a data folder.
#[derive(Debug)]
pub(super) struct State {
    settings: Settings,
    folder: PathBuf,
    marks: Arc<MarkFile>,
    stages: Stages,
    /// `None` while the state is suspect, being reset, or closed. Readers take a reference and let go of the lock.
    current: RwLock<Option<Arc<sled::Db>>>,
    /// Runs while there is a current sled.
    notes: Mutex<Option<NoteTaker>>,
    condition: Mutex<Condition>,
    /// Held while the state is reset or closed.
    changing: Mutex<()>,
}

#[derive(Debug)]
enum Condition {
    Trusted,
    Suspect(Doubt),
    Closed,
}

impl State {
    /// Opens the state that was left like this. A doubt about it is no error: the state is then suspect, and sled is not
    /// even opened.
    pub(super) fn open(settings: Settings, marks: Arc<MarkFile>, left: std::result::Result<StateMark, Doubt>) -> Result<Self> {
        let folder = settings.data_folder.join(FOLDER);
        let judged = left.and_then(|left| judge(&settings, &folder, &left));
        let mark = match &judged {
            Ok(()) => StateMark::Open { boot_id: settings.boot_id.clone() },
            Err(doubt) => StateMark::Suspect(doubt.clone()),
        };
        // Before sled touches anything: a crash from here on must not find `closed`.
        marks.write_state(mark)?;
        // A sled that is opened clears segments and may give some back.
        Note::forget(&settings.data_folder).map_err(refused("remove the note of the state in", &settings.data_folder))?;
        let opened = judged.and_then(|()| open_sled(&folder, settings.cache_bytes).map_err(Doubt::damaged));
        let state = Self {
            settings,
            folder,
            marks,
            stages: Stages::start()?,
            current: RwLock::new(None),
            notes: Mutex::new(None),
            condition: Mutex::new(Condition::Trusted),
            changing: Mutex::new(()),
        };
        match opened {
            Ok(sled) => state.take_up(sled)?,
            Err(doubt) => {
                tracing::warn!(why = %doubt.why, "the state must be rebuilt from the log");
                state.marks.write_state(StateMark::Suspect(doubt.clone()))?;
                *state.lock_condition() = Condition::Suspect(doubt);
            }
        }
        Ok(state)
    }

    /// Whether what the state holds can be used.
    pub(super) fn condition(&self) -> StateHealth {
        match &*self.lock_condition() {
            Condition::Trusted => StateHealth::Trusted,
            Condition::Suspect(doubt) => StateHealth::Suspect(doubt.why.clone()),
            Condition::Closed => StateHealth::Suspect("the engine was closed".into()),
        }
    }

    /// See [`Engine::apply`](crate::engine::Engine::apply).
    pub(super) fn apply(&self, batch: StateBatch) -> Result<()> {
        let sled = self.sled()?;
        self.stages.write(&sled, batch).map_err(|why| self.fail(why))
    }

    /// See [`Engine::get`](crate::engine::Engine::get).
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let sled = self.sled()?;
        let found = guarded("read", || sled.get(key)).map_err(|why| self.fail(why))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// See [`Engine::scan`](crate::engine::Engine::scan).
    pub(super) fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let sled = self.sled()?;
        if range_is_empty(&range) {
            return Ok(Vec::new());
        }
        let scan = || {
            let copied = |found: sled::Result<(sled::IVec, sled::IVec)>| {
                found.map(|(key, value)| (Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
            };
            let found = sled.range::<Vec<u8>, _>(range);
            match direction {
                ScanDirection::Forward => found.take(limit).map(copied).collect(),
                ScanDirection::Backward => found.rev().take(limit).map(copied).collect(),
            }
        };
        guarded("scan", scan).map_err(|why| self.fail(why))
    }

    /// Empties the state, which is trusted afterwards.
    pub(super) fn reset(&self) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = {
            let mut condition = self.lock_condition();
            let doubt = match &*condition {
                Condition::Closed => return Err(EngineError::State("the engine was closed".into())),
                Condition::Suspect(doubt) => doubt.clone(),
                Condition::Trusted => Doubt::unknown("it was being emptied"),
            };
            *condition = Condition::Suspect(doubt.clone());
            doubt
        };
        // A crash half way must find it suspect.
        self.marks.write_state(StateMark::Suspect(before.clone()))?;
        self.let_go();
        self.clear_folder(before.damaged)?;
        match open_sled(&self.folder, self.settings.cache_bytes) {
            Ok(sled) => {
                self.marks.write_state(StateMark::Open { boot_id: self.settings.boot_id.clone() })?;
                self.take_up(sled)?;
                *self.lock_condition() = Condition::Trusted;
                Ok(())
            }
            Err(why) => Err(EngineError::State(why)),
        }
    }

    /// Makes the state durable and lets go of it. What it is to be marked as, once the log is closed too.
    pub(super) fn close(&self) -> StateMark {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *self.lock_condition(), Condition::Closed);
        let let_go = self.let_go();
        match before {
            Condition::Suspect(doubt) => StateMark::Suspect(doubt),
            Condition::Trusted if let_go => match make_durable(&self.folder).and_then(|()| audit::outline(&self.folder)) {
                Ok(outline) => StateMark::Closed(outline),
                Err(error) => StateMark::Suspect(Doubt::unknown(format!("it could not be made durable: {error}"))),
            },
            Condition::Trusted | Condition::Closed => StateMark::Suspect(Doubt::unknown("it did not close")),
        }
    }

    /// Bytes of the state's files.
    pub(super) fn bytes(&self) -> u64 {
        folder_bytes(&self.folder)
    }

    fn sled(&self) -> Result<Arc<sled::Db>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        current.ok_or_else(|| match self.condition() {
            StateHealth::Suspect(why) => EngineError::State(why),
            StateHealth::Trusted => EngineError::State("it is being emptied".into()),
        })
    }

    /// Remembers the first failure, so that nothing is read from the state any more, not even by the next process.
    fn fail(&self, why: String) -> EngineError {
        let mut condition = self.lock_condition();
        if matches!(*condition, Condition::Trusted) {
            tracing::error!(%why, "the state failed and must be rebuilt from the log");
            let doubt = Doubt::damaged(why.as_str());
            *condition = Condition::Suspect(doubt.clone());
            if let Err(error) = self.marks.write_state(StateMark::Suspect(doubt)) {
                tracing::error!(%error, "cannot mark the state as suspect");
            }
        }
        EngineError::State(why)
    }

    /// Serves from an open sled.
    fn take_up(&self, sled: sled::Db) -> Result<()> {
        let notes = NoteTaker::start(&self.settings.data_folder, self.folder.join("db"))
            .map_err(|source| EngineError::Io { context: "cannot take notes of the state's file".into(), source })?;
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = Some(notes);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sled));
        Ok(())
    }

    /// Ends sled. False where it does not end: then its threads and memory are given up, and its files are no longer used.
    fn let_go(&self) -> bool {
        drop(self.notes.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(mut sled) = self.current.write().unwrap_or_else(PoisonError::into_inner).take() else { return true };
        let deadline = Instant::now() + CLOSE_WAIT_MAX;
        let sled = loop {
            match Arc::try_unwrap(sled) {
                Ok(last) => break last,
                Err(shared) if Instant::now() < deadline => {
                    sled = shared;
                    thread::sleep(Duration::from_millis(1));
                }
                Err(shared) => {
                    tracing::error!("a read of the state does not end: giving it up");
                    // Whoever lets go of it last would end sled, and could wait for it for ever.
                    std::mem::forget(shared);
                    return false;
                }
            }
        };
        let flushed = within(CLOSE_WAIT_MAX, "state-close", move || {
            let flushed = guarded("flush", || sled.flush()).map(drop);
            // Ends sled's threads, which may write once more.
            guarded("end", move || {
                drop(sled);
                Ok(())
            })
            .and(flushed)
        });
        match flushed {
            Ok(Ok(())) => true,
            Ok(Err(why)) | Err(why) => {
                tracing::error!(%why, "the state did not close");
                false
            }
        }
    }

    /// Makes room for an empty state: what is there is renamed if a person may want to look at it, and removed otherwise.
    fn clear_folder(&self, keep: bool) -> Result<()> {
        let data_folder = &self.settings.data_folder;
        let list = fs::read_dir(data_folder).map_err(refused("list", data_folder))?;
        for name in list.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            if name.starts_with(SET_ASIDE) {
                remove_folder(&data_folder.join(name))?;
            }
        }
        Note::forget(data_folder).map_err(refused("remove the note of the state in", data_folder))?;
        if !self.folder.exists() {
            return Ok(());
        }
        // What is set aside takes room that the new state may need.
        let space = self.settings.disk.space(data_folder).map_err(refused("ask for the free space at", data_folder))?;
        if keep && space.available / 4 > self.bytes() {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let aside = data_folder.join(format!("{SET_ASIDE}{now}"));
            tracing::warn!(path = %aside.display(), "set a damaged state aside");
            fs::rename(&self.folder, &aside).map_err(refused("set aside", &self.folder))?;
        } else {
            remove_folder(&self.folder)?;
        }
        self.settings.disk.sync_folder(data_folder).map_err(refused("sync", data_folder))
    }

    fn lock_condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Without `close` this is a crash as far as the mark is concerned; but sled must not be waited for for ever.
        self.let_go();
    }
}

/// Whether the state in a folder can be used, as it was left.
fn judge(settings: &Settings, folder: &Path, left: &StateMark) -> std::result::Result<(), Doubt> {
    let note = Note::read(&settings.data_folder);
    let left = match left {
        StateMark::Suspect(doubt) => return Err(doubt.clone()),
        StateMark::Open { boot_id: then } if *then != settings.boot_id => {
            return Err(Doubt::unknown("the machine stopped while it was in use, and it is not synced as it is written"));
        }
        StateMark::Open { .. } => Left::Killed {
            bytes_min: note.as_ref().map_or(0, |note| note.bytes),
            cleared: note.as_ref().map(|note| &note.cleared),
        },
        StateMark::Closed(outline) => Left::Closed(outline),
    };
    if !folder.exists() {
        return Err(Doubt::unknown("it is missing"));
    }
    audit::audit(folder, left).map_err(Doubt::damaged)
}

fn open_sled(folder: &Path, cache_bytes: u64) -> std::result::Result<sled::Db, String> {
    remove_unfinished_snapshots(folder).map_err(|error| format!("{} cannot be tidied: {error}", folder.display()))?;
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(cache_bytes / CACHE_SHARE.1 * CACHE_SHARE.0)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    within(OPEN_WAIT_MAX, "state-open", move || guarded("open", || config.open()))?
}

/// Left by a process that was killed while it opened sled, which then refuses to open it again. Deleting them is safe:
/// nothing refers to a snapshot before it is renamed.
fn remove_unfinished_snapshots(folder: &Path) -> std::io::Result<()> {
    let list = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    };
    for entry in list {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes everything in sled's folder durable. sled's own flush calls `sync_file_range`, which says nothing about a power cut
/// (its issues 1351 and 1452).
fn make_durable(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::File::open(entry?.path())?.sync_all()?;
    }
    fs::File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |above| fs::File::open(above)?.sync_all())
}

fn remove_folder(path: &Path) -> Result<()> {
    fs::remove_dir_all(path).map_err(refused("remove", path))
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(list) = fs::read_dir(folder) else { return 0 };
    list.filter_map(std::result::Result::ok)
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() { folder_bytes(&entry.path()) } else { metadata.len() })
        })
        .sum()
}

/// Calls what may never return, in a thread that is given up if it does not. sled waits for its own threads without end, and
/// they are gone after a panic in one of them.
fn within<T: Send + 'static>(
    wait_max: Duration,
    name: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> std::result::Result<T, String> {
    let (done, finished) = sync_channel(1);
    let spawned = thread::Builder::new().name(name.into()).spawn(move || {
        // The receiver is gone if nobody waits any more.
        done.send(call()).unwrap_or_default();
    });
    let thread = spawned.map_err(|error| format!("a thread cannot be started: {error}"))?;
    match finished.recv_timeout(wait_max) {
        Ok(outcome) => {
            thread.join().map_err(|_| "a guarded call panicked".to_owned())?;
            Ok(outcome)
        }
        Err(RecvTimeoutError::Disconnected) => Err("a guarded call panicked".into()),
        Err(RecvTimeoutError::Timeout) => Err(format!("sled does not answer within {} s", wait_max.as_secs())),
    }
}
