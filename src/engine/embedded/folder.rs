//! A data folder that this process has open: its lock, and the shutdown marker that says how the folder was left.
//!
//! ```text
//! annals mark
//! log closed segment 4 end 81920 link 1a2b3c4d head 412     | log open
//! state closed bytes 1048576 headers 1a2b3c4d tip 524288 600 others 1a2b3c4d
//!                                    | state open in boot 6f0b0b6e-...  | state suspect damaged|unknown <why>
//! checksum 1a2b3c4d
//! ```
//! The marker is the file `MARK`. It says `open` before the log takes an append and before sled is opened. It says `closed`
//! only after everything is durable, so `closed` can be trusted after a power cut. `open` with the id of the running boot means
//! that a process was killed: all that it wrote is still in the page cache.
//!
//! The log and the state share the folder. The one that closes last writes the marker and releases the lock.
//!
//! Knows the two files. Must not know how the log and the state are checked, or what else is in the folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::disk::{Disk, create_folders, read_small, refused, replace_small, sum_text, summed_text};
use crate::engine::{EngineError, LogSequence, Result};

const LOCK: &str = "LOCK";
const MARKER: &str = "MARK";
const MARKER_FIRST_LINE: &str = "annals mark";

/// How a data folder was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShutdownMarker {
    /// Where the log ended when it was closed. `None` if it was not closed.
    pub(super) log: Option<LogEnd>,
    pub(super) state: StateMarker,
}

/// Where a log ended when it was closed. A crash cannot have shortened it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEnd {
    /// The number of the active segment.
    pub(super) number: u64,
    /// The byte after its last frame.
    pub(super) end: u64,
    /// The link of its last frame.
    pub(super) link: u32,
    pub(super) head: LogSequence,
}

/// How the state was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StateMarker {
    /// It was made durable. Its files looked like this.
    Closed(StateOutline),
    /// It was in use in this boot of the machine, and was not closed.
    Open { boot_id: String },
    /// It cannot be trusted: it must be rebuilt, or was being emptied for a rebuild.
    Distrusted(Distrust),
}

/// What the files of a state looked like when it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateOutline {
    /// The length of the file `db`.
    pub(super) bytes: u64,
    /// A checksum of the headers of all its segments: it changes if a segment is missing or moved.
    pub(super) headers_sum: u32,
    /// The LSN of the segment that was written to last.
    pub(super) tip: i64,
    /// Where its messages end.
    pub(super) tip_end: u64,
    /// A checksum of sled's other files.
    pub(super) others_sum: u32,
}

/// Why a state is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distrust {
    /// Whether damage was found, so that an operator may want to look at the files. If false, the state is only not known to be
    /// right.
    pub(super) damaged: bool,
    /// One line, for people.
    pub(super) why: String,
}

impl Distrust {
    /// Damage was found.
    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self { damaged: true, why: why.into().replace('\n', " ") }
    }

    /// No damage was found, but nothing proves that the state is right.
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self { damaged: false, why: why.into().replace('\n', " ") }
    }
}

/// A data folder that this process has locked.
#[derive(Debug)]
pub(super) struct DataFolder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    marker: Mutex<MarkerFile>,
}

#[derive(Debug)]
struct MarkerFile {
    /// What the file says. `None` if that is not known.
    now: Option<ShutdownMarker>,
    log_closed: bool,
    /// Where the log ended when it closed, if that is known.
    log: Option<LogEnd>,
    /// Set by the state when it has closed.
    state: Option<StateMarker>,
    /// `None` once both have closed.
    lock: Option<Lock>,
}

