//! Durable ordered bytes: a log of entries, and a state of keys and values that is derived from it.
//!
//! The log is the truth and the state is a convenience: whatever the state holds can be rebuilt from the log, and the
//! store does so whenever an engine says that the state cannot be trusted.
//!
//! Knows bytes, sequences and the numbers stamped on entries. Must not know records, revisions' meaning, gRPC or an async
//! runtime.

use std::{ops::Bound, path::PathBuf};

use bytes::Bytes;

pub mod embedded;
pub mod memory;

/// The longest key of the state. An inner page of the embedded engine holds up to 256 keys and must stay below the size at
/// which it would be moved to a file of its own (see [`VALUE_BYTES_MAX`]).
pub const KEY_BYTES_MAX: usize = 480;

/// The longest value of the state; the store cuts longer ones into parts.
///
/// The embedded engine's leaves hold up to 17 items, and one more while two threads write. A leaf that passes 128 KiB is
/// moved to a file of its own, which is neither synced nor recovered with the rest: so 18 of the longest keys and values
/// must stay below that.
pub const VALUE_BYTES_MAX: usize = 6 * 1024;

const _: () = assert!(18 * (KEY_BYTES_MAX + VALUE_BYTES_MAX + 32) < 128 * 1024);
const _: () = assert!(258 * (KEY_BYTES_MAX + 16) < 128 * 1024);

/// Position of an entry in the log: 1, 2, 3, ... without gaps. 0 is "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSequence(pub u64);

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Always one more than the entry before.
    pub sequence: LogSequence,
    /// A number stamped by the store, by which entries can be found. Never falls from one entry to the next.
    pub revision: u64,
    /// Microseconds since the Unix epoch, stamped by the store, by which entries can be found. Never falls.
    pub time_us: i64,
    /// What the store wants remembered.
    pub body: Bytes,
}

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWrite {
    /// Sets a key, whatever it held.
    Put(Vec<u8>, Bytes),
    /// Removes a key, if it is there.
    Remove(Vec<u8>),
}

impl StateWrite {
    /// The key this change is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put(key, _) | Self::Remove(key) => key,
        }
    }
}

/// Changes of the state in stages. All writes of a stage are in place before the first of the next begins, for readers and
/// after a crash; within a stage they land in any order. Each stage is sorted by key and names a key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateBatch {
    /// The stages, first to last.
    pub stages: Vec<Vec<StateWrite>>,
}

impl StateBatch {
    /// Asserts what every engine relies on. Lengths are checked in release too: a value that is too long would be stored
    /// where it can be lost.
    fn assert_sound(&self) {
        for stage in &self.stages {
            debug_assert!(stage.is_sorted_by(|a, b| a.key() < b.key()), "a stage is sorted by key and names a key once");
            for write in stage {
                let key = write.key();
                assert!(key.len() <= KEY_BYTES_MAX, "a key of {} bytes is longer than {KEY_BYTES_MAX}", key.len());
                debug_assert!(
                    !key.windows(4).any(|bytes| bytes == [0xff; 4]),
                    "a key holds four bytes 0xff in a row, which the embedded engine cannot scan backwards"
                );
                if let StateWrite::Put(_, value) = write {
                    assert!(
                        value.len() <= VALUE_BYTES_MAX,
                        "a value of {} bytes is longer than {VALUE_BYTES_MAX}",
                        value.len()
                    );
                }
            }
        }
    }
}

/// Asserts that entries may follow an entry with these numbers: without a gap, revision and time never falling.
fn assert_follow(head: LogSequence, revision: u64, time_us: i64, entries: &[LogEntry]) {
    let mut last = (head.0, revision, time_us);
    for entry in entries {
        assert_eq!(entry.sequence.0, last.0 + 1, "entries are contiguous");
        assert!(entry.revision >= last.1, "the revision of entry {} is below the one before", entry.sequence.0);
        assert!(entry.time_us >= last.2, "the time of entry {} is below the one before", entry.sequence.0);
        last = (entry.sequence.0, entry.revision, entry.time_us);
    }
}

/// Which end of a range a scan starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanDirection {
    /// Smallest key first.
    Forward,
    /// Greatest key first.
    Backward,
}

/// A range of keys.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Where to look in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSeek {
    /// The last entry whose `revision` is less than this one; reading after it starts at the entry that made the revision.
    BeforeRevision(u64),
    /// The last entry whose `time_us` is not greater than this one.
    AtTime(i64),
}

