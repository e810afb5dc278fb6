//! The bodies of a store's log entries. Everything else can be rebuilt from them.
//!
//! Knows records as bytes. Must not know keys: `replay` says what an entry becomes in the state.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::{
    clock::timestamp,
    error::{Result, StoreError, StoreErrorKind},
};
use crate::{
    engine,
    model::{RecordKind, schema, wire},
    proto::{self, ChangeKind, ErrorReason, Transition},
};

/// The version of the entries of the log. A log with a greater version is refused.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The body of one log entry.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Body {
    #[prost(oneof = "Entry", tags = "1, 2, 3, 4")]
    pub(crate) entry: Option<Entry>,
}

/// The kinds of entry. A tag number is never reused.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Entry {
    /// The first entry of every log.
    #[prost(message, tag = "1")]
    Founded(Founded),
    /// A commit: one revision.
    #[prost(message, tag = "2")]
    Committed(Committed),
    /// A commit that changed nothing. It is logged so that a retry with its request id gets the same answer.
    #[prost(message, tag = "3")]
    Unchanged(Unchanged),
    /// A promise that no commit gets a time up to this one.
    #[prost(message, tag = "4")]
    TimeBound(TimeBound),
}

/// The store was created.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Founded {
    /// Identifies the store's data.
    #[prost(string, tag = "1")]
    pub(crate) store_id: String,
    /// The data format it was created with.
    #[prost(uint32, tag = "2")]
    pub(crate) format: u32,
}

/// Identifies a request: who sent it, under which id, with which content.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RequestIdentity {
    /// The caller, who is also the author of the commit.
    #[prost(string, tag = "1")]
    pub(crate) caller: String,
    /// The request id that the caller has chosen.
    #[prost(string, tag = "2")]
    pub(crate) request_id: String,
    /// SHA-256 of the mutations and preconditions of the request.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) content_hash: Bytes,
}

/// A commit as the log holds it: its changes, and the results to answer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Committed {
    #[prost(uint64, tag = "1")]
    pub(crate) revision: u64,
    #[prost(int64, tag = "2")]
    pub(crate) commit_time_us: i64,
    #[prost(message, required, tag = "3")]
    pub(crate) request: RequestIdentity,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// In the order of the mutations. At least one.
    #[prost(message, repeated, tag = "5")]
    pub(crate) changes: Vec<Changed>,
    /// One per mutation.
    #[prost(message, repeated, tag = "6")]
    pub(crate) results: Vec<LoggedResult>,
}

/// What a commit did to one record.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Changed {
    /// Number of the record's [`RecordKind`].
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(enumeration = "ChangeKind", tag = "3")]
    pub(crate) change: i32,
    /// The revision of the version before. 0 if the record was created.
    #[prost(uint64, tag = "4")]
    pub(crate) previous_revision: u64,
    /// The bytes of the record after the change, as Get answers them. For a tombstone or a redirect, the last state of the
    /// record.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) record: Bytes,
    /// The name of the record that it was merged into.
    #[prost(string, optional, tag = "6")]
    pub(crate) redirect_target: Option<String>,
    /// Numbers of the top-level fields that differ from the revision before.
    #[prost(uint32, repeated, tag = "7")]
    pub(crate) fields: Vec<u32>,
}

/// The result of one mutation.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LoggedResult {
    /// The number of the change in the commit, from 1. 0 if the mutation changed nothing.
    #[prost(uint32, tag = "1")]
    pub(crate) change: u32,
    /// The name to answer, if it is not the name in the change: the name of the record if nothing changed, or of the target of
    /// a merge.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// The revision of the record. Set only if the mutation changed nothing.
    #[prost(uint64, tag = "3")]
    pub(crate) revision: u64,
}

/// A commit that changed nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Unchanged {
    /// The head revision when it was planned.
    #[prost(uint64, tag = "1")]
    pub(crate) revision: u64,
    #[prost(int64, tag = "2")]
    pub(crate) commit_time_us: i64,
    #[prost(message, required, tag = "3")]
    pub(crate) request: RequestIdentity,
    #[prost(message, repeated, tag = "4")]
    pub(crate) results: Vec<LoggedResult>,
}

