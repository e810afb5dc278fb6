//! The state in sled. It answers reads fast, and need not be reliable: it can always be rebuilt from the log.
//!
//! Every call of sled is guarded against errors and panics. A call that can wait for sled's own threads has a timeout. After
//! the first failure the state is distrusted, and refuses every call until it has been reset.
//!
//! Knows when a state is trusted. Must not know the log.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;

use self::{
    audit::{Observation, Observer, Shutdown},
    sled_db::{StageWriter, guarded, within},
};
use super::{
    disk::{refused, sync_failed},
    folder::{DataFolder, Distrust, StateMarker, StateOutline},
};
use crate::engine::{
    Cause, EngineError, KeyRange, Result, ScanDirection, State, StateBatch, StateRead, explained, range_is_empty,
};

mod audit;
mod sled_db;

/// sled's folder, in the data folder.
const FOLDER: &str = "state";
const CLOSED: &str = "the engine was closed";
/// The folder of a damaged state is renamed to this and the time.
const SET_ASIDE: &str = "state.set-aside-";
/// How long to wait for sled to end. Longer than sled needs to write what it holds in memory.
const CLOSE_WAIT_MAX: Duration = Duration::from_mins(1);

/// How sled is set up.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cache_bytes: u64,
    /// The id of the running boot of the machine.
    pub(super) boot_id: String,
}

/// The state of a data folder, in sled.
#[derive(Debug)]
pub struct EmbeddedState {
    settings: Settings,
    /// sled's folder.
    path: PathBuf,
    writer: StageWriter,
    /// `None` while the state is distrusted, being reset, or closed. Readers clone the `Arc` and release the lock.
    current: RwLock<Option<Arc<sled::Db>>>,
    /// Whether the current sled has failed. Then it is no longer used, even if it would still answer.
    failed: AtomicBool,
    /// Runs while there is a current sled.
    observer: Mutex<Option<Observer>>,
    status: Mutex<SledStatus>,
    /// Locked while the state is reset or closed.
    changing: Mutex<()>,
    /// Declared last, so that the folder's lock outlives sled.
    folder: Arc<DataFolder>,
}

#[derive(Debug)]
enum SledStatus {
    Trusted,
    Distrusted(Suspicion),
    Closed,
}

/// Why a state is not trusted.
#[derive(Clone, Debug)]
struct Suspicion {
    /// As the shutdown marker says it.
    distrust: Distrust,
    /// The error that showed damage. `None` if an earlier process saw it, or if no damage was found.
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Suspicion {
    /// An error showed damage.
    fn damaged(cause: Cause) -> Self {
        Self { distrust: Distrust::damaged(cause.to_string()), cause: Some(cause.into()) }
    }

    /// Why a call is refused.
    fn cause(&self) -> Cause {
        self.cause.clone().map_or_else(|| self.distrust.why.as_str().into(), |cause| Box::new(cause) as Cause)
    }
}

impl From<Distrust> for Suspicion {
    fn from(distrust: Distrust) -> Self {
        Self { distrust, cause: None }
    }
}

impl EmbeddedState {
    /// Opens the state. `left` says how it was left. Distrust is not an error: sled is then not opened.
    pub(super) fn open(
        settings: Settings,
        folder: Arc<DataFolder>,
        left: std::result::Result<StateMarker, Distrust>,
    ) -> Result<Self> {
        let path = folder.path().join(FOLDER);
        let judged = left.map_err(Suspicion::from).and_then(|left| judge(&settings, &folder, &path, &left));
        let marker = match &judged {
            Ok(()) => StateMarker::Open { boot_id: settings.boot_id.clone() },
            Err(suspicion) => StateMarker::Distrusted(suspicion.distrust.clone()),
        };
        // Before sled changes any file: after a crash from here on, the marker must not say `closed`.
        folder.mark_state(marker)?;
        // sled clears segments when it is opened, and may free some, so the old note would be wrong.
        Observation::forget(folder.path()).map_err(refused("remove the note of the state in", folder.path()))?;
        let opened = judged.and_then(|()| sled_db::open(&path, settings.cache_bytes).map_err(Suspicion::damaged));
        let state = Self {
            settings,
            path,
            writer: StageWriter::start()?,
            current: RwLock::new(None),
            failed: AtomicBool::new(false),
            observer: Mutex::new(None),
            status: Mutex::new(SledStatus::Trusted),
            changing: Mutex::new(()),
            folder,
        };
        match opened {
            Ok(sled) => state.serve(sled)?,
            Err(suspicion) => {
                tracing::warn!(why = %suspicion.distrust.why, "the state must be rebuilt from the log");
                state.folder.mark_state(StateMarker::Distrusted(suspicion.distrust.clone()))?;
                *state.status() = SledStatus::Distrusted(suspicion);
            }
        }
        Ok(state)
    }

