//! A second implementation of the store: what each commit must answer, and what everything is at each revision.
//!
//! Knows the messages of the contract by reflection, and uses no code of the crate. It is slow on purpose: it answers every
//! question by looking at everything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use annals::proto::{
    self, ChangeKind, CommitRequest, MutationResult, Record, RelationKind, mutation::Op, precondition::Condition,
};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use prost_types::Timestamp;

use crate::random::reference_target;

const COLLECTIONS: [(&str, &str); 6] = [
    ("sources", "Source"),
    ("actors", "Actor"),
    ("events", "Event"),
    ("claims", "Claim"),
    ("estimates", "Estimate"),
    ("relations", "Relation"),
];
/// Fields that only the server writes, and `name`.
const SERVERS: [&str; 7] = ["name", "revision", "create_revision", "create_time", "update_time", "delete_time", "merged_names"];
/// Fields that can be set only once.
const IMMUTABLE: [(&str, &[&str]); 2] =
    [("Relation", &["kind", "subject", "object", "asserted_by"]), ("Source", &["text", "sha256"])];

/// One version of one record.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) revision: u64,
    pub(crate) change: ChangeKind,
    pub(crate) redirect: Option<String>,
    /// As a Get returns it. For a tombstone or redirect: its last state.
    pub(crate) record: Rc<DynamicMessage>,
}

impl Version {
    pub(crate) fn is_live(&self) -> bool {
        !matches!(self.change, ChangeKind::Deleted | ChangeKind::Merged)
    }
}

/// The expected result of a request.
#[derive(Clone, Debug)]
pub(crate) enum Prediction {
    Refused(&'static str),
    Unchanged(Vec<MutationResult>),
    Committed { time_us: i64, results: Vec<MutationResult>, changes: Vec<(String, Version)> },
}

/// Everything that ever existed.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) versions: BTreeMap<String, Vec<Version>>,
    /// Time and changes of each commit. Revision 1 is the first.
    pub(crate) commits: Vec<(i64, Vec<(String, Version)>)>,
    /// The greatest time of an answered read, and the greatest time that is promised durably.
    answered_us: i64,
    promised_us: i64,
}

impl Model {
    pub(crate) fn head(&self) -> u64 {
        self.commits.len() as u64
    }

    fn last_time_us(&self) -> i64 {
        self.commits.last().map_or(0, |(time_us, _)| *time_us)
    }

    pub(crate) fn at(&self, name: &str, revision: u64) -> Option<&Version> {
        self.versions.get(name)?.iter().rev().find(|version| version.revision <= revision)
    }

    fn now(&self, name: &str) -> Option<&Version> {
        self.versions.get(name)?.last()
    }

    /// Where a name leads at a revision, and the record there.
    pub(crate) fn resolve(&self, name: &str, revision: u64) -> Option<(String, &Version)> {
        let mut at = name.to_owned();
        loop {
            let version = self.at(&at, revision)?;
            match &version.redirect {
                Some(target) => at.clone_from(target),
                None => return Some((at, version)),
            }
        }
    }

    /// Every name that leads to the same record as a name. If there is no record, the name itself.
    pub(crate) fn names_of(&self, name: &str, revision: u64) -> Vec<String> {
        let Some((target, _)) = self.resolve(name, revision) else { return vec![name.to_owned()] };
        let leads_there = |name: &&String| self.resolve(name, revision).is_some_and(|(other, _)| other == target);
        self.versions.keys().filter(leads_there).cloned().collect()
    }

    /// The records of a list of a collection.
    pub(crate) fn listed(&self, collection: &str, revision: u64, show_deleted: bool) -> Vec<(String, &Version)> {
        let names = self.versions.keys().filter(|name| collection_of(name) == collection);
        names
            .filter_map(|name| Some((name.clone(), self.at(name, revision)?)))
            .filter(|(_, version)| version.is_live() || show_deleted && version.change == ChangeKind::Deleted)
            .collect()
    }

    /// The revision of a time: the last commit at or before it.
    pub(crate) fn revision_at(&self, time_us: i64) -> u64 {
        self.commits.iter().take_while(|(commit_us, _)| *commit_us <= time_us).count() as u64
    }

    /// A read as of a time was answered.
    pub(crate) fn answer_time(&mut self, time_us: i64) {
        self.answered_us = self.answered_us.max(time_us);
        if time_us > self.promised_us.max(self.last_time_us()) {
            self.promised_us = time_us + 1_000_000;
        }
    }

    /// The store was closed and reopened. Of the answered times, only the promised one is remembered.
    pub(crate) fn reopen(&mut self) {
        self.answered_us = self.promised_us;
    }

    pub(crate) fn apply(&mut self, prediction: &Prediction) {
        if let Prediction::Committed { time_us, changes, .. } = prediction {
            for (name, version) in changes {
                self.versions.entry(name.clone()).or_default().push(version.clone());
            }
            self.commits.push((*time_us, changes.clone()));
        }
    }

