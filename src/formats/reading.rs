//! Reads external files within fixed memory: lines, limited numbers of bytes, and the byte order mark.
//!
//! Must not know what a file contains.

use std::{
    io::{self, BufRead, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The longest line that is read, in bytes. A request has at most 4 MiB, and its JSON is rarely twice as long.
pub const LINE_BYTES_MAX: u64 = 32 << 20;

/// Reads the next line. `None` at the end of the file. `false` if the line is longer than [`LINE_BYTES_MAX`]; its rest is
/// skipped.
pub fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    if from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if (line.len() as u64) < LINE_BYTES_MAX || line.ends_with(b"\n") {
        return Ok(Some(true));
    }
    from.skip_until(b'\n')?;
    Ok(Some(false))
}

/// A file that gives at most `bytes_max` bytes until it is renewed, so that a row without an end cannot fill the memory.
pub(super) struct Bounded<R> {
    from: R,
    left: Arc<AtomicU64>,
    bytes_max: u64,
}

/// Renews the number of bytes that a [`Bounded`] file may give.
pub(super) struct Allowance {
    left: Arc<AtomicU64>,
    bytes_max: u64,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(from: R, bytes_max: u64) -> (Self, Allowance) {
        let left = Arc::new(AtomicU64::new(bytes_max));
        (Self { from, left: Arc::clone(&left), bytes_max }, Allowance { left, bytes_max })
    }
}

impl Allowance {
    /// Allows the full number of bytes again, for the next row.
    pub(super) fn renew(&self) {
        self.left.store(self.bytes_max, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            let text =
                format!("it is longer than {} MiB: look for a quote or a bracket that is not closed", self.bytes_max >> 20);
            return Err(io::Error::other(text));
        }
        let read = self.from.read(into)?;
        self.left.store(left.saturating_sub(read as u64), Ordering::Relaxed);
        Ok(read)
    }
}

/// Some programs write it at the beginning of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A text without a byte order mark.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// A file without the byte order mark at its beginning, if it has one.
pub(super) struct Unmarked<R> {
    from: R,
    begin: Option<io::Cursor<Vec<u8>>>,
    looked: bool,
}

impl<R: Read> Unmarked<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, begin: None, looked: false }
    }
}

impl<R: Read> Read for Unmarked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.looked {
            self.looked = true;
            let mut begin = Vec::with_capacity(BYTE_ORDER_MARK.len());
            self.from.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut begin)?;
            if begin != BYTE_ORDER_MARK {
                self.begin = Some(io::Cursor::new(begin));
            }
        }
        match self.begin.as_mut().map(|begin| begin.read(into)).transpose()? {
            Some(read) if read > 0 => Ok(read),
            _ => {
                self.begin = None;
                self.from.read(into)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let long = usize::try_from(LINE_BYTES_MAX).expect("fits") + 10;
        let text = [b"one\n".to_vec(), vec![b'x'; long], b"\n\ntwo".to_vec()].concat();
        let mut from = text.as_slice();
        let mut line = Vec::new();
        let mut seen = Vec::new();
        while let Some(whole) = read_line(&mut from, &mut line).expect("read") {
            seen.push((whole, line.len().min(9)));
        }
        assert_eq!(seen, [(true, 4), (false, 9), (true, 1), (true, 3)]);
    }
}
