//! Records as Rust types, on their way into and out of the contract's `Record`; mutations in few words.
//!
//! Knows the messages. Must not know what a rule says of them.

use super::RecordKind;
use crate::proto::{self, mutation::Op, record::Record, record_types};

/// One of the six messages. Sealed: the contract has no others.
pub trait TypedRecord: prost::Message + Default + Clone + PartialEq + sealed::Sealed {
    /// Which of the six.
    const KIND: RecordKind;

    /// The record inside the `oneof`.
    fn into_record(self) -> Record;

    /// The record out of the `oneof`, if it is of this type.
    fn from_record(record: Record) -> Option<Self>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! typed_records {
    ($($name:ident = $number:literal, $singular:literal, $collection:literal;)*) => {$(
        impl sealed::Sealed for proto::$name {}

        impl TypedRecord for proto::$name {
            const KIND: RecordKind = RecordKind::$name;

            fn into_record(self) -> Record {
                Record::$name(self)
            }

            fn from_record(record: Record) -> Option<Self> {
                match record {
                    Record::$name(inner) => Some(inner),
                    _ => None,
                }
            }
        }

        impl From<proto::$name> for proto::Record {
            fn from(record: proto::$name) -> Self {
                Self { record: Some(Record::$name(record)) }
            }
        }
    )*};
}

record_types!(typed_records);

impl proto::CommitRequest {
    /// A commit of these mutations. `request_id`: unique to this write, and the same when it is sent again.
    ///
    /// ```
    /// use annals::proto::{Actor, CommitRequest, Event, Mutation, Participant};
    ///
    /// let actor = Actor { display_name: "National Intelligence Service".into(), ..Default::default() };
    /// let briefing = Event {
    ///     title: "Briefing of the Intelligence Committee".into(),
    ///     participants: vec![Participant { actor: "@nis".into(), ..Default::default() }],
    ///     ..Default::default()
    /// };
    /// let request = CommitRequest::of("article:5f3a", [Mutation::create(actor).labelled("nis"), Mutation::create(briefing)]);
    /// assert_eq!(request.mutations.len(), 2);
    /// ```
    pub fn of(request_id: impl Into<String>, mutations: impl IntoIterator<Item = proto::Mutation>) -> Self {
        Self { request_id: request_id.into(), mutations: mutations.into_iter().collect(), ..Self::default() }
    }
}

impl proto::Mutation {
    /// The record must not exist.
    pub fn create(record: impl Into<proto::Record>) -> Self {
        Self::from(Op::Create(record.into()))
    }

    /// The record must exist; every field that is set replaces what was there.
    pub fn update(record: impl Into<proto::Record>) -> Self {
        Self::from(Op::Update(proto::Update { record: Some(record.into()), ..Default::default() }))
    }

    /// Updates the record that has one of these external ids, or this name, or creates it.
    pub fn upsert(record: impl Into<proto::Record>) -> Self {
        Self::from(Op::Upsert(proto::Upsert { record: Some(record.into()), ..Default::default() }))
    }

    /// The record must exist, and nothing live may refer to it.
    pub fn delete(name: impl Into<String>) -> Self {
        Self::from(Op::Delete(proto::Delete { name: name.into(), ..Default::default() }))
    }

    /// Takes back a delete.
    pub fn undelete(name: impl Into<String>) -> Self {
        Self::from(Op::Undelete(proto::Undelete { name: name.into() }))
    }

    /// Makes one record a redirect to another.
    pub fn merge(name: impl Into<String>, into: impl Into<String>) -> Self {
        Self::from(Op::Merge(proto::Merge { name: name.into(), into: into.into(), ..Default::default() }))
    }

    /// Takes back a merge.
    pub fn unmerge(name: impl Into<String>) -> Self {
        Self::from(Op::Unmerge(proto::Unmerge { name: name.into() }))
    }

    /// Names the record inside the commit: other mutations refer to it as "@label".
    #[must_use]
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }
}

impl From<Op> for proto::Mutation {
    fn from(op: Op) -> Self {
        Self { label: String::new(), op: Some(op) }
    }
}
