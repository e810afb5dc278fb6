//! Records in proto3 JSON, one per line, as `annals export` writes them and `annals import records` reads them.
//!
//! A record may refer to a record further down in the file: a source to its publisher, an event to the event that it is a part
//! of. Such a record is first created without the fields that refer there, if its type allows that. At the end of the file it
//! is set as a whole. Until then its line is in a temporary file, so memory does not grow.
//!
//! Must not know the rules of a type, or who applies a commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    mem,
};

use super::{
    export::ExportText,
    format::{Format, FormatExporter, FormatImporter},
    import::{ImportRow, ImportRowError, ImportRows, mutation},
    json,
    reading::{LINE_BYTES_MAX, read_line},
};
use crate::{
    model::{RecordKind, RecordName, TypedRecord, wire},
    proto::{self, Mutation, record::Record, record_types},
};

/// The records themselves in proto3 JSON, import and export. No other format holds everything.
pub static FORMAT: Format = Format {
    name: "records",
    summary: "records of Annals in proto3 JSON, one per line: everything that the store holds",
    page: "records/page.md",
    importer: Some(FormatImporter { needs_mapping: false, open: |input| Ok(rows(input.content)) }),
    exporter: Some(FormatExporter::Text { extension: "ndjson", open: |_| Box::new(RecordLines) }),
};

/// The exporter: one record a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordLines;

impl ExportText for RecordLines {
    fn head(&self, _revision: i64, _to: &mut Vec<u8>) {}

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        to.extend_from_slice(json::record_value(record).to_string().as_bytes());
        to.push(b'\n');
    }

    fn tail(&self, _to: &mut Vec<u8>) {}
}

/// The rows of a file. Each record is a row.
fn rows(content: Box<dyn BufRead + Send>) -> ImportRows {
    Box::new(RecordRows { content, number: 0, ended: false, waiting: Waiting::None, merged: BTreeMap::new() })
}

struct RecordRows {
    content: Box<dyn BufRead + Send>,
    number: u64,
    ended: bool,
    waiting: Waiting,
    /// Names that were merged into other records, with the names of those records. References to the former are replaced.
    merged: BTreeMap<String, String>,
}

/// The lines that wait for the end of the file.
enum Waiting {
    None,
    Written(BufWriter<File>),
    Read(BufReader<File>),
}

/// The mutations of a line.
struct LineMutations {
    whole: Mutation,
    /// Whether the record refers to records that may be further down in the file.
    waits: bool,
    /// The record without these references, if it waits and its type allows that.
    first: Option<Mutation>,
    merged_names: Vec<String>,
}

impl RecordRows {
    /// The next line of the file.
    fn line(&mut self) -> Option<Result<ImportRow, ImportRowError>> {
        let mut line = Vec::new();
        loop {
            self.number += 1;
            let number = self.number;
            match read_line(&mut self.content, &mut line) {
                Ok(None) => return None,
                Ok(Some(true)) if line.trim_ascii().is_empty() => {}
                Ok(Some(true)) => {
                    if let Some(row) = self.read(number, &line).transpose() {
                        return Some(row);
                    }
                }
                Ok(Some(false)) => {
                    return Some(Err(ImportRowError::whole(number, format!("is longer than {} MiB", LINE_BYTES_MAX >> 20))));
                }
                Err(error) => {
                    // Lines that already wait can still be set.
                    self.ended = true;
                    return Some(Err(ImportRowError::whole(
                        number,
                        format!("cannot be read: {error}; the rest of the file is not read"),
                    )));
                }
            }
        }
    }

    /// The row of a line. `None` if the whole line waits.
    fn read(&mut self, number: u64, line: &[u8]) -> Result<Option<ImportRow>, ImportRowError> {
        let made = mutations(line).map_err(|reason| ImportRowError::whole(number, reason))?;
        let name = mutation::name(&made.whole).to_owned();
        self.merged.extend(made.merged_names.into_iter().map(|merged| (merged, name.clone())));
        if !made.waits {
            return Ok(Some(self.row(number, made.whole)));
        }
        self.wait(number, line)
            .map_err(|error| ImportRowError::whole(number, format!("cannot be written to a temporary file: {error}")))?;
        Ok(made.first.map(|mut first| {
            mutation::rename(&mut first, &self.merged);
            ImportRow { number, shared: vec![first], own: Vec::new() }
        }))
    }

    fn row(&self, number: u64, mut whole: Mutation) -> ImportRow {
        mutation::rename(&mut whole, &self.merged);
        ImportRow { number, shared: Vec::new(), own: vec![whole] }
    }

