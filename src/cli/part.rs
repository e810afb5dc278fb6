//! A file that is there only when it is whole: until then it is `FILE.part`, which one run writes at a time.
//!
//! Knows files. Must not know what is in them.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// A file on its way.
#[derive(Debug)]
pub(super) struct Part {
    file: PathBuf,
    path: PathBuf,
    content: File,
}

impl Part {
    /// Begins to write a file. What a run before has left in its part is still there.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let path = with_ending(file, ".part");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let content = opened.with_context(|| format!("cannot write {}", path.display()))?;
        if content.try_lock().is_err() {
            bail!("{} is being written by another run", path.display());
        }
        Ok(Self { file: file.to_owned(), path, content })
    }

    /// Where it is until it is whole.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A name beside that path.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        with_ending(&self.path, ending)
    }

    /// What is written so far.
    pub(super) fn content(&mut self) -> &mut File {
        &mut self.content
    }

    /// It is whole, and has its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let named = self.content.sync_all().and_then(|()| fs::rename(&self.path, &self.file));
        named.with_context(|| format!("cannot write {}", self.file.display()))
    }
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