    pub(crate) fn predict(&self, request: &CommitRequest, now_us: i64) -> Prediction {
        match Plan::of(self, request).and_then(Plan::checked) {
            Err(reason) => Prediction::Refused(reason),
            Ok(plan) => plan.outcome(now_us),
        }
    }
}

/// What happens to one record.
struct Planned {
    mutation: usize,
    name: String,
    before: Option<Version>,
    change: ChangeKind,
    /// Without the server's fields, but with `merged_names`.
    body: DynamicMessage,
    redirect: Option<String>,
    /// Fields whose references are checked.
    looked_at: BTreeSet<String>,
    /// An update or upsert of an existing record. It may turn out to change nothing.
    updates: bool,
}

impl Planned {
    fn is_live(&self) -> bool {
        !matches!(self.change, ChangeKind::Deleted | ChangeKind::Merged)
    }
}

enum Outcome {
    Planned(usize),
    Unchanged(String, u64),
    MadeBefore(usize),
}

/// A commit while it is computed.
struct Plan<'m> {
    model: &'m Model,
    planned: Vec<Planned>,
    outcomes: Vec<Outcome>,
    subjects: Vec<(String, String)>,
    /// Names that a mutation refers to.
    claimed: BTreeSet<String>,
}

type Refused<T = ()> = Result<T, &'static str>;

const DUPLICATE: &str = "DUPLICATE_MUTATION";

impl<'m> Plan<'m> {
    /// The record of each mutation, and whether the mutation is allowed.
    fn of(model: &'m Model, request: &CommitRequest) -> Refused<Self> {
        let mut plan =
            Plan { model, planned: Vec::new(), outcomes: Vec::new(), subjects: Vec::new(), claimed: BTreeSet::new() };
        let mut named = BTreeSet::new();
        for mutation in &request.mutations {
            let names: Vec<String> = match mutation.op.as_ref().unwrap() {
                Op::Create(record) => vec![text(&dynamic(record), "name")],
                Op::Update(update) => vec![text(&dynamic(update.record.as_ref().unwrap()), "name")],
                Op::Upsert(_) => Vec::new(),
                Op::Delete(delete) => vec![delete.name.clone()],
                Op::Undelete(undelete) => vec![undelete.name.clone()],
                Op::Merge(merge) => vec![merge.name.clone(), merge.into.clone()],
                Op::Unmerge(unmerge) => vec![unmerge.name.clone()],
            };
            if !names.into_iter().all(|name| named.insert(name)) {
                return Err(DUPLICATE);
            }
        }
        plan.check_preconditions(request)?;
        let mut first = None;
        for (index, mutation) in request.mutations.iter().enumerate() {
            match plan.find(index, mutation.op.as_ref().unwrap()) {
                Ok((name, outcome)) => {
                    plan.claimed.insert(name.clone());
                    plan.subjects.push((name, mutation.label.clone()));
                    plan.outcomes.push(outcome);
                }
                Err(DUPLICATE) => return Err(DUPLICATE),
                // The only error about a field that a merge can cause here.
                Err("FIELD_INVALID") => return Err("FIELD_INVALID"),
                Err(reason) => first = first.or(Some(reason)),
            }
        }
        first.map_or(Ok(plan), Err)
    }

    fn check_preconditions(&self, request: &CommitRequest) -> Refused {
        let revision = |name: &str| self.model.now(name).filter(|now| now.is_live()).map_or(0, |now| now.revision);
        let holds = |name: &str, wanted: i64| wanted == 0 || u64::try_from(wanted).unwrap() == revision(name);
        let all = request.preconditions.iter().all(|precondition| match precondition.condition.unwrap() {
            Condition::Revision(wanted) => u64::try_from(wanted).unwrap() == revision(&precondition.name),
            Condition::UnchangedSince(since) => {
                self.model.now(&precondition.name).map_or(0, |now| now.revision) <= u64::try_from(since).unwrap()
            }
            Condition::Exists(wanted) => wanted == (revision(&precondition.name) > 0),
        });
        let all = all
            && request.mutations.iter().all(|mutation| match mutation.op.as_ref().unwrap() {
                Op::Update(update) => holds(&text(&dynamic(update.record.as_ref().unwrap()), "name"), update.if_revision),
                Op::Delete(delete) => holds(&delete.name, delete.if_revision),
                Op::Merge(merge) => holds(&merge.name, merge.if_revision) && holds(&merge.into, merge.if_into_revision),
                _ => true,
            });
        if all { Ok(()) } else { Err("REVISION_MISMATCH") }
    }

