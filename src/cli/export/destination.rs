//! Where an export is written: standard output, a text file, a file that is not text, or a folder with one file per collection.
//!
//! A file gets its name only when it is complete.
//!
//! Must not know where the records come from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cli::{
        output::Output,
        resume::{self, PartFile, Partial},
    },
    formats::{
        OpenExportFile,
        export::{ExportFile, ExportText},
    },
    model::RecordKind,
    proto::ExportResponse,
};

/// The name of the state file of an unfinished folder.
const FOLDER_STATE: &str = "export.part.state";

/// Receives the messages of an export, in order.
pub(super) trait Destination {
    /// Where the export begins or resumes.
    fn start(&self) -> Start;

    /// Writes the records of a message.
    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()>;

    /// Completes the output after the last message.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// The records that an export has written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) records: u64,
    pub(super) revision: i64,
}

/// Where an export begins or resumes.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    /// What earlier runs have written.
    pub(super) written: Written,
    pub(super) resume_token: String,
}

/// Standard output. An export to it cannot be resumed.
pub(super) struct Standard<'a> {
    format: Box<dyn ExportText>,
    out: &'a mut Output,
    /// Whether the head was written.
    started: bool,
}

impl<'a> Standard<'a> {
    pub(super) fn new(format: Box<dyn ExportText>, out: &'a mut Output) -> Self {
        Self { format, out, started: false }
    }
}

impl Destination for Standard<'_> {
    fn start(&self) -> Start {
        Start::default()
    }

    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()> {
        let text = text(self.format.as_ref(), message, !self.started);
        self.started = true;
        Ok(self.out.content(&text)?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let mut tail = Vec::new();
        self.format.tail(&mut tail);
        self.out.content(&tail)?;
        Ok(self.out.flush()?)
    }
}

/// A text file. The next run resumes an interrupted one.
pub(super) struct TextFile {
    format: Box<dyn ExportText>,
    partial: Partial,
}

impl TextFile {
    pub(super) fn open(file: &Path, format: Box<dyn ExportText>, request: Value, store_id: &str) -> anyhow::Result<Self> {
        Ok(Self { format, partial: Partial::open(file, request, store_id)? })
    }
}

impl Destination for TextFile {
    fn start(&self) -> Start {
        let (records, revision) = self.partial.written();
        Start { written: Written { records, revision }, resume_token: self.partial.resume_token().to_owned() }
    }

    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()> {
        let text = text(self.format.as_ref(), message, self.partial.is_new());
        self.partial.write(&text, message)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let mut tail = Vec::new();
        self.format.tail(&mut tail);
        self.partial.finish(&tail)
    }
}

/// The text of a message. The first message is preceded by the head of the file.
fn text(format: &dyn ExportText, message: &ExportResponse, first: bool) -> Vec<u8> {
    let mut text = Vec::new();
    if first {
        format.head(message.revision, &mut text);
    }
    for record in message.records.iter().filter_map(|record| record.record.as_ref()) {
        format.record(record, &mut text);
    }
    text
}

/// A file that is not text. An interrupted export cannot be resumed: the next run starts from the beginning.
pub(super) struct BinaryFile {
    part: PartFile,
    writer: Box<dyn ExportFile>,
    revision: i64,
}

impl BinaryFile {
    pub(super) fn open(file: &Path, kind: RecordKind, open: OpenExportFile) -> anyhow::Result<Self> {
        let mut part = PartFile::open(file)?;
        let opened = part.content().set_len(0).and_then(|()| open(kind, Box::new(part.content().try_clone()?)));
        let writer = opened.with_context(|| format!("cannot write {}", part.path().display()))?;
        Ok(Self { part, writer, revision: 0 })
    }
}

impl Destination for BinaryFile {
    fn start(&self) -> Start {
        Start::default()
    }

    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()> {
        self.revision = message.revision;
        let mut records = message.records.iter().filter_map(|record| record.record.as_ref());
        let written = records.try_for_each(|record| self.writer.record(record));
        written.with_context(|| format!("cannot write {}", self.part.path().display()))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let finished = self.writer.finish(self.revision);
        finished.with_context(|| format!("cannot write {}", self.part.path().display()))?;
        self.part.finish()
    }
}