/// A promise that every later commit gets a time after `time_us`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeBound {
    #[prost(int64, tag = "1")]
    pub(crate) time_us: i64,
}

impl Entry {
    /// The bytes to log. They are those of a [`Body`] that holds the entry, but need no move into one.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode(&mut bytes);
        bytes.into()
    }

    /// Decodes an entry of the log. `STORE_CORRUPT` if it cannot be decoded.
    pub(crate) fn of(entry: &engine::LogEntry) -> Result<Self> {
        let unreadable = || {
            let sequence = entry.sequence.0;
            let text = format!("entry {sequence} of the log cannot be read: it was written by a newer program or is damaged");
            StoreError::new(StoreErrorKind::DataLoss, ErrorReason::StoreCorrupt, text)
        };
        let body = Body::decode(entry.body.clone()).map_err(|error| unreadable().because(error))?;
        body.entry.ok_or_else(unreadable)
    }
}

impl Changed {
    /// The kind of the record. Errs if this program does not know it.
    pub(crate) fn kind(&self) -> Result<RecordKind> {
        u8::try_from(self.kind)
            .ok()
            .and_then(RecordKind::from_number)
            .ok_or_else(|| StoreError::internal(format!("the log holds a record of kind {}", self.kind)))
    }

    /// The name of the record. Errs if this program does not know its kind.
    pub(crate) fn name(&self) -> Result<String> {
        Ok(format!("{}/{}", self.kind()?.collection(), self.id))
    }

    /// Whether the record exists after the change.
    pub(crate) fn is_live(&self) -> bool {
        !matches!(ChangeKind::try_from(self.change), Ok(ChangeKind::Deleted | ChangeKind::Merged | ChangeKind::Erased))
    }

    /// The change as the contract's `Change`. The bytes of the record are copied and not decoded.
    fn encode(&self, revision: u64, transition: Transition) -> Result<Vec<u8>> {
        let kind = self.kind()?;
        let head = proto::Change {
            name: self.name()?,
            kind: self.change,
            revision: revision.cast_signed(),
            previous_revision: self.previous_revision.cast_signed(),
            ..Default::default()
        };
        let tail = proto::Change {
            changed_fields: field_names(kind, &self.fields),
            redirect_target: self.redirect_target.clone().unwrap_or_default(),
            transition: transition.into(),
            ..Default::default()
        };
        let mut change = head.encode_to_vec();
        if !self.record.is_empty() {
            let mut record = Vec::with_capacity(self.record.len() + 8);
            wire::put_bytes(kind as u32, &self.record, &mut record);
            wire::put_bytes(CHANGE_RECORD, &record, &mut change);
        }
        tail.encode_raw(&mut change);
        Ok(change)
    }
}

/// Field number of `Change.record`.
const CHANGE_RECORD: u32 = 5;
/// Field number of `Commit.changes`.
const COMMIT_CHANGES: u32 = 6;

/// Decodes the bytes of a record as the contract's `Record`. `None` if there are no bytes.
pub(crate) fn record(kind: RecordKind, bytes: &[u8]) -> Result<Option<proto::Record>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match (kind.resource_type().decode)(bytes) {
        Ok(record) => Ok(Some(proto::Record { record: Some(record) })),
        Err(error) => {
            let text = format!("a stored {} cannot be decoded", kind.singular());
            Err(StoreError::internal(engine::explained(text, error)))
        }
    }
}

/// The names of top-level fields in the proto.
pub(crate) fn field_names(kind: RecordKind, numbers: &[u32]) -> Vec<String> {
    let schema: &schema::Schema = kind.schema();
    numbers.iter().map(|number| schema.field_name(*number).to_owned()).collect()
}

impl Committed {
    /// The commit as the contract's `Commit`, with all its changes.
    pub(crate) fn encode(&self) -> Result<Bytes> {
        let all: Vec<_> = self.changes.iter().map(|change| (change, Transition::Unspecified)).collect();
        self.encode_with(&all)
    }

