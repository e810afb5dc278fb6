//! Plans a commit: checks every rule about records against the store, before anything is written.
//!
//! [`plan`] runs the stages in the order that the contract promises. It reports everything that the first failing stage finds.
//! It does not write anything or assign a revision: the writer does.
//!
//! Knows the view of the store and the types' rules. Must not know the log, the queue or the engine.

mod conflict;
mod existence;
mod kept;
mod quotes;
mod references;
pub(super) mod request;
mod rules;

use std::collections::HashMap;

use self::request::{Update, Work};
use super::{StoreLimits, error::Result, version::Version, view::View};
use crate::{
    model::{CheckedRecord, RecordKind, RecordName, schema, wire},
    proto::ChangeKind,
};

/// What a commit does, before it has a revision and a time.
#[derive(Debug)]
pub(crate) struct CommitPlan {
    /// The records that change, in the order of the mutations.
    pub(crate) changes: Vec<PlannedChange>,
    /// One for each mutation.
    pub(crate) outcomes: Vec<MutationOutcome>,
}

/// The planned change of one record.
#[derive(Debug)]
pub(crate) struct PlannedChange {
    /// The name of the record.
    pub(crate) name: RecordName,
    /// Its version before the commit, if there is one.
    pub(crate) before: Option<Version>,
    /// The kind of the change. `Unchanged` if the mutation turned out to change nothing.
    pub(crate) change: ChangeKind,
    /// Its encoded fields from `external_ids` on: those that clients and merges write.
    pub(crate) body: Vec<u8>,
    /// The record that it is merged into.
    pub(crate) redirect: Option<RecordName>,
    /// The fields that the mutation sets. Only their references are checked.
    sets: Sets,
    /// The update that was sent. Taken when it is joined with the body before.
    sent: Option<Update>,
    /// The record that was checked when the request was parsed. `None` if its references were rewritten since then.
    checked: Option<CheckedRecord>,
    /// Whether it has links that could close a cycle.
    linked: bool,
    /// The path of the record in the request.
    at: String,
}

/// Which fields of a record a mutation sets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sets {
    All,
    Fields(Vec<u32>),
}

impl Sets {
    fn contains(&self, number: u32) -> bool {
        match self {
            Self::All => true,
            Self::Fields(numbers) => numbers.contains(&number),
        }
    }
}

/// The result of a mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MutationOutcome {
    /// The change with this index.
    Changed(usize),
    /// Nothing changed: the record has been so since this revision.
    Unchanged { name: String, revision: u64 },
    /// Nothing changed, because the change with this index, of an earlier mutation, made the record so.
    MadeBefore(usize),
}

/// The records during planning: those of the store, with the planned changes on top.
struct Changes<'a> {
    view: View<'a>,
    limits: &'a StoreLimits,
    planned: Vec<PlannedChange>,
    by_name: HashMap<RecordName, usize>,
    /// Indexes of planned records by external id. A record may have lost the id since, so a look-up checks it again.
    by_external_id: HashMap<String, Vec<usize>>,
    /// The name of the record of each mutation, and the label of the mutation.
    subjects: Vec<(RecordName, String)>,
    /// The first mutation about each name.
    first_about: HashMap<RecordName, usize>,
    outcomes: Vec<MutationOutcome>,
}

/// A record after the planned changes.
struct After {
    live: bool,
    body: Vec<u8>,
}

/// Checks a commit against the store, and plans its changes. `new_id` makes ids for records that were sent without a name.
pub(crate) fn plan(view: View<'_>, work: Work, limits: &StoreLimits, new_id: &mut dyn FnMut() -> String) -> Result<CommitPlan> {
    conflict::check_preconditions(view, &work)?;
    let mut changes = Changes {
        view,
        limits,
        planned: Vec::with_capacity(work.mutations.len()),
        by_name: HashMap::new(),
        by_external_id: HashMap::new(),
        first_about: HashMap::new(),
        subjects: Vec::with_capacity(work.mutations.len()),
        outcomes: Vec::with_capacity(work.mutations.len()),
    };
    changes.find_records(work, new_id)?;
    let references = changes.resolve_references()?;
    changes.apply_rules()?;
    changes.check_references(references)?;
    changes.check_links()?;
    changes.check_external_ids()?;
    Ok(changes.into_plan())
}

