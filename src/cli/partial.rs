//! A file that is written over several runs, and there only when it is whole.
//!
//! `FILE.part` holds what was written so far, and `FILE.part.state` how much of it counts and where to go on. The content comes in
//! pieces that are compressed by themselves, so that the file can be cut behind any of them.
//!
//! Knows files, compression and resume tokens. Must not know what a record is.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{compression::Compression, position};
use crate::{
    exchange::json,
    proto::{ExportRequest, ExportResponse},
};

/// Bytes of content that are compressed and synced together. A run that is ended loses so much at most.
const PIECE_BYTES: usize = 8 << 20;

/// A file on its way.
#[derive(Debug)]
pub(super) struct Partial {
    file: PathBuf,
    part: PathBuf,
    state_file: PathBuf,
    to: File,
    compression: Compression,
    state: State,
    /// Content behind the last piece that was written, and where to go on after it.
    piece: Vec<u8>,
    ahead: State,
}

/// How much of the part counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// What was asked, in JSON.
    request: Value,
    /// Of which store.
    store_id: String,
    resume_token: String,
    revision: i64,
    records: u64,
    /// Length of the part up to here.
    bytes: u64,
}

impl Partial {
    /// Begins, or goes on with what a run before has left.
    pub(super) fn open(file: &Path, request: &ExportRequest, store_id: &str) -> anyhow::Result<Self> {
        let (part, state_file) = (beside(file, ".part"), beside(file, ".part.state"));
        let request = json::to_value(request);
        let state = match position::load::<State>(&state_file)? {
            Some(state) if state.request != request || state.store_id != store_id => bail!(
                "{} was begun by another export, or of another store: run that one again, or delete {} to begin anew",
                part.display(),
                state_file.display()
            ),
            Some(state) => state,
            None => {
                State { request, store_id: store_id.to_owned(), resume_token: String::new(), revision: 0, records: 0, bytes: 0 }
            }
        };
        let mut open = OpenOptions::new();
        let opened = open.create(true).truncate(false).write(true).open(&part);
        let mut to = opened.with_context(|| format!("cannot write {}", part.display()))?;
        if to.try_lock().is_err() {
            bail!("{} is being written by another run", part.display());
        }
        if to.metadata()?.len() < state.bytes {
            bail!("{} is shorter than it was: delete {} to begin anew", part.display(), state_file.display());
        }
        // What stands behind was written after the state was kept last.
        to.set_len(state.bytes)?;
        to.seek(SeekFrom::End(0))?;
        let compression = Compression::of(file);
        Ok(Self { file: file.to_owned(), part, state_file, to, compression, ahead: state.clone(), state, piece: Vec::new() })
    }

    /// How many records are in it, and of which revision.
    pub(super) fn done(&self) -> (u64, i64) {
        (self.state.records, self.state.revision)
    }

    /// Where to go on.
    pub(super) fn resume_token(&self) -> &str {
        &self.state.resume_token
    }

    /// Adds the lines of a message.
    pub(super) fn write(&mut self, lines: impl Iterator<Item = String>, message: &ExportResponse) -> anyhow::Result<()> {
        for line in lines {
            self.piece.extend_from_slice(line.as_bytes());
            self.piece.push(b'\n');
            self.ahead.records += 1;
        }
        self.ahead.resume_token.clone_from(&message.resume_token);
        self.ahead.revision = message.revision;
        if self.piece.len() >= PIECE_BYTES { self.write_piece() } else { Ok(()) }
    }

    /// The file is whole.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if !self.piece.is_empty() || self.state.bytes == 0 {
            self.write_piece()?;
        }
        fs::rename(&self.part, &self.file).with_context(|| format!("cannot write {}", self.file.display()))?;
        match fs::remove_file(&self.state_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot delete {}", self.state_file.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes a piece, and notes that it counts once it is on the disk.
    fn write_piece(&mut self) -> anyhow::Result<()> {
        let written = self.compression.compress(&self.piece, &mut self.to).and_then(|()| {
            self.to.flush()?;
            self.to.sync_data()?;
            self.to.stream_position()
        });
        self.ahead.bytes = written.with_context(|| format!("cannot write {}", self.part.display()))?;
        self.piece.clear();
        position::store(&self.state_file, &self.ahead)?;
        self.state = self.ahead.clone();
        Ok(())
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Writes messages of big lines; how many, before the run is ended.
    fn run(file: &Path, messages: std::ops::Range<usize>) -> Partial {
        let mut partial = Partial::open(file, &ExportRequest::default(), "a").expect("opened");
        for number in messages {
            let message = ExportResponse { resume_token: number.to_string(), revision: 7, ..Default::default() };
            let line = format!("{number} {}", "x".repeat(PIECE_BYTES / 3));
            partial.write([line].into_iter(), &message).expect("written");
        }
        partial
    }

    fn numbers(file: &Path) -> Vec<String> {
        let mut text = String::new();
        let from = File::open(file).expect("there");
        Compression::of(file).reader(from).and_then(|mut from| from.read_to_string(&mut text)).expect("text");
        text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_run_that_was_ended_is_gone_on_with_behind_its_last_whole_piece() {
        for name in ["a.ndjson", "a.ndjson.gz", "a.ndjson.zst"] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join(name);
            let ended = run(&file, 0..5);
            assert_eq!((ended.done(), ended.resume_token()), ((3, 7), "2"), "{name}: a piece is three of them");
            drop(ended);
            // Half a piece that no state knows.
            OpenOptions::new()
                .append(true)
                .open(beside(&file, ".part"))
                .and_then(|mut part| part.write_all(b"half"))
                .expect("written");
            let next = run(&file, 3..8);
            assert!(!file.exists(), "{name}");
            next.finish().expect("whole");
            assert_eq!(numbers(&file), ["0", "1", "2", "3", "4", "5", "6", "7"], "{name}");
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "{name}: nothing is left behind");
        }
    }

    #[test]
    fn another_export_and_a_part_that_was_cut_are_refused_and_nothing_at_all_is_a_whole_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.gz");
        drop(run(&file, 0..3));
        let other = ExportRequest { as_of_revision: 3, ..Default::default() };
        for refused in [Partial::open(&file, &other, "a"), Partial::open(&file, &ExportRequest::default(), "b")] {
            assert!(refused.is_err_and(|error| error.to_string().contains("another export")));
        }
        let running = run(&file, 3..4);
        let second = Partial::open(&file, &ExportRequest::default(), "a");
        assert!(second.is_err_and(|error| error.to_string().contains("another run")));
        drop(running);
        fs::write(beside(&file, ".part"), b"x").expect("written");
        assert!(Partial::open(&file, &ExportRequest::default(), "a").is_err_and(|error| error.to_string().contains("shorter")));

        let empty = folder.path().join("empty.zst");
        run(&empty, 0..0).finish().expect("whole");
        assert_eq!(numbers(&empty), Vec::<String>::new());
    }
}
