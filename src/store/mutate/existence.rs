//! Finds the record of each mutation, and checks whether the mutation may be applied to it.
//!
//! Knows the records between two mutations. Must not know the rules of any type.

use std::collections::BTreeSet;

use super::{
    Changes, MutationOutcome, PlannedChange, Sets, body,
    conflict::{Conflict, refuse},
    request::{FieldMask, Operation, Sent, Update, Work, duplicate},
    rules::external_ids,
};
use crate::{
    model::{RecordName, schema, wire},
    proto::{ChangeKind, ErrorReason},
    store::{
        error::{Result, StoreError, StoreErrorKind},
        version::Version,
        view::Resolved,
    },
};

/// Why a mutation has no outcome: a conflict, or an error of the store itself.
enum Refusal {
    Conflict(Conflict),
    Error(StoreError),
}

impl From<Conflict> for Refusal {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl Changes<'_> {
    /// Finds the record of each mutation, in order. Each mutation sees the effects of those before it.
    pub(super) fn find_records(&mut self, work: Work, new_id: &mut dyn FnMut() -> String) -> Result<()> {
        let mut conflicts = Vec::new();
        for (index, mutation) in work.mutations.into_iter().enumerate() {
            match self.find_record(index, mutation.op, new_id) {
                Ok((name, outcome)) => {
                    self.first_about.entry(name.clone()).or_insert(index);
                    self.subjects.push((name, mutation.label));
                    self.outcomes.push(outcome);
                }
                Err(Refusal::Conflict(conflict)) => conflicts.push(conflict),
                Err(Refusal::Error(error)) => return Err(error),
            }
        }
        refuse(conflicts)
    }

    fn find_record(
        &mut self,
        index: usize,
        op: Operation,
        new_id: &mut dyn FnMut() -> String,
    ) -> Result<(RecordName, MutationOutcome), Refusal> {
        match op {
            Operation::Create { sent } => {
                let name = match sent.name.clone() {
                    Some(name) => self.free_name(index, name)?,
                    None => self.new_name(&sent, new_id)?,
                };
                Ok(self.create(name, sent))
            }
            Operation::Update { sent, name, fields, .. } => {
                let before = self.live(index, &name)?;
                Ok(self.update(name, before, sent, fields, false))
            }
            Operation::Upsert { sent, fields, create_only } => self.upsert(index, sent, fields, create_only, new_id),
            Operation::Delete { name, allow_missing, .. } => {
                let before = match self.live(index, &name) {
                    Err(Refusal::Conflict(_)) if allow_missing && self.is_gone(&name)? => {
                        let revision = self.before(&name)?.map_or(0, |before| before.revision);
                        return Ok((name.clone(), MutationOutcome::Unchanged { name: name.to_string(), revision }));
                    }
                    before => before?,
                };
                Ok(self.replace(index, name, before, ChangeKind::Deleted))
            }
            Operation::Undelete { name } => {
                self.claim(index, &name)?;
                let Some(before) = self.before(&name)? else { return Err(not_found(&name).into()) };
                match before.change {
                    ChangeKind::Deleted => Ok(self.replace(index, name, before, ChangeKind::Undeleted)),
                    ChangeKind::Erased => Err(erased(&name, &before).into()),
                    _ if before.is_live() => Ok(unchanged(name, &before)),
                    _ => Err(redirected(&name, &before).into()),
                }
            }
            Operation::Merge { name, into, .. } => self.merge(index, name, &into),
            Operation::Unmerge { name } => self.unmerge(index, name),
        }
    }

