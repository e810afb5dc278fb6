//! Standard output and standard error: the only place that writes to them.
//!
//! Answers go to standard output, and nothing else does. What is said to people besides goes to standard error.
//!
//! Knows terminals. Must not know what is written.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// Where answers go.
pub(super) struct Output {
    to: BufWriter<Stdout>,
    /// A person reads them.
    terminal: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self { to: BufWriter::new(stdout), terminal }
    }

    /// Whether a person reads it.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// One line.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.to, "{}", printable(text.as_ref()))
    }

    /// One JSON value on one line.
    pub(super) fn json_line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.to, "{value}")
    }

    /// One JSON value over many lines.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.to, "{value:#}")
    }

    /// What could be the content of a file: as it is, unless a person reads it.
    pub(super) fn content(&mut self, content: &[u8]) -> io::Result<()> {
        if self.terminal {
            self.to.write_all(printable(&String::from_utf8_lossy(content)).as_bytes())
        } else {
            self.to.write_all(content)
        }
    }

    /// A table, cut to the width of the terminal if there is one.
    pub(super) fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let arrangement = if self.terminal { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
        table.set_content_arrangement(arrangement);
        if !header.is_empty() {
            table.set_header(header);
        }
        for row in rows {
            table.add_row(row.into_iter().map(|cell| printable(&cell)));
        }
        for line in table.lines() {
            writeln!(self.to, "{}", line.trim())?;
        }
        Ok(())
    }

    /// Hands over what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Without the characters that would steer a terminal: what is printed was written by others.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// Says what went wrong.
pub(super) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

/// Says something to people.
pub(super) fn note(text: &str) {
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(io::stderr().lock(), "{}", printable(text)));
}

/// Whether an error says that nobody reads our output any more.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
