//! External ids: which record has one, and that no two do.
//!
//! Knows external ids. Must not know what they mean elsewhere.

use super::{
    Changes,
    finding::{Conflict, refuse},
};
use crate::{
    engine::ScanDirection,
    model::{RecordKind, RecordName, schema, wire},
    proto::ErrorReason,
    store::{
        error::{Result, StoreErrorKind},
        keys,
        postings::external_id_key,
    },
};

/// Keys read at once when looking for the holder of an external id: all but a few are held by one record.
const HOLDERS_AT_ONCE: usize = 4;

/// The external ids of a record or of its body.
pub(super) fn external_ids(record: &[u8]) -> impl Iterator<Item = &str> {
    wire::texts(record, schema::EXTERNAL_IDS)
}

impl Changes<'_> {
    /// The live record that will have an external id, as far as planned by now.
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

    /// Checks that no external id is on two live records.
    pub(super) fn check_external_ids(&self) -> Result<()> {
        let mut findings = Vec::new();
        for planned in self.planned.iter().filter(|planned| planned.is_live()) {
            let had = planned.before.as_ref().filter(|before| before.is_live()).map(|before| &before.record);
            for external_id in external_ids(&planned.body) {
                if had.is_some_and(|record| external_ids(record).any(|id| id == external_id)) {
                    continue;
                }
                let Some(holder) = self.holder(planned.name.kind(), external_id, Some(&planned.name))? else { continue };
                let message =
                    format!("{}: {holder} has the external id {external_id}: upsert that record, or merge the two", planned.at);
                findings.push(
                    Conflict::new(StoreErrorKind::AlreadyExists, ErrorReason::ExternalIdTaken, &holder, message)
                        .with("external_id", external_id)
                        .with("name", &holder),
                );
            }
        }
        refuse(findings)
    }
}
