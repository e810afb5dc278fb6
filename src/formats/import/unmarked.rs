//! Files without the byte order mark that some programs begin UTF-8 with.
//!
//! Knows the mark. Must not know what is in a file.

use std::io::{self, Read};

/// The mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// A file without the mark that it may begin with.
pub(in crate::formats) struct Unmarked<R> {
    from: R,
    begin: Option<io::Cursor<Vec<u8>>>,
    looked: bool,
}

impl<R: Read> Unmarked<R> {
    pub(in crate::formats) fn new(from: R) -> Self {
        Self { from, begin: None, looked: false }
    }
}

impl<R: Read> Read for Unmarked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.looked {
            self.looked = true;
            let mut begin = Vec::with_capacity(MARK.len());
            self.from.by_ref().take(MARK.len() as u64).read_to_end(&mut begin)?;
            if begin != MARK {
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
