//! A file that is written over several runs, and there only when it is whole.
//!
//! `FILE.part` holds what was written so far, and `FILE.part.state` how much of it counts and where to go on. The content comes in
//! pieces that are compressed by themselves, so that the file can be cut behind any of them.
//!
//! Knows compression and resume tokens. Must not know what a record is.

use std::{
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{compression::Compression, part::Part, position};
use crate::proto::ExportResponse;

/// Bytes of content that are compressed and synced together. A run that is ended loses so much at most.
const PIECE_BYTES: usize = 8 << 20;

/// A file on its way.
#[derive(Debug)]
pub(super) struct Partial {
    part: Part,
    state_file: PathBuf,
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
    /// What was asked, and in which format.
    asked: Value,
    /// Of which store.
    store_id: String,
    resume_token: String,
    revision: i64,
    records: u64,
    /// Length of the part up to here.
    bytes: u64,
}

impl Partial {
    /// Begins, or goes on with what a run before has left. `asked`: whatever has to be the same for that.
    pub(super) fn open(file: &Path, asked: Value, store_id: &str) -> anyhow::Result<Self> {
        let mut part = Part::open(file)?;
        let state_file = part.beside(".state");
        let state = match position::load::<State>(&state_file)? {
            Some(state) if state.asked != asked || state.store_id != store_id => bail!(
                "{} was begun by another export, or of another store: run that one again, or delete {} to begin anew",
                part.path().display(),
                state_file.display()
            ),
            Some(state) => state,
            None => {
                State { asked, store_id: store_id.to_owned(), resume_token: String::new(), revision: 0, records: 0, bytes: 0 }
            }
        };
        let to = part.content();
        if to.metadata()?.len() < state.bytes {
            bail!("{} is shorter than it was: delete {} to begin anew", part.path().display(), state_file.display());
        }
        // What stands behind was written after the state was kept last.
        to.set_len(state.bytes)?;
        to.seek(SeekFrom::End(0))?;
        let compression = Compression::of(file);
        Ok(Self { part, state_file, compression, ahead: state.clone(), state, piece: Vec::new() })
    }

    /// Whether nothing is in it yet.
    pub(super) fn is_new(&self) -> bool {
        self.ahead.bytes == 0 && self.piece.is_empty()
    }

    /// How many records are in it, and of which revision.
    pub(super) fn done(&self) -> (u64, i64) {
        (self.state.records, self.state.revision)
    }

    /// Where to go on.
    pub(super) fn resume_token(&self) -> &str {
        &self.state.resume_token
    }

    /// Adds what a message has become.
    pub(super) fn write(&mut self, content: &[u8], message: &ExportResponse) -> anyhow::Result<()> {
        self.piece.extend_from_slice(content);
        self.ahead.records += message.records.len() as u64;
        self.ahead.resume_token.clone_from(&message.resume_token);
        self.ahead.revision = message.revision;
        if self.piece.len() >= PIECE_BYTES { self.write_piece() } else { Ok(()) }
    }

    /// The file is whole, with this at its end.
    pub(super) fn finish(mut self, tail: &[u8]) -> anyhow::Result<()> {
        self.piece.extend_from_slice(tail);
        if !self.piece.is_empty() || self.state.bytes == 0 {
            self.write_piece()?;
        }
        self.part.finish()?;
        position::remove(&self.state_file)
    }

    /// Writes a piece, and notes that it counts once it is on the disk.
    fn write_piece(&mut self) -> anyhow::Result<()> {
        let to = self.part.content();
        let written = self.compression.compress(&self.piece, to).and_then(|()| {
            to.flush()?;
            to.sync_data()?;
            to.stream_position()
        });
        self.ahead.bytes = written.with_context(|| format!("cannot write {}", self.part.path().display()))?;
        self.piece.clear();
        position::store(&self.state_file, &self.ahead)?;
        self.state = self.ahead.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, OpenOptions},
        io::Read,
    };

    use serde_json::json;

    use super::*;
    use crate::proto::Record;

    /// Writes messages of big lines; how many, before the run is ended.
    fn run(file: &Path, messages: std::ops::Range<usize>) -> Partial {
        let mut partial = Partial::open(file, json!("all"), "a").expect("opened");
        for number in messages {
            let message = ExportResponse { records: vec![Record::default()], resume_token: number.to_string(), revision: 7 };
            let line = format!("{number} {}\n", "x".repeat(PIECE_BYTES / 3));
            partial.write(line.as_bytes(), &message).expect("written");
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
                .open(folder.path().join(format!("{name}.part")))
                .and_then(|mut part| part.write_all(b"half"))
                .expect("written");
            let next = run(&file, 3..8);
            assert!(!file.exists(), "{name}");
            assert!(!next.is_new(), "{name}");
            next.finish(b"end\n").expect("whole");
            assert_eq!(numbers(&file), ["0", "1", "2", "3", "4", "5", "6", "7", "end"], "{name}");
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "{name}: nothing is left behind");
        }
    }

    #[test]
    fn another_export_and_a_part_that_was_cut_are_refused_and_nothing_at_all_is_a_whole_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.gz");
        drop(run(&file, 0..3));
        for refused in [Partial::open(&file, json!("some"), "a"), Partial::open(&file, json!("all"), "b")] {
            assert!(refused.is_err_and(|error| error.to_string().contains("another export")));
        }
        let running = run(&file, 3..4);
        let second = Partial::open(&file, json!("all"), "a");
        assert!(second.is_err_and(|error| error.to_string().contains("another run")));
        drop(running);
        fs::write(folder.path().join("a.gz.part"), b"x").expect("written");
        assert!(Partial::open(&file, json!("all"), "a").is_err_and(|error| error.to_string().contains("shorter")));

        let empty = folder.path().join("empty.zst");
        run(&empty, 0..0).finish(b"").expect("whole");
        assert_eq!(numbers(&empty), Vec::<String>::new());
    }
}
