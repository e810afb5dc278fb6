//! What a record is: its names, its values, its rules, its indexes.
//!
//! Knows the proto messages. Must not know storage, revisions' history or gRPC.

mod kind;
mod name;
mod resource;
mod violation;

mod actor;
mod claim;
mod estimate;
mod event;
mod relation;
mod source;

pub mod schema;
pub mod wire;
pub mod words;

pub use kind::Kind;
pub use name::{ID_CHARS_MAX, Name, NameError, is_id};
pub use resource::{Chain, Index, Link, Part, Resource, ResourceType, encode, kind_of, resource, resource_mut};
pub use violation::{Fault, Path, Violation, Violations};

/// The list of six: a new type is its messages, its file and its line here.
pub const RESOURCES: [ResourceType; 6] = [source::TYPE, actor::TYPE, event::TYPE, claim::TYPE, estimate::TYPE, relation::TYPE];
