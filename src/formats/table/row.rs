//! One row during an import: its cells by column, and all errors in them.
//!
//! Must not know records.

use std::cell::RefCell;

use jiff::civil::Date;

use super::{
    file::RowCells,
    layout::{ColumnTarget, RowRemainder, TableColumn, TableLayout},
};
use crate::{formats::import::ImportRowError, limits, model::is_code};

/// A row of a table. Reading a cell records its errors, and [`TableRow::check`] reports all of them.
pub(crate) struct TableRow<'a> {
    layout: &'static TableLayout,
    cells: &'a RowCells,
    faults: RefCell<Vec<(&'static str, String)>>,
}

impl<'a> TableRow<'a> {
    pub(crate) fn new(layout: &'static TableLayout, cells: &'a RowCells) -> Self {
        Self { layout, cells, faults: RefCell::new(Vec::new()) }
    }

    /// Its number in the file.
    pub(crate) fn number(&self) -> u64 {
        self.cells.number
    }

    /// The text of a cell.
    pub(crate) fn text(&self, column: &str) -> &'a str {
        self.cells.texts.get(self.layout.position(column)).map(String::as_str).unwrap_or_default()
    }

    /// The text of a cell that must not be empty.
    pub(crate) fn needed(&self, column: &str) -> &'a str {
        let text = self.text(column);
        if text.trim().is_empty() {
            self.fault(column, "is empty".to_owned());
        }
        text
    }

    /// The number in a cell that may be empty.
    pub(crate) fn number_or_none(&self, column: &str) -> Option<f64> {
        let text = self.text(column).trim();
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.fault(column, format!("\"{}\" is not a number", shortened(text)));
        }
        number
    }

    /// The number in a cell that must not be empty.
    pub(crate) fn number_needed(&self, column: &str) -> f64 {
        self.needed(column);
        self.number_or_none(column).unwrap_or_default()
    }

    /// The id in a cell: a whole number that is not negative ("300380.0" is 300380). Empty if the cell is empty.
    pub(crate) fn id(&self, column: &str) -> String {
        /// Up to this number a double represents every whole number exactly. Beyond it, neighbours share a double.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        match self.number_or_none(column) {
            None => String::new(),
            Some(number) if (0.0..EXACT_MAX).contains(&number) && number.fract() == 0.0 => number.to_string(),
            Some(_) => {
                self.fault(column, format!("\"{}\" is not an id: an id is a whole number", shortened(self.text(column))));
                String::new()
            }
        }
    }

    /// The id in a cell that must not be empty.
    pub(crate) fn id_needed(&self, column: &str) -> String {
        self.needed(column);
        self.id(column)
    }

    /// The date in a cell, in one of these forms: 2014-02-18 (a time may follow), 20140218, 18 February 2014.
    pub(crate) fn date(&self, column: &str) -> String {
        let text = self.needed(column).trim();
        let date = date(text);
        if date.is_none() && !text.is_empty() {
            self.fault(column, format!("\"{}\" is not a date", shortened(text)));
        }
        date.map(|date| date.to_string()).unwrap_or_default()
    }

    /// Records an error of a column. Only the first error of a column is kept.
    pub(crate) fn fault(&self, column: &str, reason: String) {
        let column = self.layout.column(column).name;
        let mut faults = self.faults.borrow_mut();
        if !faults.iter().any(|(known, _)| *known == column) {
            faults.push((column, reason));
        }
    }

    /// The cells of columns without fields of their own, as labels, metrics and annotations.
    pub(crate) fn remainder(&self) -> RowRemainder {
        let mut remainder = RowRemainder::default();
        for column in self.layout.columns {
            let key = self.layout.key(column);
            let text = self.text(column.name);
            match column.target {
                ColumnTarget::Label => {
                    let code =
                        if column.is_number { self.number_or_none(column.name).map(|number| number.to_string()) } else { None };
                    let code = format!("{key}:{}", code.as_deref().unwrap_or(text));
                    // A text that cannot be a code becomes an annotation: see `lost`.
                    if is_code(&code) {
                        remainder.labels.push(code);
                    }
                }
                ColumnTarget::Metric => {
                    if let Some(number) = self.number_or_none(column.name) {
                        remainder.metrics.insert(key, number);
                    }
                }
                ColumnTarget::Annotation => {
                    if !text.is_empty() {
                        remainder.annotations.insert(key, text.to_owned());
                    }
                }
                ColumnTarget::Field(_) => {}
            }
        }
        for (column, text) in &self.cells.others {
            let mut key = format!("{}.other.{}", self.layout.scheme, plain(column));
            while remainder.annotations.contains_key(&key) {
                key.push('_');
            }
            remainder.annotations.insert(key, text.clone());
        }
        remainder
    }

    /// Annotations for the cells that an export would not return unchanged. `out` is the exported row.
    pub(crate) fn lost(&self, out: &[String]) -> impl Iterator<Item = (String, String)> {
        let pairs = self.layout.columns.iter().zip(&self.cells.texts).zip(out);
        let lost = pairs.filter(|((column, cell), out)| !same(column, cell, out));
        lost.map(|((column, cell), _)| (self.layout.key(column), cell.clone()))
    }

    /// Errs with all recorded errors, if there are any.
    pub(crate) fn check(&self) -> Result<(), ImportRowError> {
        match self.faults.borrow().as_slice() {
            [] => Ok(()),
            [(column, reason)] => Err(ImportRowError::column(self.number(), *column, reason)),
            several => {
                let several: Vec<_> = several.iter().map(|(column, reason)| format!("{column}: {reason}")).collect();
                Err(ImportRowError::whole(self.number(), several.join("; ")))
            }
        }
    }
}

fn same(column: &TableColumn, cell: &str, out: &str) -> bool {
    // Compares the bits, except that 0 and -0 are equal.
    let number = |text: &str| text.parse::<f64>().ok().map(|number| (number + 0.0).to_bits());
    cell == out || (column.is_number && number(cell).is_some() && number(cell) == number(out))
}

/// A column's name in the form of a key.
fn plain(column: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    column.chars().map(plain).take(limits::KEY_CHARS_MAX / 2).collect()
}

fn date(text: &str) -> Option<Date> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Date::strptime("%Y%m%d", text).ok();
    }
    match text.split_once([' ', 'T']) {
        Some((day, time)) if day.len() == 10 && time.starts_with(|letter: char| letter.is_ascii_digit()) => day.parse().ok(),
        Some(_) => Date::strptime("%d %B %Y", text).ok(),
        None => (text.len() == 10).then(|| text.parse().ok())?,
    }
}

/// A text that is short enough for an error message.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    if text.chars().count() <= CHARS_MAX { text.to_owned() } else { text.chars().take(CHARS_MAX).chain(['…']).collect() }
}
