//! Files by their names: what ends in .gz is gzip, what ends in .zst is zstd, and "-" is standard input.
//!
//! Knows compression. Must not know what is in them.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

/// How the bytes of a file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// What a file's name says.
    pub(super) fn of(file: &Path) -> Self {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// Whether standard input is meant.
pub(super) fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Bytes of all files on the disk, as a bar counts them. None where standard input is one, whose length nobody knows.
pub(super) fn length(files: &[PathBuf]) -> Option<u64> {
    files.iter().map(|file| fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|meta| meta.len())).sum()
}

/// The text of a file. The bar moves by what is read from the disk.
pub(super) fn open(file: &Path, progress: &ProgressBar) -> io::Result<Box<dyn BufRead + Send>> {
    if is_standard_input(file) {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    unpack(Packing::of(file), BufReader::new(progress.wrap_read(File::open(file)?)))
}

fn unpack(packing: Packing, from: impl BufRead + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let text: Box<dyn Read + Send> = match packing {
        Packing::Plain => return Ok(Box::new(from)),
        // Files that were put together are one text, too.
        Packing::Gzip => Box::new(MultiGzDecoder::new(from)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(from)?),
    };
    Ok(Box::new(BufReader::new(text)))
}
