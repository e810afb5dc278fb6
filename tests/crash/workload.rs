//! The requests of each writer. The n-th request of a writer follows from the seed alone. So a later process can send it again,
//! and the test knows its effect without asking the store.
//!
//! Knows requests and their effect on records. Must not know processes or disks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use annals::proto::{
    Actor, ChangeKind, Commit, CommitRequest, Delete, Event, Mutation, Participant, Record, Undelete, Unmerge, Update, Upsert,
    mutation::Op, record,
};

/// The largest description. With the other fields of the record it is below the limit of 256 KiB.
const DESCRIPTION_BYTES_MAX: usize = 255 << 10;
/// The smallest description.
const DESCRIPTION_BYTES_MIN: usize = 100;

/// One request and its effect.
pub(crate) struct Step {
    pub(crate) request: CommitRequest,
    /// The changes that it makes, in order. Empty if it changes nothing.
    pub(crate) changes: Vec<Expected>,
}

/// A change that a commit must contain.
pub(crate) struct Expected {
    name: String,
    kind: ChangeKind,
    redirect_target: String,
    /// `None` for the one actor.
    record: Option<Known>,
}

/// An event as it must read.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) title: String,
    description: Description,
    external_ids: BTreeSet<String>,
    merged_names: BTreeSet<String>,
    pub(crate) standing: Standing,
}

/// Whether an event can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Live,
    Deleted,
    /// It redirects to this event.
    Merged(u64),
}

/// A part of [`letters`].
#[derive(Clone, Copy, Debug)]
struct Description {
    start: usize,
    bytes: usize,
}

impl Description {
    fn text(self) -> &'static str {
        &letters()[self.start..self.start + self.bytes]
    }
}

/// The requests of one writer, in order.
pub(crate) struct Writer {
    seed: u64,
    number: usize,
    next: u64,
    events: BTreeMap<u64, Known>,
    next_event: u64,
}

