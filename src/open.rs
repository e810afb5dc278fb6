//! Opens a store in a folder or in memory: joins the store with a concrete engine.
//!
//! Knows the concrete engines, and is the only file that does. Must not know records, requests or gRPC.

use std::path::Path;

use crate::{
    engine::{
        Engine, EngineError,
        embedded::{EmbeddedEngine, EmbeddedOptions},
        memory::{MemoryEngine, MemoryState},
    },
    store::{self, Discrepancy, Store, StoreError, VerifyReport},
};

/// How a store in a folder is opened.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// Options of the engine: memory for the state, length of the files of the log, reserved free space on the disk.
    pub engine: EmbeddedOptions,
    /// Options of the store: its limits, and the clock.
    pub store: store::StoreOptions,
}

impl Store {
    /// Opens the store in a folder, and creates the folder if it is missing. Waits until the store serves calls: after a power
    /// cut, the state is first rebuilt from the log. Errs if the folder cannot be created or read, if another process has the
    /// store open, or if its log is damaged.
    pub fn open(folder: impl AsRef<Path>) -> store::Result<Self> {
        Self::open_with(folder, OpenOptions::default())
    }

    /// Like [`Self::open`], with options.
    pub fn open_with(folder: impl AsRef<Path>, options: OpenOptions) -> store::Result<Self> {
        let store = Self::start_in(folder, options)?;
        store.wait_until_serving()?;
        Ok(store)
    }

    /// Like [`Self::open_with`], but returns at once. Calls fail with `STORE_REBUILDING` until [`Self::health`] is serving.
    pub fn start_in(folder: impl AsRef<Path>, options: OpenOptions) -> store::Result<Self> {
        Self::start(open(folder.as_ref(), options.engine)?, options.store)
    }

    /// An empty store in memory. Its data is lost when it is dropped.
    pub fn in_memory() -> store::Result<Self> {
        Self::in_memory_with(store::StoreOptions::default())
    }

    /// Like [`Self::in_memory`], with options.
    pub fn in_memory_with(options: store::StoreOptions) -> store::Result<Self> {
        let store = Self::start(MemoryEngine::new(), options)?;
        store.wait_until_serving()?;
        Ok(store)
    }
}

/// The engine in a folder.
fn open(folder: &Path, options: EmbeddedOptions) -> store::Result<EmbeddedEngine> {
    EmbeddedEngine::open(folder, options).map_err(|error| match error {
        EngineError::Io { .. } | EngineError::SyncFailed { .. } | EngineError::State(_) => {
            StoreError::cannot_open(folder, error)
        }
        // These say all: what is damaged, full, of another format or in use.
        error => error.into(),
    })
}

/// Compares the state in a folder with its log, key by key, and reports every difference. Changes nothing. Needs as much memory
/// as the state has bytes.
pub fn verify(folder: impl AsRef<Path>, report: &mut dyn FnMut(&Discrepancy)) -> store::Result<VerifyReport> {
    let engine = Engine::from(open(folder.as_ref(), EmbeddedOptions::default())?);
    let verified = store::verify(&engine, &MemoryState::default(), report);
    engine.close()?;
    verified
}
