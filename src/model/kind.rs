//! The six kinds of record.

use crate::proto;

/// A kind of record. Its number is a key's first byte after the table's, and `RecordType`'s in the contract: never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum RecordKind {
    Source = 1,
    Actor = 2,
    Event = 3,
    Claim = 4,
    Estimate = 5,
    Relation = 6,
}

impl RecordKind {
    /// Every kind, by number.
    pub const ALL: [Self; 6] = [Self::Source, Self::Actor, Self::Event, Self::Claim, Self::Estimate, Self::Relation];

    /// The first part of a name: "events".
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Actor => "actors",
            Self::Event => "events",
            Self::Claim => "claims",
            Self::Estimate => "estimates",
            Self::Relation => "relations",
        }
    }

    /// One of them, as the field of `Record` is named: "event".
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Actor => "actor",
            Self::Event => "event",
            Self::Claim => "claim",
            Self::Estimate => "estimate",
            Self::Relation => "relation",
        }
    }

    /// The message's name in the contract, without its package: "Event".
    pub const fn message(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Actor => "Actor",
            Self::Event => "Event",
            Self::Claim => "Claim",
            Self::Estimate => "Estimate",
            Self::Relation => "Relation",
        }
    }

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The kind whose names start with this collection.
    pub fn from_collection(collection: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.collection() == collection)
    }
}

impl From<RecordKind> for proto::RecordType {
    fn from(kind: RecordKind) -> Self {
        Self::try_from(i32::from(kind as u8)).expect("kinds and record types share their numbers")
    }
}
