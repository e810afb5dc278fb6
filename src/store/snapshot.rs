//! Reads the records at one revision: single records, lists, and the referrers of a record.
//!
//! Knows views, lists and postings. Must not know the history of records, how a commit gets its revision, or the meaning of a
//! filter.

use std::{
    collections::{HashSet, VecDeque},
    marker::PhantomData,
    ops::Bound,
    time::{Duration, Instant},
};

use bytes::Bytes;
use prost_types::Timestamp;
use tokio::sync::oneshot;

use super::{
    EncodedBatch, EncodedPage, Store,
    clock::{micros, timestamp},
    entry::record,
    error::{Result, StoreError, StoreErrorKind},
    inner::Inner,
    keys, postings,
    query::{
        self,
        token::{self, Position},
    },
    queue::Job,
    version::Version,
    view::View,
    watch::block_on,
};
use crate::{
    engine::{KeyRange, LogSeek, LogSequence, ScanDirection, explained},
    model::{RecordKind, RecordName, RecordNameError, TypedRecord, is_timestamp},
    proto::{self, ChangeKind, ErrorReason, GetRecordRequest, ListRecordsRequest},
};

/// Most bytes of tags and lengths around a record in a batch.
const RECORD_FRAME_BYTES: u64 = 16;
/// Records that a list reads at once if the request does not say.
const PAGE_RECORDS: i32 = 1000;
/// How far an `as_of_time` may be in the future. The answer waits until then.
const TIME_AHEAD_US: i64 = 1_000_000;
/// Bytes of the log read to find one entry.
pub(super) const ENTRY_BYTES: usize = 1;
/// Reference keys that are read at once.
const REFERENCES_AT_ONCE: usize = 64;

/// The records at one revision. All reads see the same records, whatever is committed meanwhile.
///
/// It is cheap to make and to clone, and takes no lock. It keeps the store open, as a clone of the store does.
///
/// ```
/// use annals::{proto::{Actor, CommitRequest, ListRecordsRequest, Mutation}, store::Store};
///
/// let store = Store::in_memory()?;
/// let actor = |name: &str| Actor { name: "actors/nis".into(), display_name: name.into(), ..Default::default() };
/// let first = store.commit(CommitRequest::of("first", [Mutation::create(actor("NIS"))]))?.revision;
/// store.commit(CommitRequest::of("second", [Mutation::update(actor("National Intelligence Service"))]))?;
///
/// let then = store.at(first)?;
/// assert_eq!(then.get::<Actor>("actors/nis")?.display_name, "NIS");
/// let names: Vec<String> = then
///     .list::<Actor>(ListRecordsRequest::default())
///     .map(|actor| actor.map(|actor| actor.display_name))
///     .collect::<Result<_, _>>()?;
/// assert_eq!(names, ["NIS"]);
/// assert_eq!(then.references("actors/nis")?.count(), 0);
/// # Ok::<(), annals::store::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreSnapshot {
    store: Store,
    revision: u64,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedPage<T> {
    /// The records of the page. It may be empty although there are more pages.
    pub records: Vec<T>,
    /// Where the next page begins. Empty on the last page.
    pub next_page_token: String,
    /// The revision that all pages read.
    pub revision: i64,
}

impl Store {
    /// The records at a revision. 0 is the newest. `REVISION_IN_FUTURE` if the revision does not exist yet.
    pub fn at(&self, revision: i64) -> Result<StoreSnapshot> {
        self.snapshot(revision, None)
    }

    /// The records at a time: as of the last commit at or before it. If the time is up to a second ahead, this waits for the
    /// clock. A later time is `FIELD_INVALID`.
    pub fn at_time(&self, time: Timestamp) -> Result<StoreSnapshot> {
        self.snapshot(0, Some(&time))
    }

    /// The snapshot that a request reads.
    pub(super) fn snapshot(&self, revision: i64, time: Option<&Timestamp>) -> Result<StoreSnapshot> {
        Ok(StoreSnapshot::of(self, self.read(|inner| as_of(inner, revision, time))?))
    }
}

impl StoreSnapshot {
    /// The snapshot of a revision. The revision must have been checked.
    pub(super) fn of(store: &Store, revision: u64) -> Self {
        Self { store: store.clone(), revision }
    }

    /// The revision that is read. 0 before the first commit.
    pub fn revision(&self) -> i64 {
        self.revision.cast_signed()
    }

    /// One record by name. Follows redirects. `FIELD_INVALID` if the name is of another type than `T`.
    pub fn get<T: TypedRecord>(&self, name: &str) -> Result<T> {
        let parsed = parse_name(name, Some(T::KIND))?;
        decode(&self.get_encoded(parsed, &GetRecordRequest { name: name.to_owned(), ..Default::default() })?)
    }

