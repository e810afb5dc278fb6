//! What a type of record states about itself: its rules, what it computes, its links and its indexes.
//!
//! A type states facts and never acts. The store is compiled once, works on bytes, and reaches a type only through
//! [`Resource`], [`ResourceType`] and [`check`].
//!
//! Knows that there are six types. Must not know the fields of any.

use prost::{DecodeError, Message};

use super::{Kind, Path, Violations, shape};
use crate::proto::{self, record::Record};

/// The rules of a record's type.
pub trait Resource {
    /// Fills in what the server computes from the record alone: bounds of an EDTF text, the SHA-256 of a text, a quantity's
    /// status, an estimand's series. What is broken is left as it is, for `check` to report. Doing it twice is doing it once.
    fn complete(&mut self);

    /// Reports the rules and limits of the type that the record breaks by itself, except what holds of every field by its
    /// declared type: call [`check`](fn@check), which looks at both. Called on a completed record whose references are names,
    /// never labels.
    fn check(&self, at: &Path<'_>, violations: &mut Violations);

    /// The citations, whose spans and quotes the store holds against the text of their source.
    fn citations(&self) -> &[proto::Citation] {
        &[]
    }

    /// The links to other records along which nothing may come back to itself.
    fn links(&self) -> Vec<Link<'_>> {
        Vec::new()
    }
}

/// A link along which a circle is not allowed (V5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// Links of one chain are followed together, of different chains never.
    pub chain: Chain,
    /// The field that holds it, with "[]" where the index stands: "affiliations[].actor", "inputs[]", "part_of".
    pub field: &'static str,
    /// Element of the repeated field, where it is one; else 0.
    pub index: usize,
    /// Name of the record linked from; empty where it is the record that holds the link.
    pub from: &'a str,
    /// Name of the record linked to.
    pub to: &'a str,
}

impl Link<'_> {
    /// Where the link stands in the record that holds it: "affiliations[2].actor".
    pub fn path(&self) -> String {
        self.field.replace("[]", &format!("[{}]", self.index))
    }
}

/// The chains that must not close to a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Chain {
    ActorPartOf,
    EventPartOf,
    DerivedFrom,
    SourcePartOf,
    Inputs,
    Supersedes,
}

/// An index over one type: what makes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index {
    /// The index's number in keys. Never reused within a type.
    pub number: u8,
    /// The values that make a key, in order. Only the last may be many-valued.
    pub parts: &'static [Part],
    /// The question of an analyst that it answers.
    pub serves: &'static str,
}

/// One value of an index's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A text or enum by its path. Serves equality, and prefix where it is text.
    Exact(&'static str),
    /// A timestamp by its path. Serves ranges; a single-valued one as last part serves the order too, and has an entry for
    /// unset.
    Time(&'static str),
    /// The words of some texts, folded in case and diacritics: what the filter calls by this name.
    Words(&'static str, &'static [&'static str]),
}

/// A type of record as the store sees it.
#[derive(Clone, Copy)]
pub struct ResourceType {
    /// Which type it is.
    pub kind: Kind,
    /// Its indexes. Every field that refers to records is served by reference keys besides, which need no entry here.
    pub indexes: &'static [Index],
    /// Reads an encoded record.
    pub decode: fn(&[u8]) -> Result<Record, DecodeError>,
}

impl Kind {
    /// The type with this kind.
    pub fn resource_type(self) -> &'static ResourceType {
        super::RESOURCES.iter().find(|resource| resource.kind == self).expect("RESOURCES has every kind, as a test shows")
    }
}

/// What the record inside the `oneof` says of itself.
pub fn resource(record: &Record) -> &dyn Resource {
    match record {
        Record::Source(source) => source,
        Record::Actor(actor) => actor,
        Record::Event(event) => event,
        Record::Claim(claim) => claim,
        Record::Estimate(estimate) => estimate,
        Record::Relation(relation) => relation,
    }
}

/// As [`resource`], to be completed.
pub fn resource_mut(record: &mut Record) -> &mut dyn Resource {
    match record {
        Record::Source(source) => source,
        Record::Actor(actor) => actor,
        Record::Event(event) => event,
        Record::Claim(claim) => claim,
        Record::Estimate(estimate) => estimate,
        Record::Relation(relation) => relation,
    }
}

/// Reports every rule and limit that a record breaks by itself: first what holds of every field by its declared type, then
/// the rules of the record's own. `encoded` is what [`encode`] makes of it. References are looked at for their form, and for
/// the kinds that a rule names; whether they exist, and are of the kind that their annotation names, is for the store, which
/// knows.
pub fn check(record: &Record, encoded: &[u8], at: &Path<'_>, violations: &mut Violations) {
    shape::check(kind_of(record), encoded, at, violations);
    resource(record).check(at, violations);
}

/// The kind of the record inside the `oneof`.
pub fn kind_of(record: &Record) -> Kind {
    match record {
        Record::Source(_) => Kind::Source,
        Record::Actor(_) => Kind::Actor,
        Record::Event(_) => Kind::Event,
        Record::Claim(_) => Kind::Claim,
        Record::Estimate(_) => Kind::Estimate,
        Record::Relation(_) => Kind::Relation,
    }
}

/// The bytes of the record inside the `oneof`, without the `oneof` around it.
pub fn encode(record: &Record) -> Vec<u8> {
    match record {
        Record::Source(source) => source.encode_to_vec(),
        Record::Actor(actor) => actor.encode_to_vec(),
        Record::Event(event) => event.encode_to_vec(),
        Record::Claim(claim) => claim.encode_to_vec(),
        Record::Estimate(estimate) => estimate.encode_to_vec(),
        Record::Relation(relation) => relation.encode_to_vec(),
    }
}
