//! The rules of watches: however often a watch is cut, it shows what matches, in order, once, complete and whole.
//!
//! Knows the replayed log. Must not know commits in progress or reads.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{Logged, Moved, Selection, Transition, is_in},
    model::{Effect, Kind},
    replay::Replayed,
    rule::{Rule, Violation},
};

/// All watches of a history, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Watches(BTreeMap<u64, Watch>);

#[derive(Debug)]
struct Watch {
    selection: Selection,
    /// The last revision of the open stream.
    last: i64,
    delivered: BTreeSet<i64>,
    /// Everything that matches up to here was checked.
    looked: i64,
}

impl Watches {
    /// A stream was opened.
    pub(crate) fn opened(&mut self, watch: u64, after: i64, selection: Selection) {
        let new = || Watch { selection, last: after, delivered: BTreeSet::new(), looked: after };
        self.0.entry(watch).or_insert_with(new).last = after;
    }

    /// A commit came.
    pub(crate) fn delivered(
        &mut self,
        replayed: &Replayed,
        watch: u64,
        revision: i64,
        changes: &[Moved],
        broken: &mut Vec<Violation>,
    ) {
        let Some(open) = self.0.get_mut(&watch) else { return };
        let mut violated = |rule, what: String| broken.push(Violation { rule, what: format!("watch {watch}: {what}") });
        if !open.delivered.insert(revision) {
            violated(Rule::WatchOnce, format!("revision {revision} came twice"));
        } else if revision <= open.last {
            violated(Rule::WatchOrder, format!("revision {revision} came after {}", open.last));
        }
        open.last = open.last.max(revision);
        match replayed.commit(revision) {
            None => violated(Rule::Lost, format!("revision {revision} is not in the log")),
            Some(logged) => {
                let expected = shown(replayed, logged, &open.selection);
                if changes != expected {
                    violated(Rule::WatchAtomic, format!("revision {revision} came as {changes:?}, not as {expected:?}"));
                }
            }
        }
    }

    /// A stream reported its position.
    pub(crate) fn progressed(&mut self, replayed: &Replayed, watch: u64, revision: i64, broken: &mut Vec<Violation>) {
        let Some(open) = self.0.get_mut(&watch) else { return };
        let mut violated = |rule, what: String| broken.push(Violation { rule, what: format!("watch {watch}: {what}") });
        if revision < open.last {
            violated(Rule::WatchOrder, format!("revision {revision} was said after {}", open.last));
        }
        if revision > replayed.head() {
            violated(Rule::Lost, format!("revision {revision} was said and is not in the log"));
        }
        open.last = open.last.max(revision);
        open.look(watch, replayed, broken);
    }

    /// The history is over.
    pub(crate) fn ended(&mut self, replayed: &Replayed, broken: &mut Vec<Violation>) {
        for (watch, open) in &mut self.0 {
            open.look(*watch, replayed, broken);
        }
    }
}

impl Watch {
    /// Checks that everything that matches has come, up to the position of the watch.
    fn look(&mut self, watch: u64, replayed: &Replayed, broken: &mut Vec<Violation>) {
        for revision in self.looked + 1..=self.last {
            let Some(logged) = replayed.commit(revision) else { break };
            if !self.delivered.contains(&revision) && !shown(replayed, logged, &self.selection).is_empty() {
                let what = format!("watch {watch}: has come to {} without revision {revision}", self.last);
                broken.push(Violation { rule: Rule::WatchComplete, what });
            }
        }
        self.looked = self.looked.max(self.last);
    }
}

/// What a selection shows of a commit. `None`: the commit is not shown.
fn shown(replayed: &Replayed, logged: &Logged, selection: &Selection) -> Vec<Moved> {
    let moved = |effect: &Effect| match selection {
        Selection::All => Some(Moved { effect: effect.clone(), transition: None }),
        Selection::Collection(of) => is_in(&effect.name, of).then(|| Moved { effect: effect.clone(), transition: None }),
        Selection::Above(of, above) => {
            if !is_in(&effect.name, of) {
                return None;
            }
            let before = replayed.at(&effect.name, logged.revision - 1);
            let before = before.is_some_and(|version| version.live && version.content.count > *above);
            let after = effect.kind != Kind::Deleted && effect.content.count > *above;
            let transition = match (before, after) {
                (false, false) => return None,
                (false, true) => Transition::Entered,
                (true, true) => Transition::Stayed,
                (true, false) => Transition::Left,
            };
            Some(Moved { effect: effect.clone(), transition: Some(transition) })
        }
    };
    logged.changes.iter().filter_map(moved).collect()
}
