//! References between records: labels become names, redirects their targets, and what is referred to must be there.
//!
//! Knows the state after the last mutation. Must not know what a referrer says.

use std::collections::{BTreeSet, HashMap};

use super::{
    Changes, Planned, Sets,
    finding::{Conflict, refuse},
};
use crate::{
    engine::ScanDirection,
    model::{RecordKind, RecordName, schema::Reference, wire},
    proto::{ChangeKind, ErrorReason},
    store::{
        error::{Result, StoreErrorKind},
        keys, postings,
    },
};

/// Referrers that an error names.
const REFERRERS_NAMED: usize = 10;
/// Reference keys looked at to count the referrers for an error. That there is none is said only when all were.
const REFERRERS_COUNTED: usize = 10_000;
/// Reference keys read at once.
const REFERRERS_AT_ONCE: usize = 64;

/// What a reference that was sent stands for.
enum Target {
    /// This record: to be written instead of what was sent where they differ.
    Name(RecordName),
    /// Nothing that can be referred to.
    Missing,
    /// Not even a name: for the rules to report.
    Malformed,
}

impl Changes<'_> {
    /// Rewrites what was sent so that every reference is the name of a live record. Gives what cannot be, to be reported when
    /// the rules have been looked at, each with the place of its change.
    pub(super) fn resolve_references(&mut self) -> Result<Vec<(usize, Conflict)>> {
        let labels: HashMap<String, RecordName> = self
            .subjects
            .iter()
            .filter(|(_, label)| !label.is_empty())
            .map(|(name, label)| (format!("@{label}"), name.clone()))
            .collect();
        let mut findings = Vec::new();
        for index in 0..self.planned.len() {
            let Some(planned) = self.planned.get(index) else { break };
            if !is_checked(planned) {
                continue;
            }
            let sent = planned.sent.as_ref().map_or(&planned.body, |update| &update.sent);
            let mut rewritten: Option<Vec<u8>> = None;
            for reference in &planned.name.kind().schema().references {
                if !reference.path.first().is_some_and(|number| planned.sets.contains(*number)) {
                    continue;
                }
                let kept = self.kept(planned, reference)?;
                let mut names = HashMap::new();
                let mut failed = None;
                wire::visit_texts(sent, &reference.path, &mut |positions, text| {
                    if failed.is_some() || names.contains_key(text) {
                        return;
                    }
                    match self.target(text, reference, &labels) {
                        Err(error) => failed = Some(error),
                        Ok(Target::Missing) => {
                            findings.push((index, missing(planned, &reference.at(positions), text, reference.target)));
                        }
                        Ok(Target::Name(name)) => {
                            let kept = kept.as_ref().filter(|(target, _)| *target == name);
                            let written = kept.map_or_else(|| name.to_string(), |(_, stored)| stored.clone());
                            if written != text {
                                names.insert(text.to_owned(), written);
                            }
                        }
                        Ok(Target::Malformed) => {}
                    }
                });
                if let Some(error) = failed {
                    return Err(error);
                }
                if !names.is_empty() {
                    let from = rewritten.as_deref().unwrap_or(sent);
                    rewritten = Some(wire::replace_texts(from, &reference.path, &mut |text| names.get(text).cloned()));
                }
            }
            if let (Some(rewritten), Some(planned)) = (rewritten, self.planned.get_mut(index)) {
                planned.checked = None;
                match &mut planned.sent {
                    Some(update) => update.sent = rewritten,
                    None => planned.body = rewritten,
                }
            }
        }
        Ok(findings)
    }

    /// Where an immutable reference leads that was set before, and how it is stored: it stays so, under whichever of the
    /// record's names it is sent again.
    fn kept(&self, planned: &Planned, reference: &Reference) -> Result<Option<(RecordName, String)>> {
        let ([number], Some(before)) = (reference.path.as_slice(), planned.before.as_ref()) else { return Ok(None) };
        let field = planned.name.kind().schema().fields.iter().find(|field| field.number == *number);
        if !field.is_some_and(|field| field.immutable) {
            return Ok(None);
        }
        let Some(stored) = wire::texts(&before.record, *number).next() else { return Ok(None) };
        let Ok(name) = stored.parse::<RecordName>() else { return Ok(None) };
        Ok(self.live_target(&name)?.map(|target| (target, stored.to_owned())))
    }

    fn target(&self, text: &str, reference: &Reference, labels: &HashMap<String, RecordName>) -> Result<Target> {
        let name = match labels.get(text) {
            Some(name) => name.clone(),
            None => match text.parse::<RecordName>() {
                Ok(name) => name,
                Err(_) => return Ok(Target::Malformed),
            },
        };
        if reference.target.is_some_and(|kind| kind != name.kind()) {
            return Ok(Target::Missing);
        }
        Ok(self.live_target(&name)?.map_or(Target::Missing, Target::Name))
    }

    /// Checks that references lead somewhere and that nothing live refers to what is deleted.
    pub(super) fn check_references(&self, missing: Vec<(usize, Conflict)>) -> Result<()> {
        let mut findings = missing;
        for (index, planned) in self.planned.iter().enumerate() {
            if planned.change == ChangeKind::Deleted {
                findings.extend(self.referenced(planned)?.map(|finding| (index, finding)));
            }
        }
        // The first in the order of the mutations is what the error is about.
        findings.sort_by_key(|(index, _)| *index);
        refuse(findings.into_iter().map(|(_, finding)| finding).collect())
    }

    fn referenced(&self, deleted: &Planned) -> Result<Option<Conflict>> {
        let mut referrers = BTreeSet::new();
        for target in self.view.names_of(&deleted.name)? {
            let stored = target.to_string();
            let scan = self.view.scan(keys::references_to(&target), ScanDirection::Forward, REFERRERS_AT_ONCE);
            for (looked_at, entry) in scan.enumerate() {
                if looked_at >= REFERRERS_COUNTED && !referrers.is_empty() {
                    break;
                }
                let (key, _) = entry?;
                let Some((kind, id)) = keys::referrer(&target, &key) else { continue };
                let Ok(name) = RecordName::new(kind, id) else { continue };
                if name == deleted.name || referrers.contains(&name) {
                    continue;
                }
                // What this commit sets is reported as leading nowhere, if it does.
                let set = self.by_name.get(&name).and_then(|index| self.planned.get(*index)).map(|planned| &planned.sets);
                if self.after(&name)?.is_some_and(|after| after.live && refers_to(kind, &after.body, &stored, set)) {
                    referrers.insert(name);
                }
            }
        }
        if referrers.is_empty() {
            return Ok(None);
        }
        let count = referrers.len();
        let named: Vec<_> = referrers.iter().take(REFERRERS_NAMED).map(RecordName::to_string).collect();
        let named = named.join(", ");
        let name = &deleted.name;
        let message = match count {
            1 => format!(
                "{name} cannot be deleted, as {named} refers to it: delete that or point it elsewhere in the same commit"
            ),
            _ => format!(
                "{name} cannot be deleted, as {count} live records refer to it, such as {named}: delete them or point them \
                 elsewhere in the same commit"
            ),
        };
        Ok(Some(
            Conflict::new(StoreErrorKind::FailedPrecondition, ErrorReason::Referenced, name, message)
                .with("name", name)
                .with("referrers", named)
                .with("count", count),
        ))
    }
}

