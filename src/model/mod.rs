//! What a record is: its names, its values, its rules, its indexes.
//!
//! The way of a record: [`resource_mut`] and [`Resource::complete`] fill in what the server computes, [`encode`] makes the bytes
//! that are kept, [`check`] reports what breaks a rule. What needs other records (do references exist, do quotes equal their
//! spans, do links close to a cycle) is handed to the store as data.
//!
//! Knows the proto messages. Must not know storage, revisions' history or gRPC.

// The six types.
mod actor;
mod claim;
mod estimate;
mod event;
mod relation;
mod source;

// What they are to the store.
mod kind;
mod name;
mod resource;
pub mod schema;
mod shape;
mod typed_record;
mod violation;
pub mod wire;

// Values that several types share.
mod attribution;
mod citation;
mod code;
mod country;
mod edtf;
mod header;
mod language;
pub mod limit;
mod participant;
mod place;
mod quantity;
mod rating;
mod reference;
mod text;
mod time;
pub mod words;

#[cfg(test)]
mod testing;

pub use citation::check_against_text;
pub use code::{is_code, is_external_id};
pub use country::country_alpha2;
pub use edtf::is_edtf;
pub use header::check_annotations;
pub use kind::RecordKind;
pub use limit::LIMITS;
pub use name::{ID_CHARS_MAX, RecordName, RecordNameError, is_id};
pub use resource::{Chain, Index, Link, Part, Resource, ResourceType, check, encode, kind_of, resource, resource_mut};
pub(crate) use resource::{CheckedRecord, check_record};
pub use typed_record::TypedRecord;
pub use violation::{Fault, Path, Violation, Violations};

/// The list of six: a new type is its messages, its file and its line here.
pub const RESOURCES: [ResourceType; 6] = [source::TYPE, actor::TYPE, event::TYPE, claim::TYPE, estimate::TYPE, relation::TYPE];