    fn wait(&mut self, number: u64, line: &[u8]) -> io::Result<()> {
        if matches!(self.waiting, Waiting::None) {
            self.waiting = Waiting::Written(BufWriter::new(tempfile::tempfile()?));
        }
        if let Waiting::Written(file) = &mut self.waiting {
            file.write_all(&number.to_le_bytes())?;
            file.write_all(&(line.len() as u64).to_le_bytes())?;
            file.write_all(line)?;
        }
        Ok(())
    }

    /// The next waiting line, once the end of the file is reached.
    fn waited(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        if let Waiting::Written(_) = &self.waiting
            && let Waiting::Written(written) = mem::replace(&mut self.waiting, Waiting::None)
        {
            let mut file = written.into_inner()?;
            file.rewind()?;
            self.waiting = Waiting::Read(BufReader::new(file));
        }
        let Waiting::Read(file) = &mut self.waiting else { return Ok(None) };
        if file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut word = [0; 8];
        file.read_exact(&mut word)?;
        let number = u64::from_le_bytes(word);
        file.read_exact(&mut word)?;
        let mut line = Vec::new();
        file.take(u64::from_le_bytes(word)).read_to_end(&mut line)?;
        Ok(Some((number, line)))
    }
}

impl Iterator for RecordRows {
    type Item = Result<ImportRow, ImportRowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.ended {
            match self.line() {
                None => self.ended = true,
                row => return row,
            }
        }
        match self.waited().transpose()? {
            Ok((number, line)) => {
                let made = mutations(&line).map_err(|reason| ImportRowError::whole(number, reason));
                Some(made.map(|made| self.row(number, made.whole)))
            }
            Err(error) => {
                self.waiting = Waiting::None;
                Some(Err(ImportRowError::whole(self.number, format!("a temporary file of records cannot be read: {error}"))))
            }
        }
    }
}

fn mutations(line: &[u8]) -> Result<LineMutations, String> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        // The error's position is within the line.
        let text = error.to_string();
        format!("is not JSON: {}", text.split(" at line ").next().unwrap_or_default())
    })?;
    let name = value.get("name").and_then(serde_json::Value::as_str);
    let name = name.ok_or("has no \"name\": each record of an export has one")?;
    of_kind(name.parse::<RecordName>().map_err(|error| error.to_string())?.kind(), text)
}

macro_rules! by_kind {
    ($($message:ident = $number:literal, $singular:literal, $collection:literal;)*) => {
        fn of_kind(kind: RecordKind, text: &str) -> Result<LineMutations, String> {
            match kind {
                $(RecordKind::$message => typed::<proto::$message>(text),)*
            }
        }
    };
}

record_types!(by_kind);

fn typed<T: TypedRecord + prost::Name>(text: &str) -> Result<LineMutations, String> {
    let record: T = json::from_str(text).map_err(|error| error.to_string().trim_start_matches("line 1: ").to_owned())?;
    let bytes = record.encode_to_vec();
    let ahead = fields_ahead::<T>(&bytes);
    let waits = !ahead.is_empty();
    // A computed estimate needs its inputs, and a relation needs its ends.
    let can_be_without = matches!(T::KIND, RecordKind::Source | RecordKind::Actor | RecordKind::Event | RecordKind::Claim);
    let first = (waits && can_be_without).then(|| {
        let mut parts = wire::Parts::of(&bytes);
        for number in &ahead {
            parts.set(*number, Vec::new());
        }
        mutation::found(T::decode(parts.encode().as_slice()).expect("a message without some of its fields is one"))
    });
    let merged_names = merged_names::<T>(&bytes);
    Ok(LineMutations { whole: mutation::keep(record, &["*"]), waits, first, merged_names })
}

/// The fields that refer to records of the same type, or of a type that comes later in an export.
fn fields_ahead<T: TypedRecord>(bytes: &[u8]) -> BTreeSet<u32> {
    let mut ahead = BTreeSet::new();
    for reference in &T::KIND.schema().references {
        wire::visit_texts(bytes, &reference.path, &mut |_, text| {
            if text.parse::<RecordName>().is_ok_and(|name| name.kind() >= T::KIND) {
                ahead.extend(reference.path.first());
            }
        });
    }
    ahead
}

fn merged_names<T: TypedRecord>(bytes: &[u8]) -> Vec<String> {
    let field = T::KIND.schema().fields.iter().find(|field| field.name == "merged_names");
    field.map(|field| wire::texts(bytes, field.number).map(str::to_owned).collect()).unwrap_or_default()
}
