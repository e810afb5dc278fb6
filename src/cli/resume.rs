//! Files that let the next run of a command resume: state files, and output files that get their name only when they are
//! complete.
//!
//! An unfinished `FILE` is `FILE.part`. A lock ensures that one run at a time writes it. For text, `FILE.part.state` contains
//! the valid length of the part and the resume token. The content is written in chunks that are compressed separately, so that
//! the file can be cut after any chunk.
//!
//! Must not know what a record is, or what a position means.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::input::Compression;
use crate::proto::ExportResponse;

/// Bytes of content that are compressed and synced together. An interrupted run loses at most this many.
const CHUNK_BYTES: usize = 8 << 20;

/// The content of a state file. `None` if there is no file yet.
pub(super) fn load_state<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let content = serde_json::from_slice(&text);
    let content = content.with_context(|| format!("{} is not a state file of this command", file.display()))?;
    Ok(Some(content))
}

/// Replaces a state file atomically. After a crash it contains the old content or the new.
pub(super) fn store_state(file: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    let replaced = || -> io::Result<()> {
        let folder = folder_of(file);
        let mut new = NamedTempFile::new_in(&folder)?;
        serde_json::to_writer(&mut new, content)?;
        new.write_all(b"\n")?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        File::open(folder)?.sync_all()
    };
    replaced().with_context(|| format!("cannot write {}", file.display()))
}

/// Deletes a state file if it exists.
pub(super) fn remove_state(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", file.display()))
        }
        _ => Ok(()),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// An unfinished file, `FILE.part`.
#[derive(Debug)]
pub(super) struct PartFile {
    file: PathBuf,
    path: PathBuf,
    content: File,
}

impl PartFile {
    /// Opens and locks the part of a file, with the content that an earlier run left in it. Errs if another run has it open.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let path = with_ending(file, ".part");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let content = opened.with_context(|| format!("cannot write {}", path.display()))?;
        if content.try_lock().is_err() {
            bail!("{} is being written by another run", path.display());
        }
        Ok(Self { file: file.to_owned(), path, content })
    }

    /// The path of the part.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the part with this ending appended.
    pub(super) fn path_with(&self, ending: &str) -> PathBuf {
        with_ending(&self.path, ending)
    }

    /// The open file of the part.
    pub(super) fn content(&mut self) -> &mut File {
        &mut self.content
    }

    /// Syncs the part and renames it to the file.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let named = self.content.sync_all().and_then(|()| fs::rename(&self.path, &self.file));
        named.with_context(|| format!("cannot write {}", self.file.display()))
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A text file that several runs may write. It gets its name only when it is complete.
#[derive(Debug)]
pub(super) struct Partial {
    part: PartFile,
    state_file: PathBuf,
    compression: Compression,
    state: ResumeState,
    /// The content after the last written chunk.
    chunk: Vec<u8>,
    /// The state after that content is written.
    next: ResumeState,
}

/// How much of the part is valid, and where to resume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeState {
    /// The export's request and its format.
    #[serde(rename = "asked")]
    request: Value,
    store_id: String,
    resume_token: String,
    revision: i64,
    records: u64,
    /// The valid length of the part.
    bytes: u64,
}

impl Partial {
    /// Begins the file, or resumes it after an interrupted run with the same request.
    pub(super) fn open(file: &Path, request: Value, store_id: &str) -> anyhow::Result<Self> {
        let mut part = PartFile::open(file)?;
        let state_file = part.path_with(".state");
        let state = match load_state::<ResumeState>(&state_file)? {
            Some(state) if state.request != request || state.store_id != store_id => bail!(
                "{} belongs to another export, or to another store: run that export again, or delete {} to start over",
                part.path().display(),
                state_file.display()
            ),
            Some(state) => state,
            None => ResumeState {
                request,
                store_id: store_id.to_owned(),
                resume_token: String::new(),
                revision: 0,
                records: 0,
                bytes: 0,
            },
        };
        let to = part.content();
        if to.metadata()?.len() < state.bytes {
            bail!("{} is shorter than it was: delete {} to start over", part.path().display(), state_file.display());
        }
        // The bytes after this length were written after the last state.
        to.set_len(state.bytes)?;
        to.seek(SeekFrom::End(0))?;
        let compression = Compression::of(file);
        Ok(Self { part, state_file, compression, next: state.clone(), state, chunk: Vec::new() })
    }

