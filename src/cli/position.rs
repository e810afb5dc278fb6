//! The position of a watch, in a file: how far what was printed has come.
//!
//! Knows the file. Must not know what was printed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// What the file holds, in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The store that the revision is of.
    pub(super) store_id: String,
    /// Everything up to here was printed. 0: nothing, or an initial state that was not complete.
    pub(super) revision: i64,
}

impl Position {
    /// The position that a file holds; none where there is no file.
    pub(super) fn load(file: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let advice = || format!("{} holds no position: name another file, or delete it to begin anew", file.display());
        serde_json::from_str(&text).map(Some).with_context(advice)
    }

    /// Replaces the file whole, so that whatever happens leaves the old position or the new one.
    pub(super) fn store(&self, file: &Path) -> anyhow::Result<()> {
        self.replace(file).with_context(|| format!("cannot write {}", file.display()))
    }

    fn replace(&self, file: &Path) -> io::Result<()> {
        let folder =
            file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_path_buf);
        let mut beside = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut beside, self)?;
        // Without this a power cut could leave the new name with nothing behind it.
        beside.as_file().sync_data()?;
        beside.persist(file)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_replaced_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("position");
        assert_eq!(Position::load(&file).expect("no error"), None);
        for revision in [0, 7] {
            let position = Position { store_id: "s".into(), revision };
            position.store(&file).expect("written");
            assert_eq!(Position::load(&file).expect("read"), Some(position));
        }
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1, "nothing is left beside it");
        fs::write(&file, "seven").expect("written");
        assert!(Position::load(&file).is_err_and(|error| error.to_string().contains("holds no position")));
    }
}
