//! Durable bytes: a log of entries, and a state of ordered keys and values that is derived from it.
//!
//! [`Log`] and [`State`] are two traits, since they promise different things. The log is the truth: what it has acknowledged is
//! never lost. It may be remote, slow, and written by other stores too. The state is a local copy of what follows from the
//! log: it answers reads fast, and whatever it holds can be rebuilt. A store owns one of each, an [`Engine`].
//!
//! Knows bytes, sequences and the numbers stamped on entries. Must not know records, revisions' meaning, gRPC or an async
//! runtime.

use std::{fmt, ops::Bound, path::PathBuf, sync::Arc};

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
    /// Asserts what every state relies on. Lengths are checked in release too: a value that is too long would be stored
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

/// What to look for in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSeek {
    /// The last entry whose `revision` is less than this one; reading after it starts at the entry that made the revision.
    BeforeRevision(u64),
    /// The last entry whose `time_us` is not greater than this one.
    AtTime(i64),
}

impl LogSeek {
    /// Whether an entry with these numbers is the one described or an earlier one. True up to some entry, false from there.
    fn includes(self, revision: u64, time_us: i64) -> bool {
        match self {
            Self::BeforeRevision(sought) => revision < sought,
            Self::AtTime(sought) => time_us <= sought,
        }
    }
}

/// Whether a range can hold no key. Ordered maps panic on some such ranges; a state answers that nothing is there.
pub(crate) fn range_is_empty((low, high): &KeyRange) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// Why a log or a state could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The system refused a call. From [`Log::append`] it is a failed sync: see there.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the path.
        context: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The log is damaged. Damaged entries are neither dropped nor served.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
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
    /// The log does not answer now, or answers too slowly. What was asked has not happened. Transient: retry.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The log's answer to an append was lost: the entries may be in the log, or may still get there. Find out before anyone is
    /// answered: see [`Log::append`].
    #[error("it is unknown whether the log has taken the entries: {0}")]
    Unknown(String),
    /// Another appender has moved the log's head. Nothing was appended.
    #[error("the log has moved on to entry {}", .head.0)]
    Superseded {
        /// The log's head now.
        head: LogSequence,
    },
    /// A sync failed earlier: the log refuses appends until it is opened again.
    #[error("the log refuses writes since one failed: {0}")]
    Poisoned(String),
    /// The state failed; the log is untouched. The state must be reset and rebuilt.
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

/// Tells a store that another appender has moved the head of its log.
///
/// Cheap to clone and to call from any thread, also while the log holds its own locks: it queues one job and returns.
#[derive(Clone)]
pub struct HeadSignal(Arc<dyn Fn() + Send + Sync>);

impl HeadSignal {
    /// A signal that calls a function, which must not block or call the log.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(notify))
    }

    /// Says that the head has moved. Calls that come close together may be answered as one.
    pub fn notify(&self) {
        (self.0)();
    }
}

impl fmt::Debug for HeadSignal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("HeadSignal").finish_non_exhaustive()
    }
}

/// The log: numbered entries, durable once appended, and never changed afterwards. It is the truth of a store.
///
/// A log may be a local file or a remote service. Every call may block. The store appends from one thread, and reads from any
/// thread at any time. A log that several stores append to is *shared*: they agree by the expected head of each append.
pub trait Log: Send + Sync {
    /// The newest durable entry. 0 where there is none.
    fn head(&self) -> Result<LogSequence>;

    /// Makes entries durable, all or none, directly after the entry `expected_head`. Their sequences follow on it without a gap.
    ///
    /// The error says what has happened to the entries:
    /// - [`EngineError::Full`], [`EngineError::Unavailable`]: nothing was appended. Retry later.
    /// - [`EngineError::Superseded`]: nothing was appended, as another appender was first. Read on, and plan again.
    /// - [`EngineError::Unknown`]: the answer was lost. Repeat the same call until the log answers. `Ok`: the entries are in the
    ///   log, once. `Superseded`: read what follows `expected_head` and compare. Either these are the entries, from an earlier
    ///   try, or others, and then these entries can never get into the log: its head has moved past their place.
    /// - [`EngineError::Io`], [`EngineError::Poisoned`] and all others: a sync failed. No later success says anything about what
    ///   was lost, so the log refuses appends until it is opened again, and what is durable is found out then. A log that
    ///   cannot return to a known state after a failed *write* reports that in the same way.
    ///
    /// # Panics
    /// Where the entries are not contiguous after `expected_head`, or a revision or time falls: writing them would make a
    /// log that cannot be read.
    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()>;

    /// The entries that follow `after`, oldest first: as many as fit into `bytes_max`, at least one where there is one. Empty
    /// at the head.
    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>>;

    /// The sequence of the entry that `seek` describes; 0 where there is none.
    fn seek(&self, seek: LogSeek) -> Result<LogSequence>;

    /// Whether others may append to this log too. A store then keeps what it needs to plan a group again.
    fn is_shared(&self) -> bool {
        false
    }

    /// Registers the signal to call when another appender has moved the head. A store registers one, before it reads the head
    /// for the first time. A log with a single appender never calls it.
    fn on_head_moved(&self, signal: HeadSignal) {
        drop(signal);
    }

    /// Bytes of the log's files. 0 where there is no local disk.
    fn disk_bytes(&self) -> Result<u64>;

    /// A clean stop. Afterwards `append` fails with `Poisoned`; the log can still be read. Closing twice is allowed.
    fn close(&self) -> Result<()>;
}

/// Ordered keys and values, as they can be read.
pub trait StateRead: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The values of several keys, in their order.
    fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// Up to `limit` keys and values of a range.
    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>>;
}

/// The state: ordered keys and values, local, written by one store and read by any number of threads.
///
/// Nothing in it is the only copy: it follows from the log, and is rebuilt from the log whenever it cannot be trusted. So a write
/// need not be durable when it returns. Every error of a state is [`EngineError::State`].
pub trait State: StateRead {
    /// Why the state cannot be used as it is, for people; `None` while it can. A trusted state holds all that the store wrote up
    /// to some entry of the log, and perhaps part of what follows.
    fn distrust(&self) -> Option<String>;

    /// Writes a batch. After an error a part of the batch may have landed.
    ///
    /// # Panics
    /// Where a key or value is longer than [`KEY_BYTES_MAX`] or [`VALUE_BYTES_MAX`].
    fn apply(&self, batch: StateBatch) -> Result<()>;

    /// Empties the state; what was there is set aside where it may be of use to a person. Afterwards it is trusted.
    fn reset(&self) -> Result<()>;

    /// Whether a point read may wait for more than memory and one page of a local disk.
    fn reads_may_block(&self) -> bool {
        false
    }

    /// Bytes of the state's files. 0 where there are none.
    fn disk_bytes(&self) -> Result<u64>;

    /// A clean stop: what the state holds is made durable, and a later open trusts it. Afterwards every other call fails with
    /// `State`. Closing twice is allowed.
    fn close(&self) -> Result<()>;
}

/// The log and the state of one store.
#[derive(Clone)]
pub struct Engine {
    /// What is remembered.
    pub log: Arc<dyn Log>,
    /// What reads are answered from.
    pub state: Arc<dyn State>,
}

impl Engine {
    /// Stops both cleanly, the log first.
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