impl Writer {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        Self { seed, number, next: 0, events: BTreeMap::new(), next_event: 0 }
    }

    /// Makes the first requests.
    pub(crate) fn skip(&mut self, steps: u64) {
        while self.next < steps {
            drop(self.step());
        }
    }

    /// How many requests were made.
    pub(crate) fn steps(&self) -> u64 {
        self.next
    }

    /// What all records must be after the requests made so far.
    pub(crate) fn events(&self) -> impl Iterator<Item = (String, &Known)> {
        self.events.iter().map(|(event, known)| (self.name(*event), known))
    }

    /// Which writer and which of its requests a request id names.
    pub(crate) fn parse_id(request_id: &str) -> Option<(usize, u64)> {
        let (writer, step) = request_id.strip_prefix('w')?.split_once('-')?;
        Some((writer.parse().ok()?, step.parse().ok()?))
    }

    /// The next request.
    pub(crate) fn step(&mut self) -> Step {
        let n = self.next;
        self.next += 1;
        let mix =
            self.seed ^ (self.number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let mut draft =
            Draft { rng: fastrand::Rng::with_seed(mix), n, mutations: Vec::new(), changes: Vec::new(), used: BTreeSet::new() };
        if n == 0 {
            let actor = Actor { name: self.actor(), display_name: self.actor(), ..Default::default() };
            draft.mutations.push(Op::Create(Record { record: Some(record::Record::Actor(actor)) }));
            let (name, redirect_target) = (self.actor(), String::new());
            draft.changes.push(Expected { name, kind: ChangeKind::Created, redirect_target, record: None });
        }
        match draft.rng.u8(..100) {
            0..30 => self.create(&mut draft),
            30..52 => self.update(&mut draft),
            52..64 => self.upsert(&mut draft),
            64..72 => self.delete(&mut draft),
            72..77 => self.undelete(&mut draft),
            77..84 => self.merge(&mut draft),
            84..88 => self.unmerge(&mut draft),
            88..96 => {
                self.create(&mut draft);
                self.update(&mut draft);
                self.delete(&mut draft);
            }
            _ => self.change_nothing(&mut draft),
        }
        if draft.mutations.is_empty() {
            self.create(&mut draft);
        }
        let Draft { mutations, changes, .. } = draft;
        let mutations = mutations.into_iter().map(|op| Mutation { label: String::new(), op: Some(op) }).collect();
        Step {
            request: CommitRequest { request_id: format!("w{}-{n}", self.number), mutations, ..Default::default() },
            changes,
        }
    }

    /// Makes the requests up to one. Returns that request and whether another one that changed something came before it. `None`
    /// if it was made before.
    pub(crate) fn step_to(&mut self, n: u64) -> Option<(Step, bool)> {
        let (mut last, mut passed_over) = (None, false);
        while self.next <= n {
            let passed: Option<Step> = last.replace(self.step());
            passed_over |= passed.is_some_and(|passed| !passed.changes.is_empty());
        }
        last.map(|last| (last, passed_over))
    }

    fn create(&mut self, draft: &mut Draft) {
        for _ in 0..draft.rng.u8(1..=4) {
            let event = self.next_event;
            self.next_event += 1;
            let known = Known {
                title: draft.title(event),
                description: draft.description(),
                external_ids: [self.external_id(event)].into(),
                merged_names: BTreeSet::new(),
                standing: Standing::Live,
            };
            let mut record = self.record(event, &known);
            if draft.rng.bool() {
                record.participants = vec![Participant { actor: self.actor(), ..Default::default() }];
            }
            draft.mutations.push(Op::Create(event_record(record)));
            self.put(draft, event, ChangeKind::Created, known);
        }
    }

    fn update(&mut self, draft: &mut Draft) {
        for _ in 0..draft.rng.u8(1..=2) {
            let Some((event, mut known)) = self.pick(draft, &Standing::Live) else { return };
            known.title = draft.title(event);
            let mut record = Event { name: self.name(event), title: known.title.clone(), ..Default::default() };
            if draft.rng.bool() {
                known.description = draft.description();
                record.description = known.description.text().into();
            }
            draft.mutations.push(Op::Update(Update { record: Some(event_record(record)), ..Default::default() }));
            self.put(draft, event, ChangeKind::Updated, known);
        }
    }

    /// By an external id, of an existing record or of a new one.
    fn upsert(&mut self, draft: &mut Draft) {
        let found = if draft.rng.bool() { self.pick(draft, &Standing::Live) } else { None };
        let (event, kind, mut known) = if let Some((event, known)) = found {
            (event, ChangeKind::Updated, known)
        } else {
            let event = self.next_event;
            self.next_event += 1;
            let external_ids = [self.external_id(event)].into();
            let (title, description) = (String::new(), draft.description());
            let known = Known { title, description, external_ids, merged_names: BTreeSet::new(), standing: Standing::Live };
            (event, ChangeKind::Created, known)
        };
        known.title = draft.title(event);
        known.description = draft.description();
        let mut record = self.record(event, &known);
        record.external_ids.truncate(1);
        if kind == ChangeKind::Updated {
            record.name.clear();
        }
        draft.mutations.push(Op::Upsert(Upsert { record: Some(event_record(record)), ..Default::default() }));
        self.put(draft, event, kind, known);
    }

    fn delete(&mut self, draft: &mut Draft) {
        let Some((event, mut known)) = self.pick(draft, &Standing::Live) else { return };
        known.standing = Standing::Deleted;
        draft.mutations.push(Op::Delete(Delete { name: self.name(event), ..Default::default() }));
        self.put(draft, event, ChangeKind::Deleted, known);
    }

    fn undelete(&mut self, draft: &mut Draft) {
        let Some((event, mut known)) = self.pick(draft, &Standing::Deleted) else { return };
        known.standing = Standing::Live;
        draft.mutations.push(Op::Undelete(Undelete { name: self.name(event) }));
        self.put(draft, event, ChangeKind::Undeleted, known);
    }

    fn merge(&mut self, draft: &mut Draft) {
        let Some((event, mut known)) = self.pick(draft, &Standing::Live) else { return };
        let Some((into, mut target)) = self.pick(draft, &Standing::Live) else { return };
        target.external_ids.extend(known.external_ids.iter().cloned());
        target.merged_names.extend(known.merged_names.iter().cloned().chain([self.name(event)]));
        known.standing = Standing::Merged(into);
        let (name, target_name) = (self.name(event), self.name(into));
        draft.mutations.push(Op::Merge(annals::proto::Merge { name, into: target_name.clone(), ..Default::default() }));
        self.put(draft, event, ChangeKind::Merged, known);
        draft.changes.last_mut().expect("the change just made").redirect_target = target_name;
        self.put(draft, into, ChangeKind::Updated, target);
    }

    /// For a record whose target still exists.
    fn unmerge(&mut self, draft: &mut Draft) {
        let mergeds = self.events.iter().filter_map(|(event, known)| match known.standing {
            Standing::Merged(into) if self.events[&into].standing == Standing::Live => Some((*event, into)),
            _ => None,
        });
        let mergeds: Vec<_> = mergeds.collect();
        let Some((event, into)) = draft.rng.choice(mergeds) else { return };
        let (mut known, mut target) = (self.events[&event].clone(), self.events[&into].clone());
        target.external_ids.retain(|id| !known.external_ids.contains(id));
        target.merged_names.remove(&self.name(event));
        target.merged_names.retain(|name| !known.merged_names.contains(name));
        known.standing = Standing::Live;
        draft.mutations.push(Op::Unmerge(Unmerge { name: self.name(event) }));
        self.put(draft, event, ChangeKind::Unmerged, known);
        self.put(draft, into, ChangeKind::Updated, target);
    }

    fn change_nothing(&mut self, draft: &mut Draft) {
        let Some((event, known)) = self.pick(draft, &Standing::Live) else { return };
        let record = Event { name: self.name(event), title: known.title, ..Default::default() };
        draft.mutations.push(Op::Update(Update { record: Some(event_record(record)), ..Default::default() }));
    }

    /// A record that no mutation of the request names yet. Usually one of the newest.
    fn pick(&self, draft: &mut Draft, standing: &Standing) -> Option<(u64, Known)> {
        let newest = self.next_event.saturating_sub(if draft.rng.u8(..4) == 0 { u64::MAX } else { 20 });
        let found =
            self.events.range(newest..).filter(|(event, known)| known.standing == *standing && !draft.used.contains(*event));
        let found: Vec<_> = found.map(|(event, _)| *event).collect();
        let event = draft.rng.choice(found)?;
        draft.used.insert(event);
        Some((event, self.events[&event].clone()))
    }

    fn put(&mut self, draft: &mut Draft, event: u64, kind: ChangeKind, known: Known) {
        draft.used.insert(event);
        let (name, redirect_target) = (self.name(event), String::new());
        draft.changes.push(Expected { name, kind, redirect_target, record: Some(known.clone()) });
        self.events.insert(event, known);
    }

    fn record(&self, event: u64, known: &Known) -> Event {
        Event {
            name: self.name(event),
            title: known.title.clone(),
            description: known.description.text().into(),
            external_ids: known.external_ids.iter().cloned().collect(),
            types: vec!["crash:test".into()],
            ..Default::default()
        }
    }

    fn name(&self, event: u64) -> String {
        format!("events/w{}-{event}", self.number)
    }

    fn actor(&self) -> String {
        format!("actors/w{}", self.number)
    }

    fn external_id(&self, event: u64) -> String {
        format!("crash:w{}-{event}", self.number)
    }
}

