//! Stores bytes durably: a log of entries, and a state of ordered keys and values that is derived from the log.
//!
//! [`Log`] and [`State`] are two traits, because they promise different things. The log is the source of truth: it never loses
//! an entry that it has acknowledged. It may be remote and slow, and other stores may append to it. The state is local. It
//! answers reads fast, and can be rebuilt from the log. A store owns one of each, an [`Engine`].
//!
//! Knows bytes, sequences and the numbers stamped on entries. Must not know records, the meaning of a revision, gRPC or an
//! async runtime.

use std::{error::Error, fmt, ops::Bound, path::PathBuf, sync::Arc};

use bytes::Bytes;

pub mod embedded;
pub mod memory;

/// The longest key of the state. An inner page of the embedded engine holds up to 256 keys. It must stay below the size at
/// which sled moves a page to a separate file (see [`VALUE_BYTES_MAX`]).
pub const KEY_BYTES_MAX: usize = 480;

/// The longest value of the state. The store cuts a longer value into parts.
///
/// A leaf of the embedded engine holds up to 17 items, and one more while two threads write. sled moves a leaf above 128 KiB to
/// a separate file, which it neither syncs nor recovers with the rest. So 18 of the longest keys and values must stay below
/// that.
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
    /// A number that the store sets, by which entries can be found. Never negative, and never smaller than that of the entry
    /// before.
    pub revision: i64,
    /// Microseconds since the Unix epoch, set by the store, by which entries can be found. Never smaller than that of the entry
    /// before.
    pub time_us: i64,
    /// The payload. The engine does not interpret it.
    pub body: Bytes,
}

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWrite {
    /// Sets a key to a value, whether or not the key exists.
    Put(Vec<u8>, Bytes),
    /// Removes a key. Not an error if the key does not exist.
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

/// Changes of the state, in stages. All writes of a stage are done before the first write of the next stage, both for readers
/// and after a crash. The writes of a stage are done in any order. Each stage is sorted by key and names a key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateBatch {
    /// The stages, first to last.
    pub stages: Vec<Vec<StateWrite>>,
}