impl LogSeek {
    /// Whether an entry with these numbers is the one described or lies before it. True up to some entry, false from there.
    fn is_at_or_behind(self, revision: u64, time_us: i64) -> bool {
        match self {
            Self::BeforeRevision(sought) => revision < sought,
            Self::AtTime(sought) => time_us <= sought,
        }
    }
}

/// Whether no key can lie in a range. Ordered maps panic on such ranges; an engine answers that nothing is there.
pub(crate) fn range_is_empty((low, high): &KeyRange) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// Whether what the state holds can be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateHealth {
    /// It holds everything up to some entry of the log, which the store has written into it, and perhaps part of what follows.
    Trusted,
    /// It must be rebuilt from the log before it is read. The text says why, for people.
    Suspect(String),
}

/// Bytes used and free where the engine keeps its data. Zero where there is no disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Bytes of the state's files.
    pub state_bytes: u64,
}

/// What an engine reports when it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The system refused a call.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the path.
        context: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The log is damaged. It is never cut off and never served.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
    /// The disk is at its reserve: nothing was written. Passes by itself once there is room.
    #[error("the disk is full: {available} bytes are free at {path}, {reserve} are kept in reserve")]
    Full {
        /// Free bytes.
        available: u64,
        /// Bytes that are never used.
        reserve: u64,
        /// The data folder.
        path: PathBuf,
    },
    /// Another writer has appended since `expected_head` was read.
    #[error("the log has moved on to entry {}", .head.0)]
    Superseded {
        /// The log's head now.
        head: LogSequence,
    },
    /// A write or sync failed earlier: the log refuses more until it is opened again.
    #[error("the log refuses writes since one failed: {0}")]
    Poisoned(String),
    /// The state failed; the log is untouched. It must be reset and rebuilt.
    #[error("the state failed and must be rebuilt from the log: {0}")]
    State(String),
    /// Another process has the data folder open.
    #[error("{path} is in use by {holder}")]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// The process that has it, as it described itself.
        holder: String,
    },
    /// The folder was written by another, newer format.
    #[error("{path} has data format {found}; this program reads up to {supported}: use a newer program")]
    Format {
        /// The data folder.
        path: PathBuf,
        /// The folder's format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
}

/// The outcome of an engine's call.
pub type Result<T> = std::result::Result<T, EngineError>;

/// Keys and values in order, as they can be read.
pub trait State: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The values of several keys, in their order.
    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Up to `limit` keys and values of a range.
    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>>;
}

/// A log and a state, shared by one writer and any number of readers.
///
/// The writer calls `append`, then `apply`, and never `append` again before `apply` returned. Readers may call the reading
/// methods at any time from any thread.
pub trait Engine: State {
    /// The newest durable entry. 0 where there is none.
    fn head(&self) -> Result<LogSequence>;

    /// Makes entries durable, all or none, after `expected_head`; their sequences follow on it without a gap.
    /// `Full`: nothing happened, try later. `Superseded`: read on and try again. `Poisoned`: nothing happened. Any other
    /// error: whether they are durable is unknown, and the log is poisoned.
    ///
    /// # Panics
    /// Where the entries are not contiguous after `expected_head`, or a revision or time falls: writing them would make a
    /// log that cannot be read.
    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()>;

    /// The entries that follow `after`, oldest first: as many as fit into `bytes_max`, at least one where there is one. Empty
    /// at the head.
    fn read_log(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>>;

    /// The sequence of the entry that `seek` describes; 0 where there is none.
    fn seek(&self, seek: LogSeek) -> Result<LogSequence>;

    /// Whether the state can be used as it is, as found when the engine was opened or after the last failure.
    fn state_condition(&self) -> StateHealth;

    /// Empties the state; what was there is set aside where it may be of use to a person. Afterwards it is `Trusted`.
    fn reset_state(&self) -> Result<()>;

    /// Writes a batch into the state. An error is always `State`; what landed is a part of the batch.
    ///
    /// # Panics
    /// Where a key or value is longer than [`KEY_BYTES_MAX`] or [`VALUE_BYTES_MAX`].
    fn apply(&self, batch: StateBatch) -> Result<()>;

    /// Whether a point read may wait for more than memory and one page of a local disk.
    fn reads_may_block(&self) -> bool;

    /// What the engine uses of the disk.
    fn disk_usage(&self) -> Result<DiskUsage>;

    /// A clean stop: what the state holds is made durable, and a later open trusts it. Afterwards `append` fails with
    /// `Poisoned`, and whatever touches the state with `State`; the log can still be read. Closing twice is allowed.
    fn close(&self) -> Result<()>;
}
