//! Resolves and checks references and links. Labels become names, and redirects become their targets unless they are stored so
//! already. Every reference must lead to a live record, links must not form a cycle, and a relation can forbid a merge.
//!
//! Knows the records after the last mutation. Must not know the meaning of a referrer, or which fields are links: the types
//! declare them.

use std::collections::{BTreeSet, HashMap};

use super::{
    Changes, PlannedChange, Sets,
    conflict::{Conflict, refuse},
    kept,
    rules::decode,
};
use crate::{
    engine::ScanDirection,
    model::{self, FieldPath, LinkChain, RecordKind, RecordName, Violations, schema::Reference, wire},
    proto::{ChangeKind, ErrorReason, RelationKind, record::Record},
    store::{
        error::{Result, StoreError, StoreErrorKind},
        keys, postings,
    },
};

/// Most referrers that an error names.
const REFERRERS_NAMED: usize = 10;
/// Most reference keys that are read to count the referrers for an error. A record counts as not referred to only after all
/// keys were read.
const REFERRERS_COUNTED: usize = 10_000;
/// Reference keys read at once.
const REFERRERS_AT_ONCE: usize = 64;

/// What a sent reference leads to.
enum Target {
    /// This record, by its name now.
    Name(RecordName),
    /// No record that can be referred to.
    Missing,
    /// The text is not a name. The rules report it.
    Malformed,
}

