//! Reading one record, many, its history, or a commit, at the head or as of an earlier revision or time.
//!
//! Knows views, plans and the log. Must not know keys, how a commit gets its number, or what a filter says.

use std::time::Duration;

use bytes::Bytes;
use prost_types::Timestamp;
use tokio::sync::oneshot;
use ulid::Ulid;

use super::{
    EncodedBatch, EncodedPage, Store,
    entry::{Entry, field_names, micros, record, timestamp},
    error::{Result, StoreError, StoreErrorKind},
    inner::Inner,
    mutate::{self, Outcome, request::Request},
    query::{self, page_size, token},
    queue::Job,
    version::Version,
    view::View,
    writer::new_id,
};
use crate::{
    engine::{self, LogSeek, LogSequence},
    model::{Path, RecordKind, RecordName, Violations, schema, wire},
    proto::{self, ChangeKind, CommitResponse, ErrorReason},
};

/// How far the future may be that an `as_of_time` names: the answer waits for it.
const TIME_AHEAD_US: i64 = 1_000_000;
/// Bytes of the log read to find one entry.
const ENTRY_BYTES: usize = 1;

impl Store {
    /// One record, encoded as the kind's message.
    pub fn get_encoded(&self, kind: RecordKind, request: &proto::GetRecordRequest) -> Result<Bytes> {
        let name = parse_name(&request.name, Some(kind))?;
        self.read(|inner| {
            let view = view(inner, as_of(inner, request.as_of_revision, request.as_of_time.as_ref())?);
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

    /// A page of the records of a kind.
    pub fn list_encoded(&self, kind: RecordKind, request: &proto::ListRecordsRequest) -> Result<EncodedPage> {
        self.read(|inner| {
            let token = token::decode(kind, request)?;
            let revision = match &token {
                Some(token) => inner.check_revision(token.revision)?,
                None => as_of(inner, request.as_of_revision, request.as_of_time.as_ref())?,
            };
            let deadline = std::time::Instant::now() + Duration::from_millis(inner.options.limits.page_ms);
            let is_late = || std::time::Instant::now() >= deadline;
            let position = token.as_ref().map(|token| &token.position);
            let page = query::list(&view(inner, revision), kind, request, position, &inner.options.limits, &is_late)?;
            // What was compacted while it was read may be missing rows.
            inner.check_revision(revision)?;
            Ok(page)
        })
    }

    /// How a list would be read: which index, in which order, what is checked on each row. Text for people.
    pub fn explain(&self, kind: RecordKind, request: &proto::ListRecordsRequest) -> Result<String> {
        query::explain(kind, request, self.limits())
    }

    /// The revision that a read at a revision or time would read at.
    pub(super) fn revision_as_of(&self, revision: i64, time: Option<&Timestamp>) -> Result<u64> {
        self.read(|inner| as_of(inner, revision, time))
    }

    /// Many records by name.
    pub fn batch_get(&self, request: &proto::BatchGetRecordsRequest) -> Result<EncodedBatch> {
        let mut violations = Violations::default();
        let at = Path::ROOT.field("names");
        let names_max = self.limits().batch_get_names;
        violations.limit(&at, "batch_get.names", names_max, request.names.len() as u64);
        if request.names.is_empty() {
            violations.invalid(&at, "name at least one record");
        }
        let mut names = Vec::with_capacity(request.names.len());
        for (index, text) in request.names.iter().take(usize::try_from(names_max).unwrap_or(usize::MAX)).enumerate() {
            match text.parse::<RecordName>() {
                Ok(name) => names.push((text, name)),
                Err(error) => violations.invalid(&at.index(index), error.to_string()),
            }
        }
        if let Some(error) = StoreError::from_violations(violations) {
            return Err(error);
        }
        self.read(|inner| {
            let view = view(inner, as_of(inner, request.as_of_revision, request.as_of_time.as_ref())?);
            let mut batch = EncodedBatch { revision: view.revision, ..EncodedBatch::default() };
            let mut bytes = 0;
            for (text, name) in &names {
                if !batch.not_returned.is_empty() {
                    batch.not_returned.push((*text).clone());
                    continue;
                }
                match view.resolve(name)? {
                    Some(resolved) if resolved.version.is_live() => {
                        bytes += resolved.version.record.len() as u64 + RECORD_FRAME_BYTES;
                        if bytes > inner.options.limits.response_bytes && !batch.records.is_empty() {
                            batch.not_returned.push((*text).clone());
                        } else {
                            batch.records.push((resolved.name.kind(), resolved.version.record));
                        }
                    }
                    _ if request.allow_missing => batch.missing.push((*text).clone()),
                    Some(resolved) => check_shown(&resolved.name, &resolved.version, false)?,
                    None => return Err(StoreError::not_found(text)),
                }
            }
            Ok(batch)
        })
    }

    /// The revisions of one record, newest first.
    pub fn list_revisions(&self, request: &proto::ListRevisionsRequest) -> Result<proto::ListRevisionsResponse> {
        let name = parse_name(&request.name, None)?;
        let size = page_size(request.page_size, self.limits())?;
        self.read(|inner| {
            let mut view = view(inner, inner.head());
            if !request.page_token.is_empty() {
                // The position is the revision of the oldest change that was sent.
                view.revision = token::decode_revision(request)?.saturating_sub(1);
            }
            let mut response = proto::ListRevisionsResponse::default();
            let mut bytes = 0;
            let mut next = view.version(name.kind(), name.id())?;
            if next.is_none() && request.page_token.is_empty() {
                return Err(StoreError::not_found(&request.name));
            }
            while let Some(version) = next {
                bytes += version.record.len() as u64 + CHANGE_FRAME_BYTES;
                let full = response.changes.len() >= size || bytes > inner.options.limits.response_bytes;
                if full && let Some(last) = response.changes.last() {
                    response.next_page_token = token::encode_revision(request, last.revision.cast_unsigned());
                    break;
                }
                let before = view.version_before(name.kind(), name.id(), version.revision)?;
                response.changes.push(change_of(inner, &name, &version, before.as_ref())?);
                next = before;
            }
            Ok(response)
        })
    }

    /// One commit whole, encoded as the contract's `Commit`.
    pub fn get_commit_encoded(&self, revision: i64) -> Result<Bytes> {
        let Some(wanted) = u64::try_from(revision).ok().filter(|revision| *revision > 0) else {
            return Err(StoreError::field("revision", "is required and counts from 1"));
        };
        self.read(|inner| {
            inner.check_revision(wanted)?;
            match logged_commit(inner, wanted)? {
                Some(commit) => commit.encode(),
                None => Err(engine::EngineError::Corrupt(format!("the log has no revision {wanted}")).into()),
            }
        })
    }

    /// What a commit would do, without doing it.
    pub(super) fn validate(&self, request: Request) -> Result<CommitResponse> {
        self.read(|inner| {
            let mut ids = ulid::Generator::new();
            let mut made_up = Vec::new();
            let mut id = || {
                let id = new_id(&mut ids, Ulid::new().timestamp_ms());
                made_up.push(id.clone());
                id
            };
            let plan = mutate::plan(view(inner, inner.head()), request.work?, &inner.options.limits, &mut id)?;
            let name_of = |index: usize| {
                let planned = plan.changes.get(index);
                let name = planned.map(|planned| planned.redirect.as_ref().unwrap_or(&planned.name));
                name.filter(|name| !made_up.iter().any(|id| id == name.id())).map(RecordName::to_string).unwrap_or_default()
            };
            let results = plan
                .outcomes
                .iter()
                .map(|outcome| match outcome {
                    Outcome::Changed(index) => proto::MutationResult {
                        name: name_of(*index),
                        revision: 0,
                        kind: plan.changes.get(*index).map_or(ChangeKind::Unspecified, |planned| planned.change).into(),
                    },
                    Outcome::Unchanged { name, revision } => proto::MutationResult {
                        name: name.clone(),
                        revision: revision.cast_signed(),
                        kind: ChangeKind::Unchanged.into(),
                    },
                    Outcome::MadeBefore(index) => {
                        proto::MutationResult { name: name_of(*index), revision: 0, kind: ChangeKind::Unchanged.into() }
                    }
                })
                .collect();
            Ok(CommitResponse { revision: 0, commit_time: None, results, replayed: false })
        })
    }
}

/// Bytes around a record in a batch, at most.
const RECORD_FRAME_BYTES: u64 = 16;
/// Bytes around a record in a change, at most: its name, the names of all its fields, times and numbers.
const CHANGE_FRAME_BYTES: u64 = 1024;

/// A record's version as the contract's change.
fn change_of(inner: &Inner, name: &RecordName, version: &Version, before: Option<&Version>) -> Result<proto::Change> {
    let kind = name.kind();
    let author = logged_commit(inner, version.revision)?.map(|commit| commit.asked.caller).unwrap_or_default();
    let (old, new) = (before.map(|before| before.record.as_ref()).unwrap_or_default(), version.record.as_ref());
    let update_time = wire::first(new, schema::UPDATE_TIME).map(wire::Value::timestamp);
    Ok(proto::Change {
        name: name.to_string(),
        kind: version.change.into(),
        revision: version.revision.cast_signed(),
        previous_revision: before.map_or(0, |before| before.revision.cast_signed()),
        record: record(kind, new)?,
        changed_fields: field_names(kind, &mutate::changed_fields(version.change, mutate::body(old), mutate::body(new))),
        redirect_target: version.redirect.clone().unwrap_or_default(),
        transition: 0,
        commit_time: update_time.map(|(seconds, nanos)| Timestamp { seconds, nanos }),
        author,
    })
}

/// The commit that made a revision, from the log.
fn logged_commit(inner: &Inner, revision: u64) -> Result<Option<super::entry::Committed>> {
    let engine = inner.engine.as_ref();
    let after = engine.seek(LogSeek::BeforeRevision(revision))?;
    let entries = engine.read_log(after, ENTRY_BYTES)?;
    match entries.first().map(Entry::of).transpose()? {
        Some(Entry::Committed(commit)) if commit.revision == revision => Ok(Some(commit)),
        _ => Ok(None),
    }
}

/// The records as of a revision.
fn view(inner: &Inner, revision: u64) -> View<'_> {
    View { state: inner.engine.as_ref(), revision }
}

/// The revision that a request reads at.
fn as_of(inner: &Inner, revision: i64, time: Option<&Timestamp>) -> Result<u64> {
    match (revision, time) {
        (0, None) => Ok(inner.head()),
        (0, Some(time)) => as_of_time(inner, time),
        (_, Some(_)) => Err(StoreError::field("as_of_time", "set as_of_revision or as_of_time, not both")),
        (revision, None) => match u64::try_from(revision) {
            Ok(revision) => inner.check_revision(revision),
            Err(_) => Err(StoreError::field("as_of_revision", "a revision is never negative; 0 reads the newest")),
        },
    }
}

/// The last revision made at or before a time. Promises that no later commit gets a time up to it.
fn as_of_time(inner: &Inner, time: &Timestamp) -> Result<u64> {
    const FIELD: &str = "as_of_time";
    if !(0..1_000_000_000).contains(&time.nanos) || !(-62_135_596_800..253_402_300_800).contains(&time.seconds) {
        return Err(StoreError::field(FIELD, "is not a time of the years 1 to 9999"));
    }
    let time_us = micros(time);
    loop {
        let (now_us, meta) = (inner.options.clock.now_us(), inner.meta());
        if time_us <= now_us || time_us <= meta.commit_time_us {
            break;
        }
        if time_us - now_us > TIME_AHEAD_US {
            let now = Timestamp { nanos: 0, ..timestamp(now_us) };
            let text = format!("lies in the future: this server's clock says {now}; leave it out to read the newest");
            return Err(StoreError::field(FIELD, text));
        }
        std::thread::sleep(Duration::from_micros((time_us - now_us).unsigned_abs()));
    }
    let meta = inner.meta();
    // Later commits have later times than the last one: of the past nothing has to be promised.
    if time_us > meta.time_bound_us.max(meta.commit_time_us) {
        let (answer, bound) = oneshot::channel();
        inner.queue.send(Job::BoundTime { time_us, answer })?;
        bound.blocking_recv().unwrap_or_else(|_| Err(StoreError::shutting_down()))?;
    }
    inner.answer_time(time_us)?;
    let engine = inner.engine.as_ref();
    let revision = match engine.seek(LogSeek::AtTime(time_us))? {
        LogSequence(0) => 0,
        LogSequence(sequence) => {
            let entries = engine.read_log(LogSequence(sequence - 1), ENTRY_BYTES)?;
            entries.first().map_or(0, |entry| entry.revision)
        }
    };
    inner.check_revision(revision)
}

fn parse_name(text: &str, kind: Option<RecordKind>) -> Result<RecordName> {
    let name: RecordName =
        text.parse().map_err(|error: crate::model::RecordNameError| StoreError::field("name", error.to_string()))?;
    match kind {
        Some(kind) if kind != name.kind() => {
            Err(StoreError::field("name", format!("{name} is not in {}/: call the method of its type", kind.collection())))
        }
        _ => Ok(name),
    }
}

/// An error unless the version may be shown.
fn check_shown(name: &RecordName, version: &Version, show_deleted: bool) -> Result<()> {
    let revision = version.revision;
    let (reason, text) = match version.change {
        ChangeKind::Erased => {
            (ErrorReason::RecordErased, format!("the content of {name} was removed for good at revision {revision}"))
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