/// Whether the references of a planned record are looked at: it sets some, or comes back to life.
fn is_checked(planned: &Planned) -> bool {
    planned.sent.is_some() || matches!(planned.change, ChangeKind::Created | ChangeKind::Undeleted | ChangeKind::Unmerged)
}

/// Whether a record refers to a name from a field that is not among those set.
fn refers_to(kind: RecordKind, body: &[u8], target: &str, set: Option<&Sets>) -> bool {
    let mut refers = false;
    postings::for_each_reference(kind.schema(), body, &mut |path, _, name| {
        let is_set = path.first().is_some_and(|number| set.is_some_and(|set| set.contains(*number)));
        refers |= !is_set && name.to_string() == target;
    });
    refers
}

fn missing(planned: &Planned, field: &str, text: &str, wanted: Option<RecordKind>) -> Conflict {
    let wanted = wanted.map_or("record", RecordKind::singular);
    let field = format!("{}.{field}", planned.at);
    let message =
        format!("{field}: {text} is not a live {wanted}: create it in the same commit or before, or correct the name");
    let subject = text.parse().unwrap_or_else(|_| planned.name.clone());
    Conflict::new(StoreErrorKind::FailedPrecondition, ErrorReason::ReferenceNotFound, &subject, message)
        .with("field", field)
        .with("name", text)
}
