//! Links along which nothing may come back to itself, and judgements that forbid a merge.
//!
//! Knows the state after the last mutation. Must not know which fields are links: the types say.

use std::collections::BTreeSet;

use super::{
    Changes, Planned,
    checked::decode,
    finding::{Conflict, refuse},
};
use crate::{
    engine::ScanDirection,
    model::{self, Chain, Path, RecordKind, RecordName, Violations},
    proto::{ChangeKind, ErrorReason, RelationKind, record::Record},
    store::{
        error::{Result, StoreError, StoreErrorKind},
        keys,
    },
};

/// Reference keys read at once.
const RELATIONS_AT_ONCE: usize = 64;

/// A link between two records that are there.
struct Edge {
    chain: Chain,
    field: String,
    from: RecordName,
    to: RecordName,
}

impl Changes<'_> {
    /// Checks that no chain of links closes to a cycle and that no merge goes against a judgement.
    pub(super) fn check_links(&self) -> Result<()> {
        let mut violations = Violations::default();
        for planned in self.planned.iter().filter(|planned| planned.linked && planned.is_live()) {
            for edge in self.edges(&planned.name, &planned.body)? {
                self.check_cycle(planned, &edge, &mut violations)?;
            }
        }
        // What one record supersedes is in relations, so a merge joins chains that neither of the two holds itself.
        for into in self.planned.iter().filter_map(|planned| planned.redirect.as_ref()) {
            let Some(planned) = self.by_name.get(into).and_then(|index| self.planned.get(*index)) else { continue };
            for to in self.successors(into, Chain::Supersedes)? {
                let edge = Edge { chain: Chain::Supersedes, field: String::new(), from: into.clone(), to };
                self.check_cycle(planned, &edge, &mut violations)?;
            }
        }
        if let Some(error) = StoreError::from_violations(violations) {
            return Err(error);
        }
        let mut findings = Vec::new();
        for planned in self.planned.iter().filter(|planned| planned.change == ChangeKind::Merged) {
            if let Some(into) = &planned.redirect {
                findings.extend(self.veto(&planned.name, into)?);
            }
        }
        refuse(findings)
    }

    fn check_cycle(&self, planned: &Planned, edge: &Edge, violations: &mut Violations) -> Result<()> {
        let root = Path::ROOT;
        let planned_at = root.field(&planned.at);
        let at = if edge.field.is_empty() { root.field(&planned.at) } else { planned_at.field(&edge.field) };
        let mut seen = BTreeSet::new();
        let mut next = vec![edge.to.clone()];
        while let Some(name) = next.pop() {
            if name == edge.from {
                violations.invalid(
                    &at,
                    format!("{} would lead back to {}: a record cannot stand above and below itself", edge.to, edge.from),
                );
                return Ok(());
            }
            if !seen.insert(name.clone()) {
                continue;
            }
            if seen.len() as u64 > self.limits.cycle_steps {
                violations.limit(&at, "links.steps", self.limits.cycle_steps, seen.len() as u64);
                return Ok(());
            }
            next.extend(self.successors(&name, edge.chain)?);
        }
        Ok(())
    }

    /// The records that a record is linked to along a chain.
    fn successors(&self, name: &RecordName, chain: Chain) -> Result<Vec<RecordName>> {
        let mut successors = Vec::new();
        if chain == Chain::Supersedes {
            for relation in self.relations("subject", &self.names_after(name)?)? {
                let edges = self.edges(&relation.0, &relation.1)?.into_iter();
                successors.extend(edges.filter(|edge| edge.chain == chain && edge.from == *name));
            }
        } else if let Some(after) = self.after(name)?.filter(|after| after.live) {
            successors.extend(self.edges(name, &after.body)?.into_iter().filter(|edge| edge.chain == chain));
        }
        Ok(successors.into_iter().map(|edge| edge.to).collect())
    }

    /// The links of a record whose ends are there.
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

    /// A record's names as they will be.
    fn names_after(&self, name: &RecordName) -> Result<BTreeSet<RecordName>> {
        let mut names = BTreeSet::from_iter(self.view.names_of(name)?);
        for merged in self.planned.iter().filter(|planned| planned.redirect.as_ref() == Some(name)) {
            names.extend(self.view.names_of(&merged.name)?);
        }
        Ok(names)
    }

    /// The live relations that have one of a record's names in one of their two ends, with their bodies.
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

    /// Why a merge is forbidden, if somebody holds that the two are not the same.
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
