//! A second implementation of commits: records as a map, and the rules of creates, updates, upserts, deletes and undeletes.
//!
//! Knows what the contract promises about these. Must not know the store, or the messages that carry them.
#![allow(dead_code)]

use serde::{Deserialize, Serialize};

/// The content of a record of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) title: String,
    pub(crate) count: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<String>,
}

/// A record after a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) revision: i64,
    pub(crate) live: bool,
    pub(crate) content: Content,
}

/// A mutation. Writes set every field of the content. An `if_revision` of 0 means any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Write {
    Create { name: String, content: Content },
    Update { name: String, content: Content, if_revision: i64 },
    Upsert { name: String, content: Content },
    Delete { name: String, if_revision: i64 },
    Undelete { name: String },
}

/// A precondition of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Condition {
    /// The record is at this revision. 0: it does not exist.
    At { name: String, revision: i64 },
    /// The record exists or does not exist.
    Exists { name: String, exists: bool },
}

/// What a mutation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Unchanged,
    Created,
    Updated,
    Deleted,
    Undeleted,
}

/// What a mutation did to which record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Effect {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The revision of the record before. 0 if it did not exist.
    pub(crate) previous: i64,
    /// The record after it. For a deleted record: its last state.
    pub(crate) content: Content,
}

impl Write {
    /// The record that it names.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Create { name, .. }
            | Self::Update { name, .. }
            | Self::Upsert { name, .. }
            | Self::Delete { name, .. }
            | Self::Undelete { name } => name,
        }
    }

    fn if_revision(&self) -> i64 {
        match self {
            Self::Update { if_revision, .. } | Self::Delete { if_revision, .. } => *if_revision,
            _ => 0,
        }
    }

    fn effect(&self, before: Option<&Version>) -> Result<Effect, &'static str> {
        let previous = before.map_or(0, |before| before.revision);
        let effect =
            |kind, content: &Content| Effect { name: self.name().to_owned(), kind, previous, content: content.clone() };
        match (self, before) {
            (Self::Create { .. }, Some(_)) => Err("NAME_TAKEN"),
            (Self::Create { content, .. } | Self::Upsert { content, .. }, None) => Ok(effect(Kind::Created, content)),
            (_, None) => Err("RECORD_NOT_FOUND"),
            (Self::Undelete { .. }, Some(before)) => {
                Ok(effect(if before.live { Kind::Unchanged } else { Kind::Undeleted }, &before.content))
            }
            (_, Some(Version { live: false, .. })) => Err("RECORD_DELETED"),
            (Self::Update { content, .. } | Self::Upsert { content, .. }, Some(before)) => {
                Ok(effect(if before.content == *content { Kind::Unchanged } else { Kind::Updated }, content))
            }
            (Self::Delete { .. }, Some(before)) => Ok(effect(Kind::Deleted, &before.content)),
        }
    }
}

impl Effect {
    /// The record after this was committed at a revision.
    pub(crate) fn version(&self, revision: i64) -> Version {
        let revision = if self.kind == Kind::Unchanged { self.previous } else { revision };
        Version { revision, live: self.kind != Kind::Deleted, content: self.content.clone() }
    }
}

impl Condition {
    fn holds(&self, standing: &impl Fn(&str) -> i64) -> bool {
        match self {
            Self::At { name, revision } => standing(name) == *revision,
            Self::Exists { name, exists } => (standing(name) != 0) == *exists,
        }
    }
}

/// What a commit does to the records in `before`: one effect for each write, or the reason why it is refused. Each write names
/// another record.
pub(crate) fn effects<'a>(
    before: impl Fn(&str) -> Option<&'a Version>,
    writes: &[Write],
    conditions: &[Condition],
) -> Result<Vec<Effect>, &'static str> {
    // An absent or deleted record is at revision 0.
    let standing = |name: &str| before(name).filter(|version| version.live).map_or(0, |version| version.revision);
    let expected = |write: &Write| write.if_revision() == 0 || standing(write.name()) == write.if_revision();
    if !conditions.iter().all(|condition| condition.holds(&standing)) || !writes.iter().all(expected) {
        return Err("REVISION_MISMATCH");
    }
    // All are checked before any is refused, and the first that fails gives the reason.
    writes.iter().map(|write| write.effect(before(write.name()))).collect()
}
