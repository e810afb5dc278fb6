//! Reads keys and ids along the accesses of a plan, in batches, forwards or backwards.
//!
//! Knows keys and views. Must not know filters.

use std::{cmp::Ordering, collections::VecDeque, ops::Bound};

use bytes::Bytes;

use super::plan::AccessPath;
use crate::{
    engine::{KeyRange, ScanDirection},
    model::{RecordKind, RecordName},
    store::{
        error::{Result, StoreError},
        joined::JoinedReference,
        keys,
        view::View,
    },
};

/// Keys of the first batch that is read. Each further batch is twice as long.
const CHUNK_FIRST: usize = 16;
/// Most keys of one batch.
const CHUNK_MAX: usize = 512;
/// Most keys of one batch if each has a value, of up to 6 KiB.
const CHUNK_RECORDS_MAX: usize = 128;

/// Most records between, all of whose referrers are read. With more, all records are read.
const BETWEEN_MAX: usize = 1000;

/// Keys and values of a range.
pub(super) struct KeyScan<'v> {
    view: View<'v>,
    table: Table,
    direction: ScanDirection,
    /// The range that is not read yet.
    rest: Option<KeyRange>,
    chunk: VecDeque<(Bytes, Bytes)>,
    chunk_length: usize,
}

/// How to get from a key to its id, and back.
#[derive(Clone, Debug)]
enum Table {
    /// Keys of the newest versions of a kind.
    Names(RecordKind),
    /// Entries that begin with this prefix and end with the id.
    Under(Vec<u8>),
}

impl<'v> KeyScan<'v> {
    /// The newest versions of the records of a kind, with keys in a range, after that of an id.
    pub(super) fn names(
        view: View<'v>,
        kind: RecordKind,
        range: KeyRange,
        direction: ScanDirection,
        after: Option<&str>,
    ) -> Self {
        let mut keys = Self::new(view, Table::Names(kind), range, direction);
        if let Some(id) = after {
            keys.skip_to(Bound::Excluded(keys.table.key(id)));
        }
        keys
    }

    /// The entries with a prefix, after that of an id.
    fn entries(view: View<'v>, prefix: &[u8], direction: ScanDirection, after: Option<&str>) -> Self {
        let mut keys = Self::range(view, prefix, keys::prefix(prefix.to_vec()), direction);
        if let Some(id) = after {
            keys.skip_to(Bound::Excluded(keys.table.key(id)));
        }
        keys
    }

    /// The entries in a range. All have this prefix.
    pub(super) fn range(view: View<'v>, prefix: &[u8], range: KeyRange, direction: ScanDirection) -> Self {
        Self::new(view, Table::Under(prefix.to_vec()), range, direction)
    }

    fn new(view: View<'v>, table: Table, range: KeyRange, direction: ScanDirection) -> Self {
        Self { view, table, direction, rest: Some(range), chunk: VecDeque::new(), chunk_length: CHUNK_FIRST }
    }

    /// Skips all keys before one. Affects only keys that are not read yet.
    pub(super) fn skip_to(&mut self, key: Bound<Vec<u8>>) {
        let Some((from, to)) = self.rest.take() else { return };
        self.rest = Some(match self.direction {
            ScanDirection::Forward => (greater(from, key), to),
            ScanDirection::Backward => (from, lesser(to, key)),
        });
    }

    /// The next key and its value, without taking them.
    fn peek(&mut self) -> Result<Option<&(Bytes, Bytes)>> {
        if self.chunk.is_empty()
            && let Some(range) = self.rest.take()
            && !is_empty(&range)
        {
            let chunk = self.view.state.scan(range.clone(), self.direction, self.chunk_length)?;
            if chunk.len() == self.chunk_length
                && let Some((last, _)) = chunk.last()
            {
                let last = Bound::Excluded(last.to_vec());
                self.rest = Some(match self.direction {
                    ScanDirection::Forward => (last, range.1),
                    ScanDirection::Backward => (range.0, last),
                });
            }
            let most = if matches!(self.table, Table::Names(_)) { CHUNK_RECORDS_MAX } else { CHUNK_MAX };
            self.chunk_length = (self.chunk_length * 2).min(most);
            self.chunk = chunk.into();
        }
        Ok(self.chunk.front())
    }

