//! Where the messages of an export go, as a Parquet file that is there only when it is whole.
//!
//! Knows messages and files. Must not know where messages come from.

use std::{fs::File, path::Path};

use anyhow::Context;

use super::{
    super::part::Part,
    destination::{Destination, Start},
};
use crate::{formats::export::parquet::Writer, model::RecordKind, proto::ExportResponse};

/// A file that is no text: the next run begins it anew.
pub(super) struct ParquetFile {
    part: Part,
    writer: Writer<File>,
    revision: i64,
}

impl ParquetFile {
    pub(super) fn open(file: &Path, kind: RecordKind) -> anyhow::Result<Self> {
        let mut part = Part::open(file)?;
        let opened = part.content().set_len(0).and_then(|()| Writer::new(kind, part.content().try_clone()?));
        let writer = opened.with_context(|| format!("cannot write {}", part.path().display()))?;
        Ok(Self { part, writer, revision: 0 })
    }
}

impl Destination for ParquetFile {
    fn start(&self) -> Start {
        Start::default()
    }

    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()> {
        self.revision = message.revision;
        let mut records = message.records.iter().filter_map(|record| record.record.as_ref());
        let written = records.try_for_each(|record| self.writer.write(record));
        written.with_context(|| format!("cannot write {}", self.part.path().display()))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let finished = self.writer.finish(self.revision);
        finished.with_context(|| format!("cannot write {}", self.part.path().display()))?;
        self.part.finish()
    }
}
