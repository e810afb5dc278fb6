//! Files of which a bounded stretch is read at a time, so that one row that never ends does not take all memory.
//!
//! Knows bytes. Must not know what a row is.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A file of which no more is read than is allowed.
pub(in crate::formats) struct Bounded<R> {
    from: R,
    left: Arc<AtomicU64>,
    bytes_max: u64,
}

/// What may be read of it.
pub(in crate::formats) struct Allowance {
    left: Arc<AtomicU64>,
    bytes_max: u64,
}

impl<R: Read> Bounded<R> {
    /// A file of which so many bytes may be read at a time.
    pub(in crate::formats) fn new(from: R, bytes_max: u64) -> (Self, Allowance) {
        let left = Arc::new(AtomicU64::new(bytes_max));
        (Self { from, left: Arc::clone(&left), bytes_max }, Allowance { left, bytes_max })
    }
}

impl Allowance {
    /// The next stretch begins.
    pub(in crate::formats) fn renew(&self) {
        self.left.store(self.bytes_max, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            let text = format!("it is longer than {} MiB: is a quote or a bracket never closed?", self.bytes_max >> 20);
            return Err(io::Error::other(text));
        }
        let read = self.from.read(into)?;
        self.left.store(left.saturating_sub(read as u64), Ordering::Relaxed);
        Ok(read)
    }
}
