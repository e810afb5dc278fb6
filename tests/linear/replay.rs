//! The replayed log: every version of every record, so that the checker can ask for the state at any revision.
//!
//! Knows the model, the log and what a read asks for. Must not know who was answered what.

use std::collections::{BTreeMap, HashMap};

use crate::{
    history::{Call, Logged, is_in},
    model::{Condition, Effect, Kind, Version, Write, effects},
    rule::{Rule, Violation},
};

/// The log and the result of its replay.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    log: Vec<Logged>,
    /// For each record, in the order of revisions.
    versions: BTreeMap<String, Vec<Version>>,
    /// By request: where it took effect, and what each of its writes did.
    done: HashMap<String, (i64, Vec<Effect>)>,
}

/// What was sent under a request id.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) writes: Vec<Write>,
}

impl Replayed {
    /// Replays a log. The log is not trusted: the replay reports what is wrong with it.
    pub(crate) fn new(log: Vec<Logged>, sent: &HashMap<String, Sent>, broken: &mut Vec<Violation>) -> Self {
        let mut replayed = Self::default();
        for (logged, expected) in log.into_iter().zip(1..) {
            let mut violated = |rule, what: String| broken.push(Violation { rule, what });
            let revision = logged.revision;
            if revision != expected {
                violated(Rule::Gapless, format!("the log's entry {expected} has revision {revision}"));
                // Nothing after this would fit.
                return replayed;
            }
            match sent.get(&logged.request) {
                None => violated(Rule::Invocation, format!("{} at {revision} was never sent", logged.request)),
                Some(sent) => {
                    let outcome = effects(|name| replayed.newest(name), &sent.writes, &sent.conditions);
                    match &outcome {
                        Ok(effects) if changes(effects).eq(logged.changes.iter()) && !logged.changes.is_empty() => {}
                        other => violated(Rule::Replay, format!("{logged:?}, but replaying its request gives {other:?}")),
                    }
                    if let Some((first, _)) = replayed.done.get(&logged.request) {
                        violated(Rule::Once, format!("{} took effect at {first} and at {revision}", logged.request));
                    } else {
                        replayed.done.insert(logged.request.clone(), (revision, outcome.unwrap_or_default()));
                    }
                }
            }
            for change in &logged.changes {
                replayed.versions.entry(change.name.clone()).or_default().push(change.version(revision));
            }
            replayed.log.push(logged);
        }
        replayed
    }

    /// The newest revision.
    pub(crate) fn head(&self) -> i64 {
        i64::try_from(self.log.len()).expect("revisions fit")
    }

    /// A commit of the log.
    pub(crate) fn commit(&self, revision: i64) -> Option<&Logged> {
        self.log.get(usize::try_from(revision - 1).ok()?)
    }

    /// Where a request took effect, and what each of its writes did.
    pub(crate) fn done(&self, request: &str) -> Option<(i64, &[Effect])> {
        self.done.get(request).map(|(revision, effects)| (*revision, effects.as_slice()))
    }

    /// A record as of a revision, deleted or not.
    pub(crate) fn at(&self, name: &str, revision: i64) -> Option<&Version> {
        let versions = self.versions.get(name)?;
        versions[..versions.partition_point(|version| version.revision <= revision)].last()
    }

    /// The next revision at which the record changes.
    pub(crate) fn next_change(&self, name: &str, after: i64) -> Option<i64> {
        let versions = self.versions.get(name)?;
        versions.get(versions.partition_point(|version| version.revision <= after)).map(|version| version.revision)
    }

    /// The live records of a collection as of a revision, by name.
    pub(crate) fn live<'a>(&'a self, collection: &'a str, revision: i64) -> impl Iterator<Item = (&'a str, &'a Version)> {
        let of_collection = self.versions.keys().filter(move |name| is_in(name, collection));
        of_collection.filter_map(move |name| {
            self.at(name, revision).filter(|version| version.live).map(|version| (name.as_str(), version))
        })
    }

    /// The records that a call for several returns as of a revision.
    pub(crate) fn shown<'a>(&'a self, call: &'a Call, revision: i64) -> Vec<(&'a str, &'a Version)> {
        match call {
            Call::BatchGet { names, .. } => {
                let of = |name: &'a String| self.at(name, revision).map(|version| (name.as_str(), version));
                names.iter().filter_map(of).filter(|(_, version)| version.live).collect()
            }
            Call::List { collection, above, .. } => {
                let all = self.live(collection, revision);
                all.filter(|(_, version)| above.is_none_or(|above| version.content.count > above)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn newest(&self, name: &str) -> Option<&Version> {
        self.versions.get(name)?.last()
    }
}

/// The effects that a log contains. A write that changed nothing is not a change.
fn changes(effects: &[Effect]) -> impl Iterator<Item = &Effect> {
    effects.iter().filter(|effect| effect.kind != Kind::Unchanged)
}
