//! A file that is replaced whole: how far a command has come, so that the next run goes on there.
//!
//! Knows files and JSON. Must not know what a position means.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;

/// The content of such a file; none where it is not there yet.
pub(super) fn load<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let content = serde_json::from_slice(&text);
    let content = content.with_context(|| format!("{} is not what this command keeps its position in", file.display()))?;
    Ok(Some(content))
}

/// Replaces the file: whenever the machine stops, it holds the old content or the new.
pub(super) fn store(file: &Path, content: &impl Serialize) -> anyhow::Result<()> {
    let replaced = || -> io::Result<()> {
        let folder = folder_of(file);
        let mut new = NamedTempFile::new_in(&folder)?;
        serde_json::to_writer(&mut new, content)?;
        new.write_all(b"\n")?;
        new.as_file().sync_all()?;
        new.persist(file)?;
        fs::File::open(folder)?.sync_all()
    };
    replaced().with_context(|| format!("cannot write {}", file.display()))
}

/// There is nothing to go on with any more.
pub(super) fn remove(file: &Path) -> anyhow::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", file.display()))
        }
        _ => Ok(()),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_what_is_broken_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("position");
        assert_eq!(load::<u64>(&file).expect("nothing yet"), None);
        for content in [1_u64, 2] {
            store(&file, &content).expect("stored");
            assert_eq!(load(&file).expect("loaded"), Some(content));
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left behind");
        fs::write(&file, "12x").expect("written");
        assert!(load::<u64>(&file).is_err_and(|error| error.to_string().contains("position")));
        assert!(store(&folder.path().join("none").join("position"), &1).is_err());
    }
}