    /// Many records by name, of any types. Follows redirects. `None` for a record that is absent or deleted.
    pub fn batch_get<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<Option<proto::Record>>> {
        let names = names.into_iter().map(|name| parse_name(name, None)).collect::<Result<Vec<_>>>()?;
        self.read(|_, view| {
            let found = names.iter().map(|name| match view.resolve(name)? {
                Some(found) if found.version.is_live() => record(found.name.kind(), &found.version.record),
                _ => Ok(None),
            });
            found.collect()
        })
    }

    /// A page of the records that match a filter. The request must not name another revision, or a time.
    pub fn page<T: TypedRecord>(&self, request: &ListRecordsRequest) -> Result<TypedPage<T>> {
        let request = self.pinned(request.clone())?;
        let position = token::decode(T::KIND, &request)?.map(|token| token.position);
        TypedPage::decode(self.list_encoded(T::KIND, &request, position.as_ref())?)
    }

    /// Every record that matches a filter, in the order of the request. The iterator reads page by page.
    pub fn list<T: TypedRecord>(&self, request: ListRecordsRequest) -> SnapshotList<T> {
        SnapshotList { snapshot: self.clone(), request, records: Vec::new().into_iter(), ended: false, of: PhantomData }
    }

    /// The live records that refer to a record by any of its names, without duplicates.
    pub fn references(&self, name: &str) -> Result<SnapshotReferences> {
        let name = parse_name(name, None)?;
        let targets = self.read(|_, view| match view.version_head(name.kind(), name.id())? {
            Some(_) => view.names_of(&name),
            None => Err(StoreError::not_found(&name.to_string())),
        })?;
        Ok(SnapshotReferences {
            snapshot: self.clone(),
            ranges: targets.into_iter().map(|target| (keys::references_to(&target), target)).collect(),
            found: VecDeque::new(),
            seen: HashSet::new(),
        })
    }

    /// Runs a read of the state.
    fn read<T>(&self, read: impl FnOnce(&Inner, View<'_>) -> Result<T>) -> Result<T> {
        self.store.read(|inner| read(inner, view(inner, self.revision)))
    }

    /// The same request, at the revision of this snapshot.
    fn pinned(&self, mut request: ListRecordsRequest) -> Result<ListRecordsRequest> {
        if request.as_of_time.is_some() || ![0, self.revision()].contains(&request.as_of_revision) {
            let text = format!("cannot name another revision: this snapshot reads revision {}", self.revision);
            return Err(StoreError::field("as_of_revision", text));
        }
        request.as_of_revision = self.revision();
        Ok(request)
    }

    /// One record, encoded as the kind's message. `name` is the parsed name of the request.
    pub(super) fn get_encoded(&self, name: RecordName, request: &GetRecordRequest) -> Result<Bytes> {
        self.read(|_, view| {
            let Some(mut version) = view.version(name.kind(), name.id())? else {
                return Err(StoreError::not_found(&request.name));
            };
            let mut at = name;
            if let Some(target) = version.redirect.take() {
                if request.no_redirect {
                    return Err(redirected(&request.name, &target));
                }
                let Some(resolved) = view.resolve(&at)? else { return Err(StoreError::not_found(&request.name)) };
                (at, version) = (resolved.name, resolved.version);
            }
            check_shown(&at, &version, request.show_deleted)?;
            Ok(version.record)
        })
    }

    /// A page of the records of a kind, after the position of the request's token.
    pub(super) fn list_encoded(
        &self,
        kind: RecordKind,
        request: &ListRecordsRequest,
        position: Option<&Position>,
    ) -> Result<EncodedPage> {
        self.read(|inner, view| {
            let limits = &inner.options.limits;
            let deadline = Instant::now() + Duration::from_millis(limits.page_ms);
            let is_late = || Instant::now() >= deadline;
            let page = query::list(&view, kind, request, position, limits, &is_late)?;
            // If the revision was compacted during the read, rows may be missing.
            inner.check_revision(self.revision)?;
            Ok(page)
        })
    }

    /// Many records, within the limits of a response.
    pub(super) fn batch_get_encoded(&self, names: Vec<RecordName>, allow_missing: bool) -> Result<EncodedBatch> {
        self.read(|inner, view| {
            let mut batch = EncodedBatch { revision: self.revision(), ..EncodedBatch::default() };
            let mut bytes = 0;
            for name in names {
                if !batch.not_returned.is_empty() {
                    batch.not_returned.push(name.to_string());
                    continue;
                }
                match view.resolve(&name)? {
                    Some(resolved) if resolved.version.is_live() => {
                        bytes += resolved.version.record.len() as u64 + RECORD_FRAME_BYTES;
                        if bytes > inner.options.limits.response_bytes && !batch.records.is_empty() {
                            batch.not_returned.push(name.to_string());
                        } else {
                            batch.records.push((resolved.name.kind(), resolved.version.record));
                        }
                    }
                    _ if allow_missing => batch.missing.push(name.to_string()),
                    Some(resolved) => check_shown(&resolved.name, &resolved.version, false)?,
                    None => return Err(StoreError::not_found(&name.to_string())),
                }
            }
            Ok(batch)
        })
    }
}

impl<T: TypedRecord> TypedPage<T> {
    pub(super) fn decode(page: EncodedPage) -> Result<Self> {
        let records = page.records.iter().map(|encoded| decode(encoded)).collect::<Result<_>>()?;
        Ok(Self { records, next_page_token: page.next_page_token, revision: page.revision })
    }
}

/// An iterator over the records of a list, which reads page by page. [`StoreSnapshot::list`] makes it.
///
/// It ends after an error, except after `STORE_REBUILDING`: then the next call tries again.
#[derive(Debug)]
pub struct SnapshotList<T> {
    snapshot: StoreSnapshot,
    /// The request for the next page.
    request: ListRecordsRequest,
    /// The rest of the last page.
    records: std::vec::IntoIter<T>,
    ended: bool,
    of: PhantomData<T>,
}

impl<T: TypedRecord> SnapshotList<T> {
    fn next_page(&mut self) -> Result<()> {
        if self.request.page_size == 0 {
            self.request.page_size = PAGE_RECORDS;
        }
        let page = self.snapshot.page(&self.request)?;
        self.ended = page.next_page_token.is_empty();
        self.request.page_token = page.next_page_token;
        self.records = page.records.into_iter();
        Ok(())
    }
}

impl<T: TypedRecord> Iterator for SnapshotList<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(record) = self.records.next() {
                return Some(Ok(record));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.next_page() {
                self.ended = !error.is_transient();
                return Some(Err(error));
            }
        }
    }
}

