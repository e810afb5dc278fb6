//! What a process is told and what it prints: a script in a file, and lines on standard output.
//!
//! Knows the messages. Must not know who kills whom.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a process is told before it opens the data folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Script {
    pub(crate) folder: PathBuf,
    /// The boot id that the process sees.
    pub(crate) boot_id: String,
    /// All requests follow from it.
    pub(crate) seed: u64,
    pub(crate) purpose: Purpose,
    pub(crate) sabotage: Option<Sabotage>,
    /// What was acknowledged to each writer, first request first.
    pub(crate) acknowledged: Vec<Vec<Acknowledged>>,
    /// The greatest revision that was read.
    pub(crate) seen: u64,
    /// What an earlier process has already compared with the requests.
    pub(crate) compared: Compared,
}

impl Script {
    /// For a new folder without commits.
    pub(crate) fn new(folder: PathBuf, seed: u64, purpose: Purpose, writers: usize) -> Self {
        Self {
            folder,
            boot_id: "boot 0".into(),
            seed,
            purpose,
            sabotage: None,
            acknowledged: vec![Vec::new(); writers],
            seen: 0,
            compared: Compared::default(),
        }
    }
}

/// The revision up to which commits were compared with the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) revision: u64,
    /// How many requests of each writer led to it.
    pub(crate) steps: Vec<u64>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Check that everything exists, then commit until killed.
    Commit,
    /// Check more closely that everything exists, then close and end.
    Inspect,
    /// Commit this many requests, one after another, whatever fails. Then close and end.
    CommitSome(u64),
    /// Commit this many requests, then wait to be killed.
    CommitAndWait(u64),
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub(crate) revision: u64,
    /// A digest of the whole answer.
    pub(crate) digest: u64,
}

/// A fault that the harness must detect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sabotage {
    /// An append answers before its frame is synced.
    ForgetSync,
    /// The state is written before the log.
    StateFirst,
    /// The tail of the log, read after an unclean stop, is served without another sync.
    TrustTail,
}

/// What a process prints, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The engine is open. Why its state has to be rebuilt, if it has to.
    Opened { suspect: Option<String> },
    /// The inspection is complete.
    Inspected(Inspected),
    /// A promise is broken.
    Violation(String),
    /// A request was answered.
    Acknowledged { writer: usize, step: u64, answer: Acknowledged },
    /// A request was refused, for this reason.
    Refused { writer: usize, step: u64, reason: String },
    /// A reader saw this revision.
    Seen { revision: u64 },
    /// A warning or error of the log.
    Logged(String),
    /// The engine is closed. The process ends by itself.
    Closed,
}

/// What an inspection covered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspected {
    /// Up to the newest revision.
    pub(crate) compared: Compared,
    /// Keys of the state, each compared with a rebuild.
    pub(crate) keys: u64,
    /// Requests that were sent again.
    pub(crate) resent: u64,
    /// Calls that were repeated because the state was being rebuilt.
    pub(crate) retried: u64,
    /// A digest of every read.
    pub(crate) reads: u64,
}

impl Said {
    /// The line, with its line end.
    pub(crate) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("a line has no odd keys");
        line.push('\n');
        line
    }

    /// The meaning of a whole line. `None` for lines of the test runner.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_suffix(b"\n")?).ok()
    }
}
