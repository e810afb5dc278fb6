//! Records as Rust types, converted to and from the contract's `Record`; and short constructors for mutations.
//!
//! Knows the messages. Must not know their rules.

use super::RecordKind;
use crate::proto::{self, mutation::Op, record::Record, record_types};

/// One of the six messages. The trait is sealed because the contract has no other records.
pub trait TypedRecord: prost::Message + Default + Clone + PartialEq + sealed::Sealed {
    /// The kind of this type.
    const KIND: RecordKind;

    /// Wraps the record in the `oneof`.
    fn into_record(self) -> Record;

    /// Takes the record from the `oneof`. `None` if it is of another type.
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
    /// A commit of these mutations. `request_id` is unique to this write; a retry sends the same id.
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
    /// Creates a record, which must not exist.
    pub fn create(record: impl Into<proto::Record>) -> Self {
        Self::from(Op::Create(record.into()))
    }

    /// Updates a record, which must exist. Every field that is set replaces the stored field.
    pub fn update(record: impl Into<proto::Record>) -> Self {
        Self::from(Op::Update(proto::Update { record: Some(record.into()), ..Default::default() }))
    }

    /// Updates the record that has one of these external ids, or this name. Creates it if there is none.
    pub fn upsert(record: impl Into<proto::Record>) -> Self {
        Self::from(Op::Upsert(proto::Upsert { record: Some(record.into()), ..Default::default() }))
    }

    /// Deletes a record, which must exist. No live record may refer to it.
    pub fn delete(name: impl Into<String>) -> Self {
        Self::from(Op::Delete(proto::Delete { name: name.into(), ..Default::default() }))
    }

    /// Reverses a delete.
    pub fn undelete(name: impl Into<String>) -> Self {
        Self::from(Op::Undelete(proto::Undelete { name: name.into() }))
    }

    /// Makes one record a redirect to another.
    pub fn merge(name: impl Into<String>, into: impl Into<String>) -> Self {
        Self::from(Op::Merge(proto::Merge { name: name.into(), into: into.into(), ..Default::default() }))
    }

    /// Reverses a merge.
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
