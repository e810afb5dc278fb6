//! Notes once a second what sled's file looks like from outside, so that what is done to it after its process was killed is
//! noticed: cut between two segments, or with a segment of zeros in it, it would open as an older state, or as one in which
//! records are missing.
//!
//! The note is not synced. It is believed in the same boot of the machine only, where the page cache holds it.
//!
//! Knows the outside of one file. Must not know what is in it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use super::audit;

/// The note's file, in the data folder.
const NAME: &str = "state.note";
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// What sled's file looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Its length.
    pub(super) bytes: u64,
    /// The segments that sled had cleared when it was opened, and not written to since, by their place in the file.
    pub(super) cleared: BTreeSet<u64>,
}

impl Note {
    /// The last note; `None` where none can be read.
    pub(super) fn read(data_folder: &Path) -> Option<Self> {
        let note = fs::read_to_string(data_folder.join(NAME)).ok()?;
        let mut numbers = note.strip_suffix('\n')?.split(' ').map(str::parse);
        let bytes = numbers.next()?.ok()?;
        Some(Self { bytes, cleared: numbers.collect::<Result<_, _>>().ok()? })
    }

    /// Forgets the note: what it was about is gone, or about to change.
    pub(super) fn forget(data_folder: &Path) -> io::Result<()> {
        match fs::remove_file(data_folder.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// The file as it is now; of cleared segments, those that were cleared `before` if that is known.
    fn take(file: &Path, before: Option<&Self>) -> io::Result<Self> {
        let (bytes, cleared) = audit::cleared(file, before.map(|before| &before.cleared))?;
        Ok(Self { bytes, cleared })
    }

    /// One write, so that a reader finds the end of a line only where it is whole.
    fn write(&self, to: &Path) -> io::Result<()> {
        let numbers: Vec<_> = std::iter::once(&self.bytes).chain(&self.cleared).map(u64::to_string).collect();
        fs::write(to, numbers.join(" ") + "\n")
    }
}

/// The thread that writes the note. Joined when dropped.
#[derive(Debug)]
pub(super) struct NoteTaker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NoteTaker {
    /// Starts to take notes of the file of a sled that was just opened and not written to.
    pub(super) fn start(data_folder: &Path, file: PathBuf) -> io::Result<Self> {
        let path = data_folder.join(NAME);
        let first = Note::take(&file, None)?;
        first.write(&path)?;
        let (stop, stopped) = sync_channel(1);
        let run = move || run(&path, &file, first, &stopped);
        let thread = std::thread::Builder::new().name("state-note".into()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for NoteTaker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that takes notes of the state's file panicked");
        }
    }
}

fn run(path: &Path, file: &Path, mut before: Note, stopped: &Receiver<()>) {
    while stopped.recv_timeout(NOTE_EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = Note::take(file, Some(&before));
        let noted = now.and_then(|now| if now == before { Ok(now) } else { now.write(path).map(|()| now) });
        match noted {
            Ok(now) => before = now,
            Err(error) => tracing::warn!(%error, "cannot take a note of the state's file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_as_it_was_written_and_half_a_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Note::read(folder.path()), None);
        for cleared in [BTreeSet::new(), BTreeSet::from([0, 7])] {
            let note = Note { bytes: 1 << 20, cleared };
            let path = folder.path().join(NAME);
            note.write(&path).unwrap();
            assert_eq!(Note::read(folder.path()), Some(note));
            let written = fs::read(&path).unwrap();
            fs::write(&path, &written[..written.len() - 1]).unwrap();
            assert_eq!(Note::read(folder.path()), None);
        }
        Note::forget(folder.path()).unwrap();
        Note::forget(folder.path()).unwrap();
    }
}
