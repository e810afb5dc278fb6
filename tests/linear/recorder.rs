//! The file of a history, one JSON object a line. Writes and reads it.
//!
//! Knows lines and files. Must not know what the lines mean.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::history::{Answer, Call, Line};

/// Writes the lines of all clients in the order in which they arrive.
pub(crate) struct Recorder {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
    operations: AtomicU64,
}

impl Recorder {
    /// A new file.
    pub(crate) fn new(path: &Path) -> Self {
        let file = File::create(path).expect("room for a history");
        Self { path: path.to_owned(), file: Mutex::new(BufWriter::new(file)), operations: AtomicU64::new(0) }
    }

    /// A call is about to be sent. Returns its number.
    pub(crate) fn called(&self, call: Call) -> u64 {
        let operation = self.operations.fetch_add(1, Ordering::Relaxed);
        self.record(&Line::Called { operation, call });
        operation
    }

    /// A call ended, with an answer or without.
    pub(crate) fn ended(&self, operation: u64, answer: Option<Answer>) {
        self.record(&match answer {
            Some(answer) => Line::Answered { operation, answer },
            None => Line::Unanswered { operation },
        });
    }

    /// Appends a line.
    pub(crate) fn record(&self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("a line has no odd keys");
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text).expect("room for a line");
    }

    /// How many calls there were.
    pub(crate) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Flushes everything to the file. Returns its path.
    pub(crate) fn close(self) -> PathBuf {
        let mut file = self.file.into_inner().unwrap_or_else(PoisonError::into_inner);
        file.flush().expect("room for the last lines");
        self.path
    }
}

/// The lines of a file.
pub(crate) fn lines(path: &Path) -> impl Iterator<Item = Result<Line, String>> + use<> {
    let file = File::open(path).expect("a history");
    BufReader::new(file).lines().zip(1_u64..).map(|(line, number)| {
        let line = line.map_err(|error| format!("line {number}: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("line {number}: {error}"))
    })
}
