//! Converts between the model's types and the messages of the contract.
//!
//! Knows the messages. Must not know what a write does.
#![allow(dead_code)]

use std::collections::BTreeMap;

use annals::proto::{
    self, Actor, ChangeKind, Event, Mutation, Precondition, Update, Upsert, mutation::Op, precondition, record::Record,
};
use tonic::Status;
use tonic_types::StatusExt;

use super::model::{Condition, Content, Effect, Kind, Version, Write};

/// The metric that holds the count.
const COUNT: &str = "count";

/// A record with a content: an actor or an event, by its name.
pub(crate) fn record(name: &str, content: &Content) -> proto::Record {
    #[allow(clippy::cast_precision_loss)] // Counts are small.
    let metrics = BTreeMap::from([(COUNT.to_owned(), content.count as f64)]);
    let (name, labels, title) = (name.to_owned(), content.labels.clone(), content.title.clone());
    if name.starts_with("actors/") {
        Actor { name, labels, metrics, display_name: title, ..Default::default() }.into()
    } else {
        Event { name, labels, metrics, title, ..Default::default() }.into()
    }
}

/// The fields of the content.
fn fields(name: &str) -> Vec<String> {
    let title = if name.starts_with("actors/") { "display_name" } else { "title" };
    [title, "labels", "metrics"].map(str::to_owned).to_vec()
}

/// The name and content of a returned record.
pub(crate) fn read(record: &proto::Record) -> (String, Version) {
    let (name, revision, deleted, title, metrics, labels) = match record.record.as_ref().expect("a record") {
        Record::Actor(actor) => {
            (&actor.name, actor.revision, actor.delete_time, &actor.display_name, &actor.metrics, &actor.labels)
        }
        Record::Event(event) => (&event.name, event.revision, event.delete_time, &event.title, &event.metrics, &event.labels),
        other => panic!("neither an actor nor an event: {other:?}"),
    };
    #[allow(clippy::cast_possible_truncation)] // Counts are small and whole.
    let count = metrics.get(COUNT).copied().unwrap_or_default() as i64;
    let content = Content { title: title.clone(), count, labels: labels.clone() };
    (name.clone(), Version { revision, live: deleted.is_none(), content })
}

/// A write as a mutation.
pub(crate) fn mutation(write: &Write) -> Mutation {
    match write {
        Write::Create { name, content } => Mutation::create(record(name, content)),
        Write::Update { name, content, if_revision } => Mutation::from(Op::Update(Update {
            record: Some(record(name, content)),
            update_fields: fields(name),
            if_revision: *if_revision,
        })),
        Write::Upsert { name, content } => Mutation::from(Op::Upsert(Upsert {
            record: Some(record(name, content)),
            update_fields: fields(name),
            create_only: false,
        })),
        Write::Delete { name, if_revision } => {
            Mutation::from(Op::Delete(proto::Delete { name: name.clone(), if_revision: *if_revision, allow_missing: false }))
        }
        Write::Undelete { name } => Mutation::undelete(name),
    }
}

/// A condition as a precondition.
pub(crate) fn precondition(condition: &Condition) -> Precondition {
    let (name, condition) = match condition {
        Condition::At { name, revision } => (name, precondition::Condition::Revision(*revision)),
        Condition::Exists { name, exists } => (name, precondition::Condition::Exists(*exists)),
    };
    Precondition { name: name.clone(), condition: Some(condition) }
}

/// The kind of change in a message.
pub(crate) fn kind(kind: ChangeKind) -> Kind {
    match kind {
        ChangeKind::Unchanged => Kind::Unchanged,
        ChangeKind::Created => Kind::Created,
        ChangeKind::Updated => Kind::Updated,
        ChangeKind::Deleted => Kind::Deleted,
        ChangeKind::Undeleted => Kind::Undeleted,
        other => panic!("nobody asked for {other:?}"),
    }
}

/// A change of a commit at a revision. Checks that its own revision, its record's revision and its deletion fit the commit.
pub(crate) fn change(change: &proto::Change, revision: i64) -> Effect {
    let (name, version) = read(change.record.as_ref().expect("a change holds the record"));
    let kind = kind(change.kind());
    assert_eq!((&change.name, change.revision, version.revision), (&name, revision, revision), "{change:?}");
    assert_eq!(version.live, kind != Kind::Deleted, "{change:?}");
    Effect { name, kind, previous: change.previous_revision, content: version.content }
}

/// The reason of an error. Empty if the service gave none, for example when the connection broke.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
