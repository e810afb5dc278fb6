//! The log as a cursor and a wake-up: every commit after a revision, in order, whole, once.
//!
//! A change stream keeps no queue. It reads the log from where it stands, at its reader's pace; commits that were made lately are shared
//! by all change streams, each decoded once.
//!
//! Knows the log and what was published. Must not know filters, messages of the contract, or who reads.

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

/// Bytes of commits that a change stream hands out at once, and so holds for a reader that stops in the middle of them. One commit may be more.
const CHUNK_BYTES: usize = 256 << 10;
/// Commits made lately that are kept for the change streams that are about to read them.
const RECENT_COMMITS: usize = 4096;
/// Bytes of the commits made lately that are kept, as the log has them. What is made of them may be several times that.
const RECENT_BYTES: usize = 16 << 20;

/// Selections of one commit that are shared; readers beyond make their own.
const SELECTIONS_SHARED: usize = 64;
/// Bytes of the shared selections of one commit, in sizes of the commit.
const SELECTED_SIZES_MAX: usize = 3;

/// How far the log can be read: what was published last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) sequence: u64,
    pub(super) revision: u64,
    /// Nothing will be published any more: the store was closed, or its writer has failed.
    pub(super) ended: bool,
}

/// A commit as change streams hand it out, shared by those who read it.
#[derive(Debug)]
pub(crate) struct CommittedChange {
    pub(crate) commit: Committed,
    /// Bytes of the commit in the log.
    bytes: usize,
    /// The records before the commit, in the order of its changes: live ones only.
    before: OnceLock<Vec<Option<Bytes>>>,
    /// What was made of it for a selection, by the selection's text.
    selected: Mutex<Vec<(Arc<str>, Option<Bytes>)>>,
}

/// Entries of the log that were read lately, for the change streams that are about to read them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By sequence, with the bytes that each takes in the log; no change for one that is no commit.
    entries: BTreeMap<u64, (Option<Arc<CommittedChange>>, usize)>,
    /// Always the sum of the bytes of `entries`.
    bytes: usize,
}

/// A cursor over the commits of a store.
#[derive(Clone, Debug)]
pub(crate) struct ChangeStream {
    store: Store,
    /// The last entry that was handed out or passed over.
    position: LogSequence,
    /// Everything up to here was handed out.
    revision: u64,
    published: watch::Receiver<Published>,
}

impl Store {
    /// The commits after a revision. `None`: from now on.
    pub(crate) fn change_stream(&self, after: Option<u64>) -> Result<ChangeStream> {
        self.read(|inner| {
            let published = inner.subscribe();
            let head = *published.borrow();
            let (position, revision) = match after {
                None => (LogSequence(head.sequence), head.revision),
                Some(after) => {
                    let after = inner.check_revision(after)?;
                    (inner.engine.log.seek(LogSeek::BeforeRevision(after + 1))?, after)
                }
            };
            Ok(ChangeStream { store: self.clone(), position, revision, published })
        })
    }
}

impl ChangeStream {
    /// Everything up to this revision was handed out.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The newest revision that can be handed out.
    pub(crate) fn head(&self) -> u64 {
        self.published.borrow().revision
    }

    /// The store whose commits these are.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until there is something to read. An error: the store was closed, or failed, and everything was read.
    pub(crate) async fn changed(&mut self) -> Result<()> {
        let position = self.position.0;
        let published = self.published.wait_for(|published| published.sequence > position || published.ended).await;
        let moved = published.is_ok_and(|published| published.sequence > position);
        if moved { Ok(()) } else { self.store.inner().check_readable().and(Err(StoreError::shutting_down())) }
    }

    /// What follows, if it was read lately and needs no look at the disk.
    pub(crate) fn read_recent(&mut self) -> Option<Vec<Arc<CommittedChange>>> {
        let head = *self.published.borrow_and_update();
        if self.position.0 >= head.sequence {
            return Some(Vec::new());
        }
        let recent = self.store.inner().recent.after(self.position.0, head.sequence);
        (!recent.is_empty()).then(|| self.pass(recent, head))
    }

    /// What follows, as far as one chunk of the log holds it. Empty at the head. May wait for the disk.
    pub(crate) fn read(&mut self) -> Result<Vec<Arc<CommittedChange>>> {
        // All change streams are woken at once: another may have read it on the way here.
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

    /// What was made of the commit for another reader who selects the same: outside, whether it was; inside, whether any change
    /// of it is shown.
    #[allow(clippy::option_option)]
    pub(super) fn known(&self, key: &Arc<str>) -> Option<Option<Bytes>> {
        let selected = self.selected.lock().unwrap_or_else(PoisonError::into_inner);
        selected.iter().find(|(known, _)| known == key).map(|(_, made)| made.clone())
    }

    /// What `select` makes of the commit, or what it made for another reader who selects the same.
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

    /// The records before the commit, in the order of its changes; none for one that did not exist then. Read once, for all
    /// who compare. May wait for the disk.
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
    /// Keeps an entry, unless it is so far behind the head that no other reader is likely to need it.
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

    /// The entries that follow on one without a gap, as far as they are kept and make one chunk.
    fn after(&self, position: u64, head: u64) -> Vec<(u64, Option<Arc<CommittedChange>>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let following = kept.entries.range(position + 1..=head.max(position + 1)).zip(position + 1..);
        let mut chunk = 0;
        following
            .take_while(|((sequence, (_, bytes)), expected)| {
                // The first is handed out whatever its size.
                let fits = chunk == 0 || chunk + bytes <= CHUNK_BYTES;
                chunk += bytes;
                *sequence == expected && fits
            })
            .map(|((sequence, (change, _)), _)| (*sequence, change.clone()))
            .collect()
    }
}
