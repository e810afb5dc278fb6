//! Opens a store in a folder, or in memory: chooses its log and its state.
//!
//! Knows the concrete engines, and is the only place that does. Must not know records, requests or gRPC.

use std::path::Path;

use crate::{
    engine::{
        Engine,
        embedded::{self, EmbeddedEngine},
        memory::{MemoryEngine, MemoryState},
    },
    store::{self, Discrepancy, Store, VerifyReport},
};

/// How a store in a folder is opened.
#[derive(Clone, Default)]
pub struct OpenOptions {
    /// The folder: memory for its state, length of its log's files, room left on its disk.
    pub engine: embedded::EmbeddedOptions,
    /// The store: every bound, and the clock.
    pub store: store::StoreOptions,
}

impl Store {
    /// Opens the store in a folder, which is created if it is missing, and waits until the store answers: after a power cut its
    /// state is first rebuilt from the log. An error where another process has it open, or where its log is damaged.
    pub fn open(folder: impl AsRef<Path>) -> store::Result<Self> {
        Self::open_with(folder, OpenOptions::default())
    }

    /// As [`Self::open`], with options.
    pub fn open_with(folder: impl AsRef<Path>, options: OpenOptions) -> store::Result<Self> {
        let store = Self::start_in(folder, options)?;
        store.wait_until_serving()?;
        Ok(store)
    }

    /// As [`Self::open_with`], but returns at once: until [`Self::condition`] is serving, calls fail with `STORE_REBUILDING`.
    pub fn start_in(folder: impl AsRef<Path>, options: OpenOptions) -> store::Result<Self> {
        Self::start(EmbeddedEngine::open(folder, options.engine)?, options.store)
    }

    /// An empty store in memory. Its data is lost when it is dropped.
    pub fn in_memory() -> store::Result<Self> {
        Self::in_memory_with(store::StoreOptions::default())
    }

    /// As [`Self::in_memory`], with options.
    pub fn in_memory_with(options: store::StoreOptions) -> store::Result<Self> {
        let store = Self::start(MemoryEngine::new(), options)?;
        store.wait_until_serving()?;
        Ok(store)
    }
}

/// Compares the state in a folder with its log, key by key, and reports what differs. Nothing is changed. Needs as much memory as
/// the state has bytes.
pub fn verify(folder: impl AsRef<Path>, report: &mut dyn FnMut(&Discrepancy)) -> store::Result<VerifyReport> {
    let engine = Engine::from(EmbeddedEngine::open(folder, embedded::EmbeddedOptions::default())?);
    let verified = store::verify(&engine, &MemoryState::default(), report);
    engine.close()?;
    verified
}