    fn find(&mut self, index: usize, op: &Op) -> Refused<(String, Outcome)> {
        match op {
            Op::Create(record) => {
                let sent = dynamic(record);
                let name = text(&sent, "name");
                self.claim(&name)?;
                if self.model.now(&name).is_some() {
                    return Err("NAME_TAKEN");
                }
                Ok(self.create(index, name, &sent))
            }
            Op::Update(update) => {
                let sent = dynamic(update.record.as_ref().unwrap());
                let name = text(&sent, "name");
                let before = self.live(&name)?;
                Ok(self.update(index, name, before, &sent, &update.update_fields, false))
            }
            Op::Upsert(upsert) => self.upsert(index, upsert),
            Op::Delete(delete) => {
                let gone = self.model.now(&delete.name).is_none_or(|now| now.change == ChangeKind::Deleted);
                self.claim(&delete.name)?;
                if delete.allow_missing && gone {
                    let revision = self.model.now(&delete.name).map_or(0, |now| now.revision);
                    return Ok((delete.name.clone(), Outcome::Unchanged(delete.name.clone(), revision)));
                }
                let before = self.live(&delete.name)?;
                Ok(self.keep(index, &delete.name, before, ChangeKind::Deleted))
            }
            Op::Undelete(undelete) => {
                self.claim(&undelete.name)?;
                match self.model.now(&undelete.name).cloned() {
                    None => Err("RECORD_NOT_FOUND"),
                    Some(before) if before.change == ChangeKind::Deleted => {
                        Ok(self.keep(index, &undelete.name, before, ChangeKind::Undeleted))
                    }
                    Some(before) if before.is_live() => Ok(unchanged(&undelete.name, &before)),
                    Some(_) => Err("RECORD_REDIRECTED"),
                }
            }
            Op::Merge(merge) => self.merge(index, &merge.name, &merge.into),
            Op::Unmerge(unmerge) => self.unmerge(index, &unmerge.name),
        }
    }

    fn upsert(&mut self, index: usize, upsert: &proto::Upsert) -> Refused<(String, Outcome)> {
        let sent = dynamic(upsert.record.as_ref().unwrap());
        let name = text(&sent, "name");
        let ids = texts(&sent, "external_ids");
        // One of the two holders is part of this commit, which will be refused for that. Its record counts.
        let holder = |id: &String| self.holders(collection_of(&name), id).first().map(|name| (*name).to_owned());
        let holders: BTreeSet<String> = ids.iter().filter_map(holder).collect();
        if holders.len() > 1 {
            return Err("UPSERT_AMBIGUOUS");
        }
        let there = self.model.now(&name).is_some() || self.planned(&name).is_some();
        let Some(found) = holders.into_iter().next().or_else(|| there.then(|| name.clone())) else {
            return Ok(self.create(index, name, &sent));
        };
        if self.claimed.contains(&found) {
            if !upsert.create_only {
                return Err(DUPLICATE);
            }
            let outcome = match self.planned.iter().position(|planned| planned.name == found) {
                Some(planned) => Outcome::MadeBefore(planned),
                None => unchanged(&found, &self.live_before(&found)?).1,
            };
            return Ok((found, outcome));
        }
        let before = self.live_before(&found)?;
        if upsert.create_only {
            return Ok(unchanged(&found, &before));
        }
        Ok(self.update(index, found, before, &sent, &upsert.update_fields, true))
    }

    fn merge(&mut self, index: usize, name: &str, into: &str) -> Refused<(String, Outcome)> {
        let (target, version) = self.model.resolve(into, u64::MAX).ok_or("RECORD_NOT_FOUND")?;
        let version = version.clone();
        if !version.is_live() {
            return Err("RECORD_DELETED");
        }
        let before = match self.live(name) {
            Err(reason) if reason != DUPLICATE => {
                let leads = self.model.resolve(name, u64::MAX).map(|(leads, _)| leads);
                let is_merged = self.model.now(name).is_some_and(|now| now.redirect.is_some());
                return if is_merged && leads.as_deref() == Some(target.as_str()) {
                    Ok(unchanged(name, &version))
                } else {
                    Err(reason)
                };
            }
            before => before?,
        };
        if target == name {
            return Err("FIELD_INVALID");
        }
        self.claim(&target)?;
        let mut body = body_of(&version.record);
        let mut merged = texts(&body, "merged_names");
        for former in std::iter::once(name.to_owned()).chain(texts(&before.record, "merged_names")) {
            if !merged.contains(&former) {
                merged.push(former);
            }
        }
        set_texts(&mut body, "merged_names", merged);
        let mut ids = texts(&body, "external_ids");
        ids.extend(texts(&before.record, "external_ids"));
        set_texts(&mut body, "external_ids", ids);
        let outcome = self.keep(index, name, before, ChangeKind::Merged);
        self.planned.last_mut().unwrap().redirect = Some(target.clone());
        self.change_other(index, target, version, body);
        Ok(outcome)
    }