impl Changes<'_> {
    /// The version of a record before this commit.
    fn before(&self, name: &RecordName) -> Result<Option<Version>> {
        self.view.version(name.kind(), name.id())
    }

    /// The record after the changes that are planned so far.
    fn after(&self, name: &RecordName) -> Result<Option<After>> {
        if let Some(planned) = self.by_name.get(name).and_then(|index| self.planned.get(*index)) {
            return Ok(Some(After { live: planned.is_live(), body: planned.body.clone() }));
        }
        Ok(self.before(name)?.map(|version| After { live: version.is_live(), body: body(&version.record).to_vec() }))
    }

    /// The live record to which a name leads after all redirects. `None` if there is none.
    fn live_target(&self, name: &RecordName) -> Result<Option<RecordName>> {
        let mut at = name.clone();
        // This ends, because redirects cannot form a cycle.
        loop {
            let (live, redirect) = match self.by_name.get(&at).and_then(|index| self.planned.get(*index)) {
                Some(planned) => (planned.is_live(), planned.redirect.clone()),
                None => match self.view.version_head(at.kind(), at.id())? {
                    Some(head) => (head.is_live(), head.redirect().and_then(|target| target.parse().ok())),
                    None => return Ok(None),
                },
            };
            match redirect {
                Some(target) => at = target,
                None => return Ok(live.then_some(at)),
            }
        }
    }

    /// The record that a name was merged into, if it was.
    fn redirect(&self, name: &RecordName) -> Result<Option<RecordName>> {
        if let Some(planned) = self.by_name.get(name).and_then(|index| self.planned.get(*index)) {
            return Ok(planned.redirect.clone());
        }
        let head = self.view.version_head(name.kind(), name.id())?;
        Ok(head.and_then(|head| head.redirect().and_then(|target| target.parse().ok())))
    }

    /// The planned records of a kind that are live after the commit.
    fn live_planned(&self, kind: RecordKind) -> impl Iterator<Item = &PlannedChange> {
        self.planned.iter().filter(move |planned| planned.name.kind() == kind && planned.is_live())
    }

    fn add(&mut self, planned: PlannedChange) -> usize {
        let index = self.planned.len();
        for external_id in rules::external_ids(&planned.body) {
            self.by_external_id.entry(external_id.to_owned()).or_default().push(index);
        }
        self.by_name.insert(planned.name.clone(), index);
        self.planned.push(planned);
        index
    }

    fn into_plan(self) -> CommitPlan {
        // Drop the records that turned out to be unchanged, and adjust the indexes in the outcomes.
        let mut kept = Vec::with_capacity(self.planned.len());
        let mut indexes = Vec::with_capacity(self.planned.len());
        for planned in self.planned {
            if planned.change == ChangeKind::Unchanged {
                let revision = planned.before.as_ref().map_or(0, |before| before.revision);
                indexes.push(Err((planned.name.to_string(), revision)));
            } else {
                indexes.push(Ok(kept.len()));
                kept.push(planned);
            }
        }
        let outcomes = self
            .outcomes
            .into_iter()
            .map(|outcome| match outcome {
                MutationOutcome::Changed(index) | MutationOutcome::MadeBefore(index) => match indexes.get(index) {
                    Some(Ok(index)) if matches!(outcome, MutationOutcome::Changed(_)) => MutationOutcome::Changed(*index),
                    Some(Ok(index)) => MutationOutcome::MadeBefore(*index),
                    Some(Err((name, revision))) => MutationOutcome::Unchanged { name: name.clone(), revision: *revision },
                    None => unreachable!("outcomes name planned changes"),
                },
                unchanged @ MutationOutcome::Unchanged { .. } => unchanged,
            })
            .collect();
        CommitPlan { changes: kept, outcomes }
    }
}

impl PlannedChange {
    /// A change that was not checked yet.
    fn new(name: RecordName, before: Option<Version>, change: ChangeKind, body: Vec<u8>, sets: Sets, at: String) -> Self {
        Self { name, before, change, body, redirect: None, sets, sent: None, checked: None, linked: false, at }
    }

    /// Whether the record is live after the commit.
    pub(crate) fn is_live(&self) -> bool {
        match self.change {
            ChangeKind::Deleted | ChangeKind::Merged => false,
            ChangeKind::Unchanged => self.before.as_ref().is_some_and(Version::is_live),
            _ => true,
        }
    }

    /// Numbers of the top-level fields that differ from the version before.
    pub(crate) fn changed_fields(&self) -> Vec<u32> {
        let before = self.before.as_ref().map(|before| before.record.as_ref()).unwrap_or_default();
        changed_fields(self.change, body(before), &self.body)
    }
}

/// The fields of a record from `external_ids` on: all but those that the server sets on each version.
pub(crate) fn body(record: &[u8]) -> &[u8] {
    let mut stamps = 0;
    for field in wire::fields(record) {
        if field.number >= schema::EXTERNAL_IDS {
            break;
        }
        stamps += field.raw.len();
    }
    record.get(stamps..).unwrap_or_default()
}

/// Numbers of the top-level fields in which two versions of a record differ. `change` is the change between them.
pub(crate) fn changed_fields(change: ChangeKind, before: &[u8], after: &[u8]) -> Vec<u32> {
    if before.is_empty() {
        return wire::numbers(after);
    }
    let mut fields = wire::Parts::of(before).differences(&wire::Parts::of(after));
    if matches!(change, ChangeKind::Deleted | ChangeKind::Undeleted) {
        fields.insert(0, schema::DELETE_TIME);
    }
    fields
}
