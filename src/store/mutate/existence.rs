//! Which record each mutation is about, and whether it may be done to that record.

use std::collections::BTreeSet;

use super::{
    Changes, Outcome, Planned, Sets, body,
    finding::{Finding, refuse},
    identity::external_ids,
    request::{FieldMask, Operation, Sent, Work, duplicate},
    rules::Update,
};
use crate::{
    model::{Name, schema, wire},
    proto::{ChangeKind, ErrorReason},
    store::{
        error::{Error, ErrorKind, Result},
        version::Version,
        view::Resolved,
    },
};

/// A mutation that is refused, or an error of the store itself.
enum Refusal {
    Finding(Finding),
    Error(Error),
}

impl From<Finding> for Refusal {
    fn from(finding: Finding) -> Self {
        Self::Finding(finding)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Changes<'_> {
    /// Finds the record of each mutation, in order, each seeing what those before it do.
    pub(super) fn find_records(&mut self, work: Work, new_id: &mut dyn FnMut() -> String) -> Result<()> {
        let mut findings = Vec::new();
        for (index, mutation) in work.mutations.into_iter().enumerate() {
            match self.find_record(index, mutation.op, new_id) {
                Ok((name, outcome)) => {
                    self.first_about.entry(name.clone()).or_insert(index);
                    self.subjects.push((name, mutation.label));
                    self.outcomes.push(outcome);
                }
                Err(Refusal::Finding(finding)) => findings.push(finding),
                Err(Refusal::Error(error)) => return Err(error),
            }
        }
        refuse(findings)
    }

    fn find_record(
        &mut self,
        index: usize,
        op: Operation,
        new_id: &mut dyn FnMut() -> String,
    ) -> Result<(Name, Outcome), Refusal> {
        match op {
            Operation::Create { sent } => {
                let name = match sent.name.clone() {
                    Some(name) => self.free_name(name)?,
                    None => new_name(&sent, new_id)?,
                };
                Ok(self.create(name, sent))
            }
            Operation::Update { sent, name, fields, .. } => {
                let before = self.live(&name)?;
                Ok(self.update(name, before, sent, fields, false))
            }
            Operation::Upsert { sent, fields, create_only } => self.upsert(index, sent, fields, create_only, new_id),
            Operation::Delete { name, allow_missing, .. } => {
                let before = match self.live(&name) {
                    Err(Refusal::Finding(_)) if allow_missing && self.is_gone(&name)? => {
                        let revision = self.before(&name)?.map_or(0, |before| before.revision);
                        return Ok((name.clone(), Outcome::Unchanged { name: name.to_string(), revision }));
                    }
                    before => before?,
                };
                Ok(self.replace(name, before, ChangeKind::Deleted))
            }
            Operation::Undelete { name } => {
                let Some(before) = self.before(&name)? else { return Err(not_found(&name).into()) };
                match before.change {
                    ChangeKind::Deleted => Ok(self.replace(name, before, ChangeKind::Undeleted)),
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
    ) -> Result<(Name, Outcome), Refusal> {
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
                return Err(Finding::new(ErrorKind::FailedPrecondition, ErrorReason::UpsertAmbiguous, &first, message)
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
                None => new_name(&sent, new_id)?,
            };
            return Ok(self.create(name, sent));
        };
        if let Some(first) = self.first_about.get(&name) {
            if !create_only {
                return Err(duplicate(&name, *first, index).into());
            }
            let outcome = match self.by_name.get(&name) {
                Some(planned) => Outcome::MadeBefore(*planned),
                None => unchanged(name.clone(), &self.live(&name)?).1,
            };
            return Ok((name, outcome));
        }
        let before = self.live(&name)?;
        if create_only { Ok(unchanged(name, &before)) } else { Ok(self.update(name, before, sent, fields, true)) }
    }

    fn merge(&mut self, index: usize, name: Name, into: &Name) -> Result<(Name, Outcome), Refusal> {
        let target = match self.view.resolve(into)? {
            None => return Err(not_found(into).into()),
            Some(target) if !target.version.is_live() => return Err(not_live(&target.name, &target.version).into()),
            Some(target) => target,
        };
        let before = match self.live(&name) {
            Err(Refusal::Finding(finding)) => {
                // Merging again what is merged already changes nothing.
                return match self.view.resolve(&name)? {
                    Some(resolved) if resolved.redirected && resolved.name == target.name => {
                        Ok(unchanged(name, &target.version))
                    }
                    _ => Err(finding.into()),
                };
            }
            before => before?,
        };
        if target.name == name {
            let message = format!("{into} was merged into {name}: a record cannot be merged into itself");
            return Err(Error::field(&format!("mutations[{index}].merge.into"), message).into());
        }
        self.claim(index, &target.name)?;
        let mut parts = wire::Parts::of(body(&target.version.record));
        let former = texts(&before.record, schema::MERGED_NAMES);
        append(&mut parts, schema::MERGED_NAMES, std::iter::once(name.to_string()).chain(former));
        append(&mut parts, schema::EXTERNAL_IDS, external_ids(&before.record).map(str::to_owned));
        let (merged_name, outcome) = self.replace(name.clone(), before, ChangeKind::Merged);
        if let Some(planned) = self.planned.last_mut() {
            planned.redirect = Some(target.name.clone());
        }
        self.update_other(target, parts.encode(), format!("mutations[{index}].merge.into"));
        Ok((merged_name, outcome))
    }

    fn unmerge(&mut self, index: usize, name: Name) -> Result<(Name, Outcome), Refusal> {
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
        let former: BTreeSet<String> =
            std::iter::once(name.to_string()).chain(texts(&before.record, schema::MERGED_NAMES)).collect();

        let mut restored = wire::Parts::of(body(&before.record));
        retain(&mut restored, schema::EXTERNAL_IDS, |id| given_back.contains(id));
        let mut left = wire::Parts::of(body(&target.version.record));
        retain(&mut left, schema::EXTERNAL_IDS, |id| !given_back.contains(id));
        retain(&mut left, schema::MERGED_NAMES, |merged| !former.contains(merged));

        let (restored_name, outcome) = self.replace(name, before, ChangeKind::Unmerged);
        if let Some(planned) = self.planned.last_mut() {
            planned.body = restored.encode();
        }
        self.update_other(target, left.encode(), format!("mutations[{index}].unmerge"));
        Ok((restored_name, outcome))
    }

    fn create(&mut self, name: Name, sent: Sent) -> (Name, Outcome) {
        let mut planned = Planned::new(name.clone(), None, ChangeKind::Created, sent.body, Sets::All, sent.at);
        planned.checked = sent.checked;
        (name, Outcome::Changed(self.add(planned)))
    }

    fn update(&mut self, name: Name, before: Version, sent: Sent, fields: FieldMask, adds: bool) -> (Name, Outcome) {
        let update = Update::new(sent.kind, sent.body, fields, adds);
        // Whoever looks an external id up from here on must see this record as it will be.
        let body = update.join(body(&before.record));
        let sets = Sets::Fields(update.numbers());
        let mut planned = Planned::new(name.clone(), Some(before), ChangeKind::Updated, body, sets, sent.at);
        planned.sent = Some(update);
        (name, Outcome::Changed(self.add(planned)))
    }

    /// The other record that a merge or its undoing changes.
    fn update_other(&mut self, target: Resolved, body: Vec<u8>, at: String) {
        let sets = Sets::Fields(Vec::new());
        self.add(Planned::new(target.name, Some(target.version), ChangeKind::Updated, body, sets, at));
    }

    /// A change that keeps the body as it is.
    fn replace(&mut self, name: Name, before: Version, change: ChangeKind) -> (Name, Outcome) {
        let mutation = self.subjects.len();
        let body = body(&before.record).to_vec();
        let at = format!("mutations[{mutation}]");
        (name.clone(), Outcome::Changed(self.add(Planned::new(name, Some(before), change, body, Sets::All, at))))
    }

    fn free_name(&self, name: Name) -> Result<Name, Refusal> {
        let taken = |deleted: bool| {
            let was = if deleted { "was in use and its record is deleted: undelete it, or" } else { "is in use:" };
            Finding::new(
                ErrorKind::AlreadyExists,
                ErrorReason::NameTaken,
                &name,
                format!("the name {name} {was} choose another name, or update or upsert the record that has it"),
            )
            .with("name", &name)
            .with("deleted", deleted)
        };
        if self.by_name.contains_key(&name) {
            return Err(taken(false).into());
        }
        match self.view.standing(name.kind(), name.id())? {
            Some(standing) => Err(taken(standing.is_deleted()).into()),
            None => Ok(name),
        }
    }

    /// A second record that a mutation changes: no other mutation may be about it.
    fn claim(&self, index: usize, name: &Name) -> Result<(), Refusal> {
        match self.first_about.get(name) {
            Some(first) => Err(duplicate(name, *first, index).into()),
            None if self.by_name.contains_key(name) => Err(duplicate(name, index, index).into()),
            None => Ok(()),
        }
    }

    /// The version of a record that can be changed.
    fn live(&self, name: &Name) -> Result<Version, Refusal> {
        if self.by_name.contains_key(name) {
            // A mutation before this one is about it, through a merge or an upsert.
            let first = self.first_about.get(name).copied().unwrap_or_default();
            return Err(duplicate(name, first, self.subjects.len()).into());
        }
        match self.before(name)? {
            None => Err(not_found(name).into()),
            Some(version) if version.is_live() => Ok(version),
            Some(version) => Err(not_live(name, &version).into()),
        }
    }

    fn is_gone(&self, name: &Name) -> Result<bool> {
        Ok(self.before(name)?.is_none_or(|before| matches!(before.change, ChangeKind::Deleted | ChangeKind::Erased)))
    }
}

fn new_name(sent: &Sent, new_id: &mut dyn FnMut() -> String) -> Result<Name, Refusal> {
    Name::new(sent.kind, &new_id()).map_err(|error| Error::internal(error).into())
}

fn unchanged(name: Name, at: &Version) -> (Name, Outcome) {
    let outcome = Outcome::Unchanged { name: name.to_string(), revision: at.revision };
    (name, outcome)
}

fn not_found(name: &Name) -> Finding {
    Finding::new(
        ErrorKind::NotFound,
        ErrorReason::RecordNotFound,
        name,
        format!("there is no record {name}: check the name, or create or upsert it"),
    )
    .with("name", name)
}

/// Why a record that is not live cannot be changed.
fn not_live(name: &Name, version: &Version) -> Finding {
    match version.change {
        ChangeKind::Merged => redirected(name, version),
        ChangeKind::Erased => erased(name, version),
        _ => Finding::new(
            ErrorKind::FailedPrecondition,
            ErrorReason::RecordDeleted,
            name,
            format!("{name} was deleted at revision {}: undelete it first", version.revision),
        )
        .with("name", name)
        .with("revision", version.revision),
    }
}

fn redirected(name: &Name, version: &Version) -> Finding {
    let target = version.redirect.clone().unwrap_or_default();
    Finding::new(
        ErrorKind::FailedPrecondition,
        ErrorReason::RecordRedirected,
        name,
        format!("{name} was merged into {target}: change that record, or unmerge this one first"),
    )
    .with("name", name)
    .with("target", target)
}

fn erased(name: &Name, version: &Version) -> Finding {
    Finding::new(
        ErrorKind::NotFound,
        ErrorReason::RecordErased,
        name,
        format!("the content of {name} was removed for good at revision {}", version.revision),
    )
    .with("name", name)
    .with("revision", version.revision)
}

fn texts(record: &[u8], number: u32) -> Vec<String> {
    wire::texts(record, number).map(str::to_owned).collect()
}

/// Adds texts to a repeated field, each once.
pub(super) fn append(parts: &mut wire::Parts, number: u32, texts: impl IntoIterator<Item = String>) {
    let mut raw = parts.get(number).to_vec();
    for text in texts {
        if !wire::texts(&raw, number).any(|present| present == text) {
            wire::put_bytes(number, text.as_bytes(), &mut raw);
        }
    }
    parts.set(number, raw);
}

fn retain(parts: &mut wire::Parts, number: u32, keep: impl Fn(&str) -> bool) {
    let mut raw = Vec::new();
    for text in wire::texts(parts.get(number), number).filter(|text| keep(text)) {
        wire::put_bytes(number, text.as_bytes(), &mut raw);
    }
    parts.set(number, raw);
}
