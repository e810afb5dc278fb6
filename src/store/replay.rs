//! Turns the entries of the log into keys of the state. No other code derives the state.
//!
//! Open, rebuild, upgrade, verify, catch-up and every commit use this code. Replaying an entry reads only the state at the
//! revision before it. So the result is the same if an entry is replayed twice, or on a state that holds part of later entries.
//!
//! Knows entries, keys and the state before. Must not know requests, rules or filters.

use std::collections::{BTreeMap, btree_map};

use bytes::Bytes;
use prost::Message;

use super::{
    entry::{Changed, Committed, Entry, FORMAT_VERSION, Founded, RequestIdentity},
    error::{Result, StoreError, StoreErrorKind},
    joined::{VersionStep, joined_postings},
    keys,
    postings::postings,
    version::Version,
    view::View,
};
use crate::{
    engine::{self, KeyRange, LogSequence, ScanDirection, StateBatch, StateRead, StateWrite},
    model::RecordKind,
    proto::{ChangeKind, ErrorReason},
};

/// The version of the keys that are derived from the log. A state with another version is rebuilt. 2: joined postings.
pub(crate) const STATE_FORMAT: u32 = 2;

/// The meta value of a state: which entries of the log it holds, and facts that are needed without reading records.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Meta {
    /// The version of its keys: [`STATE_FORMAT`] of the program that derived them.
    #[prost(uint32, tag = "1")]
    pub(crate) format: u32,
    /// Identifies the data.
    #[prost(string, tag = "2")]
    pub(crate) store_id: String,
    /// The last entry of the log that the state holds completely.
    #[prost(uint64, tag = "3")]
    pub(crate) sequence: u64,
    /// The newest revision.
    #[prost(uint64, tag = "4")]
    pub(crate) revision: u64,
    /// The time of that commit. 0 before the first commit.
    #[prost(int64, tag = "5")]
    pub(crate) commit_time_us: i64,
    /// The oldest revision that can be read. 0 if all can be read.
    #[prost(uint64, tag = "6")]
    pub(crate) oldest_revision: u64,
    /// No later commit gets a time up to this one.
    #[prost(int64, tag = "7")]
    pub(crate) time_bound_us: i64,
    /// The number of live records, by the number of their kind.
    #[prost(btree_map = "uint32, uint64", tag = "8")]
    pub(crate) live: BTreeMap<u32, u64>,
}

/// The stored answer of a request id.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Receipt {
    /// SHA-256 of the mutations and preconditions of the request.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) content_hash: Bytes,
    /// The entry of the log that answers it.
    #[prost(uint64, tag = "2")]
    pub(crate) sequence: u64,
}

/// The pending state: a state, and on top of it entries that are not applied yet.
pub(crate) struct PendingState<'a> {
    base: &'a dyn StateRead,
    /// The meta value after every entry replayed so far.
    pub(crate) meta: Meta,
    puts: BTreeMap<Vec<u8>, Bytes>,
}

/// What one commit does to one record.
struct ReplayStep<'c> {
    kind: RecordKind,
    id: &'c str,
    before: Option<Version>,
    after: Version,
}

impl ReplayStep<'_> {
    fn versions(&self) -> VersionStep<'_> {
        VersionStep { kind: self.kind, id: self.id, before: self.before.as_ref(), after: &self.after }
    }
}

impl<'a> PendingState<'a> {
    /// A state without entries on top.
    pub(crate) fn new(base: &'a dyn StateRead, meta: Meta) -> Self {
        Self { base, meta, puts: BTreeMap::new() }
    }

    /// Reads the meta value of a state. The default if there is none.
    pub(crate) fn read_meta(base: &dyn StateRead) -> Result<Meta> {
        match base.get(&keys::meta())? {
            None => Ok(Meta::default()),
            Some(value) => Meta::decode(value)
                .map_err(|error| engine::EngineError::State(engine::explained("the meta value", error)).into()),
        }
    }

