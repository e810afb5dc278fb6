//! The lock of a data folder: one process at a time, and a refused one learns which has it.
//!
//! Knows the LOCK file. Must not know what else is in the folder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use super::disk::refused;
use crate::engine::{EngineError, Result};

const NAME: &str = "LOCK";

/// Held for as long as this lives, and not longer than the process.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a data folder, or says who has it.
    pub(super) fn take(data_folder: &Path) -> Result<Self> {
        let path = data_folder.join(NAME);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(refused("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                if file.read_to_string(&mut holder).is_err() || holder.trim().is_empty() {
                    holder = "another process".into();
                }
                return Err(EngineError::InUse { path: data_folder.to_path_buf(), holder: holder.trim().into() });
            }
            Err(TryLockError::Error(error)) => return Err(refused("lock", &path)(error)),
        }
        // What it says helps a person and decides nothing, so it need not be durable.
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", description())
        };
        write().map_err(refused("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// This process, for the one that finds the lock taken.
fn description() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().display().to_string();
    format!("process {} ({program}), since {:.0}", std::process::id(), jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_learns_who_holds_the_lock_and_gets_it_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        match Lock::take(folder.path()) {
            Err(EngineError::InUse { holder, .. }) => {
                assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
                assert!(holder.contains("since 20"), "{holder}");
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        Lock::take(folder.path()).unwrap();
    }
}
