//! Turns a plan into a commit: sets the revision and the time of the commit on its changes and records.
//!
//! Knows plans and entries. Must not know the log, or when a commit is durable.

use bytes::Bytes;
use prost::Message;

use crate::{
    model::{RecordName, schema, wire},
    proto::ChangeKind,
    store::{
        clock::timestamp,
        entry::{Changed, LoggedResult},
        error::{Result, StoreError},
        mutate::{MutationOutcome, PlannedChange},
    },
};

/// The results of the mutations of a commit, as they are logged.
pub(super) fn results(outcomes: &[MutationOutcome], revision: u64, changes: &[PlannedChange]) -> Result<Vec<LoggedResult>> {
    let number = |index: usize| u32::try_from(index + 1).map_err(StoreError::internal);
    outcomes
        .iter()
        .map(|outcome| match outcome {
            MutationOutcome::Changed(index) => {
                let into = changes.get(*index).and_then(|planned| planned.redirect.as_ref());
                Ok(LoggedResult {
                    change: number(*index)?,
                    name: into.map(RecordName::to_string).unwrap_or_default(),
                    revision: 0,
                })
            }
            MutationOutcome::Unchanged { name, revision } => {
                Ok(LoggedResult { change: 0, name: name.clone(), revision: *revision })
            }
            MutationOutcome::MadeBefore(index) => {
                let name = changes.get(*index).map(|planned| planned.name.to_string()).unwrap_or_default();
                Ok(LoggedResult { change: 0, name, revision })
            }
        })
        .collect()
}

/// A planned change, with its revision and time.
pub(super) fn change(planned: PlannedChange, revision: u64, commit_time_us: i64) -> Changed {
    Changed {
        kind: planned.name.kind() as u32,
        id: planned.name.id().to_owned(),
        change: planned.change.into(),
        previous_revision: planned.before.as_ref().map_or(0, |before| before.revision),
        fields: planned.changed_fields(),
        record: stamp(&planned, revision, commit_time_us),
        redirect_target: planned.redirect.map(|target| target.to_string()),
    }
}

/// The bytes of a record as Get will answer them: the server's fields first, then the others.
fn stamp(planned: &PlannedChange, revision: u64, commit_time_us: i64) -> Bytes {
    let time = timestamp(commit_time_us).encode_to_vec();
    let created = planned.before.as_ref().and_then(|before| {
        let revision = wire::first(&before.record, schema::CREATE_REVISION)?;
        Some((revision, wire::first(&before.record, schema::CREATE_TIME)?.bytes()))
    });
    let (create_revision, create_time) = match created {
        Some((wire::Value::Varint(revision), time)) => (revision, time),
        _ => (revision, time.as_slice()),
    };
    let mut record = Vec::with_capacity(planned.body.len() + 128);
    wire::put_bytes(schema::NAME, planned.name.to_string().as_bytes(), &mut record);
    wire::put_int(schema::REVISION, revision, &mut record);
    wire::put_int(schema::CREATE_REVISION, create_revision, &mut record);
    wire::put_bytes(schema::CREATE_TIME, create_time, &mut record);
    wire::put_bytes(schema::UPDATE_TIME, &time, &mut record);
    if planned.change == ChangeKind::Deleted {
        wire::put_bytes(schema::DELETE_TIME, &time, &mut record);
    }
    record.extend_from_slice(&planned.body);
    record.into()
}