    /// The records at the newest replayed revision.
    pub(crate) fn view(&self) -> View<'_> {
        View { state: self, revision: self.meta.revision }
    }

    /// Adds the keys of an entry. It must follow the last replayed entry.
    pub(crate) fn replay(&mut self, logged: &engine::LogEntry) -> Result<()> {
        self.replay_entry(logged.sequence, Entry::of(logged)?)
    }

    /// Like [`Self::replay`], for an entry that is decoded already.
    pub(crate) fn replay_entry(&mut self, sequence: LogSequence, entry: Entry) -> Result<()> {
        assert_eq!(sequence.0, self.meta.sequence + 1, "entries are replayed one after the other");
        match entry {
            Entry::Founded(Founded { store_id, format }) => {
                if format > FORMAT_VERSION {
                    let text = format!(
                        "the log has data format {format}, this program reads up to {FORMAT_VERSION}: use a newer program"
                    );
                    return Err(StoreError::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, text));
                }
                self.meta.store_id = store_id;
                self.meta.format = STATE_FORMAT;
            }
            Entry::Committed(commit) => self.replay_commit(sequence, &commit)?,
            Entry::Unchanged(unchanged) => self.put_receipt(sequence, &unchanged.request),
            Entry::TimeBound(bound) => self.meta.time_bound_us = self.meta.time_bound_us.max(bound.time_us),
        }
        self.meta.sequence = sequence.0;
        Ok(())
    }

    fn replay_commit(&mut self, sequence: LogSequence, commit: &Committed) -> Result<()> {
        assert!(commit.revision > self.meta.revision, "revisions rise from commit to commit");
        assert!(commit.commit_time_us > self.meta.commit_time_us, "commit times rise from commit to commit");
        // Read everything before the first put. So if the state fails, no part of the commit is left in the pending state. A
        // commit changes a record once, so no change reads what another change puts.
        let steps = commit.changes.iter().map(|change| self.step(commit.revision, change)).collect::<Result<Vec<_>>>()?;
        let changed: Vec<_> = steps.iter().map(ReplayStep::versions).collect();
        let joined = joined_postings(&self.view(), &changed)?;
        self.puts.extend(joined.into_iter().map(|posting| (posting, Bytes::new())));
        for step in steps {
            self.put_step(step);
        }
        self.put_receipt(sequence, &commit.request);
        self.meta.revision = commit.revision;
        self.meta.commit_time_us = commit.commit_time_us;
        Ok(())
    }

    fn step<'c>(&self, revision: u64, change: &'c Changed) -> Result<ReplayStep<'c>> {
        let kind = change.kind()?;
        let id = change.id.as_str();
        let before = match change.previous_revision {
            0 => None,
            _ => self.view().version(kind, id)?,
        };
        let after = Version {
            revision,
            change: ChangeKind::try_from(change.change)
                .map_err(|_| StoreError::internal(format!("the log holds a change of kind {}", change.change)))?,
            redirect: change.redirect_target.clone(),
            record: change.record.clone(),
        };
        Ok(ReplayStep { kind, id, before, after })
    }

    fn put_step(&mut self, ReplayStep { kind, id, before, after }: ReplayStep<'_>) {
        let mut new_postings = postings(kind, id, &after.record);
        if let Some(before) = &before {
            // The further chunks of `before` stay where they are, because their keys hold its revision.
            self.puts.insert(keys::history(kind, id, before.revision), before.encode(kind, id).0);
            let old_postings = postings(kind, id, &before.record);
            new_postings.retain(|posting| old_postings.binary_search(posting).is_err());
        }
        self.puts.extend(new_postings.into_iter().map(|posting| (posting, Bytes::new())));
        let (value, rest) = after.encode(kind, id);
        self.puts.extend(rest);
        self.puts.insert(keys::current(kind, id), value);
        self.count(kind, before.is_some_and(|before| before.is_live()), after.is_live());
    }

    fn count(&mut self, kind: RecordKind, was_live: bool, is_live: bool) {
        let live = self.meta.live.entry(u32::from(kind as u8)).or_default();
        match (was_live, is_live) {
            (false, true) => *live += 1,
            (true, false) => *live -= 1,
            _ => {}
        }
    }

    fn put_receipt(&mut self, sequence: LogSequence, request: &RequestIdentity) {
        let receipt = Receipt { content_hash: request.content_hash.clone(), sequence: sequence.0 };
        self.puts.insert(keys::receipt(&request.caller, &request.request_id), receipt.encode_to_vec().into());
    }

    /// The batch to apply, and the meta value after it. Older versions and chunks come first, so that a reader of a newer
    /// version finds them. The meta value comes last, so that it never names an entry that is not yet applied.
    pub(crate) fn into_batch(self) -> (StateBatch, Meta) {
        let (early, late): (Vec<_>, Vec<_>) = self.puts.into_iter().partition(|(key, _)| keys::is_written_early(key));
        let put = |(key, value)| StateWrite::Put(key, value);
        let stages = vec![
            early.into_iter().map(put).collect(),
            late.into_iter().map(put).collect(),
            vec![StateWrite::Put(keys::meta(), self.meta.encode_to_vec().into())],
        ];
        (StateBatch { stages }, self.meta)
    }
}

impl StateRead for PendingState<'_> {
    fn get(&self, key: &[u8]) -> engine::Result<Option<Bytes>> {
        match self.puts.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => self.base.get(key),
        }
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> engine::Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> engine::Result<Vec<(Bytes, Bytes)>> {
        let stored = self.base.scan(range.clone(), direction, limit)?;
        let puts = if engine::range_is_empty(&range) { btree_map::Range::default() } else { self.puts.range(range) };
        if puts.clone().next().is_none() {
            return Ok(stored);
        }
        let mut merged: BTreeMap<Bytes, Bytes> = stored.into_iter().collect();
        let put = |(key, value): (&Vec<u8>, &Bytes)| (Bytes::copy_from_slice(key), value.clone());
        Ok(match direction {
            ScanDirection::Forward => {
                merged.extend(puts.take(limit).map(put));
                merged.into_iter().take(limit).collect()
            }
            ScanDirection::Backward => {
                merged.extend(puts.rev().take(limit).map(put));
                merged.into_iter().rev().take(limit).collect()
            }
        })
    }
}