impl Changes<'_> {
    /// Rewrites the sent records so that every reference is a name that leads to a live record. Returns a conflict for each reference
    /// that leads nowhere, with the index of its change. They are reported after the rules were checked.
    pub(super) fn resolve_references(&mut self) -> Result<Vec<(usize, Conflict)>> {
        let labels: HashMap<String, RecordName> = self
            .subjects
            .iter()
            .filter(|(_, label)| !label.is_empty())
            .map(|(name, label)| (format!("@{label}"), name.clone()))
            .collect();
        let mut conflicts = Vec::new();
        for index in 0..self.planned.len() {
            let Some(planned) = self.planned.get(index) else { break };
            if !is_checked(planned) {
                continue;
            }
            let sent = planned.sent.as_ref().map_or(&planned.body, |update| &update.sent);
            let set = |reference: &&Reference| reference.path.first().is_some_and(|number| planned.sets.contains(*number));
            let references: Vec<&Reference> = planned.name.kind().schema().references.iter().filter(set).collect();
            let mut names: HashMap<(Option<RecordKind>, String), Option<String>> = HashMap::new();
            for reference in &references {
                let mut failed = None;
                wire::visit_texts(sent, &reference.path, &mut |positions, text| {
                    let name = (reference.target, text.to_owned());
                    if failed.is_some() || names.contains_key(&name) {
                        return;
                    }
                    match self.target(text, reference, &labels) {
                        Err(error) => failed = Some(error),
                        Ok(Target::Missing) => {
                            conflicts.push((index, missing(planned, &reference.at(positions), text, reference.target)));
                        }
                        Ok(Target::Name(target)) => {
                            names.insert(name, Some(target.to_string()));
                        }
                        Ok(Target::Malformed) => {
                            names.insert(name, None);
                        }
                    }
                });
                if let Some(error) = failed {
                    return Err(error);
                }
            }
            if planned.before.is_none() && names.iter().all(|((_, text), now)| now.as_ref().is_none_or(|now| now == text)) {
                continue;
            }
            let stored = planned.before.as_ref().map(|before| before.record.as_ref()).unwrap_or_default();
            let named = kept::with_names(sent, stored, &references, &mut |reference, text| {
                let name = (reference.target, text.to_owned());
                if let Some(known) = names.get(&name) {
                    return Ok(known.clone());
                }
                let now = match self.target(text, reference, &labels)? {
                    Target::Name(target) => Some(target.to_string()),
                    Target::Missing | Target::Malformed => None,
                };
                names.insert(name, now.clone());
                Ok(now)
            })?;
            let rewritten = (named != *sent).then_some(named);
            if let (Some(rewritten), Some(planned)) = (rewritten, self.planned.get_mut(index)) {
                planned.checked = None;
                match &mut planned.sent {
                    Some(update) => update.sent = rewritten,
                    None => planned.body = rewritten,
                }
            }
        }
        Ok(conflicts)
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

    /// Reports the references that lead nowhere, and the live records that refer to a deleted one.
    pub(super) fn check_references(&self, missing: Vec<(usize, Conflict)>) -> Result<()> {
        let mut conflicts = missing;
        for (index, planned) in self.planned.iter().enumerate() {
            if planned.change == ChangeKind::Deleted {
                conflicts.extend(self.referenced(planned)?.map(|conflict| (index, conflict)));
            }
        }
        // The error is about the first conflict in the order of the mutations.
        conflicts.sort_by_key(|(index, _)| *index);
        refuse(conflicts.into_iter().map(|(_, conflict)| conflict).collect())
    }

    fn referenced(&self, deleted: &PlannedChange) -> Result<Option<Conflict>> {
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
                // A reference that this commit sets is reported as leading nowhere, not here.
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
                "{name} cannot be deleted, because {named} refers to it: delete {named}, or change its reference, in the same commit"
            ),
            _ => format!(
                "{name} cannot be deleted, because {count} live records refer to it, such as {named}: delete them, or change \
                 their references, in the same commit"
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

/// Whether the references of a planned record are checked: the change sets fields, or makes the record live.
fn is_checked(planned: &PlannedChange) -> bool {
    planned.sent.is_some() || matches!(planned.change, ChangeKind::Created | ChangeKind::Undeleted | ChangeKind::Unmerged)
}

/// Whether a record refers to a name from a field that is not in `set`.
fn refers_to(kind: RecordKind, body: &[u8], target: &str, set: Option<&Sets>) -> bool {
    let mut refers = false;
    postings::for_each_reference(kind.schema(), body, &mut |path, _, name| {
        let is_set = path.first().is_some_and(|number| set.is_some_and(|set| set.contains(*number)));
        refers |= !is_set && name.to_string() == target;
    });
    refers
}

fn missing(planned: &PlannedChange, field: &str, text: &str, wanted: Option<RecordKind>) -> Conflict {
    let wanted = wanted.map_or("record", RecordKind::singular);
    let field = format!("{}.{field}", planned.at);
    let message =
        format!("{field}: {text} is not a live {wanted}: create it in the same commit or before, or correct the name");
    let subject = text.parse().unwrap_or_else(|_| planned.name.clone());
    Conflict::new(StoreErrorKind::FailedPrecondition, ErrorReason::ReferenceNotFound, &subject, message)
        .with("field", field)
        .with("name", text)
}

/// Reference keys read at once.
const RELATIONS_AT_ONCE: usize = 64;

/// A link between two live records.
struct Edge {
    chain: LinkChain,
    field: String,
    from: RecordName,
    to: RecordName,
}

impl Changes<'_> {
    /// Checks that links form no cycle, and that no relation forbids a merge.
    pub(super) fn check_links(&self) -> Result<()> {
        let mut violations = Violations::default();
        for planned in self.planned.iter().filter(|planned| planned.linked && planned.is_live()) {
            for edge in self.edges(&planned.name, &planned.body)? {
                self.check_cycle(planned, &edge, &mut violations)?;
            }
        }
        // The links of `LinkChain::Supersedes` are in relations. So a merge joins chains, though neither of the two records holds a
        // link.
        for into in self.planned.iter().filter_map(|planned| planned.redirect.as_ref()) {
            let Some(planned) = self.by_name.get(into).and_then(|index| self.planned.get(*index)) else { continue };
            for to in self.successors(into, LinkChain::Supersedes)? {
                let edge = Edge { chain: LinkChain::Supersedes, field: String::new(), from: into.clone(), to };
                self.check_cycle(planned, &edge, &mut violations)?;
            }
        }
        if let Some(error) = StoreError::from_violations(violations) {
            return Err(error);
        }
        let mut conflicts = Vec::new();
        for planned in self.planned.iter().filter(|planned| planned.change == ChangeKind::Merged) {
            if let Some(into) = &planned.redirect {
                conflicts.extend(self.veto(&planned.name, into)?);
            }
        }
        refuse(conflicts)
    }

    fn check_cycle(&self, planned: &PlannedChange, edge: &Edge, violations: &mut Violations) -> Result<()> {
        let root = FieldPath::ROOT;
        let planned_at = root.field(&planned.at);
        let at = if edge.field.is_empty() { root.field(&planned.at) } else { planned_at.field(&edge.field) };
        let mut seen = BTreeSet::new();
        let mut next = vec![edge.to.clone()];
        while let Some(name) = next.pop() {
            if name == edge.from {
                violations
                    .invalid(&at, format!("{} would lead back to {}: such links must not form a cycle", edge.to, edge.from));
                return Ok(());
            }
            if !seen.insert(name.clone()) {
                continue;
            }
            if seen.len() as u64 > self.limits.cycle_steps {
                violations.limit(&at, self.limits.cycle_steps(), seen.len() as u64);
                return Ok(());
            }
            next.extend(self.successors(&name, edge.chain)?);
        }
        Ok(())
    }

    /// The edges from a record along a chain.
    fn successors(&self, name: &RecordName, chain: LinkChain) -> Result<Vec<RecordName>> {
        let mut successors = Vec::new();
        if chain == LinkChain::Supersedes {
            for relation in self.relations("subject", &self.names_after(name)?)? {
                let edges = self.edges(&relation.0, &relation.1)?.into_iter();
                successors.extend(edges.filter(|edge| edge.chain == chain && edge.from == *name));
            }
        } else if let Some(after) = self.after(name)?.filter(|after| after.live) {
            successors.extend(self.edges(name, &after.body)?.into_iter().filter(|edge| edge.chain == chain));
        }
        Ok(successors.into_iter().map(|edge| edge.to).collect())
    }

    /// The links of a record whose two ends lead to live records.
    fn edges(&self, holder: &RecordName, body: &[u8]) -> Result<Vec<Edge>> {
        let record = decode(holder.kind(), body)?;
        let mut edges = Vec::new();
        for link in model::resource(&record).links() {
            let end = |text: &str| match text.parse::<RecordName>() {
                Ok(name) => self.live_target(&name),
                Err(_) => Ok(None),
            };
            let from = if link.from.is_empty() { Some(holder.clone()) } else { end(link.from)? };
            if let (Some(from), Some(to)) = (from, end(link.to)?) {
                edges.push(Edge { chain: link.chain, field: link.path(), from, to });
            }
        }
        Ok(edges)
    }

    /// All names of a record after the commit.
    pub(super) fn names_after(&self, name: &RecordName) -> Result<BTreeSet<RecordName>> {
        let mut names = BTreeSet::from_iter(self.view.names_of(name)?);
        for merged in self.planned.iter().filter(|planned| planned.redirect.as_ref() == Some(name)) {
            names.extend(self.view.names_of(&merged.name)?);
        }
        Ok(names)
    }

    /// The live relations that have one of these names at one end, with their bodies. `end` is `subject` or `object`.
    fn relations(&self, end: &str, names: &BTreeSet<RecordName>) -> Result<Vec<(RecordName, Vec<u8>)>> {
        let schema = RecordKind::Relation.schema();
        let Some(reference) = schema.references.iter().find(|reference| reference.names == [end]) else {
            return Err(StoreError::internal(format!("the contract's Relation has no {end}")));
        };
        let mut found = BTreeSet::new();
        for target in names {
            let range = keys::references_from(target, RecordKind::Relation, &reference.path, false);
            for entry in self.view.scan(range, ScanDirection::Forward, RELATIONS_AT_ONCE) {
                let (key, _) = entry?;
                found.extend(RecordName::new(RecordKind::Relation, keys::last_id(&key)).ok());
            }
        }
        found.extend(self.live_planned(RecordKind::Relation).map(|planned| planned.name.clone()));
        let mut relations = Vec::new();
        for relation in found {
            let Some(after) = self.after(&relation)?.filter(|after| after.live) else { continue };
            let Ok(Record::Relation(decoded)) = decode(RecordKind::Relation, &after.body) else { continue };
            let text = if end == "subject" { &decoded.subject } else { &decoded.object };
            if text.parse::<RecordName>().is_ok_and(|at| names.contains(&at)) {
                relations.push((relation, after.body));
            }
        }
        Ok(relations)
    }

    /// The conflict that forbids a merge, if a relation says that the two records are different.
    fn veto(&self, name: &RecordName, into: &RecordName) -> Result<Option<Conflict>> {
        let names = BTreeSet::from_iter(self.view.names_of(name)?);
        let others = BTreeSet::from_iter(self.view.names_of(into)?);
        for (end, other_end) in [("subject", "object"), ("object", "subject")] {
            for (relation, body) in self.relations(end, &names)? {
                let Ok(Record::Relation(decoded)) = decode(RecordKind::Relation, &body) else { continue };
                let other = if other_end == "object" { &decoded.object } else { &decoded.subject };
                let Ok(other) = other.parse::<RecordName>() else { continue };
                if decoded.kind() == RelationKind::NotSameAs && !decoded.revoked && others.contains(&other) {
                    let message = format!("{relation} says that {name} and {into} are not the same: revoke or delete it first");
                    return Ok(Some(
                        Conflict::new(StoreErrorKind::FailedPrecondition, ErrorReason::MergeVetoed, name, message)
                            .with("relation", relation),
                    ));
                }
            }
        }
        Ok(None)
    }
}
