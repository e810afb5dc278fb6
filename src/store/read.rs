//! Answers read requests: one record, many records, the history of a record, or a commit, at the head or as of an earlier
//! revision or time.
//!
//! Reads of records go through a [`StoreSnapshot`].
//!
//! Knows requests, plans and the log. Must not know keys, how a commit gets its revision, or the meaning of a filter.

use bytes::Bytes;
use prost::Message as _;
use prost_types::Timestamp;
use ulid::Ulid;

use super::{
    EncodedBatch, EncodedPage, Store,
    clock::new_id,
    entry::{Entry, field_names, record},
    error::{Result, StoreError},
    inner::Inner,
    mutate::{self, MutationOutcome, request::Request},
    query::{self, page_size, token},
    snapshot::{ENTRY_BYTES, StoreSnapshot, TypedPage, decode, parse_name, view},
    version::Version,
};
use crate::{
    engine::{self, LogSeek},
    model::{FieldPath, RecordKind, RecordName, TypedRecord, Violations, schema, wire},
    proto::{self, ChangeKind, CommitResponse},
};

impl Store {
    /// One record by name, at the head. `FIELD_INVALID` if the name is of another type than `T`.
    ///
    /// ```
    /// use annals::{proto::{Actor, CommitRequest, Mutation}, store::Store};
    ///
    /// let store = Store::in_memory()?;
    /// let actor = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
    /// store.commit(CommitRequest::of("first", [Mutation::create(actor)]))?;
    /// assert_eq!(store.get::<Actor>("actors/nis")?.display_name, "NIS");
    /// # Ok::<(), annals::store::StoreError>(())
    /// ```
    pub fn get<T: TypedRecord>(&self, name: &str) -> Result<T> {
        self.get_with(&proto::GetRecordRequest { name: name.to_owned(), ..Default::default() })
    }

    /// Like [`Self::get`], with all options of a request: the revision or time, deleted records, and redirects.
    pub fn get_with<T: TypedRecord>(&self, request: &proto::GetRecordRequest) -> Result<T> {
        decode(&self.get_encoded(T::KIND, request)?)
    }

    /// Like [`Self::get_with`], but returns the bytes of the kind's message.
    pub fn get_encoded(&self, kind: RecordKind, request: &proto::GetRecordRequest) -> Result<Bytes> {
        let name = parse_name(&request.name, Some(kind))?;
        self.snapshot(request.as_of_revision, request.as_of_time.as_ref())?.get_encoded(name, request)
    }

    /// A page of the records that match a filter. All pages of a list read the same revision.
    ///
    /// ```
    /// use annals::{proto::{Actor, CommitRequest, ListRecordsRequest, Mutation}, store::Store};
    ///
    /// let store = Store::in_memory()?;
    /// let nis = Actor { display_name: "NIS".into(), external_ids: vec!["wikidata:Q484816".into()], ..Default::default() };
    /// store.commit(CommitRequest::of("first", [Mutation::create(nis)]))?;
    /// let request = ListRecordsRequest { filter: r#"external_ids:"wikidata:Q484816""#.into(), ..Default::default() };
    /// let page = store.list::<Actor>(&request)?;
    /// assert_eq!((page.records.len(), page.revision), (1, 1));
    /// # Ok::<(), annals::store::StoreError>(())
    /// ```
    pub fn list<T: TypedRecord>(&self, request: &proto::ListRecordsRequest) -> Result<TypedPage<T>> {
        TypedPage::decode(self.list_encoded(T::KIND, request)?)
    }

    /// Like [`Self::list`], but returns each record as the bytes of the kind's message.
    pub fn list_encoded(&self, kind: RecordKind, request: &proto::ListRecordsRequest) -> Result<EncodedPage> {
        let token = token::decode(kind, request)?;
        let snapshot = match &token {
            Some(token) => StoreSnapshot::of(self, self.read(|inner| inner.check_revision(token.revision))?),
            None => self.snapshot(request.as_of_revision, request.as_of_time.as_ref())?,
        };
        snapshot.list_encoded(kind, request, token.map(|token| token.position).as_ref())
    }

    /// Describes how a list would be read: which index, and in which order. The text is for people.
    pub fn explain(&self, kind: RecordKind, request: &proto::ListRecordsRequest) -> Result<String> {
        query::explain(kind, request, self.limits())
    }

