//! Our own records, as `annals export` writes them: in proto3 JSON, one a line, type after type.
//!
//! A record may refer to one that stands behind it: a source to its publisher, an event to the one that it is a part of. Such a record is made
//! first without the fields that refer there, if it can be, and set whole when the file has ended. Until then its line waits in a
//! temporary file, so memory does not grow.
//!
//! Knows records and what refers where. Must not know rules of a type, or who applies a commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    mem,
};

use super::{BadRow, Row, Rows, format::Input, mutation};
use crate::{
    formats::{
        json,
        long_lines::{LINE_BYTES_MAX, read_line},
    },
    model::{RecordKind, RecordName, TypedRecord, wire},
    proto::{Actor, Claim, Estimate, Event, Mutation, Relation, Source},
};

/// The rows of a file: a record a row.
pub(crate) fn rows(input: Input) -> Rows {
    let content = input.content;
    Box::new(Records { content, number: 0, ended: false, waiting: Waiting::None, merged: BTreeMap::new() })
}

struct Records {
    content: Box<dyn BufRead + Send>,
    number: u64,
    ended: bool,
    waiting: Waiting,
    /// Names that were merged into others. What refers to them refers to those.
    merged: BTreeMap<String, String>,
}

/// Lines that wait for the end of the file.
enum Waiting {
    None,
    Written(BufWriter<File>),
    Read(BufReader<File>),
}

/// What a line makes.
struct Made {
    whole: Mutation,
    /// It refers to what may stand behind it.
    waits: bool,
    /// The record without that, where it waits and can be without.
    first: Option<Mutation>,
    merged_names: Vec<String>,
}

impl Records {
    /// The next line of the file.
    fn line(&mut self) -> Option<Result<Row, BadRow>> {
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
                    return Some(Err(BadRow::whole(number, format!("is longer than {} MiB", LINE_BYTES_MAX >> 20))));
                }
                Err(error) => {
                    // What waits may still be set.
                    self.ended = true;
                    return Some(Err(BadRow::whole(number, format!("cannot be read, nor what is behind it: {error}"))));
                }
            }
        }
    }

    /// The row of a line; none if all of it waits.
    fn read(&mut self, number: u64, line: &[u8]) -> Result<Option<Row>, BadRow> {
        let made = made(line).map_err(|reason| BadRow::whole(number, reason))?;
        let name = mutation::name(&made.whole).to_owned();
        self.merged.extend(made.merged_names.into_iter().map(|merged| (merged, name.clone())));
        if !made.waits {
            return Ok(Some(self.row(number, made.whole)));
        }
        self.wait(number, line).map_err(|error| BadRow::whole(number, format!("cannot be kept for later: {error}")))?;
        Ok(made.first.map(|mut first| {
            mutation::rename(&mut first, &self.merged);
            Row { number, shared: vec![first], own: Vec::new() }
        }))
    }

    fn row(&self, number: u64, mut whole: Mutation) -> Row {
        mutation::rename(&mut whole, &self.merged);
        Row { number, shared: Vec::new(), own: vec![whole] }
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

    /// The next line that has waited.
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

impl Iterator for Records {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.ended {
            match self.line() {
                None => self.ended = true,
                row => return row,
            }
        }
        match self.waited().transpose()? {
            Ok((number, line)) => {
                let made = made(&line).map_err(|reason| BadRow::whole(number, reason));
                Some(made.map(|made| self.row(number, made.whole)))
            }
            Err(error) => {
                self.waiting = Waiting::None;
                Some(Err(BadRow::whole(self.number, format!("what was kept for later cannot be read: {error}"))))
            }
        }
    }
}

fn made(line: &[u8]) -> Result<Made, String> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        // Its position is that in the line.
        let text = error.to_string();
        format!("is not JSON: {}", text.split(" at line ").next().unwrap_or_default())
    })?;
    let name = value.get("name").and_then(serde_json::Value::as_str);
    let name = name.ok_or("has no \"name\": each record of an export has one")?;
    match name.parse::<RecordName>().map_err(|error| error.to_string())?.kind() {
        RecordKind::Source => typed::<Source>(text),
        RecordKind::Actor => typed::<Actor>(text),
        RecordKind::Event => typed::<Event>(text),
        RecordKind::Claim => typed::<Claim>(text),
        RecordKind::Estimate => typed::<Estimate>(text),
        RecordKind::Relation => typed::<Relation>(text),
    }
}

fn typed<T: TypedRecord + prost::Name>(text: &str) -> Result<Made, String> {
    let record: T = json::from_str(text).map_err(|error| error.to_string().trim_start_matches("line 1: ").to_owned())?;
    let bytes = record.encode_to_vec();
    let ahead = fields_ahead::<T>(&bytes);
    let waits = !ahead.is_empty();
    // A number that was computed needs what it was computed from, and a relation its ends.
    let can_be_without = matches!(T::KIND, RecordKind::Source | RecordKind::Actor | RecordKind::Event | RecordKind::Claim);
    let first = (waits && can_be_without).then(|| {
        let mut parts = wire::Parts::of(&bytes);
        for number in &ahead {
            parts.set(*number, Vec::new());
        }
        mutation::found(T::decode(parts.encode().as_slice()).expect("a message without some of its fields is one"))
    });
    let merged_names = merged_names::<T>(&bytes);
    Ok(Made { whole: mutation::keep(record, &["*"]), waits, first, merged_names })
}

/// The fields that refer to records of the same type, or of one that comes later in an export.
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