impl StateBatch {
    /// Asserts what every state relies on. Lengths are checked in release builds too: a value that is too long could be lost in
    /// a crash.
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

/// Asserts that entries may follow an entry with these numbers: the sequences have no gap, and revision and time never
/// decrease.
fn assert_follow(head: LogSequence, revision: i64, time_us: i64, entries: &[LogEntry]) {
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

/// What to look for in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSeek {
    /// The last entry whose `revision` is less than this. Reading after it starts with the entry that made the revision.
    BeforeRevision(i64),
    /// The last entry whose `time_us` is not greater than this.
    AtTime(i64),
}

impl LogSeek {
    /// Whether an entry with these numbers is the sought entry or an earlier one. True up to some entry, false after it.
    fn includes(self, revision: i64, time_us: i64) -> bool {
        match self {
            Self::BeforeRevision(sought) => revision < sought,
            Self::AtTime(sought) => time_us <= sought,
        }
    }
}

/// Whether a range can hold no key. `BTreeMap` panics on some of these ranges, so a state checks this first and finds nothing.
pub(crate) fn range_is_empty((low, high): &KeyRange) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// The error below an error, or a text if there is none.
pub type Cause = Box<dyn Error + Send + Sync>;

/// An error with the error below it.
#[derive(Debug, thiserror::Error)]
#[error("{text}: {source}")]
struct Explained {
    text: String,
    source: Cause,
}

/// A cause that says what failed, and has the error below it.
pub(crate) fn explained(text: impl Into<String>, source: impl Into<Cause>) -> Cause {
    Box::new(Explained { text: text.into(), source: source.into() })
}

/// Why a call on a log or a state failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A call of the operating system failed.
    #[error("{context}: {source}")]
    Io {
        /// The operation, with the path.
        context: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The system could not make a file or folder durable. Afterwards nothing is known about what was written to it, and a later
    /// sync that succeeds proves nothing.
    #[error("cannot sync {path}: {source}")]
    SyncFailed {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The log is damaged. Damaged entries are neither dropped nor returned.
    #[error("the log is damaged: {0}")]
    Corrupt(#[source] Cause),
    /// The disk is at its reserve: nothing was written. Transient: retry once there is room.
    #[error("the disk is full: {available} bytes are free at {path}, {reserve} are kept in reserve")]
    Full {
        /// Free bytes.
        available: u64,
        /// Bytes that are never used.
        reserve: u64,
        /// The data folder.
        path: PathBuf,
    },
    /// The log does not answer, answers too slowly, or cannot be written now. The call has changed nothing. Transient: retry.
    #[error("the log is unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// The log's answer to an append was lost: the entries may be in the log, or may still get there. Find out which before any
    /// caller gets an answer: see [`Log::append`].
    #[error("it is unknown whether the log has taken the entries: {0}")]
    Unknown(#[source] Cause),
    /// Another appender has moved the log's head. Nothing was appended.
    #[error("the log has moved on to entry {}", .head.0)]
    Superseded {
        /// The log's head now.
        head: LogSequence,
    },
    /// A sync has failed, or the log was closed: the log refuses appends until it is opened again.
    #[error("the log refuses writes until it is opened again: {0}")]
    Poisoned(#[source] Cause),
    /// The state failed; the log is untouched. The state must be reset and rebuilt.
    #[error("the state failed and must be rebuilt from the log: {0}")]
    State(#[source] Cause),
    /// Another process has the data folder open.
    #[error("{path} is in use by {holder}")]
    InUse {
        /// The data folder.
        path: PathBuf,
        /// The process that has it, as it described itself.
        holder: String,
    },
    /// The folder was written in another, newer format.
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

/// The outcome of a call on a log or a state.
pub type Result<T> = std::result::Result<T, EngineError>;

/// The callback by which a log tells its store that another appender has moved the head.
///
/// It is cheap to clone, and any thread may call it, even while the log holds its own locks: it queues one job and returns.
#[derive(Clone)]
pub struct HeadSignal(Arc<dyn Fn() + Send + Sync>);

impl HeadSignal {
    /// A signal that calls this function. The function must not block, and must not call the log.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(notify))
    }

    /// Says that the head has moved. The store may treat several calls in a short time as one.
    pub fn notify(&self) {
        (self.0)();
    }
}

impl fmt::Debug for HeadSignal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("HeadSignal").finish_non_exhaustive()
    }
}

/// The log: numbered entries that are durable once appended and never change. It is the source of truth of a store.
///
/// A log may be a local file or a remote service. Every call may block. The store appends from one thread, and reads from any
/// thread at any time. A log that several stores append to is *shared*: the expected head of each append keeps their entries in
/// one order.
pub trait Log: Send + Sync {
    /// The sequence of the newest durable entry. 0 if the log is empty.
    fn head(&self) -> Result<LogSequence>;

    /// Makes entries durable, all or none, directly after the entry `expected_head`. Their sequences must follow it without a
    /// gap.
    ///
    /// The error says what happened to the entries:
    /// - [`EngineError::Full`], [`EngineError::Unavailable`]: nothing was appended, and no later open finds any of it. Retry
    ///   later, with these entries or others.
    /// - [`EngineError::Superseded`]: nothing was appended, because another appender was first. Read its entries, and plan
    ///   again.
    /// - [`EngineError::Unknown`]: the answer was lost. Repeat the same call until the log answers. `Ok`: the entries are in
    ///   the log, once. `Superseded`: read what follows `expected_head` and compare. If they are the same entries, an earlier
    ///   try has appended them. If not, these entries can never get into the log, because its head has moved past their place.
    /// - [`EngineError::Poisoned`] and all others: a sync failed. A later sync that succeeds does not prove that the entries are
    ///   durable. So the log refuses appends until it is opened again, and the open finds out what is durable.
    ///
    /// # Panics
    /// If the entries are not contiguous after `expected_head`, or if a revision or time decreases: such a log could not be
    /// read.
    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()>;

    /// The entries after `after`, oldest first: as many as fit into `bytes_max`, but at least one if there is one. Empty at the
    /// head.
    ///
    /// Of the errors of this method, of `head` and of `seek`, [`EngineError::Unavailable`] and [`EngineError::Unknown`] are
    /// transient: a store that catches up calls again. After another error it stops, and must be opened again. So a remote log
    /// answers `Unavailable` while it cannot be reached.
    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>>;

    /// The sequence of the entry that `seek` describes. 0 if there is none.
    fn seek(&self, seek: LogSeek) -> Result<LogSequence>;

    /// Whether other stores may append to this log too. If so, a store keeps what it needs to plan a group again.
    fn is_shared(&self) -> bool {
        false
    }

    /// Registers the signal to call when another appender has moved the head. A store registers one signal, before it first
    /// reads the head. A log with a single appender never calls it.
    fn on_head_moved(&self, signal: HeadSignal) {
        drop(signal);
    }

    /// Bytes of the log's files. 0 if it has no files on a local disk.
    fn disk_bytes(&self) -> Result<u64>;

    /// Closes the log cleanly. Afterwards `append` fails with `Poisoned`, and the log can still be read. Closing twice is
    /// allowed.
    fn close(&self) -> Result<()>;
}

/// The read access to ordered keys and values.
pub trait StateRead: Send + Sync {
    /// The value of a key. `None` if the key does not exist.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The values of several keys, in the order of the keys.
    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// The first `limit` keys and values of a range, in the given direction.
    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>>;
}

/// The state: ordered keys and values, local, written by one store and read by any number of threads.
///
/// It is derived from the log, and is rebuilt from the log if it cannot be trusted. So a write need not be durable when it
/// returns. Every error of a state is [`EngineError::State`].
pub trait State: StateRead {
    /// Why the state cannot be used, as a text for people. `None` if the state is trusted. A trusted state holds everything
    /// that the store wrote up to some entry of the log, and perhaps part of what follows.
    fn distrust(&self) -> Option<String>;

    /// Writes a batch. After an error, a part of the batch may be written.
    ///
    /// # Panics
    /// If a key is longer than [`KEY_BYTES_MAX`], or a value longer than [`VALUE_BYTES_MAX`].
    fn apply(&self, batch: StateBatch) -> Result<()>;

    /// Empties the state. A damaged state may be set aside for an operator to look at. Afterwards the state is trusted.
    fn reset(&self) -> Result<()>;

    /// Whether a read of one key may take longer than reading memory or one page of a local disk.
    fn reads_may_block(&self) -> bool {
        false
    }

    /// Bytes of the state's files. 0 if it has none.
    fn disk_bytes(&self) -> Result<u64>;

    /// Closes the state cleanly: makes its contents durable, so that a later open trusts it. Afterwards reads, writes and
    /// `reset` fail with `State`. Closing twice is allowed.
    fn close(&self) -> Result<()>;
}

/// The log and the state of one store.
#[derive(Clone)]
pub struct Engine {
    /// The durable log of entries.
    pub log: Arc<dyn Log>,
    /// The state that answers reads.
    pub state: Arc<dyn State>,
}

impl Engine {
    /// Closes both cleanly, the log first.
    pub fn close(&self) -> Result<()> {
        let log = self.log.close();
        self.state.close().and(log)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Engine").finish_non_exhaustive()
    }
}
