//! Random commits over few names, so that they conflict: most are accepted, many are refused.
//!
//! Knows the messages of the contract, and of the store only what the model says.

use annals::proto::{
    self, Actor, ActorKind, Aspect, Attribution, AttributionRole, Citation, Claim, ClaimKind, CommitRequest, Delete, Estimand,
    Estimate, EstimateMode, EstimateOrigin, Event, Merge, Mutation, Participant, ParticipantRole, Place, Polarity,
    Precondition, Quantity, Record, Relation, RelationKind, Source, SourceKind, TimeSpec, Undelete, Unmerge, Update, Upsert,
    ValueStatus, mutation::Op, precondition::Condition, record,
};
use fastrand::Rng;
use prost_types::Timestamp;

use crate::{
    model::{Model, collection_of},
    random::TIMES,
};

const TEXTS: [&str; 6] = ["a", "ab", "abc", "b", "Kim Jong", "zz"];
/// How many names a collection has.
const POOLS: [(&str, usize); 6] =
    [("sources", 12), ("actors", 24), ("events", 30), ("claims", 14), ("estimates", 14), ("relations", 20)];

pub(crate) fn one<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(..of.len())]
}

/// A name of a collection that may or may not exist.
pub(crate) fn any_name(rng: &mut Rng, collection: &str) -> String {
    let (_, size) = POOLS.iter().find(|(of, _)| *of == collection).unwrap();
    format!("{collection}/{}{}", &collection[..1], rng.usize(..*size))
}

/// A name that probably exists and is live.
fn live_name(rng: &mut Rng, model: &Model, collection: &str) -> String {
    for _try in 0..8 {
        let name = any_name(rng, collection);
        if model.at(&name, u64::MAX).is_some_and(crate::model::Version::is_live) {
            return name;
        }
    }
    any_name(rng, collection)
}

/// A commit, and how far the clock moves before it.
pub(crate) fn request(rng: &mut Rng, model: &Model, request_id: String) -> CommitRequest {
    let count = *one(rng, &[1, 1, 1, 2, 2, 4]);
    let mut subjects: Vec<(u32, String)> = Vec::new();
    for _mutation in 0..count {
        let (collection, _) = POOLS[rng.usize(..POOLS.len())];
        let name = any_name(rng, collection);
        let op = match model.at(&name, u64::MAX) {
            _ if rng.u32(..16) == 0 => rng.u32(..100),
            None => *one(rng, &[0, 0, 0, 50]),
            Some(version) if version.is_live() => *one(rng, &[30, 30, 30, 30, 50, 50, 60, 80]),
            Some(version) if version.redirect.is_some() => 97,
            Some(_) => 92,
        };
        if rng.u32(..20) == 0 || subjects.iter().all(|(_, other)| *other != name) {
            subjects.push((op, name));
        }
    }
    let labels: Vec<(String, String)> = subjects
        .iter()
        .enumerate()
        .filter(|(_, (op, _))| *op < 60)
        .map(|(index, (_, name))| (format!("l{index}"), name.clone()))
        .collect();
    let mut world = World { rng, model, labels };
    let mutations: Vec<_> = subjects.iter().enumerate().map(|(index, (op, name))| world.mutation(index, *op, name)).collect();
    let preconditions = if rng.u32(..8) == 0 { vec![precondition(rng, model)] } else { Vec::new() };
    CommitRequest { request_id, mutations, preconditions, ..Default::default() }
}

fn precondition(rng: &mut Rng, model: &Model) -> Precondition {
    let (collection, _) = POOLS[rng.usize(..POOLS.len())];
    let name = live_name(rng, model, collection);
    let revision = model.at(&name, u64::MAX).map_or(0, |version| i64::try_from(version.revision).unwrap());
    let condition = match rng.u32(..4) {
        0 => Condition::Revision(revision - i64::from(revision > 0 && rng.u32(..4) == 0)),
        1 => Condition::UnchangedSince(revision + i64::from(rng.bool())),
        2 => Condition::Exists(rng.u32(..4) > 0),
        _ => Condition::UnchangedSince(rng.i64(0..=revision)),
    };
    Precondition { name, condition: Some(condition) }
}

