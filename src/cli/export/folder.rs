//! A folder with a file for each collection, written over several runs, and all of one revision.
//!
//! Knows which files are whole. Must not know what is in one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{super::position, Done};
use crate::model::RecordKind;

/// What says how far it is, while it is not whole.
const STATE: &str = "export.part.state";

/// A folder on its way.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    state_file: PathBuf,
    state: State,
}

/// Which files are whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// What was asked, and in which format.
    asked: Value,
    /// Of which store.
    store_id: String,
    /// The revision of the files that are whole; none while there is none.
    revision: Option<i64>,
    /// Records in them.
    records: u64,
    /// Their collections.
    collections: Vec<String>,
}

impl Folder {
    /// Begins, or goes on with what a run before has left. `asked`: whatever has to be the same for that.
    pub(super) fn open(path: &Path, asked: Value, store_id: String) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        let state_file = path.join(STATE);
        let state = match position::load::<State>(&state_file)? {
            Some(state) if state.asked != asked || state.store_id != store_id => bail!(
                "another export into {}, or of another store, was not finished: run that one again, or delete {} to begin anew",
                path.display(),
                state_file.display()
            ),
            Some(state) => state,
            None => State { asked, store_id, revision: None, records: 0, collections: Vec::new() },
        };
        Ok(Self { path: path.to_owned(), state_file, state })
    }

    /// Where the file of a collection is to be.
    pub(super) fn file(&self, kind: RecordKind, extension: &str) -> PathBuf {
        self.path.join(format!("{}.{extension}", kind.collection()))
    }

    /// Whether it is whole.
    pub(super) fn has(&self, kind: RecordKind) -> bool {
        self.state.collections.iter().any(|collection| collection == kind.collection())
    }

    /// The revision that all files are to be of, once there is one.
    pub(super) fn revision(&self) -> Option<i64> {
        self.state.revision
    }

    pub(super) fn store_id(&self) -> &str {
        &self.state.store_id
    }

    /// What the whole files hold.
    pub(super) fn done(&self) -> Done {
        Done { records: self.state.records, revision: self.state.revision.unwrap_or_default() }
    }

    /// A file is whole. `done`: with it.
    pub(super) fn add(&mut self, kind: RecordKind, done: Done) -> anyhow::Result<()> {
        self.state.collections.push(kind.collection().to_owned());
        self.state.records = done.records;
        self.state.revision = Some(done.revision);
        position::store(&self.state_file, &self.state)
    }

    /// All are whole.
    pub(super) fn finish(self) -> anyhow::Result<Done> {
        position::remove(&self.state_file)?;
        Ok(self.done())
    }
}