    fn unmerge(&mut self, index: usize, name: &str) -> Refused<(String, Outcome)> {
        self.claim(name)?;
        let before = self.model.now(name).cloned().ok_or("RECORD_NOT_FOUND")?;
        if before.redirect.is_none() {
            return if before.is_live() { Ok(unchanged(name, &before)) } else { Err("RECORD_DELETED") };
        }
        let (target, version) = self.model.resolve(name, u64::MAX).unwrap();
        let version = version.clone();
        if !version.is_live() {
            return Err("RECORD_DELETED");
        }
        self.claim(&target)?;
        let mut restored = body_of(&before.record);
        let mut left = body_of(&version.record);
        // Its names are those that lead through it.
        let mut former = BTreeSet::new();
        for other in self.model.versions.keys() {
            let mut at = other.clone();
            while let Some(next) = self.model.now(&at).and_then(|now| now.redirect.clone()) {
                if next == name {
                    former.insert(other.clone());
                }
                at = next;
            }
        }
        let kept = texts(&restored, "merged_names").into_iter().filter(|merged| former.contains(merged)).collect();
        set_texts(&mut restored, "merged_names", kept);
        former.insert(name.to_owned());
        let kept = texts(&left, "merged_names").into_iter().filter(|merged| !former.contains(merged)).collect();
        set_texts(&mut left, "merged_names", kept);
        let still = texts(&left, "external_ids");
        let back: Vec<_> = texts(&restored, "external_ids").into_iter().filter(|id| still.contains(id)).collect();
        set_texts(&mut left, "external_ids", still.into_iter().filter(|id| !back.contains(id)).collect());
        set_texts(&mut restored, "external_ids", back);
        let outcome = self.keep(index, name, before, ChangeKind::Unmerged);
        self.planned.last_mut().unwrap().body = restored;
        self.change_other(index, target, version, left);
        Ok(outcome)
    }

    fn create(&mut self, index: usize, name: String, sent: &DynamicMessage) -> (String, Outcome) {
        let mut body = sent.clone();
        for field in SERVERS {
            body.clear_field_by_name(field);
        }
        let looked_at = field_names(&body);
        let (change, updates) = (ChangeKind::Created, false);
        (
            name.clone(),
            self.plan(Planned { mutation: index, name, before: None, change, body, redirect: None, looked_at, updates }),
        )
    }

    fn update(
        &mut self,
        index: usize,
        name: String,
        before: Version,
        sent: &DynamicMessage,
        listed: &[String],
        adds: bool,
    ) -> (String, Outcome) {
        let mut fields: BTreeSet<String> = match listed {
            [] => sent.fields().map(|(field, _)| field.name().to_owned()).collect(),
            [all] if all == "*" => {
                let fields = field_names(sent);
                fields.into_iter().filter(|field| !is_immutable(sent.descriptor().name(), field)).collect()
            }
            listed => listed.iter().cloned().collect(),
        };
        if adds && sent.has_field_by_name("external_ids") {
            fields.insert("external_ids".to_owned());
        }
        fields.retain(|field| !SERVERS.contains(&field.as_str()));
        let mut body = body_of(&before.record);
        for field in &fields {
            let only_adds = adds && (field == "external_ids" || field == "labels" && listed.is_empty());
            if only_adds {
                let mut all = texts(&body, field);
                for added in texts(sent, field) {
                    if !all.contains(&added) {
                        all.push(added);
                    }
                }
                set_texts(&mut body, field, all);
            } else if sent.has_field_by_name(field) {
                body.set_field_by_name(field, sent.get_field_by_name(field).unwrap().into_owned());
            } else {
                body.clear_field_by_name(field);
            }
        }
        let (before, change) = (Some(before), ChangeKind::Updated);
        let planned = Planned {
            mutation: index,
            name: name.clone(),
            before,
            change,
            body,
            redirect: None,
            looked_at: fields,
            updates: true,
        };
        (name, self.plan(planned))
    }

    /// A change that leaves the fields of the record unchanged.
    fn keep(&mut self, index: usize, name: &str, before: Version, change: ChangeKind) -> (String, Outcome) {
        let body = body_of(&before.record);
        let looked_at = match change {
            ChangeKind::Undeleted | ChangeKind::Unmerged => field_names(&body),
            _ => BTreeSet::new(),
        };
        let (name, before) = (name.to_owned(), Some(before));
        let planned =
            Planned { mutation: index, name: name.clone(), before, change, body, redirect: None, looked_at, updates: false };
        (name, self.plan(planned))
    }

    fn change_other(&mut self, index: usize, name: String, before: Version, body: DynamicMessage) {
        self.claimed.insert(name.clone());
        let (before, change, looked_at) = (Some(before), ChangeKind::Updated, BTreeSet::new());
        self.plan(Planned { mutation: index, name, before, change, body, redirect: None, looked_at, updates: false });
    }

