//! What a commit would do: every rule about records, checked against the store as it is, before anything is written.
//!
//! [`plan`] goes through the stages in the order that callers are promised, and reports everything that the first failing
//! stage finds. It writes nothing and numbers nothing: that is for the writer.
//!
//! Knows the view of the store and the types' rules. Must not know the log, the queue or the engine.

mod conflict;
mod existence;
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

/// What a commit does, as far as it can be said before it has a revision and a time.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The records that change, in the order of the mutations.
    pub(crate) changes: Vec<Planned>,
    /// One a mutation.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What becomes of one record.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Its name.
    pub(crate) name: RecordName,
    /// What it was, if anything.
    pub(crate) before: Option<Version>,
    /// What happens to it. `Unchanged`: nothing, after all.
    pub(crate) change: ChangeKind,
    /// Its fields from `external_ids` on, encoded: what clients and merges write.
    pub(crate) body: Vec<u8>,
    /// Where it is merged into.
    pub(crate) redirect: Option<RecordName>,
    /// Which fields the mutation sets: their references are checked.
    sets: Sets,
    /// What was sent, until it is joined with what was there.
    sent: Option<Update>,
    /// The record as it was checked when it was parsed, unless references had to be rewritten since.
    checked: Option<CheckedRecord>,
    /// Whether it has links that could close a cycle.
    linked: bool,
    /// Where the record stands in the request.
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
pub(crate) enum Outcome {
    /// The change with this index.
    Changed(usize),
    /// The record was so already, at this revision.
    Unchanged { name: String, revision: u64 },
    /// An earlier mutation of the commit made the record so: the change with this index.
    MadeBefore(usize),
}

/// Records as they will be, while a plan is made: the store's, with the planned changes on top.
struct Changes<'a> {
    view: View<'a>,
    limits: &'a StoreLimits,
    planned: Vec<Planned>,
    by_name: HashMap<RecordName, usize>,
    /// Planned records by the external ids that they may have: looked at again when one is looked up.
    by_external_id: HashMap<String, Vec<usize>>,
    /// The name that each mutation is about, with the mutation's label.
    subjects: Vec<(RecordName, String)>,
    /// The first mutation that is about a name.
    first_about: HashMap<RecordName, usize>,
    outcomes: Vec<Outcome>,
}

/// A record as it will be.
struct After {
    live: bool,
    body: Vec<u8>,
}

/// Checks a commit against the store and says what it would do. `new_id` makes the ids of records that come without a name.
pub(crate) fn plan(view: View<'_>, work: Work, limits: &StoreLimits, new_id: &mut dyn FnMut() -> String) -> Result<Plan> {
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

    /// The record as it will be, as far as it is planned by now.
    fn after(&self, name: &RecordName) -> Result<Option<After>> {
        if let Some(planned) = self.by_name.get(name).and_then(|index| self.planned.get(*index)) {
            return Ok(Some(After { live: planned.is_live(), body: planned.body.clone() }));
        }
        Ok(self.before(name)?.map(|version| After { live: version.is_live(), body: body(&version.record).to_vec() }))
    }

    /// Where a name will lead after all redirects, if that is a live record.
    fn live_target(&self, name: &RecordName) -> Result<Option<RecordName>> {
        let mut at = name.clone();
        // A redirect chain is as long as merges were made into merged records; a cycle cannot be written.
        loop {
            let (live, redirect) = match self.by_name.get(&at).and_then(|index| self.planned.get(*index)) {
                Some(planned) => (planned.is_live(), planned.redirect.clone()),
                None => match self.view.standing(at.kind(), at.id())? {
                    Some(standing) => (standing.is_live(), standing.redirect().and_then(|target| target.parse().ok())),
                    None => return Ok(None),
                },
            };
            match redirect {
                Some(target) => at = target,
                None => return Ok(live.then_some(at)),
            }
        }
    }

    /// Every record of this commit that is live afterwards and of a kind.
    fn live_planned(&self, kind: RecordKind) -> impl Iterator<Item = &Planned> {
        self.planned.iter().filter(move |planned| planned.name.kind() == kind && planned.is_live())
    }

    fn add(&mut self, planned: Planned) -> usize {
        let index = self.planned.len();
        for external_id in rules::external_ids(&planned.body) {
            self.by_external_id.entry(external_id.to_owned()).or_default().push(index);
        }
        self.by_name.insert(planned.name.clone(), index);
        self.planned.push(planned);
        index
    }

    fn into_plan(self) -> Plan {
        // Records that turned out to be as they were leave; the indexes in the outcomes close up behind them.
        let mut kept = Vec::with_capacity(self.planned.len());
        let mut places = Vec::with_capacity(self.planned.len());
        for planned in self.planned {
            if planned.change == ChangeKind::Unchanged {
                let revision = planned.before.as_ref().map_or(0, |before| before.revision);
                places.push(Err((planned.name.to_string(), revision)));
            } else {
                places.push(Ok(kept.len()));
                kept.push(planned);
            }
        }
        let outcomes = self
            .outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Changed(index) | Outcome::MadeBefore(index) => match places.get(index) {
                    Some(Ok(place)) if matches!(outcome, Outcome::Changed(_)) => Outcome::Changed(*place),
                    Some(Ok(place)) => Outcome::MadeBefore(*place),
                    Some(Err((name, revision))) => Outcome::Unchanged { name: name.clone(), revision: *revision },
                    None => unreachable!("outcomes name planned changes"),
                },
                unchanged @ Outcome::Unchanged { .. } => unchanged,
            })
            .collect();
        Plan { changes: kept, outcomes }
    }
}

impl Planned {
    /// A change that is still to be checked.
    fn new(name: RecordName, before: Option<Version>, change: ChangeKind, body: Vec<u8>, sets: Sets, at: String) -> Self {
        Self { name, before, change, body, redirect: None, sets, sent: None, checked: None, linked: false, at }
    }

    /// Whether the record exists afterwards under its own name.
    pub(crate) fn is_live(&self) -> bool {
        match self.change {
            ChangeKind::Deleted | ChangeKind::Merged => false,
            ChangeKind::Unchanged => self.before.as_ref().is_some_and(Version::is_live),
            _ => true,
        }
    }

    /// Numbers of the top-level fields that will differ from the revision before.
    pub(crate) fn changed_fields(&self) -> Vec<u32> {
        let before = self.before.as_ref().map(|before| before.record.as_ref()).unwrap_or_default();
        changed_fields(self.change, body(before), &self.body)
    }
}

/// A record's fields from `external_ids` on: all but what the server stamps on each version.
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

/// Numbers of the fields in which two versions of a record differ, given what happened in between.
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
