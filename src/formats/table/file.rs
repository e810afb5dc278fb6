//! Reads and writes tables as text: rows of cells separated by commas or tabs.
//!
//! Must not know what a column means.

use std::io::BufRead;

use csv::{ByteRecord, QuoteStyle, ReaderBuilder, Writer, WriterBuilder};

use super::layout::{TableDialect, TableLayout};
use crate::formats::{
    import::ImportRowError,
    reading::{Allowance, Bounded},
};

/// The longest row that is read, in bytes. Without this bound, a quote that is never closed would make one row of the rest of
/// the file.
const ROW_BYTES_MAX: u64 = 4 << 20;

/// A complete row of UTF-8 cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowCells {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The cells of the layout's columns, in their order.
    pub(crate) texts: Vec<String>,
    /// Non-empty cells of other columns, with their names.
    pub(crate) others: Vec<(String, String)>,
}

/// Reads the rows of a table.
pub(crate) struct TableReader {
    reader: csv::Reader<Bounded<Box<dyn BufRead + Send>>>,
    allowance: Allowance,
    layout: &'static TableLayout,
    /// The position of each column in the file.
    positions: Vec<usize>,
    /// Columns that the layout does not have.
    others: Vec<(usize, String)>,
    /// The number of cells of a row.
    width: usize,
    number: u64,
    record: ByteRecord,
    ended: bool,
}

impl TableReader {
    /// Reads a table with the columns of a layout. An error names the columns that the header does not have.
    pub(crate) fn open(content: Box<dyn BufRead + Send>, layout: &'static TableLayout) -> Result<Self, ImportRowError> {
        let (content, allowance) = Bounded::new(content, ROW_BYTES_MAX);
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        if layout.dialect == TableDialect::Tsv {
            builder.delimiter(b'\t').quoting(false);
        }
        let mut table = Self {
            positions: (0..layout.columns.len()).collect(),
            width: layout.columns.len(),
            others: Vec::new(),
            number: 0,
            record: ByteRecord::new(),
            ended: false,
            layout,
            allowance,
            reader: builder.from_reader(content),
        };
        if layout.dialect == TableDialect::Csv {
            table.read_header()?;
        }
        Ok(table)
    }

    fn read_header(&mut self) -> Result<(), ImportRowError> {
        let read = self.reader.read_byte_record(&mut self.record).map_err(|error| unreadable(0, &error))?;
        if !read {
            return Err(ImportRowError::whole(0, "the file is empty: its first line has to name the columns"));
        }
        let mut header = Vec::new();
        for cell in &self.record {
            let name = std::str::from_utf8(cell).map_err(|_| ImportRowError::whole(0, "the header is not UTF-8"))?;
            header.push(name.trim().to_owned());
        }
        let columns = || self.layout.columns.iter().map(|column| column.name);
        let missing: Vec<_> = columns().filter(|column| !header.iter().any(|name| name == column)).collect();
        if !missing.is_empty() {
            return Err(ImportRowError::whole(0, format!("the header lacks {}", missing.join(", "))));
        }
        if let Some(twice) = columns().find(|column| header.iter().filter(|name| name == column).count() > 1) {
            return Err(ImportRowError::whole(0, format!("the header names {twice} twice")));
        }
        self.positions = columns().filter_map(|column| header.iter().position(|name| name == column)).collect();
        self.width = header.len();
        let others = header.into_iter().enumerate().filter(|(position, _)| !self.positions.contains(position));
        self.others = others.collect();
        Ok(())
    }

    fn cells(&self) -> Result<RowCells, ImportRowError> {
        let number = self.number;
        if self.record.len() != self.width {
            let has = self.record.len();
            return Err(ImportRowError::whole(number, format!("has {has} columns, but must have {}", self.width)));
        }
        let text = |position: usize, column: &str| {
            let cell = self.record.get(position).unwrap_or_default();
            let text = std::str::from_utf8(cell);
            text.map(str::to_owned).map_err(|error| {
                let at = error.valid_up_to();
                ImportRowError::column(number, column, format!("is not UTF-8: byte {} of {}", at + 1, cell.len()))
            })
        };
        let mut texts = Vec::with_capacity(self.positions.len());
        for (position, column) in self.positions.iter().zip(self.layout.columns) {
            texts.push(text(*position, column.name)?);
        }
        let mut others = Vec::new();
        for (position, column) in &self.others {
            let cell = text(*position, column)?;
            if !cell.is_empty() {
                others.push((column.clone(), cell));
            }
        }
        Ok(RowCells { number, texts, others })
    }
}

impl Iterator for TableReader {
    type Item = Result<RowCells, ImportRowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.allowance.renew();
        self.number += 1;
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => Some(self.cells()),
            Ok(false) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(unreadable(self.number, &error)))
            }
        }
    }
}

fn unreadable(number: u64, error: &csv::Error) -> ImportRowError {
    ImportRowError::whole(number, format!("cannot be read: {error}; the rest of the file is not read"))
}

/// Writes the rows of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableWriter(pub(crate) &'static TableLayout);

impl TableWriter {
    /// The header, if the table has one.
    pub(crate) fn header(self) -> Option<String> {
        let names = self.0.columns.iter().map(|column| column.name.to_owned()).collect();
        (self.0.dialect == TableDialect::Csv).then(|| self.line(names))
    }

    /// A row, without its line feed.
    pub(crate) fn line(self, mut cells: Vec<String>) -> String {
        let mut builder = WriterBuilder::new();
        if self.0.dialect == TableDialect::Tsv {
            // A table without quotes cannot contain these characters.
            for cell in &mut cells {
                *cell = cell.replace(['\t', '\n', '\r'], " ");
            }
            builder.delimiter(b'\t').quote_style(QuoteStyle::Never);
        }
        let mut writer = builder.from_writer(Vec::new());
        writer.write_record(&cells).expect("memory accepts every write");
        text(writer)
    }
}

fn text(writer: Writer<Vec<u8>>) -> String {
    let bytes = writer.into_inner().expect("memory accepts every write");
    let mut line = String::from_utf8(bytes).expect("cells are text");
    line.pop();
    line
}