struct World<'w> {
    rng: &'w mut Rng,
    model: &'w Model,
    labels: Vec<(String, String)>,
}

impl World<'_> {
    fn mutation(&mut self, index: usize, op: u32, name: &str) -> Mutation {
        let stale = self.rng.u32(..10) == 0;
        let revision = self.model.at(name, u64::MAX).map_or(0, |version| i64::try_from(version.revision).unwrap());
        let if_revision = if self.rng.u32(..4) == 0 { revision + i64::from(stale) } else { 0 };
        let op = match op {
            0..20 => Op::Create(self.record(name, true)),
            20..42 => {
                let update_fields = self.update_fields(name);
                let record = Some(self.record(name, update_fields == ["*"]));
                Op::Update(Update { record, update_fields, if_revision })
            }
            42..60 => {
                let record = Some(self.record(name, true));
                let update_fields = if self.rng.u32(..3) == 0 { self.update_fields(name) } else { Vec::new() };
                Op::Upsert(Upsert { record, update_fields, create_only: self.rng.u32(..4) == 0 })
            }
            60..74 => Op::Delete(Delete { name: name.to_owned(), if_revision, allow_missing: self.rng.u32(..3) == 0 }),
            74..90 => {
                let ends = self.stored_ends(name).filter(|(_, from, into)| collection_of(from) == collection_of(into));
                let (name, into) = match ends {
                    // Two records that somebody considers different, or the same.
                    Some((_, subject, object)) if self.rng.bool() => (subject, object),
                    _ => (name.to_owned(), live_name(self.rng, self.model, collection_of(name))),
                };
                if into == name {
                    Op::Undelete(Undelete { name })
                } else {
                    Op::Merge(Merge { name, into, if_revision, if_into_revision: 0 })
                }
            }
            90..95 => Op::Undelete(Undelete { name: name.to_owned() }),
            _ => Op::Unmerge(Unmerge { name: name.to_owned() }),
        };
        let labelled = self.labels.iter().any(|(label, _)| *label == format!("l{index}"));
        Mutation { label: if labelled { format!("l{index}") } else { String::new() }, op: Some(op) }
    }

    /// Fields that may be cleared without breaking a rule, or everything.
    fn update_fields(&mut self, name: &str) -> Vec<String> {
        let fields: &[&str] = match collection_of(name) {
            "sources" => &["title", "publisher", "derived_from", "labels", "external_ids", "annotations"],
            "actors" => &["kind", "labels", "external_ids", "description", "annotations"],
            "events" => &["participants", "time", "types", "citations", "labels", "external_ids", "metrics", "revision"],
            "claims" => &["about", "topic", "labels", "external_ids"],
            "estimates" => &["as_of", "labels", "external_ids"],
            _ => &["rationale", "revoked", "labels", "external_ids", "asserted_by"],
        };
        match self.rng.u32(..6) {
            0..3 => Vec::new(),
            3 => vec!["*".to_owned()],
            _ => {
                let mut listed: Vec<_> =
                    fields.iter().filter(|_| self.rng.u32(..3) == 0).map(|field| (*field).to_owned()).collect();
                if listed.is_empty() {
                    listed.push("labels".to_owned());
                }
                listed
            }
        }
    }

    /// A name for a reference: usually of a live record, otherwise a label or anything.
    fn reference(&mut self, collection: &str) -> String {
        let labels: Vec<_> = self.labels.iter().filter(|(_, name)| collection_of(name) == collection).collect();
        if !labels.is_empty() && self.rng.u32(..4) == 0 {
            return format!("@{}", one(self.rng, &labels).0);
        }
        match self.rng.u32(..40) {
            0 => any_name(self.rng, collection),
            _ => live_name(self.rng, self.model, collection),
        }
    }

    fn maybe_reference(&mut self, collection: &str) -> String {
        if self.rng.bool() { self.reference(collection) } else { String::new() }
    }

    fn text(&mut self) -> String {
        (*one(self.rng, &TEXTS)).to_owned()
    }

    fn some(&mut self, prefix: &str, of: usize) -> Vec<String> {
        (0..of).filter(|_| self.rng.u32(..6) == 0).map(|number| format!("{prefix}{number}")).collect()
    }

    fn time(&mut self) -> Option<TimeSpec> {
        let (seconds, nanos, _) = *one(self.rng, &TIMES);
        let earliest = Some(Timestamp { seconds, nanos });
        (self.rng.u32(..4) > 0).then(|| TimeSpec { earliest, ..Default::default() })
    }

    fn citations(&mut self, at_least: usize) -> Vec<Citation> {
        let count = at_least + self.rng.usize(..2);
        let citation = |world: &mut Self| Citation { source: world.reference("sources"), ..Default::default() };
        (0..count).map(|_| citation(self)).collect()
    }

    fn attribution(&mut self) -> Vec<Attribution> {
        let hop = |world: &mut Self, first: bool| Attribution {
            actors: (0..=world.rng.usize(..2)).map(|_| world.reference("actors")).collect(),
            role: if first { AttributionRole::Origin } else { AttributionRole::Relay }.into(),
            ..Default::default()
        };
        let count = self.rng.usize(1..=2);
        (0..count).map(|index| hop(self, index == 0)).collect()
    }

    /// A record. `whole`: with everything that a new record needs.
    fn record(&mut self, name: &str, whole: bool) -> Record {
        let set = whole || self.rng.bool();
        let external_ids = if self.rng.u32(..4) == 0 { self.some("x:", 12) } else { Vec::new() };
        let labels = self.some("l:", 4);
        let name = name.to_owned();
        let mut annotations = std::collections::BTreeMap::new();
        if self.rng.u32(..12) == 0 {
            // Longer than one value of the state.
            annotations.insert("k".to_owned(), self.text().repeat(7000).chars().take(7000).collect());
        }
        let record = match collection_of(&name) {
            "sources" => record::Record::Source(Source {
                kind: if set { SourceKind::Report } else { SourceKind::Unspecified }.into(),
                title: self.text(),
                publisher: self.maybe_reference("actors"),
                derived_from: if self.rng.u32(..4) == 0 { self.reference("sources") } else { String::new() },
                name,
                external_ids,
                labels,
                annotations,
                ..Default::default()
            }),
            "actors" => record::Record::Actor(Actor {
                display_name: if set { self.text() } else { String::new() },
                kind: if self.rng.bool() { ActorKind::Person } else { ActorKind::State }.into(),
                description: self.text(),
                name,
                external_ids,
                labels,
                annotations,
                // Only the server writes it.
                revision: self.rng.i64(0..9),
                ..Default::default()
            }),
            "events" => record::Record::Event(Event {
                title: if set { self.text() } else { String::new() },
                types: self.some("t:", 3),
                time: self.time(),
                places: vec![Place { country: if self.rng.bool() { "PRK" } else { "RUS" }.into(), ..Default::default() }],
                participants: (0..self.rng.usize(..3))
                    .map(|_| Participant {
                        actor: self.reference("actors"),
                        role: ParticipantRole::Party.into(),
                        ..Default::default()
                    })
                    .collect(),
                citations: self.citations(0),
                metrics: [("k".to_owned(), f64::from(self.rng.i32(-3..3)))].into(),
                name,
                external_ids,
                labels,
                ..Default::default()
            }),
            "claims" => record::Record::Claim(Claim {
                statement: if set { self.text() } else { String::new() },
                kind: ClaimKind::Fact.into(),
                polarity: if self.rng.bool() { Polarity::Affirmed } else { Polarity::Negated }.into(),
                attribution: if set { self.attribution() } else { Vec::new() },
                citations: if set { self.citations(1) } else { Vec::new() },
                about: (0..self.rng.usize(..3)).map(|_| self.reference("events")).collect(),
                topic: self.text(),
                name,
                external_ids,
                labels,
                ..Default::default()
            }),
            "estimates" => record::Record::Estimate(Estimate {
                estimand: set.then(|| Estimand {
                    measure: "measure:x".into(),
                    subjects: (0..self.rng.usize(..3)).map(|_| self.reference("events")).collect(),
                    ..Default::default()
                }),
                quantity: Some(Quantity {
                    unit: "1".into(),
                    best: Some(f64::from(self.rng.u32(..5))),
                    status: ValueStatus::Known.into(),
                    ..Default::default()
                }),
                aspect: Aspect::Level.into(),
                mode: EstimateMode::Counted.into(),
                origin: EstimateOrigin::Coded.into(),
                as_of: self.time(),
                attribution: if set { self.attribution() } else { Vec::new() },
                citations: if set { self.citations(1) } else { Vec::new() },
                name,
                external_ids,
                labels,
                ..Default::default()
            }),
            _ => record::Record::Relation(self.relation(name, external_ids, labels, set)),
        };
        Record { record: Some(record) }
    }

    /// The kind of a relation and its ends, as stored.
    fn stored_ends(&self, name: &str) -> Option<(i32, String, String)> {
        let version = self.model.at(name, u64::MAX).filter(|_| collection_of(name) == "relations")?;
        let field = |field| crate::model::text(&version.record, field);
        let kind = version.record.get_field_by_name("kind").unwrap().as_enum_number().unwrap();
        Some((kind, field("subject"), field("object")))
    }

    fn relation(&mut self, name: String, external_ids: Vec<String>, labels: Vec<String>, set: bool) -> Relation {
        let stored = self.stored_ends(&name);
        let (kind, collection) = *one(
            self.rng,
            &[
                (RelationKind::MaybeSameAs, "actors"),
                (RelationKind::NotSameAs, "actors"),
                (RelationKind::Supersedes, "claims"),
                (RelationKind::Supersedes, "sources"),
                (RelationKind::Supports, "claims"),
            ],
        );
        let subject = self.reference(collection);
        let mut object = self.reference(collection);
        while object == subject {
            object = any_name(self.rng, collection);
        }
        let (kind, subject, object) = match stored {
            // Sent again as it is stored.
            Some(stored) if self.rng.u32(..8) > 0 => stored,
            _ => (kind.into(), subject, object),
        };
        Relation {
            name,
            kind: if set { kind } else { 0 },
            subject: if set { subject } else { String::new() },
            object: if set { object } else { String::new() },
            asserted_by: if self.rng.u32(..4) == 0 { self.reference("actors") } else { String::new() },
            rationale: self.text(),
            revoked: self.rng.u32(..5) == 0,
            external_ids,
            labels,
            ..Default::default()
        }
    }
}

/// The names to use in a reference field, given its target type, or "*".
pub(crate) fn names(target: &str) -> Vec<String> {
    let wanted = target.trim_start_matches("annals/");
    let of = POOLS.iter().filter(|(collection, _)| wanted == "*" || crate::model::message_of(collection) == wanted);
    of.flat_map(|(collection, size)| (0..*size).map(move |number| format!("{collection}/{}{number}", &collection[..1])))
        .collect()
}

/// The request id of a dry run.
pub(crate) fn only_checked(request: &CommitRequest) -> CommitRequest {
    CommitRequest { validate_only: true, ..request.clone() }
}

/// The content of the request, for people who read a failure.
pub(crate) fn shown(request: &CommitRequest) -> String {
    let of = proto::descriptors().get_message_by_name("annals.v1.CommitRequest").unwrap();
    let mut message = prost_reflect::DynamicMessage::new(of);
    message.transcode_from(request).unwrap();
    serde_json::to_string(&message).unwrap()
}
