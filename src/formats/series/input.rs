//! Reads the rows of a file as its mapping describes: CSV, TSV, JSON or NDJSON.
//!
//! Must not know what a row becomes.

use std::{collections::HashMap, io::Read, sync::Arc};

use super::{
    columns::RawRow,
    mapping::{FileSyntax, SeriesMapping},
};
use crate::formats::{
    import::{ImportRowError, objects},
    reading::{Allowance, Bounded, Unmarked},
};

/// The rows of a file with their numbers, from 1.
pub(super) type RawRows = Box<dyn Iterator<Item = (u64, Result<RawRow, ImportRowError>)> + Send>;

/// Reads the rows of a file in the syntax that the mapping names.
pub(super) fn open(mapping: &Arc<SeriesMapping>, from: impl Read + Send + 'static) -> RawRows {
    let objects = match mapping.file.format {
        FileSyntax::Csv => {
            return Box::new(DelimitedRows::new(mapping, mapping.file.delimiter.map_or(b',', |delimiter| delimiter.0), from));
        }
        FileSyntax::Tsv => return Box::new(DelimitedRows::new(mapping, b'\t', from)),
        FileSyntax::Ndjson => objects::lines(from),
        FileSyntax::Json => objects::array(from, mapping.file.at.as_ref().map_or(&[], |at| at.0.as_slice())),
    };
    let mapping = Arc::clone(mapping);
    Box::new(objects.map(move |(number, object)| {
        let raw = object.and_then(|object| {
            let unused = object.as_object().and_then(|members| members.keys().find(|member| !uses(&mapping, member, true)));
            match unused {
                Some(member) => Err(ImportRowError::column(number, member, UNUSED)),
                None => Ok(RawRow::Object(object)),
            }
        });
        (number, raw)
    }))
}

/// The longest row that is read, in bytes.
const ROW_BYTES_MAX: u64 = 4 << 20;

const UNUSED: &str = "is not used by the mapping: use it, or list it in ignore";

/// Whether a mapping uses or ignores a column.
fn uses(mapping: &SeriesMapping, column: &str, json: bool) -> bool {
    let member = |used: &String| used.strip_prefix('/').and_then(|path| path.split('/').next()) == Some(column);
    mapping.file.ignore.contains(column)
        || mapping.file.ignore.contains("*")
        || mapping.used.contains(column)
        || (json && mapping.used.iter().any(member))
}

struct DelimitedRows<R> {
    mapping: Arc<SeriesMapping>,
    from: csv::Reader<Bounded<Unmarked<R>>>,
    allowance: Allowance,
    /// The position of each column. `None` until the header is read.
    positions: Option<Arc<HashMap<String, usize>>>,
    /// The errors of the header.
    refused: Vec<ImportRowError>,
    number: u64,
    ended: bool,
}

impl<R: Read> DelimitedRows<R> {
    fn new(mapping: &Arc<SeriesMapping>, delimiter: u8, from: R) -> Self {
        let (from, allowance) = Bounded::new(Unmarked::new(from), ROW_BYTES_MAX);
        let from = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(from);
        Self { mapping: Arc::clone(mapping), from, allowance, positions: None, refused: Vec::new(), number: 0, ended: false }
    }

    /// Reads the header, and compares it with the mapping.
    fn read_header(&mut self) -> HashMap<String, usize> {
        let mut positions = HashMap::new();
        match self.from.headers() {
            Err(error) => self.refused.push(ImportRowError::whole(0, format!("the header cannot be read: {error}"))),
            Ok(header) if header.is_empty() => self.refused.push(ImportRowError::whole(0, "there is no header")),
            Ok(header) => {
                for (position, column) in header.iter().enumerate() {
                    if positions.insert(column.to_owned(), position).is_some() {
                        self.refused.push(ImportRowError::column(0, column, "occurs twice in the header"));
                    } else if !uses(&self.mapping, column, false) {
                        self.refused.push(ImportRowError::column(0, column, UNUSED));
                    }
                }
                let missing = self.mapping.used.iter().filter(|column| !positions.contains_key(*column));
                self.refused.extend(missing.map(|column| ImportRowError::column(0, column, "is not in the header")));
            }
        }
        positions
    }

    fn record(&mut self, positions: &Arc<HashMap<String, usize>>) -> Option<Result<RawRow, ImportRowError>> {
        let mut record = csv::ByteRecord::new();
        match self.from.read_byte_record(&mut record) {
            Ok(false) => None,
            Ok(true) if record.len() != positions.len() => {
                let reason = format!("has {} columns, but the header has {}", record.len(), positions.len());
                Some(Err(ImportRowError::whole(self.number, reason)))
            }
            Ok(true) => Some(match csv::StringRecord::from_byte_record(record) {
                Ok(record) => Ok(RawRow::Record(Arc::clone(positions), record)),
                Err(error) => {
                    let at = error.utf8_error().field();
                    let column =
                        positions.iter().find(|(_, position)| **position == at).map_or("", |(column, _)| column.as_str());
                    Err(ImportRowError::column(self.number, column, "is not UTF-8"))
                }
            }),
            Err(error) => {
                self.ended = true;
                Some(Err(ImportRowError::whole(
                    self.number,
                    format!("cannot be read: {error}; the rest of the file is not read"),
                )))
            }
        }
    }
}

impl<R: Read> Iterator for DelimitedRows<R> {
    type Item = (u64, Result<RawRow, ImportRowError>);

    fn next(&mut self) -> Option<Self::Item> {
        let positions = if let Some(positions) = &self.positions {
            Arc::clone(positions)
        } else {
            let positions = Arc::new(self.read_header());
            self.refused.reverse();
            self.ended = !self.refused.is_empty();
            self.positions = Some(Arc::clone(&positions));
            positions
        };
        if let Some(refused) = self.refused.pop() {
            return Some((0, Err(refused)));
        }
        if self.ended {
            return None;
        }
        self.number += 1;
        self.allowance.renew();
        self.record(&positions).map(|record| (self.number, record))
    }
}
