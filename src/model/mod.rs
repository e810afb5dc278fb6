//! What a record is: its names, its values, its rules, its indexes.
//!
//! Three steps prepare a record. [`resource_mut`] and [`Resource::complete`] fill in what the server computes. [`encode`] makes
//! the bytes that are stored. [`check`] reports every broken rule. Rules that need other records (whether references exist,
//! whether quotes equal their spans, whether links form a cycle) are passed to the store as data.
//!
//! Knows the proto messages. Must not know storage, the history of records or gRPC.

// The six types.
mod actor;
mod claim;
mod estimate;
mod event;
mod relation;
mod source;

// What the store needs of every type.
mod name;
mod resource;
pub(crate) mod schema;
mod shape;
mod typed_record;
mod violation;
pub(crate) mod wire;

// Values that several types share.
mod citation;
mod code;
mod edtf;
mod header;
mod place;
mod quantity;
mod rating;
mod text;
mod time;
mod words;

#[cfg(test)]
mod testing;

pub use citation::check_against_text;
pub use code::{is_code, is_external_id};
pub use edtf::is_edtf;
pub use header::check_annotations;
pub(crate) use name::id_form;
pub use name::{RecordKind, RecordName, RecordNameError, is_id};
pub use place::country_alpha2;
pub(crate) use resource::{CheckedRecord, check_record};
pub use resource::{
    IndexPart, JoinedIndex, LinkChain, RecordIndex, RecordLink, Resource, ResourceType, check, encode, kind_of,
    merged_names_of, name_of, resource, resource_mut,
};
pub(crate) use shape::is_timestamp;
pub use typed_record::TypedRecord;
pub use violation::{FieldPath, Violation, ViolationKind, Violations};
pub use words::words;

/// The six types. To add a type, add its messages, its file and its line here.
pub const RESOURCES: [ResourceType; 6] = [source::TYPE, actor::TYPE, event::TYPE, claim::TYPE, estimate::TYPE, relation::TYPE];
