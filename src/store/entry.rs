//! What the log remembers: the body of each entry, from which everything else can be rebuilt.
//!
//! Knows records as bytes. Must not know keys: what an entry becomes in the state is for `replay`.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::error::{Error, ErrorKind, Result};
use crate::{
    engine,
    model::{Kind, schema},
    proto::{self, ChangeKind, ErrorReason},
};

/// Number of the data format. A folder with a greater one is refused; a smaller one is upgraded by rebuilding the state.
pub(crate) const FORMAT: u32 = 1;

/// The body of one log entry.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Body {
    #[prost(oneof = "Entry", tags = "1, 2, 3, 4")]
    pub(crate) entry: Option<Entry>,
}

/// The kinds of entry. A number is never reused.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Entry {
    /// The first entry of every log.
    #[prost(message, tag = "1")]
    Founded(Founded),
    /// A commit: one revision.
    #[prost(message, tag = "2")]
    Committed(Committed),
    /// A commit that changed nothing, for the sake of its request id.
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

/// Who sent a request, and which.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Asked {
    /// The caller, who is also the author.
    #[prost(string, tag = "1")]
    pub(crate) caller: String,
    /// The caller's id for it.
    #[prost(string, tag = "2")]
    pub(crate) request_id: String,
    /// SHA-256 of its mutations and preconditions.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) content_hash: Bytes,
}

/// A commit.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Committed {
    #[prost(uint64, tag = "1")]
    pub(crate) revision: u64,
    #[prost(int64, tag = "2")]
    pub(crate) commit_time_us: i64,
    #[prost(message, required, tag = "3")]
    pub(crate) asked: Asked,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// In the order of the mutations. Never empty.
    #[prost(message, repeated, tag = "5")]
    pub(crate) changes: Vec<Changed>,
    /// One a mutation.
    #[prost(message, repeated, tag = "6")]
    pub(crate) results: Vec<Resulted>,
}

/// What a commit did to one record.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Changed {
    /// Number of the record's [`Kind`].
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(enumeration = "ChangeKind", tag = "3")]
    pub(crate) change: i32,
    /// 0 if it was created.
    #[prost(uint64, tag = "4")]
    pub(crate) previous_revision: u64,
    /// The record after the change, as a Get answers it; of a tombstone or redirect, its last state.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) record: Bytes,
    /// Where it was merged into.
    #[prost(string, optional, tag = "6")]
    pub(crate) redirect_target: Option<String>,
    /// Numbers of the top-level fields that differ from the revision before.
    #[prost(uint32, repeated, tag = "7")]
    pub(crate) fields: Vec<u32>,
}

/// What a mutation came to.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resulted {
    /// Which of the commit's changes, from 1; 0 where the mutation changed nothing.
    #[prost(uint32, tag = "1")]
    pub(crate) change: u32,
    /// The name to answer, where it is not that of the change: the record's where nothing changed, of a merge the target's.
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    /// Only where it changed nothing: the record's revision.
    #[prost(uint64, tag = "3")]
    pub(crate) revision: u64,
}

/// A commit that changed nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Unchanged {
    /// The head at which that was found.
    #[prost(uint64, tag = "1")]
    pub(crate) revision: u64,
    #[prost(int64, tag = "2")]
    pub(crate) commit_time_us: i64,
    #[prost(message, required, tag = "3")]
    pub(crate) asked: Asked,
    #[prost(message, repeated, tag = "4")]
    pub(crate) results: Vec<Resulted>,
}

/// A promise about the times of later commits.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TimeBound {
    #[prost(int64, tag = "1")]
    pub(crate) time_us: i64,
}

impl Entry {
    /// The bytes to log.
    pub(crate) fn into_bytes(self) -> Bytes {
        Body { entry: Some(self) }.encode_to_vec().into()
    }

    /// Reads an entry of the log.
    pub(crate) fn of(entry: &engine::Entry) -> Result<Self> {
        Body::decode(entry.body.clone()).ok().and_then(|body| body.entry).ok_or_else(|| {
            Error::new(
                ErrorKind::DataLoss,
                ErrorReason::StoreCorrupt,
                format!(
                    "entry {} of the log cannot be read: it was written by a newer program or is damaged",
                    entry.sequence.0
                ),
            )
        })
    }
}

impl Changed {
    /// The record's kind.
    pub(crate) fn kind(&self) -> Result<Kind> {
        u8::try_from(self.kind)
            .ok()
            .and_then(Kind::from_number)
            .ok_or_else(|| Error::internal(format!("the log holds a record of kind {}", self.kind)))
    }

    /// The record's name.
    pub(crate) fn name(&self) -> Result<String> {
        Ok(format!("{}/{}", self.kind()?.collection(), self.id))
    }

    /// The change as the contract has it.
    pub(crate) fn to_proto(&self, revision: u64) -> Result<proto::Change> {
        let kind = self.kind()?;
        Ok(proto::Change {
            name: self.name()?,
            kind: self.change,
            revision: revision.cast_signed(),
            previous_revision: self.previous_revision.cast_signed(),
            record: record(kind, &self.record)?,
            changed_fields: field_names(kind, &self.fields),
            redirect_target: self.redirect_target.clone().unwrap_or_default(),
            ..Default::default()
        })
    }
}

/// A record's bytes as the contract's `Record`; none where there are none.
pub(crate) fn record(kind: Kind, bytes: &[u8]) -> Result<Option<proto::Record>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match (kind.resource_type().decode)(bytes) {
        Ok(record) => Ok(Some(proto::Record { record: Some(record) })),
        Err(error) => Err(Error::internal(format!("a stored {} cannot be decoded: {error}", kind.singular()))),
    }
}

/// Proto names of top-level fields.
pub(crate) fn field_names(kind: Kind, numbers: &[u32]) -> Vec<String> {
    let schema: &schema::Schema = kind.schema();
    numbers.iter().map(|number| schema.field_name(*number).to_owned()).collect()
}

impl Committed {
    /// The commit as the contract has it.
    pub(crate) fn to_proto(&self) -> Result<proto::Commit> {
        Ok(proto::Commit {
            revision: self.revision.cast_signed(),
            commit_time: Some(timestamp(self.commit_time_us)),
            author: self.asked.caller.clone(),
            request_id: self.asked.request_id.clone(),
            annotations: self.annotations.clone(),
            changes: self.changes.iter().map(|change| change.to_proto(self.revision)).collect::<Result<_>>()?,
        })
    }

    /// What whoever sent it was answered.
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
    /// What whoever sent it was answered.
    pub(crate) fn response(&self) -> proto::CommitResponse {
        proto::CommitResponse {
            revision: self.revision.cast_signed(),
            commit_time: (self.revision > 0).then(|| timestamp(self.commit_time_us)),
            results: self.results.iter().map(unchanged).collect(),
            replayed: false,
        }
    }
}

fn unchanged(result: &Resulted) -> proto::MutationResult {
    proto::MutationResult {
        name: result.name.clone(),
        revision: result.revision.cast_signed(),
        kind: ChangeKind::Unchanged.into(),
    }
}

/// Microseconds since the epoch as the contract's timestamp.
pub(crate) fn timestamp(time_us: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time_us.div_euclid(1_000_000),
        nanos: i32::try_from(time_us.rem_euclid(1_000_000) * 1000).expect("less than a second"),
    }
}

/// The contract's timestamp in whole microseconds since the epoch, rounded down.
pub(crate) fn micros(time: &prost_types::Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos.clamp(0, 999_999_999)) / 1000)
}
