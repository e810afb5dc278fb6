//! Notes once a second how long sled's file is, so that a file that was cut short after its process was killed is noticed:
//! cut between two segments, it would open as an older state, or as one in which records are missing.
//!
//! The note is not synced. It is believed in the same boot of the machine only, where the page cache holds it.
//!
//! Knows one file's length. Must not know what is in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

/// The note's file, in the data folder.
const NAME: &str = "state.bytes";
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// The thread that writes the note. Joined when dropped.
#[derive(Debug)]
pub(super) struct LengthNote {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LengthNote {
    /// Starts to note the length of a file.
    pub(super) fn start(data_folder: &Path, noted: PathBuf) -> io::Result<Self> {
        let note = data_folder.join(NAME);
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new().name("state-length".into()).spawn(move || run(&note, &noted, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LengthNote {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that notes the state's length panicked");
        }
    }
}

/// The length that was noted last; 0 where none can be read.
pub(super) fn noted(data_folder: &Path) -> u64 {
    let note = fs::read_to_string(data_folder.join(NAME)).unwrap_or_default();
    note.strip_suffix('\n').and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Forgets the note: what it was about is gone.
pub(super) fn forget(data_folder: &Path) -> io::Result<()> {
    match fs::remove_file(data_folder.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn run(note: &Path, noted: &Path, stopped: &Receiver<()>) {
    let mut before = None;
    loop {
        let now = fs::metadata(noted).map(|file| file.len());
        match now {
            Ok(bytes) if before != Some(bytes) => match fs::write(note, format!("{bytes}\n")) {
                Ok(()) => before = Some(bytes),
                Err(error) => tracing::warn!(%error, "cannot note the length of the state's file"),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot measure the state's file"),
        }
        if stopped.recv_timeout(NOTE_EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