/// An iterator over the names of the records that refer to a record. [`StoreSnapshot::references`] makes it.
///
/// It keeps every name that it has returned, because a record may refer to another one in several fields.
#[derive(Debug)]
pub struct SnapshotReferences {
    snapshot: StoreSnapshot,
    /// The ranges of reference keys that are not read yet, with the name that each refers to.
    ranges: VecDeque<(KeyRange, RecordName)>,
    found: VecDeque<RecordName>,
    seen: HashSet<RecordName>,
}

impl SnapshotReferences {
    /// Reads the next keys.
    fn look(&mut self) -> Result<()> {
        let Some((range, target)) = self.ranges.front() else { return Ok(()) };
        let stored = target.to_string();
        let seen = &self.seen;
        let (rest, found) = self.snapshot.read(|inner, view| {
            inner.check_revision(view.revision)?;
            let entries = view.state.scan(range.clone(), ScanDirection::Forward, REFERENCES_AT_ONCE)?;
            let last = entries.last().filter(|_| entries.len() == REFERENCES_AT_ONCE);
            let rest = last.map(|(key, _)| (Bound::Excluded(key.to_vec()), range.1.clone()));
            let mut found = Vec::new();
            for (key, _) in &entries {
                let Some((kind, id)) = keys::referrer(target, key) else { continue };
                let Ok(name) = RecordName::new(kind, id) else { continue };
                if seen.contains(&name) || found.contains(&name) {
                    continue;
                }
                // A posting says that some version of the record had the reference. This version may not have it.
                let version = view.version(kind, id)?.filter(Version::is_live);
                if version.is_some_and(|version| postings::refers_to(kind, &version.record, &stored)) {
                    found.push(name);
                }
            }
            Ok((rest, found))
        })?;
        match (rest, self.ranges.front_mut()) {
            (Some(rest), Some((range, _))) => *range = rest,
            _ => drop(self.ranges.pop_front()),
        }
        self.seen.extend(found.iter().cloned());
        self.found.extend(found);
        Ok(())
    }
}

impl Iterator for SnapshotReferences {
    type Item = Result<RecordName>;

    fn next(&mut self) -> Option<Result<RecordName>> {
        loop {
            if let Some(name) = self.found.pop_front() {
                return Some(Ok(name));
            }
            if self.ranges.is_empty() {
                return None;
            }
            if let Err(error) = self.look() {
                if !error.is_transient() {
                    self.ranges.clear();
                }
                return Some(Err(error));
            }
        }
    }
}