    /// Many records by name. Those that do not fit into a response are named in `not_returned`.
    pub fn batch_get(&self, request: &proto::BatchGetRecordsRequest) -> Result<EncodedBatch> {
        let mut violations = Violations::default();
        let at = FieldPath::ROOT.field("names");
        let names_max = self.limits().batch_get_names;
        violations.limit(&at, self.limits().batch_get_names(), request.names.len() as u64);
        if request.names.is_empty() {
            violations.invalid(&at, "at least one name is required");
        }
        let mut names = Vec::with_capacity(request.names.len());
        for (index, text) in request.names.iter().take(usize::try_from(names_max).unwrap_or(usize::MAX)).enumerate() {
            match text.parse::<RecordName>() {
                Ok(name) => names.push(name),
                Err(error) => violations.invalid(&at.index(index), error.to_string()),
            }
        }
        if let Some(error) = StoreError::from_violations(violations) {
            return Err(error);
        }
        let snapshot = self.snapshot(request.as_of_revision, request.as_of_time.as_ref())?;
        snapshot.batch_get_encoded(names, request.allow_missing)
    }

    /// The revisions of one record, newest first.
    pub fn list_revisions(&self, request: &proto::ListRevisionsRequest) -> Result<proto::ListRevisionsResponse> {
        let name = parse_name(&request.name, None)?;
        let size = page_size(request.page_size, self.limits())?;
        self.read(|inner| {
            let mut view = view(inner, inner.head());
            if !request.page_token.is_empty() {
                // The token holds the revision of the oldest change that was sent.
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

    /// One commit, with all its changes.
    pub fn get_commit(&self, revision: i64) -> Result<proto::Commit> {
        proto::Commit::decode(self.get_commit_encoded(revision)?).map_err(StoreError::internal)
    }

    /// Like [`Self::get_commit`], but returns the bytes of the contract's `Commit`.
    pub fn get_commit_encoded(&self, revision: i64) -> Result<Bytes> {
        let Some(wanted) = u64::try_from(revision).ok().filter(|revision| *revision > 0) else {
            return Err(StoreError::field("revision", "is required: revisions count from 1"));
        };
        self.read(|inner| {
            inner.check_revision(wanted)?;
            match logged_commit(inner, wanted)? {
                Some(commit) => commit.encode(),
                None => Err(engine::EngineError::Corrupt(format!("the log has no revision {wanted}").into()).into()),
            }
        })
    }

    /// Checks a commit and returns what it would answer, without making it.
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
                    MutationOutcome::Changed(index) => proto::MutationResult {
                        name: name_of(*index),
                        revision: 0,
                        kind: plan.changes.get(*index).map_or(ChangeKind::Unspecified, |planned| planned.change).into(),
                    },
                    MutationOutcome::Unchanged { name, revision } => proto::MutationResult {
                        name: name.clone(),
                        revision: revision.cast_signed(),
                        kind: ChangeKind::Unchanged.into(),
                    },
                    MutationOutcome::MadeBefore(index) => {
                        proto::MutationResult { name: name_of(*index), revision: 0, kind: ChangeKind::Unchanged.into() }
                    }
                })
                .collect();
            Ok(CommitResponse { revision: 0, commit_time: None, results, replayed: false })
        })
    }
}

/// Most bytes of a change without its record: the name, the names of all fields, times and numbers.
const CHANGE_FRAME_BYTES: u64 = 1024;

/// A version of a record as the contract's `Change`.
fn change_of(inner: &Inner, name: &RecordName, version: &Version, before: Option<&Version>) -> Result<proto::Change> {
    let kind = name.kind();
    let author = logged_commit(inner, version.revision)?.map(|commit| commit.request.caller).unwrap_or_default();
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
    let log = &inner.engine.log;
    let after = log.seek(LogSeek::BeforeRevision(revision.cast_signed()))?;
    let entries = log.read_after(after, ENTRY_BYTES)?;
    match entries.first().map(Entry::of).transpose()? {
        Some(Entry::Committed(commit)) if commit.revision == revision => Ok(Some(commit)),
        _ => Ok(None),
    }
}
