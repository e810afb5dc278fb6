//! A state in memory, into which tests write versions as the store does.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    engine::{self, KeyRange, ScanDirection, StateRead},
    model::RecordKind,
    proto::ChangeKind,
    store::{
        joined::{VersionStep, joined_postings},
        keys,
        postings::postings,
        version::Version,
        view::View,
    },
};

/// Keys and values, and a count of those that were read.
#[derive(Default)]
pub(super) struct MemoryState {
    pub(super) keys: BTreeMap<Vec<u8>, Bytes>,
    pub(super) reads: std::sync::atomic::AtomicU64,
}

impl MemoryState {
    fn count(&self, reads: usize) {
        self.reads.fetch_add(reads as u64, std::sync::atomic::Ordering::Relaxed);
    }

    pub(super) fn view(&self, revision: u64) -> View<'_> {
        View { state: self, revision }
    }

    /// Writes a version. Moves the version before to the history, and adds postings.
    pub(super) fn write(&mut self, kind: RecordKind, id: &str, version: &Version) {
        let key = keys::current(kind, id);
        let view = self.view(version.revision);
        let before = view.version(kind, id).unwrap();
        let step = VersionStep { kind, id, before: before.as_ref(), after: version };
        let joined = joined_postings(&view, &[step]).unwrap();
        self.keys.extend(joined.into_iter().map(|posting| (posting, Bytes::new())));
        if let Some(before) = self.keys.get(&key).cloned() {
            let head = crate::store::version::VersionHead::decode(&before).unwrap();
            self.keys.insert(keys::history(kind, id, head.revision), before);
        }
        let (value, rest) = version.encode(kind, id);
        self.keys.extend(rest);
        self.keys.insert(key, value);
        if version.change != ChangeKind::Erased {
            self.keys.extend(postings(kind, id, &version.record).into_iter().map(|posting| (posting, Bytes::new())));
        }
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &[u8]) -> engine::Result<Option<Bytes>> {
        self.count(1);
        Ok(self.keys.get(key).cloned())
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> engine::Result<Vec<Option<Bytes>>> {
        self.count(keys.len());
        Ok(keys.iter().map(|key| self.keys.get(key).cloned()).collect())
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> engine::Result<Vec<(Bytes, Bytes)>> {
        assert!(limit > 0);
        let copy = |(key, value): (&Vec<u8>, &Bytes)| (Bytes::from(key.clone()), value.clone());
        // Panics if the bounds are reversed, because no engine must accept that.
        let found = self.keys.range(range);
        let found: Vec<_> = match direction {
            ScanDirection::Forward => found.take(limit).map(copy).collect(),
            ScanDirection::Backward => found.rev().take(limit).map(copy).collect(),
        };
        self.count(found.len());
        Ok(found)
    }
}