    fn sled(&self) -> Result<Arc<sled::Db>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let usable = current.filter(|_| !self.failed.load(Ordering::Acquire));
        usable.ok_or_else(|| {
            EngineError::State(match &*self.status() {
                SledStatus::Trusted => "it is being emptied".into(),
                SledStatus::Distrusted(suspicion) => suspicion.cause(),
                SledStatus::Closed => CLOSED.into(),
            })
        })
    }

    /// Records the first failure. From then on nobody reads the state, not even the next process.
    fn fail(&self, why: Cause) -> EngineError {
        let mut status = self.status();
        if !matches!(*status, SledStatus::Trusted) {
            return EngineError::State(why);
        }
        tracing::error!(%why, "the state failed and must be rebuilt from the log");
        let suspicion = Suspicion::damaged(why);
        let (distrust, cause) = (suspicion.distrust.clone(), suspicion.cause());
        *status = SledStatus::Distrusted(suspicion);
        self.failed.store(true, Ordering::Release);
        if let Err(error) = self.folder.mark_state(StateMarker::Distrusted(distrust)) {
            tracing::error!(%error, "cannot mark the state as distrusted");
        }
        EngineError::State(cause)
    }

    /// Answers calls from this sled from now on.
    fn serve(&self, sled: sled::Db) -> Result<()> {
        let observer = Observer::start(self.folder.path(), self.path.join("db"))
            .map_err(|source| EngineError::Io { context: "cannot observe the state's file".into(), source })?;
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(observer);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sled));
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// Ends sled. Returns false if it does not end in time: then its threads and memory are leaked, and its files are no longer
    /// used.
    fn end_sled(&self) -> bool {
        drop(self.observer.lock().unwrap_or_else(PoisonError::into_inner).take());
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
                    tracing::error!("a read of the state does not end: abandoning it");
                    // The thread that drops the last reference would end sled, and could wait for it forever.
                    std::mem::forget(shared);
                    return false;
                }
            }
        };
        let flushed = within(CLOSE_WAIT_MAX, "state-close", move || {
            let flushed = guarded("flush", || sled.flush()).map(drop);
            // Dropping it ends sled's threads, which may write once more.
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

    /// Makes room for an empty state. Renames the old folder if `keep` is true and the disk has room, and removes it otherwise.
    fn clear_folder(&self, keep: bool) -> Result<()> {
        let data_folder = self.folder.path();
        let list = fs::read_dir(data_folder).map_err(refused("list", data_folder))?;
        for name in list.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            if name.starts_with(SET_ASIDE) {
                remove_folder(&data_folder.join(name))?;
            }
        }
        Observation::forget(data_folder).map_err(refused("remove the note of the state in", data_folder))?;
        if !self.path.exists() {
            return Ok(());
        }
        // A folder that is set aside takes up space that the new state may need.
        let space = self.folder.disk().space(data_folder).map_err(refused("ask for the free space at", data_folder))?;
        if keep && space.available / 4 > folder_bytes(&self.path) {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let aside = data_folder.join(format!("{SET_ASIDE}{now}"));
            tracing::warn!(path = %aside.display(), "set a damaged state aside");
            fs::rename(&self.path, &aside).map_err(refused("set aside", &self.path))?;
        } else {
            remove_folder(&self.path)?;
        }
        self.folder.disk().sync_folder(data_folder).map_err(sync_failed(data_folder))
    }

    /// Syncs the files of a sled that has ended, and returns their outline.
    fn make_durable(&self, ended: bool) -> std::result::Result<StateOutline, Cause> {
        if !ended {
            return Err("it did not close".into());
        }
        let outline = sled_db::make_durable(&self.path).and_then(|()| audit::outline(&self.path));
        outline.map_err(|error| explained("it could not be made durable", error))
    }

    fn status(&self) -> MutexGuard<'_, SledStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateRead for EmbeddedState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let sled = self.sled()?;
        let found = guarded("read", || sled.get(key)).map_err(|why| self.fail(why))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
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
}