    /// Takes the next key and its value.
    pub(super) fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        self.peek()?;
        Ok(self.chunk.pop_front())
    }

    /// The id of the next key, without taking it.
    fn peek_id(&mut self) -> Result<Option<String>> {
        let names = matches!(self.table, Table::Names(_));
        let id = |key: &Bytes| if names { keys::current_id(key).to_owned() } else { keys::last_id(key).to_owned() };
        Ok(self.peek()?.map(|(key, _)| id(key)))
    }

    /// Skips the keys of all ids before one.
    fn seek(&mut self, id: &str) {
        let key = self.table.key(id);
        let wanted = match self.direction {
            ScanDirection::Forward => Ordering::Less,
            ScanDirection::Backward => Ordering::Greater,
        };
        while self.chunk.front().is_some_and(|(next, _)| next.as_ref().cmp(&key) == wanted) {
            self.chunk.pop_front();
        }
        if self.chunk.is_empty() {
            self.skip_to(Bound::Included(key));
            self.chunk_length = CHUNK_FIRST;
        }
    }
}

impl Table {
    fn key(&self, id: &str) -> Vec<u8> {
        match self {
            Self::Names(kind) => keys::current(*kind, id),
            Self::Under(prefix) => keys::entry_under(prefix, id),
        }
    }
}

