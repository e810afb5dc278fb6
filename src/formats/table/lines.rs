//! Rows on their way out, as lines of text.
//!
//! Knows how a table is written. Must not know what a column means.

use csv::{QuoteStyle, Writer, WriterBuilder};

use super::{Dialect, Layout};

/// Writes the rows of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineWriter(pub(crate) &'static Layout);

impl LineWriter {
    /// The line that names the columns, where the table has one.
    pub(crate) fn header(self) -> Option<String> {
        let names = self.0.columns.iter().map(|column| column.name.to_owned()).collect();
        (self.0.dialect == Dialect::Csv).then(|| self.line(names))
    }

    /// A row, without the end of its line.
    pub(crate) fn line(self, mut cells: Vec<String>) -> String {
        let mut builder = WriterBuilder::new();
        if self.0.dialect == Dialect::Tsv {
            // Without quotes there is no way to write these.
            for cell in &mut cells {
                *cell = cell.replace(['\t', '\n', '\r'], " ");
            }
            builder.delimiter(b'\t').quote_style(QuoteStyle::Never);
        }
        let mut writer = builder.from_writer(Vec::new());
        writer.write_record(&cells).expect("memory takes everything");
        text(writer)
    }
}

fn text(writer: Writer<Vec<u8>>) -> String {
    let bytes = writer.into_inner().expect("memory takes everything");
    let mut line = String::from_utf8(bytes).expect("cells are text");
    line.pop();
    line
}