impl DataFolder {
    /// Locks a data folder and reads its shutdown marker. Creates the folder if it is missing. The marker is `None` if there is
    /// none, or if it cannot be parsed. `InUse`: another process has the folder.
    pub(super) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<(Self, Option<ShutdownMarker>)> {
        create_folders(&*disk, &path)?;
        let lock = Some(Lock::take(&path)?);
        let file = path.join(MARKER);
        let contents = read_small(&*disk, &file)?;
        let found = contents.as_deref().and_then(parse);
        if contents.is_some() && found.is_none() {
            tracing::warn!(path = %file.display(), "the shutdown marker is damaged: treating this as an unclean stop");
        }
        let marker = Mutex::new(MarkerFile { now: found.clone(), log_closed: false, log: None, state: None, lock });
        Ok((Self { disk, path, marker }, found))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Sets what the marker says of the state while the folder is in use. Writes nothing if it says so already. Durable on
    /// return.
    pub(super) fn mark_state(&self, state: StateMarker) -> Result<()> {
        let marker = ShutdownMarker { log: None, state };
        let mut file = self.marker();
        if file.now.as_ref() == Some(&marker) { Ok(()) } else { self.write(&mut file, marker) }
    }

    /// Records that the log has closed, and where it ended, if that is known.
    pub(super) fn log_closed(&self, end: Option<LogEnd>) -> Result<()> {
        let mut file = self.marker();
        if !file.log_closed {
            (file.log_closed, file.log) = (true, end);
        }
        self.release(&mut file)
    }

    /// Records that the state has closed, and how it was left.
    pub(super) fn state_closed(&self, state: StateMarker) -> Result<()> {
        let mut file = self.marker();
        file.state.get_or_insert(state);
        self.release(&mut file)
    }

    /// Once both have closed: writes the marker and releases the lock.
    fn release(&self, file: &mut MarkerFile) -> Result<()> {
        if let (true, Some(state), Some(_)) = (file.log_closed, &file.state, &file.lock) {
            let marker = ShutdownMarker { log: file.log, state: state.clone() };
            self.write(file, marker)?;
            file.lock = None;
        }
        Ok(())
    }

    fn write(&self, file: &mut MarkerFile, marker: ShutdownMarker) -> Result<()> {
        // If the write fails, the file may hold the old marker or the new one.
        file.now = None;
        replace_small(&*self.disk, &self.path.join(MARKER), &encode(&marker))?;
        file.now = Some(marker);
        Ok(())
    }

    fn marker(&self) -> MutexGuard<'_, MarkerFile> {
        self.marker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock of a data folder: one process at a time. Released when it is dropped, and when the process ends.
#[derive(Debug)]
struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a data folder, or says which process has it.
    fn take(data_folder: &Path) -> Result<Self> {
        let path = data_folder.join(LOCK);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(refused("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                if file.read_to_string(&mut holder).is_err() || holder.trim().is_empty() {
                    holder = "another process".into();
                }
                return Err(EngineError::InUse { path: data_folder.to_path_buf(), holder: holder.trim().into() });
            }
            Err(TryLockError::Error(error)) => return Err(refused("lock", &path)(error)),
        }
        // The text helps an operator and decides nothing, so it need not be durable.
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", description())
        };
        write().map_err(refused("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// This process, as another process reports it when it finds the folder locked.
fn description() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().display().to_string();
    format!("process {} ({program}), since {:.0}", std::process::id(), jiff::Timestamp::now())
}

fn encode(marker: &ShutdownMarker) -> Vec<u8> {
    let log = match marker.log {
        None => "open".to_owned(),
        Some(LogEnd { number, end, link, head }) => {
            format!("closed segment {number} end {end} link {link:08x} head {}", head.0)
        }
    };
    let state = match &marker.state {
        StateMarker::Closed(StateOutline { bytes, headers_sum, tip, tip_end, others_sum }) => {
            format!("closed bytes {bytes} headers {headers_sum:08x} tip {tip} {tip_end} others {others_sum:08x}")
        }
        StateMarker::Open { boot_id } => format!("open in boot {boot_id}"),
        StateMarker::Distrusted(Distrust { damaged, why }) => {
            format!("suspect {} {why}", if *damaged { "damaged" } else { "unknown" })
        }
    };
    sum_text(format!("{MARKER_FIRST_LINE}\nlog {log}\nstate {state}\n"))
}

fn parse(contents: &[u8]) -> Option<ShutdownMarker> {
    let mut lines = summed_text(contents)?.lines();
    if lines.next()? != MARKER_FIRST_LINE {
        return None;
    }
    let log = match lines.next()?.strip_prefix("log ")? {
        "open" => None,
        closed => Some(parse_log_end(closed)?),
    };
    let state = lines.next()?.strip_prefix("state ")?;
    let state = if let Some(boot_id) = state.strip_prefix("open in boot ") {
        StateMarker::Open { boot_id: boot_id.into() }
    } else if let Some(why) = state.strip_prefix("suspect damaged ") {
        StateMarker::Distrusted(Distrust::damaged(why))
    } else if let Some(why) = state.strip_prefix("suspect unknown ") {
        StateMarker::Distrusted(Distrust::unknown(why))
    } else {
        StateMarker::Closed(parse_outline(state)?)
    };
    Some(ShutdownMarker { log, state })
}

fn parse_log_end(text: &str) -> Option<LogEnd> {
    let ["closed", "segment", number, "end", end, "link", link, "head", head] = *text.split(' ').collect::<Vec<_>>() else {
        return None;
    };
    Some(LogEnd {
        number: number.parse().ok()?,
        end: end.parse().ok()?,
        link: u32::from_str_radix(link, 16).ok()?,
        head: LogSequence(head.parse().ok()?),
    })
}

fn parse_outline(text: &str) -> Option<StateOutline> {
    let ["closed", "bytes", bytes, "headers", headers, "tip", tip, tip_end, "others", others] =
        *text.split(' ').collect::<Vec<_>>()
    else {
        return None;
    };
    Some(StateOutline {
        bytes: bytes.parse().ok()?,
        headers_sum: u32::from_str_radix(headers, 16).ok()?,
        tip: tip.parse().ok()?,
        tip_end: tip_end.parse().ok()?,
        others_sum: u32::from_str_radix(others, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_as_it_was_written_and_no_flipped_byte_is_believed() {
        let end = LogEnd { number: 4, end: 9000, link: 0xab, head: LogSequence(77) };
        let outline = StateOutline { bytes: 1, headers_sum: 2, tip: 3, tip_end: 4, others_sum: 5 };
        for marker in [
            ShutdownMarker { log: None, state: StateMarker::Open { boot_id: "b-1".into() } },
            ShutdownMarker { log: Some(end), state: StateMarker::Closed(outline) },
            ShutdownMarker { log: Some(end), state: StateMarker::Distrusted(Distrust::damaged("sled said\nno")) },
            ShutdownMarker { log: None, state: StateMarker::Distrusted(Distrust::unknown("")) },
        ] {
            let written = encode(&marker);
            assert_eq!(parse(&written), Some(marker));
            for at in 0..written.len() {
                let mut flipped = written.clone();
                flipped[at] ^= 1;
                assert_eq!(parse(&flipped), None, "byte {at}");
            }
        }
    }

    #[test]
    fn a_second_one_learns_who_holds_the_lock_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        match Lock::take(folder.path()) {
            Err(EngineError::InUse { holder, .. }) => {
                assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
                assert!(holder.contains("since 20"), "{holder}");
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        Lock::take(folder.path()).unwrap();
    }
}