/// A view of the records at a revision.
pub(super) fn view(inner: &Inner, revision: u64) -> View<'_> {
    View { state: &*inner.engine.state, revision }
}

/// The revision that a request reads.
fn as_of(inner: &Inner, revision: i64, time: Option<&Timestamp>) -> Result<u64> {
    match (revision, time) {
        (0, None) => Ok(inner.head()),
        (0, Some(time)) => as_of_time(inner, time),
        (_, Some(_)) => Err(StoreError::field("as_of_time", "cannot be combined with as_of_revision: set only one of them")),
        (revision, None) => match u64::try_from(revision) {
            Ok(revision) => inner.check_revision(revision),
            Err(_) => Err(StoreError::field("as_of_revision", "a revision is never negative; 0 reads the newest")),
        },
    }
}

/// The last revision at or before a time. Promises that no later commit gets a time up to it.
fn as_of_time(inner: &Inner, time: &Timestamp) -> Result<u64> {
    const FIELD: &str = "as_of_time";
    if !is_timestamp(time.seconds, time.nanos.into()) {
        return Err(StoreError::field(FIELD, "is not a time in the years 1 to 9999"));
    }
    let time_us = micros(time);
    loop {
        let (now_us, meta) = (inner.options.clock.now_us(), inner.meta());
        if time_us <= now_us || time_us <= meta.commit_time_us {
            break;
        }
        if time_us - now_us > TIME_AHEAD_US {
            let now = Timestamp { nanos: 0, ..timestamp(now_us) };
            let text =
                format!("is in the future: the clock of this server says {now}; leave it out to read the newest revision");
            return Err(StoreError::field(FIELD, text));
        }
        std::thread::sleep(Duration::from_micros((time_us - now_us).unsigned_abs()));
    }
    let meta = inner.meta();
    // Every later commit gets a later time than the last one, so times in the past need no promise.
    if time_us > meta.time_bound_us.max(meta.commit_time_us) {
        let (answer, bound) = oneshot::channel();
        inner.queue.send(Job::BoundTime { time_us, answer })?;
        // In an async task this may wait, too: it takes as long as a commit.
        block_on(bound, None).and_then(Result::ok).unwrap_or_else(|| Err(StoreError::shutting_down()))?;
    }
    inner.answer_time(time_us)?;
    let log = &inner.engine.log;
    let revision = match log.seek(LogSeek::AtTime(time_us))? {
        LogSequence(0) => 0,
        LogSequence(sequence) => {
            let entries = log.read_after(LogSequence(sequence - 1), ENTRY_BYTES)?;
            entries.first().map_or(0, |entry| entry.revision.cast_unsigned())
        }
    };
    inner.check_revision(revision)
}

pub(super) fn parse_name(text: &str, kind: Option<RecordKind>) -> Result<RecordName> {
    let refused = |error: RecordNameError| StoreError::field("name", error.to_string()).because(error);
    let name: RecordName = text.parse().map_err(refused)?;
    match kind {
        Some(kind) if kind != name.kind() => {
            Err(StoreError::field("name", format!("{name} is not in {}/: call the method of its type", kind.collection())))
        }
        _ => Ok(name),
    }
}

/// Decodes a stored record as its type.
pub(super) fn decode<T: TypedRecord>(encoded: &[u8]) -> Result<T> {
    T::decode(encoded)
        .map_err(|error| StoreError::internal(explained(format!("a stored {} cannot be decoded", T::KIND.singular()), error)))
}

/// Errs if the version is erased, or if it is deleted and `show_deleted` is false.
fn check_shown(name: &RecordName, version: &Version, show_deleted: bool) -> Result<()> {
    let revision = version.revision;
    let (reason, text) = match version.change {
        ChangeKind::Erased => {
            (ErrorReason::RecordErased, format!("the content of {name} was removed permanently at revision {revision}"))
        }
        ChangeKind::Deleted if !show_deleted => {
            (ErrorReason::RecordDeleted, format!("{name} was deleted at revision {revision}: set show_deleted to read it"))
        }
        _ => return Ok(()),
    };
    Err(StoreError::new(StoreErrorKind::NotFound, reason, text).with("name", name).with("revision", revision))
}

fn redirected(name: &str, target: &str) -> StoreError {
    let text = format!("{name} was merged into {target}: read that record, or leave no_redirect out");
    StoreError::new(StoreErrorKind::NotFound, ErrorReason::RecordRedirected, text).with("name", name).with("target", target)
}
