//! What a life is told, and what it says: a script in a file, and lines on its standard output.
//!
//! Knows the words. Must not know who kills whom.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a process is told before it opens the data folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Script {
    pub(crate) folder: PathBuf,
    /// Names the boot of the machine that this is.
    pub(crate) boot_id: String,
    /// All that is sent follows from it.
    pub(crate) seed: u64,
    pub(crate) purpose: Purpose,
    pub(crate) sabotage: Option<Sabotage>,
    /// What was acknowledged to each writer, first request first.
    pub(crate) acknowledged: Vec<Vec<Acknowledged>>,
    /// The greatest revision that was read.
    pub(crate) seen: u64,
    /// What an earlier process has compared with what was sent already.
    pub(crate) compared: Compared,
}

/// Up to where commits were compared with what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) revision: u64,
    /// How many requests of each writer led there.
    pub(crate) steps: Vec<u64>,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Look whether everything is there, then commit until killed.
    Commit,
    /// Look whether everything is there, more closely, then close and end.
    Inspect,
    /// Commit this many requests, one after the other, whatever fails; then close and end.
    CommitSome(u64),
    /// Commit this many requests, then wait to be killed.
    CommitAndWait(u64),
}

/// What was answered to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub(crate) revision: u64,
    /// Of the whole answer.
    pub(crate) digest: u64,
}

/// A mistake that the harness must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sabotage {
    /// An append answers before its frame is synced.
    ForgetSync,
    /// The state is written before the log.
    StateFirst,
    /// The log's tail, read back after an unclean stop, is served without having been synced.
    TrustTail,
}

/// What a process says, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The engine is open. Why its state has to be rebuilt, if it has.
    Opened { suspect: Option<String> },
    /// Everything was looked at.
    Inspected(Inspected),
    /// Something is not as it was promised.
    Violation(String),
    /// A request was answered.
    Acknowledged { writer: usize, step: u64, answer: Acknowledged },
    /// A request was refused, for this reason.
    Refused { writer: usize, step: u64, reason: String },
    /// A reader saw this revision.
    Seen { revision: u64 },
    /// A warning or error of the log.
    Logged(String),
    /// The engine is closed; the process ends by itself.
    Closed,
}

/// What an inspection looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspected {
    /// Up to the newest revision.
    pub(crate) compared: Compared,
    /// Keys of the state, each compared with a rebuild.
    pub(crate) keys: u64,
    /// Requests sent again.
    pub(crate) resent: u64,
    /// Calls that had to be made again, because the state was being rebuilt.
    pub(crate) retried: u64,
    /// A digest of every read that was made.
    pub(crate) reads: u64,
}

impl Said {
    /// The line, with its end.
    pub(crate) fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("a line has no odd keys");
        line.push('\n');
        line
    }

    /// What a whole line says; `None` for the lines of the test runner.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_suffix(b"\n")?).ok()
    }
}
