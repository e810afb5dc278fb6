//! The room on the disk that writes leave free, so that sled can always be opened and a person can always act.
//!
//! Knows a file system's room. Must not know what is written.

use std::path::PathBuf;

use super::disk::{Disk, refused};
use crate::engine::{EngineError, Result};

/// A part of the disk that is never used, of which the smaller counts: a share alone would keep hundreds of gigabytes of a
/// large disk, a number of bytes alone a whole small one.
#[derive(Clone, Debug)]
pub(super) struct Reserve {
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
    pub(super) percent: u64,
}

impl Reserve {
    /// `Full` where writing `bytes` more would leave less than the reserve.
    pub(super) fn check(&self, disk: &dyn Disk, bytes: u64) -> Result<()> {
        let space = disk.space(&self.folder).map_err(refused("ask for the free space at", &self.folder))?;
        let reserve = self.bytes.min(space.total / 100 * self.percent);
        if space.available < reserve.saturating_add(bytes) {
            return Err(EngineError::Full { available: space.available, reserve, path: self.folder.clone() });
        }
        Ok(())
    }

    /// The error for a write that the system refused for lack of room, although there was more than the reserve before.
    pub(super) fn exhausted(&self) -> EngineError {
        EngineError::Full { available: 0, reserve: self.bytes, path: self.folder.clone() }
    }
}
