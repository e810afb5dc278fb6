//! A cursor over the log that wakes its reader: it gives every commit after a revision, whole, in order and once.
//!
//! A change stream has no queue. It reads the log from its position, at the pace of its reader. All change streams share the
//! recent commits, so each commit is decoded once.
//!
//! Knows the log and how far it is published. Must not know filters, messages of the contract, or who reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Store,
    entry::{Committed, Entry},
    error::{Result, StoreError},
    version::Version,
    view::View,
};
use crate::engine::{LogSeek, LogSequence};

/// Most bytes of commits that a change stream returns at once. It holds them in memory while its reader is slow. One commit may
/// be longer.
const CHUNK_BYTES: usize = 256 << 10;
/// Number of recent log entries that are kept in memory for the change streams that read them next.
const RECENT_COMMITS: usize = 4096;
/// Most bytes of the recent log entries that are kept, as counted in the log. Decoded, they may take several times as much
/// memory.
const RECENT_BYTES: usize = 16 << 20;

/// Most selections of one commit that are shared. Further readers compute their own.
const SELECTIONS_SHARED: usize = 64;
/// Most bytes of the shared selections of one commit, as a multiple of the bytes of the commit.
const SELECTED_SIZES_MAX: usize = 3;

/// How far the log can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) sequence: u64,
    pub(super) revision: u64,
    /// Nothing more will be published: the store was closed, or its writer has failed.
    pub(super) ended: bool,
}

/// A commit as change streams return it. All its readers share it.
#[derive(Debug)]
pub(crate) struct CommittedChange {
    pub(crate) commit: Committed,
    /// Bytes of the commit in the log.
    bytes: usize,
    /// The records before the commit, in the order of its changes. `None` for a record that was not live.
    before: OnceLock<Vec<Option<Bytes>>>,
    /// The results of selections that were computed already, by the text of the selection.
    selected: Mutex<Vec<(Arc<str>, Option<Bytes>)>>,
}

/// Recent entries of the log, for the change streams that read them next.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By sequence, with the bytes that the entry takes in the log. `None` for an entry that is not a commit.
    entries: BTreeMap<u64, (Option<Arc<CommittedChange>>, usize)>,
    /// Always the sum of the bytes of `entries`.
    bytes: usize,
}

/// A cursor over the commits of a store.
#[derive(Clone, Debug)]
pub(crate) struct ChangeStream {
    store: Store,
    /// The last entry that was returned or skipped.
    position: LogSequence,
    /// All commits up to this revision were returned.
    revision: u64,
    published: watch::Receiver<Published>,
}

impl Store {
    /// The commits after a revision. `None`: the commits that are made from now on.
    pub(crate) fn change_stream(&self, after: Option<u64>) -> Result<ChangeStream> {
        self.read(|inner| {
            let published = inner.subscribe();
            let head = *published.borrow();
            let (position, revision) = match after {
                None => (LogSequence(head.sequence), head.revision),
                Some(after) => {
                    let after = inner.check_revision(after)?;
                    (inner.engine.log.seek(LogSeek::BeforeRevision(after.cast_signed() + 1))?, after)
                }
            };
            Ok(ChangeStream { store: self.clone(), position, revision, published })
        })
    }
}

impl ChangeStream {
    /// The newest revision of which all commits were returned.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The newest revision that can be returned.
    pub(crate) fn head(&self) -> u64 {
        self.published.borrow().revision
    }

