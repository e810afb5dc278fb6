//! Where the messages of an export go: standard output, or a file of text that is there only when it is whole.
//!
//! Knows messages, formats and files. Must not know where messages come from.

use std::path::Path;

use serde_json::Value;

use super::super::{output::Output, partial::Partial};
use crate::{formats::export::Text, proto::ExportResponse};

/// Takes messages, in order.
pub(super) trait Destination {
    /// Where to go on, if a run before has left something.
    fn start(&self) -> Start;

    /// Takes a message.
    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()>;

    /// There are no more.
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// How far a run before has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Start {
    pub(super) records: u64,
    pub(super) revision: i64,
    pub(super) resume_token: String,
}

/// Standard output.
pub(super) struct Standard<'a> {
    format: Box<dyn Text>,
    out: &'a mut Output,
    begun: bool,
}

impl<'a> Standard<'a> {
    pub(super) fn new(format: Box<dyn Text>, out: &'a mut Output) -> Self {
        Self { format, out, begun: false }
    }
}

impl Destination for Standard<'_> {
    fn start(&self) -> Start {
        Start::default()
    }

    fn write(&mut self, message: &ExportResponse) -> anyhow::Result<()> {
        let text = text(self.format.as_ref(), message, !self.begun);
        self.begun = true;
        Ok(self.out.content(&text)?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        let mut tail = Vec::new();
        self.format.tail(&mut tail);
        self.out.content(&tail)?;
        Ok(self.out.flush()?)
    }
}

/// A file of text, which the next run goes on with.
pub(super) struct TextFile {
    format: Box<dyn Text>,
    partial: Partial,
}

impl TextFile {
    pub(super) fn open(file: &Path, format: Box<dyn Text>, asked: Value, store_id: &str) -> anyhow::Result<Self> {
        Ok(Self { format, partial: Partial::open(file, asked, store_id)? })
    }
}

impl Destination for TextFile {
    fn start(&self) -> Start {
        let (records, revision) = self.partial.done();
        Start { records, revision, resume_token: self.partial.resume_token().to_owned() }
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

/// What a message becomes; with the head of the file, if it is the first.
fn text(format: &dyn Text, message: &ExportResponse, first: bool) -> Vec<u8> {
    let mut text = Vec::new();
    if first {
        format.head(message.revision, &mut text);
    }
    for record in message.records.iter().filter_map(|record| record.record.as_ref()) {
        format.record(record, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::{
        formats::export::Stix,
        proto::{Record, Source},
    };

    /// Sources that fill more than one piece of a file.
    fn message(number: usize) -> ExportResponse {
        let source = |at| Source { name: format!("sources/s{number}-{at}"), title: "x".repeat(1 << 16), ..Default::default() };
        let records: Vec<Record> = (0..60).map(|at| source(at).into()).collect();
        ExportResponse { records, resume_token: number.to_string(), revision: 7 }
    }

    #[test]
    fn a_bundle_that_is_gone_on_with_has_one_head_and_every_record_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bundle.json");
        let open = || TextFile::open(&path, Box::new(Stix::of("store")), json!("stix"), "store").expect("opened");
        let mut ended = open();
        for number in 1..=2 {
            ended.write(&message(number)).expect("written");
        }
        drop(ended);
        let mut next = open();
        let done: usize = next.start().resume_token.parse().expect("a piece was whole");
        assert!((1..=2).contains(&done) && next.start().records == 60 * done as u64);
        for number in done + 1..=3 {
            next.write(&message(number)).expect("written");
        }
        Box::new(next).finish().expect("whole");
        let bundle: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("one object");
        let objects = bundle["objects"].as_array().expect("objects");
        let reports = objects.iter().filter(|object| object["type"] == "report").map(|report| report["id"].to_string());
        assert_eq!(reports.clone().count(), 180);
        assert_eq!(reports.collect::<BTreeSet<_>>().len(), 180);
        assert_eq!(objects.iter().filter(|object| object["type"] == "extension-definition").count(), 1);
    }
}
