//! Reads the records as they were at one revision.
//!
//! Knows keys and versions. Must not know filters, requests or the writer.

use std::ops::Bound;

use bytes::Bytes;

use super::{
    error::{Result, StoreError},
    keys,
    version::{Version, VersionHead},
};
use crate::{
    engine::{self, KeyRange, ScanDirection, StateRead},
    model::{RecordKind, RecordName, RecordNameError, schema, wire},
};

/// Longest chain of redirects that is followed. No chain can be longer: the record at its end holds every name of the chain in
/// `merged_names`, a name takes at least ten bytes, and a record has at most 256 KiB.
pub(crate) const REDIRECTS_MAX: usize = 30_000;

/// A state, read at a revision.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The state to read: the engine's state or a pending state. Newer versions in it are skipped.
    pub(crate) state: &'a dyn StateRead,
    /// The revision to read.
    pub(crate) revision: u64,
}

/// The record that a name leads to.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The name after all redirects.
    pub(crate) name: RecordName,
    /// The version of that record. It is never a redirect.
    pub(crate) version: Version,
    /// Whether a redirect was followed.
    pub(crate) redirected: bool,
}

impl<'a> View<'a> {
    /// The version of a record at the revision, if there is one. A tombstone and a redirect are versions too.
    pub(crate) fn version(&self, kind: RecordKind, id: &str) -> Result<Option<Version>> {
        match self.version_head(kind, id)? {
            Some(head) => self.whole(kind, id, head).map(Some),
            None => Ok(None),
        }
    }

    /// Like [`Self::version`], without reading the further chunks of the record.
    pub(crate) fn version_head(&self, kind: RecordKind, id: &str) -> Result<Option<VersionHead>> {
        let Some(value) = self.state.get(&keys::current(kind, id))? else { return Ok(None) };
        let head = decode(kind, id, &value)?;
        if head.revision <= self.revision {
            return Ok(Some(head));
        }
        match self.state.scan(keys::history_until(kind, id, self.revision), ScanDirection::Backward, 1)?.first() {
            Some((_, value)) => decode(kind, id, value).map(Some),
            None => Ok(None),
        }
    }

    /// The newest version before a revision, but not after the revision of the view.
    pub(crate) fn version_before(&self, kind: RecordKind, id: &str, revision: u64) -> Result<Option<Version>> {
        Self { revision: revision.saturating_sub(1).min(self.revision), ..*self }.version(kind, id)
    }

    /// The version at the revision of the view, given the value of a `current` key.
    pub(crate) fn version_in(&self, kind: RecordKind, id: &str, value: &Bytes) -> Result<Option<Version>> {
        let head = decode(kind, id, value)?;
        if head.revision <= self.revision { self.whole(kind, id, head).map(Some) } else { self.version(kind, id) }
    }

    fn whole(&self, kind: RecordKind, id: &str, head: VersionHead) -> Result<Version> {
        let keys = head.rest_keys(kind, id);
        if keys.is_empty() {
            return Ok(head.join(&[]));
        }
        let chunks: Option<Vec<Bytes>> = self.state.get_many(&keys)?.into_iter().collect();
        match chunks {
            Some(chunks) => Ok(head.join(&chunks)),
            None => Err(damaged(kind, id)),
        }
    }

    /// The version that a name leads to. Follows redirects.
    pub(crate) fn resolve(&self, name: &RecordName) -> Result<Option<Resolved>> {
        let mut at = name.clone();
        for step in 0..REDIRECTS_MAX {
            let Some(version) = self.version(at.kind(), at.id())? else { return Ok(None) };
            match version.redirect.as_deref() {
                Some(target) => at = target.parse().map_err(|error| damaged_by(at.kind(), at.id(), error))?,
                None => return Ok(Some(Resolved { name: at, version, redirected: step > 0 })),
            }
        }
        Err(StoreError::internal(format!("{name} leads through more than {REDIRECTS_MAX} redirects")))
    }

    /// All names by which a reference to a record may be stored: the given name, its target, and every name that redirects to
    /// the target. Sorted. An erased target has no list of these names any more.
    pub(crate) fn names_of(&self, name: &RecordName) -> Result<Vec<RecordName>> {
        let mut names = vec![name.clone()];
        if let Some(resolved) = self.resolve(name)? {
            names.extend(wire::texts(&resolved.version.record, schema::MERGED_NAMES).filter_map(|name| name.parse().ok()));
            names.push(resolved.name);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Keys and values of a range, read in batches of `limit`.
    pub(crate) fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Scan<'a> {
        Scan { state: self.state, range: Some(range), direction, limit, batch: Vec::new().into_iter() }
    }
}

/// An iterator over the keys and values of a range. It reads them in batches.
pub(crate) struct Scan<'a> {
    state: &'a dyn StateRead,
    range: Option<KeyRange>,
    direction: ScanDirection,
    limit: usize,
    batch: std::vec::IntoIter<(Bytes, Bytes)>,
}

impl Iterator for Scan<'_> {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.batch.next() {
            return Some(Ok(entry));
        }
        let range = self.range.take()?;
        let batch = match self.state.scan(range.clone(), self.direction, self.limit) {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error.into())),
        };
        if batch.len() == self.limit
            && let Some((last, _)) = batch.last()
        {
            let last = Bound::Excluded(last.to_vec());
            self.range = Some(match self.direction {
                ScanDirection::Forward => (last, range.1),
                ScanDirection::Backward => (range.0, last),
            });
        }
        self.batch = batch.into_iter();
        self.batch.next().map(Ok)
    }
}

fn decode(kind: RecordKind, id: &str, value: &Bytes) -> Result<VersionHead> {
    VersionHead::decode(value).ok_or_else(|| damaged(kind, id))
}

/// The error for a value that this program cannot have written.
fn damaged(kind: RecordKind, id: &str) -> StoreError {
    engine::EngineError::State(damage(kind, id).into()).into()
}

/// The same, with the error that showed it.
fn damaged_by(kind: RecordKind, id: &str, cause: RecordNameError) -> StoreError {
    engine::EngineError::State(engine::explained(damage(kind, id), cause)).into()
}

fn damage(kind: RecordKind, id: &str) -> String {
    format!("the stored bytes of {}/{id} cannot be read", kind.collection())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{engine, proto::ChangeKind};

    struct Keys(BTreeMap<Vec<u8>, Bytes>);

    impl StateRead for Keys {
        fn get(&self, key: &[u8]) -> engine::Result<Option<Bytes>> {
            Ok(self.0.get(key).cloned())
        }

        fn scan(&self, _: KeyRange, _: ScanDirection, _: usize) -> engine::Result<Vec<(Bytes, Bytes)>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_chain_of_redirects_is_followed_however_many_merges_made_it() {
        const MERGES: u64 = 20_000;
        let id = |number: u64| format!("a{number}");
        let keys = (0..=MERGES).map(|number| {
            let is_last = number == MERGES;
            let version = Version {
                revision: number + 1,
                change: if is_last { ChangeKind::Updated } else { ChangeKind::Merged },
                redirect: (!is_last).then(|| format!("actors/{}", id(number + 1))),
                record: Bytes::new(),
            };
            (keys::current(RecordKind::Actor, &id(number)), version.encode(RecordKind::Actor, &id(number)).0)
        });
        let state = Keys(keys.collect());
        let view = View { state: &state, revision: MERGES + 1 };
        let resolved = view.resolve(&RecordName::new(RecordKind::Actor, "a0").unwrap()).unwrap().unwrap();
        assert_eq!((resolved.name.id(), resolved.redirected), ("a20000", true));
    }
}