    fn plan(&mut self, planned: Planned) -> Outcome {
        self.planned.push(planned);
        Outcome::Planned(self.planned.len() - 1)
    }

    fn claim(&self, name: &str) -> Refused {
        if self.claimed.contains(name) { Err(DUPLICATE) } else { Ok(()) }
    }

    fn live(&self, name: &str) -> Refused<Version> {
        self.claim(name)?;
        self.live_before(name)
    }

    fn live_before(&self, name: &str) -> Refused<Version> {
        match self.model.now(name) {
            None => Err("RECORD_NOT_FOUND"),
            Some(version) if version.is_live() => Ok(version.clone()),
            Some(version) if version.redirect.is_some() => Err("RECORD_REDIRECTED"),
            Some(_) => Err("RECORD_DELETED"),
        }
    }

    fn planned(&self, name: &str) -> Option<&Planned> {
        self.planned.iter().find(|planned| planned.name == name)
    }

    /// Every live record after the commit.
    fn live_after(&self) -> Vec<(&str, &DynamicMessage)> {
        let others = self.model.versions.iter().filter(|(name, _)| self.planned(name).is_none());
        let others = others.filter_map(|(name, versions)| {
            let last = versions.last().filter(|last| last.is_live())?;
            Some((name.as_str(), &*last.record))
        });
        let planned = self.planned.iter().filter(|planned| planned.is_live());
        planned.map(|planned| (planned.name.as_str(), &planned.body)).chain(others).collect()
    }

    /// Live records of a type that will have an external id.
    fn holders(&self, collection: &str, id: &str) -> Vec<&str> {
        let holds = |(name, record): &(&str, &DynamicMessage)| {
            collection_of(name) == collection && texts(record, "external_ids").iter().any(|other| other == id)
        };
        self.live_after().into_iter().filter(holds).map(|(name, _)| name).collect()
    }

    /// The live record to which a name will lead.
    fn leads(&self, name: &str) -> Option<String> {
        let mut at = name.to_owned();
        loop {
            let (live, redirect) = match self.planned(&at) {
                Some(planned) => (planned.is_live(), planned.redirect.clone()),
                None => self.model.now(&at).map(|now| (now.is_live(), now.redirect.clone()))?,
            };
            match redirect {
                Some(target) => at = target,
                None => return live.then_some(at),
            }
        }
    }

    /// References, rules, cycles, vetoes, external ids: every check that needs all records.
    fn checked(mut self) -> Refused<Self> {
        let missing = self.rewrite_references();
        self.check_rules()?;
        self.check_references(missing)?;
        self.check_cycles()?;
        self.check_vetoes()?;
        for planned in self.planned.iter().filter(|planned| planned.is_live()) {
            for id in texts(&planned.body, "external_ids") {
                if self.holders(collection_of(&planned.name), &id).len() > 1 {
                    return Err("EXTERNAL_ID_TAKEN");
                }
            }
        }
        Ok(self)
    }

    /// Returns the mutations with references to missing records.
    fn rewrite_references(&mut self) -> Vec<usize> {
        let labels: HashMap<String, String> =
            self.subjects.iter().map(|(name, label)| (format!("@{label}"), name.clone())).collect();
        let mut missing = Vec::new();
        for index in 0..self.planned.len() {
            let planned = &self.planned[index];
            let mut body = planned.body.clone();
            let mut rewritten = Vec::new();
            for field in &planned.looked_at {
                if !body.has_field_by_name(field) {
                    continue;
                }
                let descriptor = body.descriptor().get_field_by_name(field).unwrap();
                let current = |value: &Value, missing: &mut Vec<usize>| {
                    let mut value = value.clone();
                    map_references(&mut value, &descriptor, &mut |reference, wanted| {
                        let name = labels.get(reference).map_or(reference, String::as_str);
                        let is_of_kind = wanted == "*" || message_of(name) == wanted.trim_start_matches("annals/");
                        let leads = self.leads(name).filter(|_| is_of_kind);
                        if leads.is_none() {
                            missing.push(planned.mutation);
                        }
                        leads
                    });
                    value
                };
                let sent = elements(&body, field);
                let now: Vec<Value> = sent.iter().map(|value| current(value, &mut missing)).collect();
                let mut stored: Vec<Option<Value>> = Vec::new();
                if let Some(before) = planned.before.as_ref().filter(|before| before.record.has_field_by_name(field)) {
                    stored = elements(&before.record, field).into_iter().map(Some).collect();
                }
                let mut known = BTreeSet::new();
                for value in stored.iter_mut().flatten() {
                    map_references(value, &descriptor, &mut |reference, _| {
                        known.insert(reference.to_owned());
                        None
                    });
                }
                // What is stored already stays as it is stored: the same element first, then one by other names of its records.
                let mut written: Vec<Option<Value>> = vec![None; sent.len()];
                for by_name_now in [false, true] {
                    for same_position in [true, false] {
                        for at in 0..sent.len() {
                            if written[at].is_some() {
                                continue;
                            }
                            let is_same = |value: &Value| {
                                if by_name_now { current(value, &mut Vec::new()) == now[at] } else { *value == sent[at] }
                            };
                            let mut places = if same_position { at..at + 1 } else { 0..stored.len() };
                            let found = places.find(|place| stored.get(*place).and_then(Option::as_ref).is_some_and(is_same));
                            if let Some(found) = found {
                                written[at] = stored[found].take();
                            }
                        }
                    }
                }
                let value = written.into_iter().zip(sent).map(|(written, mut value)| {
                    written.unwrap_or_else(|| {
                        map_references(&mut value, &descriptor, &mut |reference, _| {
                            if known.contains(reference) {
                                return None;
                            }
                            self.leads(labels.get(reference).map_or(reference, String::as_str))
                        });
                        value
                    })
                });
                let mut value: Vec<Value> = value.collect();
                rewritten.push((field.clone(), if descriptor.is_list() { Value::List(value) } else { value.remove(0) }));
            }
            for (field, value) in rewritten {
                body.set_field_by_name(&field, value);
            }
            self.planned[index].body = body;
        }
        missing
    }

