//! The files that a command reads: standard input, compressed ones, and how far they were read.
//!
//! Knows files and progress. Must not know what is in them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::compression::Compression;

/// A file that can be read.
#[derive(Debug)]
pub(super) struct Input {
    /// As people call it; `-` is standard input.
    pub(super) name: String,
    path: PathBuf,
    /// Its length, where it has one.
    bytes: Option<u64>,
}

/// Files that can be read. All are looked at, so that a wrong name is told before any is used.
pub(super) fn open(paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    paths.iter().map(|path| Input::open(path)).collect()
}

/// A bar that shows on a terminal how far files were read, with a message and the time left.
pub(super) fn progress(inputs: &[Input]) -> ProgressBar {
    let bytes: Option<u64> = inputs.iter().map(|input| input.bytes).sum();
    let progress = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let template = match bytes {
        Some(_) => "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left",
        None => "{spinner} {bytes}  {msg}  {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        progress.set_style(style);
    }
    progress
}

impl Input {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let bytes = if name == "-" {
            None
        } else {
            let metadata = File::open(path).and_then(|file| file.metadata()).with_context(|| format!("cannot read {name}"))?;
            metadata.is_file().then_some(metadata.len())
        };
        Ok(Self { name, path: path.to_owned(), bytes })
    }

    /// Its content. The bar moves by what is read of the file itself, so that compressed ones end at their length.
    pub(super) fn read(&self, progress: &ProgressBar) -> io::Result<Box<dyn BufRead + Send>> {
        let compression = Compression::of(&self.path);
        let content = match self.name.as_str() {
            "-" => Box::new(progress.wrap_read(io::stdin())),
            _ => compression.reader(progress.wrap_read(BufReader::new(File::open(&self.path)?)))?,
        };
        Ok(Box::new(BufReader::new(content)))
    }
}