    /// The store whose commits these are.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until there is something to read. Errs if everything was read and the store was closed or has failed.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        let position = self.position.0;
        let published = self.published.wait_for(|published| published.sequence > position || published.ended).await;
        let moved = published.is_ok_and(|published| published.sequence > position);
        if moved { Ok(()) } else { self.store.inner().check_readable().and(Err(StoreError::shutting_down())) }
    }

    /// The next commits, if they are in memory. Empty at the head. `None` if the log must be read.
    pub(crate) fn read_recent(&mut self) -> Option<Vec<Arc<CommittedChange>>> {
        let head = *self.published.borrow_and_update();
        if self.position.0 >= head.sequence {
            return Some(Vec::new());
        }
        let recent = self.store.inner().recent.after(self.position.0, head.sequence);
        (!recent.is_empty()).then(|| self.pass(recent, head))
    }

    /// The next commits, at most [`CHUNK_BYTES`] at once. Empty at the head. May wait for the disk.
    pub(crate) fn read(&mut self) -> Result<Vec<Arc<CommittedChange>>> {
        // All change streams wake at the same time, so another one may have read these commits already.
        if let Some(recent) = self.read_recent() {
            return Ok(recent);
        }
        let head = *self.published.borrow_and_update();
        let inner = self.store.inner();
        let entries = inner.engine.log.read_after(self.position, CHUNK_BYTES)?;
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries.iter().take_while(|entry| entry.sequence.0 <= head.sequence) {
            let change = match Entry::of(entry)? {
                Entry::Committed(commit) => Some(Arc::new(CommittedChange::new(commit, entry.body.len()))),
                _ => None,
            };
            inner.recent.add(entry.sequence.0, change.clone(), entry.body.len(), head.sequence);
            read.push((entry.sequence.0, change));
        }
        if read.is_empty() {
            return Err(StoreError::internal(format!(
                "the log ends at entry {} and {} was published",
                self.position.0, head.sequence
            )));
        }
        Ok(self.pass(read, head))
    }

    fn pass(&mut self, entries: Vec<(u64, Option<Arc<CommittedChange>>)>, head: Published) -> Vec<Arc<CommittedChange>> {
        let mut changes = Vec::with_capacity(entries.len());
        for (sequence, change) in entries {
            assert_eq!(sequence, self.position.0 + 1, "a change stream passes over nothing");
            self.position = LogSequence(sequence);
            if let Some(change) = change {
                assert!(change.commit.revision > self.revision, "revisions rise along the log");
                self.revision = change.commit.revision;
                changes.push(change);
            }
        }
        if self.position.0 == head.sequence {
            self.revision = head.revision;
        }
        changes
    }
}

impl CommittedChange {
    fn new(commit: Committed, bytes: usize) -> Self {
        Self { commit, bytes, before: OnceLock::new(), selected: Mutex::new(Vec::new()) }
    }

    /// The result of a selection, if another reader has computed it. The outer `Option` says whether it was computed, the inner
    /// one whether the selection shows any change of the commit.
    #[allow(clippy::option_option)]
    pub(super) fn known(&self, key: &Arc<str>) -> Option<Option<Bytes>> {
        let selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.iter().find(|(known, _)| known == key).map(|(_, made)| made.clone())
    }

    /// The result of `select`, or the result that another reader with the same selection has computed.
    pub(super) fn selected(&self, key: &Arc<str>, select: impl FnOnce() -> Result<Option<Bytes>>) -> Result<Option<Bytes>> {
        if let Some(made) = self.known(key) {
            return Ok(made);
        }
        let made = select()?;
        let mut selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = |made: &Option<Bytes>| made.as_ref().map_or(0, Bytes::len);
        let shared = selected.iter().map(|(_, made)| bytes(made)).sum::<usize>();
        if selected.len() < SELECTIONS_SHARED && shared + bytes(&made) <= self.bytes * SELECTED_SIZES_MAX {
            selected.push((Arc::clone(key), made.clone()));
        }
        Ok(made)
    }

    /// The records before the commit, in the order of its changes. `None` for a record that did not exist then. They are read
    /// once for all readers. May wait for the disk.
    pub(crate) fn before(&self, store: &Store) -> Result<&[Option<Bytes>]> {
        if let Some(before) = self.before.get() {
            return Ok(before);
        }
        let before = store.read(|inner| {
            let view = View { state: &*inner.engine.state, revision: self.commit.revision.saturating_sub(1) };
            self.commit
                .changes
                .iter()
                .map(|change| match change.previous_revision {
                    0 => Ok(None),
                    _ => Ok(view.version(change.kind()?, &change.id)?.filter(Version::is_live).map(|before| before.record)),
                })
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(self.before.get_or_init(|| before))
    }
}

impl Recent {
    /// Keeps an entry, unless it is too far behind the head for other readers to need it.
    fn add(&self, sequence: u64, change: Option<Arc<CommittedChange>>, bytes: usize, head: u64) {
        if sequence + (RECENT_COMMITS as u64) < head {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.entries.insert(sequence, (change, bytes)).is_none() {
            kept.bytes += bytes;
        }
        while (kept.entries.len() > RECENT_COMMITS || kept.bytes > RECENT_BYTES)
            && let Some((_, (_, bytes))) = kept.entries.pop_first()
        {
            kept.bytes -= bytes;
        }
    }

    /// The kept entries after `position`, without a gap and at most [`CHUNK_BYTES`].
    fn after(&self, position: u64, head: u64) -> Vec<(u64, Option<Arc<CommittedChange>>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let following = kept.entries.range(position + 1..=head.max(position + 1)).zip(position + 1..);
        let mut chunk = 0;
        following
            .take_while(|((sequence, (_, bytes)), expected)| {
                // The first entry is always returned, whatever its size.
                let fits = chunk == 0 || chunk + bytes <= CHUNK_BYTES;
                chunk += bytes;
                *sequence == expected && fits
            })
            .map(|((sequence, (change, _)), _)| (*sequence, change.clone()))
            .collect()
    }
}