    fn check_rules(&mut self) -> Refused {
        for planned in &mut self.planned {
            let message = planned.body.descriptor().name().to_owned();
            if planned.updates {
                let before = body_of(&planned.before.as_ref().unwrap().record);
                let changes = |field: &&String| {
                    is_immutable(&message, field)
                        && before.has_field_by_name(field)
                        && before.get_field_by_name(field) != planned.body.get_field_by_name(field)
                };
                if planned.looked_at.iter().find(changes).is_some() {
                    return Err("FIELD_INVALID");
                }
            }
            if message == "Relation"
                && planned.is_live()
                && !planned.looked_at.is_empty()
                && text(&planned.body, "subject") == text(&planned.body, "object")
            {
                return Err("FIELD_INVALID");
            }
            if message == "Estimate" && !planned.looked_at.is_empty() {
                complete_series(&mut planned.body);
            }
            planned.body = normal(&planned.body);
            if planned.updates && planned.body == normal(&body_of(&planned.before.as_ref().unwrap().record)) {
                planned.change = ChangeKind::Unchanged;
            }
        }
        Ok(())
    }

    fn check_references(&self, missing: Vec<usize>) -> Refused {
        let mut findings: Vec<_> = missing.into_iter().map(|mutation| (mutation, "REFERENCE_NOT_FOUND")).collect();
        let live = self.live_after();
        for deleted in self.planned.iter().filter(|planned| planned.change == ChangeKind::Deleted) {
            let names = self.model.names_of(&deleted.name, u64::MAX);
            let refers = |(name, record): &(&str, &DynamicMessage)| {
                // A reference that the commit itself sets is reported as missing, not as a referrer.
                let set = self.planned(name).map(|planned| &planned.looked_at);
                let kept = |field: &str| set.is_none_or(|set| !set.contains(field));
                *name != deleted.name
                    && references(record).iter().any(|(field, reference)| kept(field) && names.contains(reference))
            };
            if live.iter().any(refers) {
                findings.push((deleted.mutation, "REFERENCED"));
            }
        }
        findings.sort_by_key(|(mutation, _)| *mutation);
        findings.first().map_or(Ok(()), |(_, reason)| Err(reason))
    }

    fn check_cycles(&self) -> Refused {
        let live = self.live_after();
        let (mut derived, mut superseded) = (Vec::new(), Vec::new());
        for (name, record) in &live {
            match collection_of(name) {
                "sources" => {
                    derived.extend(self.leads(&text(record, "derived_from")).map(|to| ((*name).to_owned(), to)));
                }
                "relations" if number(record, "kind") == RelationKind::Supersedes as i32 && !flag(record, "revoked") => {
                    let ends = (self.leads(&text(record, "subject")), self.leads(&text(record, "object")));
                    if let (Some(from), Some(to)) = ends {
                        superseded.push((from, to));
                    }
                }
                _ => {}
            }
        }
        if [derived, superseded].iter().any(|links| has_cycle(links)) { Err("FIELD_INVALID") } else { Ok(()) }
    }

    fn check_vetoes(&self) -> Refused {
        let live = self.live_after();
        for merged in self.planned.iter().filter(|planned| planned.change == ChangeKind::Merged) {
            let ours = self.model.names_of(&merged.name, u64::MAX);
            let theirs = self.model.names_of(merged.redirect.as_ref().unwrap(), u64::MAX);
            let vetoes = |(_, record): &(&str, &DynamicMessage)| {
                let (subject, object) = (text(record, "subject"), text(record, "object"));
                number(record, "kind") == RelationKind::NotSameAs as i32
                    && !flag(record, "revoked")
                    && (ours.contains(&subject) && theirs.contains(&object)
                        || ours.contains(&object) && theirs.contains(&subject))
            };
            if live.iter().filter(|(name, _)| collection_of(name) == "relations").any(vetoes) {
                return Err("MERGE_VETOED");
            }
        }
        Ok(())
    }