    /// Whether it is empty so far.
    pub(super) fn is_new(&self) -> bool {
        self.next.bytes == 0 && self.chunk.is_empty()
    }

    /// The number of records in it, and their revision.
    pub(super) fn written(&self) -> (u64, i64) {
        (self.state.records, self.state.revision)
    }

    /// The token at which the export resumes. Empty at the beginning.
    pub(super) fn resume_token(&self) -> &str {
        &self.state.resume_token
    }

    /// Adds the text of a message.
    pub(super) fn write(&mut self, content: &[u8], message: &ExportResponse) -> anyhow::Result<()> {
        self.chunk.extend_from_slice(content);
        self.next.records += message.records.len() as u64;
        self.next.resume_token.clone_from(&message.resume_token);
        self.next.revision = message.revision;
        if self.chunk.len() >= CHUNK_BYTES { self.write_chunk() } else { Ok(()) }
    }

    /// Writes the end of the file and renames it to its name.
    pub(super) fn finish(mut self, tail: &[u8]) -> anyhow::Result<()> {
        self.chunk.extend_from_slice(tail);
        if !self.chunk.is_empty() || self.state.bytes == 0 {
            self.write_chunk()?;
        }
        self.part.finish()?;
        remove_state(&self.state_file)
    }

    /// Writes and syncs a chunk, and then the state that makes it valid.
    fn write_chunk(&mut self) -> anyhow::Result<()> {
        let to = self.part.content();
        let written = self.compression.compress(&self.chunk, to).and_then(|()| {
            to.flush()?;
            to.sync_data()?;
            to.stream_position()
        });
        self.next.bytes = written.with_context(|| format!("cannot write {}", self.part.path().display()))?;
        self.chunk.clear();
        store_state(&self.state_file, &self.next)?;
        self.state = self.next.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::*;
    use crate::proto::Record;

    /// Writes messages with large lines. `messages` are those that are written before the run ends.
    fn run(file: &Path, messages: std::ops::Range<usize>) -> Partial {
        let mut partial = Partial::open(file, json!("all"), "a").expect("opened");
        for number in messages {
            let message = ExportResponse { records: vec![Record::default()], resume_token: number.to_string(), revision: 7 };
            let line = format!("{number} {}\n", "x".repeat(CHUNK_BYTES / 3));
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
    fn an_interrupted_run_is_resumed_after_its_last_whole_chunk() {
        for name in ["a.ndjson", "a.ndjson.gz", "a.ndjson.zst"] {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join(name);
            let ended = run(&file, 0..5);
            assert_eq!((ended.written(), ended.resume_token()), ((3, 7), "2"), "{name}: a chunk is three of them");
            drop(ended);
            // Half a chunk that is in no state.
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
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "{name}: nothing is left over");
        }
    }

    #[test]
    fn another_export_and_a_part_that_was_cut_are_refused_and_an_empty_file_is_complete() {
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

    #[test]
    fn a_state_is_loaded_as_it_was_stored_and_a_broken_file_is_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("position");
        assert_eq!(load_state::<u64>(&file).expect("nothing yet"), None);
        for content in [1_u64, 2] {
            store_state(&file, &content).expect("stored");
            assert_eq!(load_state(&file).expect("loaded"), Some(content));
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left over");
        fs::write(&file, "12x").expect("written");
        assert!(load_state::<u64>(&file).is_err_and(|error| error.to_string().contains("position")));
        assert!(store_state(&folder.path().join("none").join("position"), &1).is_err());
    }
}