    fn upsert(
        &mut self,
        index: usize,
        sent: Sent,
        fields: FieldMask,
        create_only: bool,
        new_id: &mut dyn FnMut() -> String,
    ) -> Result<(RecordName, MutationOutcome), Refusal> {
        let mut holders = BTreeSet::new();
        for external_id in external_ids(&sent.body) {
            holders.extend(self.holder(sent.kind, external_id, None)?);
        }
        let mut holders = holders.into_iter();
        let found = match (holders.next(), holders.next()) {
            (Some(name), None) => Some(name),
            (Some(first), Some(second)) => {
                let names: Vec<_> = [first.clone(), second].into_iter().chain(holders).map(|name| name.to_string()).collect();
                let names = names.join(", ");
                let message =
                    format!("the external ids of mutations[{index}] belong to several records, {names}: merge them first");
                return Err(Conflict::new(StoreErrorKind::FailedPrecondition, ErrorReason::UpsertAmbiguous, &first, message)
                    .with("names", names)
                    .into());
            }
            (None, _) => None,
        };
        let found = match (found, &sent.name) {
            (Some(name), _) => Some(name),
            (None, Some(name)) if self.by_name.contains_key(name) || self.before(name)?.is_some() => Some(name.clone()),
            (None, _) => None,
        };
        let Some(name) = found else {
            let name = match sent.name.clone() {
                Some(name) => name,
                None => self.new_name(&sent, new_id)?,
            };
            return Ok(self.create(name, sent));
        };
        if let Some(first) = self.first_about.get(&name) {
            if !create_only {
                return Err(duplicate(&name, *first, index).into());
            }
            let outcome = match self.by_name.get(&name) {
                Some(planned) => MutationOutcome::MadeBefore(*planned),
                None => unchanged(name.clone(), &self.live_before(&name)?).1,
            };
            return Ok((name, outcome));
        }
        let before = self.live_before(&name)?;
        if create_only { Ok(unchanged(name, &before)) } else { Ok(self.update(name, before, sent, fields, true)) }
    }

    fn merge(&mut self, index: usize, name: RecordName, into: &RecordName) -> Result<(RecordName, MutationOutcome), Refusal> {
        let target = match self.view.resolve(into)? {
            None => return Err(not_found(into).into()),
            Some(target) if !target.version.is_live() => return Err(not_live(&target.name, &target.version).into()),
            Some(target) => target,
        };
        let before = match self.live(index, &name) {
            Err(Refusal::Conflict(conflict)) => {
                // A merge that was made already changes nothing.
                return match self.view.resolve(&name)? {
                    Some(resolved) if resolved.redirected && resolved.name == target.name => {
                        Ok(unchanged(name, &target.version))
                    }
                    _ => Err(conflict.into()),
                };
            }
            before => before?,
        };
        if target.name == name {
            let message = format!("{into} was merged into {name}: a record cannot be merged into itself");
            return Err(StoreError::field(&format!("mutations[{index}].merge.into"), message).into());
        }
        self.claim(index, &target.name)?;
        let mut parts = wire::Parts::of(body(&target.version.record));
        let former = texts(&before.record, schema::MERGED_NAMES);
        parts.add_texts(schema::MERGED_NAMES, std::iter::once(name.to_string()).chain(former));
        parts.add_texts(schema::EXTERNAL_IDS, external_ids(&before.record).map(str::to_owned));
        let (merged_name, outcome) = self.replace(index, name, before, ChangeKind::Merged);
        if let Some(planned) = self.planned.last_mut() {
            planned.redirect = Some(target.name.clone());
        }
        self.update_other(index, target, parts.encode(), format!("mutations[{index}].merge.into"));
        Ok((merged_name, outcome))
    }

