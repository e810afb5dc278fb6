//! Tables as text: rows of cells, parted by commas or tabs.
//!
//! Knows CSV, row numbers and what can be wrong with a table. Must not know what a column means.

use std::io::BufRead;

use csv::{ByteRecord, ReaderBuilder};

use super::{Dialect, Layout};
use crate::formats::import::{
    BadRow,
    bounded::{Allowance, Bounded},
};

/// Bytes of a row that are read. A quote that is never closed would otherwise make one row of the rest of the file.
const ROW_BYTES_MAX: u64 = 4 << 20;

/// A row whose columns are all there and all text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// The cells of the columns that were asked for, in their order.
    pub(crate) texts: Vec<String>,
    /// Cells of other columns, with their names, if they hold something.
    pub(crate) others: Vec<(String, String)>,
}

/// The rows of a table.
pub(crate) struct Table {
    reader: csv::Reader<Bounded<Box<dyn BufRead + Send>>>,
    allowance: Allowance,
    layout: &'static Layout,
    /// Where each column stands.
    places: Vec<usize>,
    /// Columns that nobody asked for.
    others: Vec<(usize, String)>,
    /// Cells that a row has.
    width: usize,
    number: u64,
    record: ByteRecord,
    ended: bool,
}

impl Table {
    /// Reads a table that has these columns. An error names each that the header lacks.
    pub(crate) fn open(content: Box<dyn BufRead + Send>, layout: &'static Layout) -> Result<Self, BadRow> {
        let (content, allowance) = Bounded::new(content, ROW_BYTES_MAX);
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        if layout.dialect == Dialect::Tsv {
            builder.delimiter(b'\t').quoting(false);
        }
        let mut table = Self {
            places: (0..layout.columns.len()).collect(),
            width: layout.columns.len(),
            others: Vec::new(),
            number: 0,
            record: ByteRecord::new(),
            ended: false,
            layout,
            allowance,
            reader: builder.from_reader(content),
        };
        if layout.dialect == Dialect::Csv {
            table.read_header()?;
        }
        Ok(table)
    }

    fn read_header(&mut self) -> Result<(), BadRow> {
        let read = self.reader.read_byte_record(&mut self.record).map_err(|error| unreadable(0, &error))?;
        if !read {
            return Err(BadRow::whole(0, "the file is empty: its first line has to name the columns"));
        }
        let mut header = Vec::new();
        for cell in &self.record {
            let name = std::str::from_utf8(cell).map_err(|_| BadRow::whole(0, "the header is not UTF-8"))?;
            header.push(name.trim().to_owned());
        }
        let columns = || self.layout.columns.iter().map(|column| column.name);
        let missing: Vec<_> = columns().filter(|column| !header.iter().any(|name| name == column)).collect();
        if !missing.is_empty() {
            return Err(BadRow::whole(0, format!("the header lacks {}", missing.join(", "))));
        }
        if let Some(twice) = columns().find(|column| header.iter().filter(|name| name == column).count() > 1) {
            return Err(BadRow::whole(0, format!("the header has {twice} twice")));
        }
        self.places = columns().filter_map(|column| header.iter().position(|name| name == column)).collect();
        self.width = header.len();
        let others = header.into_iter().enumerate().filter(|(place, _)| !self.places.contains(place));
        self.others = others.collect();
        Ok(())
    }

    fn cells(&self) -> Result<Cells, BadRow> {
        let number = self.number;
        if self.record.len() != self.width {
            let has = self.record.len();
            return Err(BadRow::whole(number, format!("has {has} columns, and there are {}", self.width)));
        }
        let text = |place: usize, column: &str| {
            let cell = self.record.get(place).unwrap_or_default();
            let text = std::str::from_utf8(cell);
            text.map(str::to_owned).map_err(|error| {
                let at = error.valid_up_to();
                BadRow::column(number, column, format!("is not UTF-8: byte {} of {}", at + 1, cell.len()))
            })
        };
        let mut texts = Vec::with_capacity(self.places.len());
        for (place, column) in self.places.iter().zip(self.layout.columns) {
            texts.push(text(*place, column.name)?);
        }
        let mut others = Vec::new();
        for (place, column) in &self.others {
            let cell = text(*place, column)?;
            if !cell.is_empty() {
                others.push((column.clone(), cell));
            }
        }
        Ok(Cells { number, texts, others })
    }
}

impl Iterator for Table {
    type Item = Result<Cells, BadRow>;

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

fn unreadable(number: u64, error: &csv::Error) -> BadRow {
    BadRow::whole(number, format!("cannot be read, nor what is behind it: {error}"))
}
