//! Stub until the engine is merged.
#![allow(missing_docs)]
use std::path::Path;

use super::{Error, Result, memory::MemoryEngine};

/// How.
#[derive(Clone, Debug)]
pub struct Options {
    pub cache_bytes: u64,
    pub segment_bytes: u64,
    pub disk_reserve_bytes: u64,
}
impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, segment_bytes: 64 << 20, disk_reserve_bytes: 1 << 30 }
    }
}
/// Not yet.
#[derive(Debug)]
pub struct EmbeddedEngine;
impl EmbeddedEngine {
    pub fn open(folder: impl AsRef<Path>, _: Options) -> Result<MemoryEngine> {
        Err(Error::Corrupt(format!("no embedded engine for {} in this build", folder.as_ref().display())))
    }
}