/// A folder with one file per collection, all of one revision. Several runs may fill it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    state_file: PathBuf,
    state: FolderState,
}

/// Which files are complete.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderState {
    /// The export's request and its format.
    #[serde(rename = "asked")]
    request: Value,
    store_id: String,
    /// The revision of the complete files. `None` before the first.
    revision: Option<i64>,
    /// The number of records in the complete files.
    records: u64,
    /// The collections of the complete files.
    collections: Vec<String>,
}

impl Folder {
    /// Begins the folder, or resumes it after an interrupted run with the same request.
    pub(super) fn open(path: &Path, request: Value, store_id: String) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create the folder {}", path.display()))?;
        let state_file = path.join(FOLDER_STATE);
        let state = match resume::load_state::<FolderState>(&state_file)? {
            Some(state) if state.request != request || state.store_id != store_id => bail!(
                "another export to {}, or from another store, was not finished: run that export again, or delete {} to start over",
                path.display(),
                state_file.display()
            ),
            Some(state) => state,
            None => FolderState { request, store_id, revision: None, records: 0, collections: Vec::new() },
        };
        Ok(Self { path: path.to_owned(), state_file, state })
    }

    /// The path of a collection's file.
    pub(super) fn file(&self, kind: RecordKind, extension: &str) -> PathBuf {
        self.path.join(format!("{}.{extension}", kind.collection()))
    }

    /// Whether the file of a collection is complete.
    pub(super) fn has(&self, kind: RecordKind) -> bool {
        self.state.collections.iter().any(|collection| collection == kind.collection())
    }

    /// The revision of all files. `None` before the first is complete.
    pub(super) fn revision(&self) -> Option<i64> {
        self.state.revision
    }

    pub(super) fn store_id(&self) -> &str {
        &self.state.store_id
    }

    /// The records in the complete files.
    pub(super) fn written(&self) -> Written {
        Written { records: self.state.records, revision: self.state.revision.unwrap_or_default() }
    }

    /// Adds a complete file. `written` counts the records in all complete files, including this one.
    pub(super) fn add(&mut self, kind: RecordKind, written: Written) -> anyhow::Result<()> {
        self.state.collections.push(kind.collection().to_owned());
        self.state.records = written.records;
        self.state.revision = Some(written.revision);
        resume::store_state(&self.state_file, &self.state)
    }

    /// Completes the folder after its last file.
    pub(super) fn finish(self) -> anyhow::Result<Written> {
        resume::remove_state(&self.state_file)?;
        Ok(self.written())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::{
        formats::stix::StixBundle,
        proto::{Record, Source},
    };

    /// Sources that fill more than one chunk of a file.
    fn message(number: usize) -> ExportResponse {
        let source = |at| Source { name: format!("sources/s{number}-{at}"), title: "x".repeat(1 << 16), ..Default::default() };
        let records: Vec<Record> = (0..60).map(|at| source(at).into()).collect();
        ExportResponse { records, resume_token: number.to_string(), revision: 7 }
    }

    #[test]
    fn a_resumed_bundle_has_one_head_and_every_record_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bundle.json");
        let open = || TextFile::open(&path, Box::new(StixBundle::of("store")), json!("stix"), "store").expect("opened");
        let mut ended = open();
        for number in 1..=2 {
            ended.write(&message(number)).expect("written");
        }
        drop(ended);
        let mut next = open();
        let done: usize = next.start().resume_token.parse().expect("a chunk was complete");
        assert!((1..=2).contains(&done) && next.start().written.records == 60 * done as u64);
        for number in done + 1..=3 {
            next.write(&message(number)).expect("written");
        }
        Box::new(next).finish().expect("complete");
        let bundle: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("one object");
        let objects = bundle["objects"].as_array().expect("objects");
        let reports = objects.iter().filter(|object| object["type"] == "report").map(|report| report["id"].to_string());
        assert_eq!(reports.clone().count(), 180);
        assert_eq!(reports.collect::<BTreeSet<_>>().len(), 180);
        assert_eq!(objects.iter().filter(|object| object["type"] == "extension-definition").count(), 1);
    }
}