impl Expected {
    /// What is wrong with the changes of a commit that should be these.
    pub(crate) fn compare(expected: &[Self], commit: &Commit) -> Option<String> {
        let names = |found: Vec<(&str, ChangeKind)>| format!("{found:?}");
        let wanted = names(expected.iter().map(|change| (change.name.as_str(), change.kind)).collect());
        let found = names(commit.changes.iter().map(|change| (change.name.as_str(), change.kind())).collect());
        if wanted != found {
            return Some(format!("its changes are {found} in place of {wanted}"));
        }
        expected.iter().zip(&commit.changes).find_map(|(expected, change)| {
            let record = change.record.as_ref().and_then(|record| record.record.as_ref());
            let wrong = match (record, &expected.record) {
                (Some(record::Record::Event(found)), Some(known)) => known.compare(found),
                (Some(record::Record::Actor(_)), None) => None,
                _ => Some("has no record of its type".into()),
            };
            if change.redirect_target != expected.redirect_target {
                return Some(format!("{} redirects to {:?}", change.name, change.redirect_target));
            }
            wrong.map(|wrong| format!("{} {wrong}", change.name))
        })
    }
}

impl Known {
    /// What is wrong with an event that should be this one.
    pub(crate) fn compare(&self, found: &Event) -> Option<String> {
        let same = |wanted: &BTreeSet<String>, found: &[String]| wanted.iter().eq(found.iter().collect::<BTreeSet<_>>());
        if found.title != self.title {
            Some(format!("has the title {:?} in place of {:?}", found.title, self.title))
        } else if found.description != self.description.text() {
            Some(format!(
                "has a description of {} bytes that is not the one of {} bytes that was sent",
                found.description.len(),
                self.description.bytes
            ))
        } else if !same(&self.external_ids, &found.external_ids) {
            Some(format!("has the external ids {:?} in place of {:?}", found.external_ids, self.external_ids))
        } else if !same(&self.merged_names, &found.merged_names) {
            Some(format!("has the merged names {:?} in place of {:?}", found.merged_names, self.merged_names))
        } else {
            None
        }
    }
}

/// A request that is being made.
struct Draft {
    rng: fastrand::Rng,
    n: u64,
    mutations: Vec<Op>,
    changes: Vec<Expected>,
    /// A request names each record once.
    used: BTreeSet<u64>,
}

impl Draft {
    /// No two requests give a record the same title, so that each is a change.
    fn title(&self, event: u64) -> String {
        format!("Event {event} by request {}", self.n)
    }

    /// Usually short. One in twelve has a random length up to the longest, with short and long ones equally likely.
    fn description(&mut self) -> Description {
        let bytes = if self.rng.u8(..12) == 0 {
            #[allow(clippy::cast_precision_loss, reason = "both are small")]
            let (min, max) = (DESCRIPTION_BYTES_MIN as f64, DESCRIPTION_BYTES_MAX as f64);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the two")]
            let bytes = (min * (max / min).powf(self.rng.f64())) as usize;
            bytes
        } else {
            self.rng.usize(DESCRIPTION_BYTES_MIN..2000)
        };
        Description { start: self.rng.usize(..letters().len() - bytes), bytes }
    }
}

fn event_record(event: Event) -> Record {
    Record { record: Some(record::Record::Event(event)) }
}

/// A text without a pattern. Descriptions are parts of it, because generating each would cost more than storing it.
fn letters() -> &'static str {
    static LETTERS: OnceLock<String> = OnceLock::new();
    LETTERS.get_or_init(|| {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut letters = String::with_capacity(DESCRIPTION_BYTES_MAX + (64 << 10) + 8);
        while letters.len() < DESCRIPTION_BYTES_MAX + (64 << 10) {
            letters.extend(rng.u64(..).to_le_bytes().map(|byte| char::from(b'a' + byte % 26)));
        }
        letters
    })
}
