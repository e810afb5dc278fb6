//! Where a store meets an engine: opening one in a folder, or in memory.
//!
//! Knows the concrete engines, and is the only place that does. Must not know records, requests or gRPC.

use std::{path::Path, sync::Arc};

use crate::{
    engine::{
        self, Engine,
        embedded::{self, EmbeddedEngine},
        memory::MemoryEngine,
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
    /// Opens the store in a folder, which is made where it is not there, and waits until it answers: after a power cut its state
    /// is first rebuilt from the log. Fails where another process has it open, or where its log is damaged.
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
        Self::start(embedded_engine(folder.as_ref(), options.engine)?, options.store)
    }

    /// A store that is empty, and gone when it is dropped.
    pub fn in_memory() -> store::Result<Self> {
        Self::in_memory_with(store::StoreOptions::default())
    }

    /// As [`Self::in_memory`], with options.
    pub fn in_memory_with(options: store::StoreOptions) -> store::Result<Self> {
        let store = Self::start(Arc::new(MemoryEngine::new()), options)?;
        store.wait_until_serving()?;
        Ok(store)
    }
}

/// Holds the state in a folder against its log, key by key, and reports what differs. Nothing is changed. Needs as much memory
/// as the state has bytes.
pub fn verify(folder: impl AsRef<Path>, report: &mut dyn FnMut(&Discrepancy)) -> store::Result<VerifyReport> {
    let engine = embedded_engine(folder.as_ref(), embedded::EmbeddedOptions::default())?;
    let verified = store::verify(&*engine, &MemoryEngine::new(), report);
    engine.close()?;
    verified
}

fn embedded_engine(folder: &Path, options: embedded::EmbeddedOptions) -> engine::Result<Arc<dyn Engine>> {
    Ok(Arc::new(EmbeddedEngine::open(folder, options)?))
}
