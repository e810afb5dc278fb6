//! Each record as it will be, held against the rules of its type.
//!
//! Knows the types' own rules. Must not know which record of the store a mutation found, or how.

use std::collections::HashMap;

use prost::Message;

use super::{Changes, body, checked::decode};
use crate::{
    model::{self, Path, RecordKind, RecordName, Violations, check_record, schema, wire},
    proto::{ChangeKind, Citation, Source},
    store::error::{Result, StoreError},
};

impl Changes<'_> {
    /// Joins what was sent with what was there, lets the server's part be computed, and holds the result against the rules.
    pub(super) fn apply_rules(&mut self) -> Result<()> {
        let mut violations = Violations::default();
        let mut bytes = 0;
        for planned in &mut self.planned {
            let root = Path::ROOT;
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
                // Its references may be others now, and with them what is computed from them.
                planned.body = checked.body;
            } else if planned.change == ChangeKind::Updated {
                // The record that another was merged into.
                let count = wire::texts(&planned.body, schema::EXTERNAL_IDS).count();
                violations.limit(&at, "external_ids.count", model::limit::EXTERNAL_IDS_MAX as u64, count as u64);
                planned.linked = true;
            }
            violations.limit(&at, "record.bytes", self.limits.record_bytes, planned.body.len() as u64);
            if planned.change != ChangeKind::Unchanged {
                bytes += planned.body.len() as u64;
            }
        }
        violations.limit(&Path::ROOT.field("mutations"), "commit.bytes", self.limits.commit_bytes, bytes);
        self.check_quotes(&mut violations)?;
        StoreError::from_violations(violations).map_or(Ok(()), Err)
    }

    /// Holds spans and quotes against the texts of their sources, as these will be.
    fn check_quotes(&self, violations: &mut Violations) -> Result<()> {
        let mut sources: HashMap<RecordName, Option<Source>> = HashMap::new();
        for planned in self.planned.iter().filter(|planned| planned.is_live()) {
            let Some(field) = planned.name.kind().schema().field("citations") else { continue };
            if !planned.sets.contains(field.number) {
                continue;
            }
            let citations = wire::fields(&planned.body).filter(|part| part.number == field.number);
            for (index, citation) in citations.enumerate() {
                let Ok(citation) = Citation::decode(citation.value.bytes()) else { continue };
                let Ok(name) = citation.source.parse::<RecordName>() else { continue };
                if citation.span.is_none() {
                    continue;
                }
                if !sources.contains_key(&name) {
                    sources.insert(name.clone(), self.source(&name)?);
                }
                let source = sources.get(&name).and_then(Option::as_ref);
                if let Some(source) = source.filter(|source| !source.text.is_empty()) {
                    let root = Path::ROOT;
                    let (at, number) = (root.field(&planned.at), index);
                    model::check_against_text(&citation, &source.text, &at.field("citations").index(number), violations);
                }
            }
        }
        Ok(())
    }

    fn source(&self, name: &RecordName) -> Result<Option<Source>> {
        let Some(after) = self.after(name)?.filter(|after| after.live && name.kind() == RecordKind::Source) else {
            return Ok(None);
        };
        Ok(Source::decode(after.body.as_slice()).ok())
    }
}
