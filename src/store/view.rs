//! The records as they were at one revision.
//!
//! Knows keys and versions. Must not know filters, requests or what is being written.

use std::ops::Bound;

use bytes::Bytes;

use super::{
    error::{Error, Result},
    keys,
    version::{Head, Version},
};
use crate::{
    engine::{Direction, KeyRange, State},
    model::{Kind, Name, schema, wire},
    proto::ErrorReason,
    store::error::ErrorKind,
};

/// Longest chain of redirects that is followed. Each merge makes one step, and merging into a redirect merges into its target.
const REDIRECTS_MAX: usize = 1000;

/// A state read as of a revision.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// Where the keys are: the engine's state, or that with commits on top that are not yet applied. May hold newer versions, which are passed over.
    pub(crate) state: &'a dyn State,
    /// What is read as of.
    pub(crate) revision: u64,
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The name after all redirects.
    pub(crate) name: Name,
    /// The version there: live, or deleted, never a redirect.
    pub(crate) version: Version,
    /// Whether a redirect was followed.
    pub(crate) redirected: bool,
}

impl<'a> View<'a> {
    /// The version of a record, if there was one by then; a tombstone and a redirect are versions, too.
    pub(crate) fn version(&self, kind: Kind, id: &str) -> Result<Option<Version>> {
        match self.standing(kind, id)? {
            Some(head) => self.whole(kind, id, head).map(Some),
            None => Ok(None),
        }
    }

    /// What a name stands for, without reading the record.
    pub(crate) fn standing(&self, kind: Kind, id: &str) -> Result<Option<Head>> {
        let Some(value) = self.state.get(&keys::current(kind, id))? else { return Ok(None) };
        let head = decode(kind, id, &value)?;
        if head.revision <= self.revision {
            return Ok(Some(head));
        }
        match self.state.scan(keys::history_until(kind, id, self.revision), Direction::Backward, 1)?.first() {
            Some((_, value)) => decode(kind, id, value).map(Some),
            None => Ok(None),
        }
    }

    /// The newest version before a revision, read as of the view's.
    pub(crate) fn version_before(&self, kind: Kind, id: &str, revision: u64) -> Result<Option<Version>> {
        Self { revision: revision.saturating_sub(1).min(self.revision), ..*self }.version(kind, id)
    }

    /// The version that a value of a `current` key holds, or the older one that the view is of.
    pub(crate) fn version_in(&self, kind: Kind, id: &str, value: &Bytes) -> Result<Option<Version>> {
        let head = decode(kind, id, value)?;
        if head.revision <= self.revision { self.whole(kind, id, head).map(Some) } else { self.version(kind, id) }
    }

    fn whole(&self, kind: Kind, id: &str, head: Head) -> Result<Version> {
        let keys = head.rest_keys(kind, id);
        if keys.is_empty() {
            return Ok(head.join(&[]));
        }
        let pieces: Option<Vec<Bytes>> = self.state.get_many(&keys)?.into_iter().collect();
        match pieces {
            Some(pieces) => Ok(head.join(&pieces)),
            None => Err(damaged(kind, id)),
        }
    }

    /// The version that a name leads to, redirects followed.
    pub(crate) fn resolve(&self, name: &Name) -> Result<Option<Resolved>> {
        let mut at = name.clone();
        for step in 0..REDIRECTS_MAX {
            let Some(version) = self.version(at.kind(), at.id())? else { return Ok(None) };
            match version.redirect.as_deref() {
                Some(target) => at = target.parse().map_err(|_| damaged(at.kind(), at.id()))?,
                None => return Ok(Some(Resolved { name: at, version, redirected: step > 0 })),
            }
        }
        Err(Error::internal(format!("{name} starts more than {REDIRECTS_MAX} redirects")))
    }

    /// A name, its target and every name that redirects to it, sorted: what a reference may be stored as. An erased target
    /// does not know any more who redirects to it.
    pub(crate) fn names_of(&self, name: &Name) -> Result<Vec<Name>> {
        let mut names = vec![name.clone()];
        if let Some(resolved) = self.resolve(name)? {
            names.extend(wire::texts(&resolved.version.record, schema::MERGED_NAMES).filter_map(|name| name.parse().ok()));
            names.push(resolved.name);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Keys and values of a range, in pieces of `limit`, each from where the last ended.
    pub(crate) fn scan(&self, range: KeyRange, direction: Direction, limit: usize) -> Scan<'a> {
        Scan { state: self.state, range: Some(range), direction, limit, batch: Vec::new().into_iter() }
    }
}

/// Keys and values of a range, read in pieces as they are asked for.
pub(crate) struct Scan<'a> {
    state: &'a dyn State,
    range: Option<KeyRange>,
    direction: Direction,
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
                Direction::Forward => (last, range.1),
                Direction::Backward => (range.0, last),
            });
        }
        self.batch = batch.into_iter();
        self.batch.next().map(Ok)
    }
}

fn decode(kind: Kind, id: &str, value: &Bytes) -> Result<Head> {
    Head::decode(value).ok_or_else(|| damaged(kind, id))
}

fn damaged(kind: Kind, id: &str) -> Error {
    let name = format!("{}/{id}", kind.collection());
    tracing::error!(name, "the state holds a value that cannot be read");
    Error::new(
        ErrorKind::DataLoss,
        ErrorReason::StoreCorrupt,
        format!("the stored state of {name} is damaged: an operator can rebuild it from the log by starting the server again"),
    )
    .with("name", name)
}