    fn unmerge(&mut self, index: usize, name: RecordName) -> Result<(RecordName, MutationOutcome), Refusal> {
        self.claim(index, &name)?;
        let Some(before) = self.before(&name)? else { return Err(not_found(&name).into()) };
        if before.change != ChangeKind::Merged {
            return if before.is_live() { Ok(unchanged(name, &before)) } else { Err(not_live(&name, &before).into()) };
        }
        let target = match self.view.resolve(&name)? {
            None => return Err(not_found(&name).into()),
            Some(target) if !target.version.is_live() => return Err(not_live(&target.name, &target.version).into()),
            Some(target) => target,
        };
        self.claim(index, &target.name)?;
        let still: BTreeSet<String> = external_ids(&target.version.record).map(str::to_owned).collect();
        let given_back: BTreeSet<String> =
            external_ids(&before.record).filter(|id| still.contains(*id)).map(str::to_owned).collect();
        // Keep the names that were merged into this record. A name whose merge was undone later no longer leads here.
        let mut former = BTreeSet::new();
        for merged in texts(&before.record, schema::MERGED_NAMES) {
            if self.leads_through(&merged, &name)? {
                former.insert(merged);
            }
        }

        let mut restored = wire::Parts::of(body(&before.record));
        restored.retain_texts(schema::EXTERNAL_IDS, |id| given_back.contains(id));
        restored.retain_texts(schema::MERGED_NAMES, |merged| former.contains(merged));
        former.insert(name.to_string());
        let mut left = wire::Parts::of(body(&target.version.record));
        left.retain_texts(schema::EXTERNAL_IDS, |id| !given_back.contains(id));
        left.retain_texts(schema::MERGED_NAMES, |merged| !former.contains(merged));

        let (restored_name, outcome) = self.replace(index, name, before, ChangeKind::Unmerged);
        if let Some(planned) = self.planned.last_mut() {
            planned.body = restored.encode();
        }
        self.update_other(index, target, left.encode(), format!("mutations[{index}].unmerge"));
        Ok((restored_name, outcome))
    }

    /// Whether the redirects from one name lead to or through another.
    fn leads_through(&self, from: &str, through: &RecordName) -> Result<bool> {
        let mut at = from.parse::<RecordName>().ok();
        while let Some(name) = at {
            if name == *through {
                return Ok(true);
            }
            let head = self.view.version_head(name.kind(), name.id())?;
            at = head.as_ref().and_then(|head| head.redirect()).and_then(|target| target.parse().ok());
        }
        Ok(false)
    }

    fn create(&mut self, name: RecordName, sent: Sent) -> (RecordName, MutationOutcome) {
        let mut planned = PlannedChange::new(name.clone(), None, ChangeKind::Created, sent.body, Sets::All, sent.at);
        planned.checked = sent.checked;
        (name, MutationOutcome::Changed(self.add(planned)))
    }

    fn update(
        &mut self,
        name: RecordName,
        before: Version,
        sent: Sent,
        fields: FieldMask,
        adds: bool,
    ) -> (RecordName, MutationOutcome) {
        let update = Update::new(sent.kind, sent.body, fields, adds);
        // A later mutation that looks up an external id must see this record after the change.
        let body = update.join(body(&before.record));
        let sets = Sets::Fields(update.numbers());
        let mut planned = PlannedChange::new(name.clone(), Some(before), ChangeKind::Updated, body, sets, sent.at);
        planned.sent = Some(update);
        (name, MutationOutcome::Changed(self.add(planned)))
    }

    /// Plans the change of the other record of a merge or unmerge.
    fn update_other(&mut self, index: usize, target: Resolved, body: Vec<u8>, at: String) {
        let sets = Sets::Fields(Vec::new());
        self.first_about.insert(target.name.clone(), index);
        self.add(PlannedChange::new(target.name, Some(target.version), ChangeKind::Updated, body, sets, at));
    }

    /// Plans a change that keeps the body of the record.
    fn replace(
        &mut self,
        index: usize,
        name: RecordName,
        before: Version,
        change: ChangeKind,
    ) -> (RecordName, MutationOutcome) {
        let body = body(&before.record).to_vec();
        let at = format!("mutations[{index}]");
        (name.clone(), MutationOutcome::Changed(self.add(PlannedChange::new(name, Some(before), change, body, Sets::All, at))))
    }

