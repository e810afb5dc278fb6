//! References between records: labels become names, redirects their targets, and what is referred to must be there.

use std::collections::{BTreeSet, HashMap};

use super::{
    Changes, Planned,
    finding::{Finding, refuse},
};
use crate::{
    engine::Direction,
    model::{Kind, Name, schema::Reference, wire},
    proto::{ChangeKind, ErrorReason},
    store::{
        error::{ErrorKind, Result},
        hints, keys,
    },
};

/// Referrers that an error names.
const REFERRERS_NAMED: usize = 10;
/// Reference keys looked at before an error about them is sent.
const REFERRERS_COUNTED: usize = 10_000;
/// Reference keys read at once.
const REFERRERS_AT_ONCE: usize = 64;

/// What a reference that was sent stands for.
enum Target {
    /// This record: to be written instead of what was sent where they differ.
    Name(Name),
    /// Nothing that can be referred to.
    Missing,
    /// Not even a name: for the rules to report.
    Malformed,
}

impl Changes<'_> {
    /// Rewrites what was sent so that every reference is the name of a live record. Gives what cannot be, to be reported when
    /// the rules have been looked at.
    pub(super) fn resolve_references(&mut self) -> Result<Vec<Finding>> {
        let labels: HashMap<String, Name> = self
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
                let mut names = HashMap::new();
                let mut failed = None;
                wire::visit_texts(sent, &reference.path, &mut |positions, text| {
                    if failed.is_some() || names.contains_key(text) {
                        return;
                    }
                    match self.target(text, reference, &labels) {
                        Err(error) => failed = Some(error),
                        Ok(Target::Missing) => {
                            findings.push(missing(planned, &reference.at(positions), text, reference.target));
                        }
                        Ok(Target::Name(name)) if name.to_string() != text => {
                            names.insert(text.to_owned(), name.to_string());
                        }
                        Ok(Target::Name(_) | Target::Malformed) => {}
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

    fn target(&self, text: &str, reference: &Reference, labels: &HashMap<String, Name>) -> Result<Target> {
        let name = match labels.get(text) {
            Some(name) => name.clone(),
            None => match text.parse::<Name>() {
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
    pub(super) fn check_references(&self, missing: Vec<Finding>) -> Result<()> {
        let mut findings = missing;
        for planned in self.planned.iter().filter(|planned| planned.change == ChangeKind::Deleted) {
            findings.extend(self.referenced(planned)?);
        }
        refuse(findings)
    }

    fn referenced(&self, deleted: &Planned) -> Result<Option<Finding>> {
        let mut referrers = BTreeSet::new();
        for target in self.view.names_of(&deleted.name)? {
            let stored = target.to_string();
            let scan = self.view.scan(keys::references_to(&target), Direction::Forward, REFERRERS_AT_ONCE);
            for entry in scan.take(REFERRERS_COUNTED) {
                let (key, _) = entry?;
                let Some((kind, id)) = keys::referrer(&target, &key) else { continue };
                let Ok(name) = Name::new(kind, id) else { continue };
                if name == deleted.name || referrers.contains(&name) {
                    continue;
                }
                if self.after(&name)?.is_some_and(|after| after.live && refers_to(kind, &after.body, &stored)) {
                    referrers.insert(name);
                }
            }
        }
        if referrers.is_empty() {
            return Ok(None);
        }
        let count = referrers.len();
        let named: Vec<_> = referrers.iter().take(REFERRERS_NAMED).map(Name::to_string).collect();
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
            Finding::new(ErrorKind::FailedPrecondition, ErrorReason::Referenced, name, message)
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

fn refers_to(kind: Kind, body: &[u8], target: &str) -> bool {
    let mut refers = false;
    hints::for_each_reference(kind.schema(), body, &mut |_, _, name| refers |= name.to_string() == target);
    refers
}

fn missing(planned: &Planned, field: &str, text: &str, wanted: Option<Kind>) -> Finding {
    let wanted = wanted.map_or("record", Kind::singular);
    let field = format!("{}.{field}", planned.at);
    let message =
        format!("{field}: {text} is not a live {wanted}: create it in the same commit or before, or correct the name");
    let subject = text.parse().unwrap_or_else(|_| planned.name.clone());
    Finding::new(ErrorKind::FailedPrecondition, ErrorReason::ReferenceNotFound, &subject, message)
        .with("field", field)
        .with("name", text)
}