    fn outcome(self, now_us: i64) -> Prediction {
        let model = self.model;
        let changes = self.planned.iter().any(|planned| planned.change != ChangeKind::Unchanged);
        let revision = model.head() + 1;
        let result = |name: &str, revision: u64, kind: ChangeKind| MutationResult {
            name: name.to_owned(),
            revision: i64::try_from(revision).unwrap(),
            kind: kind.into(),
        };
        let of_planned = |planned: &Planned, kind| match planned.change {
            ChangeKind::Unchanged => result(&planned.name, planned.before.as_ref().unwrap().revision, ChangeKind::Unchanged),
            _ => result(
                planned.redirect.as_ref().filter(|_| kind != ChangeKind::Unchanged).unwrap_or(&planned.name),
                revision,
                kind,
            ),
        };
        let results = self.outcomes.iter().map(|outcome| match outcome {
            Outcome::Planned(index) => of_planned(&self.planned[*index], self.planned[*index].change),
            Outcome::MadeBefore(index) => of_planned(&self.planned[*index], ChangeKind::Unchanged),
            Outcome::Unchanged(name, revision) => result(name, *revision, ChangeKind::Unchanged),
        });
        let results = results.collect();
        if !changes {
            return Prediction::Unchanged(results);
        }
        let time_us = now_us.max(model.last_time_us() + 1).max(model.answered_us + 1);
        let changed = self.planned.into_iter().filter(|planned| planned.change != ChangeKind::Unchanged);
        let changes = changed.map(|planned| {
            let record = Rc::new(stamped(&planned, revision, time_us));
            let version = Version { revision, change: planned.change, redirect: planned.redirect, record };
            (planned.name, version)
        });
        Prediction::Committed { time_us, results, changes: changes.collect() }
    }
}

fn unchanged(name: &str, at: &Version) -> (String, Outcome) {
    (name.to_owned(), Outcome::Unchanged(name.to_owned(), at.revision))
}

fn stamped(planned: &Planned, revision: u64, time_us: i64) -> DynamicMessage {
    let mut record = planned.body.clone();
    let time = dynamic_time(&timestamp(time_us));
    let revision = Value::I64(i64::try_from(revision).unwrap());
    let first = |field: &str, now: &Value| {
        let before = planned.before.as_ref().and_then(|before| before.record.get_field_by_name(field));
        before.map_or_else(|| now.clone(), std::borrow::Cow::into_owned)
    };
    record.set_field_by_name("name", Value::String(planned.name.clone()));
    record.set_field_by_name("create_revision", first("create_revision", &revision));
    record.set_field_by_name("create_time", first("create_time", &time));
    record.set_field_by_name("revision", revision);
    record.set_field_by_name("update_time", time.clone());
    if planned.change == ChangeKind::Deleted {
        record.set_field_by_name("delete_time", time);
    }
    normal(&record)
}

fn complete_series(estimate: &mut DynamicMessage) {
    let unit = estimate.get_field_by_name("quantity").unwrap().as_message().map(|quantity| text(quantity, "unit"));
    let mut estimand = estimate.get_field_by_name("estimand").unwrap().as_message().unwrap().clone();
    let mut subjects = texts(&estimand, "subjects");
    subjects.sort();
    subjects.dedup();
    let part = |field: &str| text(&estimand, field);
    let series = [part("measure"), subjects.join(","), part("population"), part("place"), unit.unwrap_or_default()].join("|");
    estimand.set_field_by_name("series", Value::String(series));
    estimate.set_field_by_name("estimand", Value::Message(estimand));
}

fn has_cycle(links: &[(String, String)]) -> bool {
    links.iter().any(|(start, first)| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![first]);
        while let Some(at) = next.pop() {
            if at == start {
                return true;
            }
            if seen.insert(at) {
                next.extend(links.iter().filter(|(from, _)| from == at).map(|(_, to)| to));
            }
        }
        false
    })
}

/// Passes every reference in a value, with its target type, to a function that may replace it.
fn map_references(
    value: &mut Value,
    field: &prost_reflect::FieldDescriptor,
    map: &mut dyn FnMut(&str, &str) -> Option<String>,
) {
    if let Some(wanted) = reference_target(field) {
        let mut one = |value: &mut Value| {
            if let Value::String(text) = value
                && !text.is_empty()
                && let Some(other) = map(text, &wanted)
            {
                *text = other;
            }
        };
        match value {
            Value::List(list) => list.iter_mut().for_each(one),
            value => one(value),
        }
        return;
    }
    let mut inner = |value: &mut Value| {
        if let Value::Message(message) = value {
            for (field, value) in message.fields_mut() {
                map_references(value, &field, map);
            }
        }
    };
    match value {
        Value::List(list) => list.iter_mut().for_each(inner),
        value => inner(value),
    }
}