/// Ids in order, without duplicates.
pub(super) enum Ids<'v> {
    /// The ids of keys that are in the order of their ids.
    Keys(KeyScan<'v>),
    /// The ids of other keys, collected and sorted.
    Sorted(VecDeque<String>, ScanDirection),
    /// The ids of any part.
    Union(Vec<Ids<'v>>, ScanDirection),
    /// The ids that all parts have.
    Both(Vec<Ids<'v>>),
}

/// What the next step along some ids found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScanStep {
    /// The next id.
    Id(String),
    /// No wanted id up to and including this one.
    Nothing(String),
}

impl<'v> Ids<'v> {
    /// The ids that an access leads to, after one id. `None`: more than `most` keys would have to be collected.
    pub(super) fn open(
        view: View<'v>,
        kind: RecordKind,
        access: &AccessPath,
        direction: ScanDirection,
        after: Option<&str>,
        most: usize,
    ) -> Result<Option<Self>> {
        let all = |parts: &[AccessPath]| {
            parts.iter().map(|part| Self::open(view, kind, part, direction, after, most)).collect::<Result<Option<Vec<_>>>>()
        };
        Ok(match access {
            AccessPath::Names { range, .. } => Some(Self::Keys(KeyScan::names(view, kind, range.clone(), direction, after))),
            AccessPath::Entries { prefix, .. } => Some(Self::Keys(KeyScan::entries(view, prefix, direction, after))),
            AccessPath::Joined { prefix, wide, index, .. } => {
                let Some(between) = between(view, wide, index)? else { return Ok(None) };
                let mut parts = vec![Self::Keys(KeyScan::entries(view, prefix, direction, after))];
                parts.extend(between.iter().map(|prefix| Self::Keys(KeyScan::entries(view, prefix, direction, after))));
                Some(if parts.len() > 1 { Self::Union(parts, direction) } else { parts.remove(0) })
            }
            AccessPath::Range { range, .. } => collect(view, range.clone(), direction, after, most)?,
            AccessPath::Union(parts) => all(parts)?.map(|parts| Self::Union(parts, direction)),
            AccessPath::Both(parts) => all(parts)?.map(Self::Both),
            AccessPath::Ids(ids) => Some(sorted(ids.clone(), direction, after)),
            AccessPath::Join(join) => return Err(StoreError::internal(format!("{join} is read before it is settled"))),
        })
    }

    /// Takes the next step.
    pub(super) fn next(&mut self) -> Result<Option<ScanStep>> {
        match self {
            Self::Both(parts) => both(parts),
            Self::Keys(_) | Self::Sorted(..) | Self::Union(..) => {
                let id = self.peek()?;
                self.pass()?;
                Ok(id.map(ScanStep::Id))
            }
        }
    }

    fn peek(&mut self) -> Result<Option<String>> {
        match self {
            Self::Keys(keys) => keys.peek_id(),
            Self::Sorted(ids, _) => Ok(ids.front().cloned()),
            Self::Union(parts, direction) => {
                let mut nearest: Option<String> = None;
                for part in parts {
                    let Some(id) = part.peek()? else { continue };
                    if nearest.as_deref().is_none_or(|nearest| before(&id, nearest, *direction)) {
                        nearest = Some(id);
                    }
                }
                Ok(nearest)
            }
            // A plan has `Both` only at the top, where `next` handles it.
            Self::Both(_) => Ok(None),
        }
    }

    /// Skips the next id.
    fn pass(&mut self) -> Result<()> {
        match self {
            Self::Keys(keys) => keys.next().map(drop),
            Self::Sorted(ids, _) => {
                ids.pop_front();
                Ok(())
            }
            Self::Union(..) => {
                let Some(next) = self.peek()? else { return Ok(()) };
                let Self::Union(parts, _) = self else { return Ok(()) };
                for part in parts {
                    if part.peek()?.as_deref() == Some(&next) {
                        part.pass()?;
                    }
                }
                Ok(())
            }
            Self::Both(_) => Ok(()),
        }
    }

    /// Skips all ids before one.
    fn seek(&mut self, id: &str) {
        match self {
            Self::Keys(keys) => keys.seek(id),
            Self::Sorted(ids, direction) => {
                let passed = ids.partition_point(|candidate| before(candidate, id, *direction));
                ids.drain(..passed);
            }
            Self::Union(parts, _) | Self::Both(parts) => parts.iter_mut().for_each(|part| part.seek(id)),
        }
    }
}

/// The prefixes of the entries of the records that refer to the records between, if these are at most [`BETWEEN_MAX`].
fn between(view: View<'_>, wide: &[u8], index: &JoinedReference) -> Result<Option<Vec<Vec<u8>>>> {
    let mut prefixes = Vec::new();
    let all = keys::prefix(wide.to_vec());
    for (at, entry) in view.scan(all, ScanDirection::Forward, CHUNK_FIRST).enumerate() {
        if at == BETWEEN_MAX {
            return Ok(None);
        }
        let (key, _) = entry?;
        let Ok(name) = RecordName::new(index.between, keys::last_id(&key)) else { continue };
        let names = view.names_of(&name)?;
        prefixes.extend(names.iter().map(|name| keys::reference_field(name, index.kind, &index.through.path, false)));
    }
    Ok(Some(prefixes))
}

/// One step of an intersection: the first part proposes an id, and each other part skips to it.
fn both(parts: &mut [Ids<'_>]) -> Result<Option<ScanStep>> {
    let Some((first, others)) = parts.split_first_mut() else { return Ok(None) };
    let Some(id) = first.peek()? else { return Ok(None) };
    for other in others {
        other.seek(&id);
        match other.peek()? {
            None => return Ok(None),
            Some(found) if found == id => {}
            Some(found) => {
                first.seek(&found);
                return Ok(Some(ScanStep::Nothing(id)));
            }
        }
    }
    first.pass()?;
    Ok(Some(ScanStep::Id(id)))
}

fn collect<'v>(
    view: View<'v>,
    range: KeyRange,
    direction: ScanDirection,
    after: Option<&str>,
    most: usize,
) -> Result<Option<Ids<'v>>> {
    let mut keys = KeyScan::range(view, &[], range, ScanDirection::Forward);
    let (mut ids, mut read) = (Vec::new(), 0);
    while let Some((key, _)) = keys.next()? {
        read += 1;
        if read > most {
            return Ok(None);
        }
        ids.push(keys::last_id(&key).to_owned());
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(Some(sorted(ids, direction, after)))
}

/// Sorted ids, in a direction, after one id.
fn sorted<'v>(mut ids: Vec<String>, direction: ScanDirection, after: Option<&str>) -> Ids<'v> {
    ids.retain(|id| after.is_none_or(|after| before(after, id, direction)));
    if direction == ScanDirection::Backward {
        ids.reverse();
    }
    Ids::Sorted(ids.into(), direction)
}

/// Whether an id comes before another one in this direction.
fn before(id: &str, other: &str, direction: ScanDirection) -> bool {
    match direction {
        ScanDirection::Forward => id < other,
        ScanDirection::Backward => id > other,
    }
}

/// Whether a range is empty. An empty range is never read, because some engines would panic.
fn is_empty((from, to): &KeyRange) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}

/// The greater of a lower bound and the bound at a key.
fn greater(from: Bound<Vec<u8>>, key: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&from, &key) {
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b)) if a >= b => from,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) if a > b => from,
        _ => key,
    }
}

/// The lesser of an upper bound and the bound at a key.
fn lesser(to: Bound<Vec<u8>>, key: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match (&to, &key) {
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b)) if a <= b => to,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b)) if a < b => to,
        _ => key,
    }
}