    /// The commit as the contract's `Commit`, with some of its changes. Records are not decoded, because a commit may be large.
    pub(crate) fn encode_with(&self, changes: &[(&Changed, Transition)]) -> Result<Bytes> {
        let head = proto::Commit {
            revision: self.revision.cast_signed(),
            commit_time: Some(timestamp(self.commit_time_us)),
            author: self.request.caller.clone(),
            request_id: self.request.request_id.clone(),
            annotations: self.annotations.clone(),
            changes: Vec::new(),
        };
        let mut commit = head.encode_to_vec();
        for (change, transition) in changes {
            wire::put_bytes(COMMIT_CHANGES, &change.encode(self.revision, *transition)?, &mut commit);
        }
        Ok(commit.into())
    }

    /// The answer to the request.
    pub(crate) fn response(&self) -> Result<proto::CommitResponse> {
        let results = self
            .results
            .iter()
            .map(|result| {
                let Some(change) = (result.change as usize).checked_sub(1).and_then(|at| self.changes.get(at)) else {
                    return Ok(unchanged(result));
                };
                let name = if result.name.is_empty() { change.name()? } else { result.name.clone() };
                Ok(proto::MutationResult { name, revision: self.revision.cast_signed(), kind: change.change })
            })
            .collect::<Result<_>>()?;
        Ok(proto::CommitResponse {
            revision: self.revision.cast_signed(),
            commit_time: Some(timestamp(self.commit_time_us)),
            results,
            replayed: false,
        })
    }
}

impl Unchanged {
    /// The answer to the request.
    pub(crate) fn response(&self) -> proto::CommitResponse {
        proto::CommitResponse {
            revision: self.revision.cast_signed(),
            commit_time: (self.revision > 0).then(|| timestamp(self.commit_time_us)),
            results: self.results.iter().map(unchanged).collect(),
            replayed: false,
        }
    }
}

fn unchanged(result: &LoggedResult) -> proto::MutationResult {
    proto::MutationResult {
        name: result.name.clone(),
        revision: result.revision.cast_signed(),
        kind: ChangeKind::Unchanged.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_around_encoded_records_is_the_commit_that_the_contract_has() {
        let event = proto::Event { name: "events/e".into(), title: "t".into(), ..Default::default() };
        let changed = |change: ChangeKind, record: &proto::Event, redirect: Option<&str>| Changed {
            kind: RecordKind::Event as u32,
            id: "e".into(),
            change: change.into(),
            previous_revision: 3,
            record: record.encode_to_vec().into(),
            redirect_target: redirect.map(str::to_owned),
            fields: vec![schema::LABELS, 16],
        };
        let commit = Committed {
            revision: 7,
            commit_time_us: 1_700_000_000_000_001,
            request: RequestIdentity { caller: "anonymous".into(), request_id: "r".into(), content_hash: Bytes::new() },
            annotations: [("model".to_owned(), "m".to_owned())].into(),
            changes: vec![
                changed(ChangeKind::Updated, &event, None),
                changed(ChangeKind::Merged, &event, Some("events/f")),
                changed(ChangeKind::Erased, &proto::Event::default(), None),
            ],
            results: Vec::new(),
        };
        let shown: Vec<_> = commit.changes.iter().map(|change| (change, Transition::Stayed)).collect();
        let decoded = proto::Commit::decode(commit.encode_with(&shown).unwrap()).unwrap();
        assert_eq!((decoded.revision, decoded.author.as_str(), decoded.changes.len()), (7, "anonymous", 3));
        assert_eq!(decoded.commit_time, Some(timestamp(1_700_000_000_000_001)));
        let [updated, merged, erased] = decoded.changes.as_slice() else { panic!("{decoded:?}") };
        assert_eq!(updated.record, Some(event.clone().into()));
        assert_eq!(updated.changed_fields, ["labels", "title"]);
        assert_eq!(
            (updated.name.as_str(), updated.kind(), updated.transition()),
            ("events/e", ChangeKind::Updated, Transition::Stayed)
        );
        assert_eq!((updated.revision, updated.previous_revision), (7, 3));
        assert_eq!((merged.redirect_target.as_str(), merged.record.is_some()), ("events/f", true));
        assert_eq!(erased.record, None);
    }
}
