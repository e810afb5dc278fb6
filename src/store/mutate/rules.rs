//! Checks each record after the change against the rules of its type, and that no two live records have the same external id.
//!
//! Knows the types' own rules. Must not know which record of the store a mutation found, or how.

use super::{
    Changes, body,
    conflict::{Conflict, refuse},
};
use crate::{
    engine::{ScanDirection, explained},
    limits,
    model::{FieldPath, RecordKind, RecordName, Violations, check_record, schema, wire},
    proto::{ChangeKind, ErrorReason, record::Record},
    store::{
        error::{Result, StoreError, StoreErrorKind},
        keys,
        postings::external_id_key,
    },
};

/// Keys read at once to find the holder of an external id. Most external ids have one holder.
const HOLDERS_AT_ONCE: usize = 4;

impl Changes<'_> {
    /// Joins each update with the record before, computes the server's fields, and checks the result against the rules.
    pub(super) fn apply_rules(&mut self) -> Result<()> {
        let mut violations = Violations::default();
        let mut bytes = 0;
        for planned in &mut self.planned {
            let root = FieldPath::ROOT;
            let at = root.field(&planned.at);
            if let Some(update) = planned.sent.take() {
                let before = planned.before.as_ref().map(|before| body(&before.record)).unwrap_or_default();
                if !update.check_immutable(before, &at, &mut violations) {
                    continue;
                }
                planned.body = update.join(before);
                let mut checked = check_record(decode(planned.name.kind(), &planned.body)?, &at);
                violations.append(std::mem::take(&mut checked.violations));
                planned.linked = checked.linked;
                planned.body = checked.body;
                if planned.body == before {
                    planned.change = ChangeKind::Unchanged;
                }
            } else if planned.change == ChangeKind::Created {
                let mut checked = match planned.checked.take() {
                    Some(checked) => checked,
                    None => check_record(decode(planned.name.kind(), &planned.body)?, &at),
                };
                violations.append(std::mem::take(&mut checked.violations));
                planned.linked = checked.linked;
                planned.body = checked.body;
            } else if matches!(planned.change, ChangeKind::Undeleted | ChangeKind::Unmerged) {
                let mut checked = check_record(decode(planned.name.kind(), &planned.body)?, &at);
                violations.append(std::mem::take(&mut checked.violations));
                planned.linked = checked.linked;
                // The references may have changed, and so may the fields that are computed from them.
                planned.body = checked.body;
            } else if planned.change == ChangeKind::Updated {
                // This is the target of a merge or unmerge.
                let count = wire::texts(&planned.body, schema::EXTERNAL_IDS).count();
                violations.limit(&at, limits::EXTERNAL_IDS, count as u64);
                planned.linked = true;
            }
            violations.limit(&at, self.limits.record_bytes(), planned.body.len() as u64);
            if planned.change != ChangeKind::Unchanged {
                bytes += planned.body.len() as u64;
            }
        }
        violations.limit(&FieldPath::ROOT.field("mutations"), self.limits.commit_bytes(), bytes);
        self.check_quotes(&mut violations)?;
        StoreError::from_violations(violations).map_or(Ok(()), Err)
    }
}

/// Decodes a body that this program has encoded.
pub(crate) fn decode(kind: RecordKind, body: &[u8]) -> Result<Record> {
    (kind.resource_type().decode)(body).map_err(|error| {
        StoreError::internal(explained(format!("a {} that was encoded here cannot be decoded", kind.singular()), error))
    })
}

/// The external ids of a record or of its body.
pub(super) fn external_ids(record: &[u8]) -> impl Iterator<Item = &str> {
    wire::texts(record, schema::EXTERNAL_IDS)
}

impl Changes<'_> {
    /// The live record that has an external id after the changes that are planned so far.
    pub(super) fn holder(
        &self,
        kind: RecordKind,
        external_id: &str,
        other_than: Option<&RecordName>,
    ) -> Result<Option<RecordName>> {
        let has_it = |body: &[u8]| external_ids(body).any(|id| id == external_id);
        let planned = self.by_external_id.get(external_id).into_iter().flatten().filter_map(|index| self.planned.get(*index));
        for planned in planned.filter(|planned| planned.name.kind() == kind && Some(&planned.name) != other_than) {
            if planned.is_live() && has_it(&planned.body) {
                return Ok(Some(planned.name.clone()));
            }
        }
        let range = external_id_key(kind).text(external_id).range();
        for entry in self.view.scan(range, ScanDirection::Forward, HOLDERS_AT_ONCE) {
            let (key, _) = entry?;
            let Ok(name) = RecordName::new(kind, keys::last_id(&key)) else { continue };
            if Some(&name) == other_than || self.by_name.contains_key(&name) {
                continue;
            }
            if self.before(&name)?.is_some_and(|version| version.is_live() && has_it(&version.record)) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Checks that no two live records of a kind have the same external id.
    pub(super) fn check_external_ids(&self) -> Result<()> {
        let mut conflicts = Vec::new();
        for planned in self.planned.iter().filter(|planned| planned.is_live()) {
            let had = planned.before.as_ref().filter(|before| before.is_live()).map(|before| &before.record);
            for external_id in external_ids(&planned.body) {
                if had.is_some_and(|record| external_ids(record).any(|id| id == external_id)) {
                    continue;
                }
                let Some(holder) = self.holder(planned.name.kind(), external_id, Some(&planned.name))? else { continue };
                let message =
                    format!("{}: {holder} has the external id {external_id}: upsert that record, or merge the two", planned.at);
                conflicts.push(
                    Conflict::new(StoreErrorKind::AlreadyExists, ErrorReason::ExternalIdTaken, &holder, message)
                        .with("external_id", external_id)
                        .with("name", &holder),
                );
            }
        }
        refuse(conflicts)
    }
}