impl State for EmbeddedState {
    fn distrust(&self) -> Option<String> {
        match &*self.status() {
            SledStatus::Trusted => None,
            SledStatus::Distrusted(suspicion) => Some(suspicion.distrust.why.clone()),
            SledStatus::Closed => Some(CLOSED.into()),
        }
    }

    fn apply(&self, batch: StateBatch) -> Result<()> {
        batch.assert_sound();
        let sled = self.sled()?;
        self.writer.write(&sled, batch).map_err(|why| self.fail(why))
    }

    fn reset(&self) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = {
            let mut status = self.status();
            let suspicion = match &*status {
                SledStatus::Closed => return Err(EngineError::State(CLOSED.into())),
                SledStatus::Distrusted(suspicion) => suspicion.clone(),
                SledStatus::Trusted => Distrust::unknown("it was being emptied").into(),
            };
            let distrust = suspicion.distrust.clone();
            *status = SledStatus::Distrusted(suspicion);
            distrust
        };
        // After a crash during the reset, the marker must say that the state is distrusted.
        self.folder.mark_state(StateMarker::Distrusted(before.clone()))?;
        self.end_sled();
        self.clear_folder(before.damaged)?;
        match sled_db::open(&self.path, self.settings.cache_bytes) {
            Ok(sled) => {
                self.folder.mark_state(StateMarker::Open { boot_id: self.settings.boot_id.clone() })?;
                self.serve(sled)?;
                *self.status() = SledStatus::Trusted;
                Ok(())
            }
            Err(why) => Err(EngineError::State(why)),
        }
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(folder_bytes(&self.path))
    }

    fn close(&self) -> Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *self.status(), SledStatus::Closed);
        let ended = self.end_sled();
        let (marker, failure) = match before {
            SledStatus::Closed => (StateMarker::Distrusted(Distrust::unknown(CLOSED)), None),
            SledStatus::Distrusted(suspicion) => (StateMarker::Distrusted(suspicion.distrust), None),
            SledStatus::Trusted => match self.make_durable(ended) {
                Ok(outline) => (StateMarker::Closed(outline), None),
                Err(why) => (StateMarker::Distrusted(Distrust::unknown(why.to_string())), Some(why)),
            },
        };
        // On a second call, the folder ignores the marker.
        self.folder.state_closed(marker)?;
        failure.map_or(Ok(()), |why| Err(EngineError::State(why)))
    }
}

impl Drop for EmbeddedState {
    fn drop(&mut self) {
        // Without `close` this counts as a crash, as the marker says. Dropping sled here could wait for its threads without a
        // timeout.
        self.end_sled();
    }
}

/// Whether the state in a folder can be used. The error says why not.
fn judge(settings: &Settings, folder: &DataFolder, path: &Path, left: &StateMarker) -> std::result::Result<(), Suspicion> {
    let observed = Observation::read(folder.path());
    let shutdown = match left {
        StateMarker::Distrusted(distrust) => return Err(distrust.clone().into()),
        StateMarker::Open { boot_id: then } if *then != settings.boot_id => {
            return Err(
                Distrust::unknown("the machine stopped while it was in use, and it is not synced as it is written").into()
            );
        }
        StateMarker::Open { .. } => Shutdown::Killed(observed.as_ref()),
        StateMarker::Closed(outline) => Shutdown::Clean(outline),
    };
    if !path.exists() {
        return Err(Distrust::unknown("it is missing").into());
    }
    audit::audit(path, shutdown).map_err(Suspicion::damaged)
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