    fn free_name(&self, index: usize, name: RecordName) -> Result<RecordName, Refusal> {
        self.claim(index, &name)?;
        let taken = |deleted: bool| {
            let message = if deleted {
                format!("the name {name} belongs to a deleted record: undelete it, or choose another name")
            } else {
                format!("the name {name} is in use: choose another name, or update or upsert the record that has it")
            };
            Conflict::new(StoreErrorKind::AlreadyExists, ErrorReason::NameTaken, &name, message)
                .with("name", &name)
                .with("deleted", deleted)
        };
        match self.view.version_head(name.kind(), name.id())? {
            Some(head) => Err(taken(head.is_deleted()).into()),
            None => Ok(name),
        }
    }

    fn new_name(&self, sent: &Sent, new_id: &mut dyn FnMut() -> String) -> Result<RecordName, Refusal> {
        loop {
            let name = RecordName::new(sent.kind, &new_id()).map_err(StoreError::internal)?;
            // Within one millisecond, ids count up. So a caller could guess the next id and use it.
            if !self.by_name.contains_key(&name) && self.view.version_head(name.kind(), name.id())?.is_none() {
                return Ok(name);
            }
        }
    }

    /// Errs if an earlier mutation is about this record, even through a merge or an upsert.
    fn claim(&self, index: usize, name: &RecordName) -> Result<(), Refusal> {
        match self.first_about.get(name) {
            Some(first) => Err(duplicate(name, *first, index).into()),
            None => Ok(()),
        }
    }

    /// The version of a record that this mutation is to change. Errs if it is not live, or if an earlier mutation is about it.
    fn live(&self, index: usize, name: &RecordName) -> Result<Version, Refusal> {
        self.claim(index, name)?;
        self.live_before(name)
    }

    /// The version of a record before this commit. Errs if the record is not live.
    fn live_before(&self, name: &RecordName) -> Result<Version, Refusal> {
        match self.before(name)? {
            None => Err(not_found(name).into()),
            Some(version) if version.is_live() => Ok(version),
            Some(version) => Err(not_live(name, &version).into()),
        }
    }

    fn is_gone(&self, name: &RecordName) -> Result<bool> {
        Ok(self.before(name)?.is_none_or(|before| matches!(before.change, ChangeKind::Deleted | ChangeKind::Erased)))
    }
}

fn unchanged(name: RecordName, at: &Version) -> (RecordName, MutationOutcome) {
    let outcome = MutationOutcome::Unchanged { name: name.to_string(), revision: at.revision };
    (name, outcome)
}

fn not_found(name: &RecordName) -> Conflict {
    Conflict::new(
        StoreErrorKind::NotFound,
        ErrorReason::RecordNotFound,
        name,
        format!("there is no record {name}: check the name, or create or upsert it"),
    )
    .with("name", name)
}

/// The conflict that says why a record that is not live cannot be changed.
fn not_live(name: &RecordName, version: &Version) -> Conflict {
    match version.change {
        ChangeKind::Merged => redirected(name, version),
        ChangeKind::Erased => erased(name, version),
        _ => Conflict::new(
            StoreErrorKind::FailedPrecondition,
            ErrorReason::RecordDeleted,
            name,
            format!("{name} was deleted at revision {}: undelete it first", version.revision),
        )
        .with("name", name)
        .with("revision", version.revision),
    }
}

fn redirected(name: &RecordName, version: &Version) -> Conflict {
    let target = version.redirect.clone().unwrap_or_default();
    Conflict::new(
        StoreErrorKind::FailedPrecondition,
        ErrorReason::RecordRedirected,
        name,
        format!("{name} was merged into {target}: change that record, or unmerge this one first"),
    )
    .with("name", name)
    .with("target", target)
}

fn erased(name: &RecordName, version: &Version) -> Conflict {
    Conflict::new(
        StoreErrorKind::NotFound,
        ErrorReason::RecordErased,
        name,
        format!("the content of {name} was removed permanently at revision {}", version.revision),
    )
    .with("name", name)
    .with("revision", version.revision)
}

fn texts(record: &[u8], number: u32) -> Vec<String> {
    wire::texts(record, number).map(str::to_owned).collect()
}