/// The elements of a field: those of a list, or the one value of another field.
fn elements(record: &DynamicMessage, field: &str) -> Vec<Value> {
    match record.get_field_by_name(field).unwrap().into_owned() {
        Value::List(list) => list,
        value => vec![value],
    }
}

/// Every reference of a record, with its top-level field.
fn references(record: &DynamicMessage) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (field, value) in record.clone().fields_mut() {
        map_references(value, &field, &mut |reference, _| {
            found.push((field.name().to_owned(), reference.to_owned()));
            None
        });
    }
    found
}

/// Names of the top-level fields that differ from the previous version, as history reports them.
pub(crate) fn changed_fields(change: ChangeKind, before: Option<&DynamicMessage>, after: &DynamicMessage) -> Vec<String> {
    let differs = |name: &str| {
        let after = (after.has_field_by_name(name), after.get_field_by_name(name));
        before.map_or(after.0, |before| (before.has_field_by_name(name), before.get_field_by_name(name)) != after)
    };
    let stamps = ["name", "revision", "create_revision", "create_time", "update_time"];
    let descriptor = after.descriptor();
    let fields = descriptor.fields().map(|field| field.name().to_owned()).filter(|name| match name.as_str() {
        "delete_time" => matches!(change, ChangeKind::Deleted | ChangeKind::Undeleted),
        name => !stamps.contains(&name) && differs(name),
    });
    fields.collect()
}

pub(crate) fn collection_of(name: &str) -> &str {
    name.split('/').next().unwrap()
}

/// The message of a name.
pub(crate) fn message_of(name: &str) -> &'static str {
    let collection = collection_of(name);
    COLLECTIONS.iter().find(|(of, _)| *of == collection).map_or("", |(_, message)| message)
}

pub(crate) fn descriptor(message: &str) -> MessageDescriptor {
    proto::descriptors().get_message_by_name(&format!("annals.v1.{message}")).unwrap()
}

fn is_immutable(message: &str, field: &str) -> bool {
    IMMUTABLE.iter().any(|(of, fields)| *of == message && fields.contains(&field))
}

fn field_names(record: &DynamicMessage) -> BTreeSet<String> {
    let names = record.descriptor().fields().map(|field| field.name().to_owned()).collect::<Vec<_>>();
    names.into_iter().filter(|name| !SERVERS.contains(&name.as_str())).collect()
}

/// The message inside a `Record`.
pub(crate) fn dynamic(record: &Record) -> DynamicMessage {
    let whole = DynamicMessage::decode(descriptor("Record"), record.encode_to_vec().as_slice()).unwrap();
    let (_, value) = whole.fields().next().unwrap();
    value.as_message().unwrap().clone()
}

/// A record without the server's fields, but with `merged_names`.
fn body_of(record: &DynamicMessage) -> DynamicMessage {
    let mut body = record.clone();
    for field in SERVERS.iter().filter(|field| **field != "merged_names") {
        body.clear_field_by_name(field);
    }
    body
}

/// The message after writing and reading it.
fn normal(message: &DynamicMessage) -> DynamicMessage {
    DynamicMessage::decode(message.descriptor(), message.encode_to_vec().as_slice()).unwrap()
}

pub(crate) fn text(record: &DynamicMessage, field: &str) -> String {
    record.get_field_by_name(field).unwrap().as_str().unwrap().to_owned()
}

pub(crate) fn texts(record: &DynamicMessage, field: &str) -> Vec<String> {
    let value = record.get_field_by_name(field).unwrap();
    value.as_list().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn set_texts(record: &mut DynamicMessage, field: &str, texts: Vec<String>) {
    record.set_field_by_name(field, Value::List(texts.into_iter().map(Value::String).collect()));
}

fn number(record: &DynamicMessage, field: &str) -> i32 {
    record.get_field_by_name(field).unwrap().as_enum_number().unwrap()
}

fn flag(record: &DynamicMessage, field: &str) -> bool {
    record.get_field_by_name(field).unwrap().as_bool().unwrap()
}

pub(crate) fn timestamp(time_us: i64) -> Timestamp {
    Timestamp { seconds: time_us.div_euclid(1_000_000), nanos: i32::try_from(time_us.rem_euclid(1_000_000)).unwrap() * 1000 }
}

fn dynamic_time(time: &Timestamp) -> Value {
    let of = proto::descriptors().get_message_by_name("google.protobuf.Timestamp").unwrap();
    Value::Message(DynamicMessage::decode(of, time.encode_to_vec().as_slice()).unwrap())
}
