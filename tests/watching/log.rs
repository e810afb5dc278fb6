//! The log that follows from the answers to writers, and what a watch must show of it.
//!
//! Knows the model. Must not know the server: filters are implemented here a second time.

use std::collections::BTreeMap;

use crate::model::{Condition, Effect, Kind, Version, Write, effects};

/// A commit that was answered: its writes, and what each of them did by the answer.
pub(crate) struct Answered {
    pub(crate) writes: Vec<Write>,
    pub(crate) kinds: Vec<Kind>,
}

/// What a watch asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection {
    All,
    Events,
    Actors,
    /// Events with a count above a number, before or after.
    Above(i64),
}

/// How a change moved a record with respect to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Entered,
    Stayed,
    Left,
}

/// What is shown of one commit.
pub(crate) type Shown = (i64, Vec<(Effect, Option<Transition>)>);

/// The changes of every commit, each with the record before it.
pub(crate) struct Log(BTreeMap<i64, Vec<(Effect, Option<Version>)>>);

impl Log {
    /// Replays answers by revision. There is no gap, because every writer waited for each answer.
    pub(crate) fn replay(answered: BTreeMap<i64, Answered>) -> Self {
        let none: [Condition; 0] = [];
        let mut records = BTreeMap::<String, Version>::new();
        let mut log = BTreeMap::new();
        for ((revision, answered), expected) in answered.into_iter().zip(1..) {
            assert_eq!(revision, expected, "every revision is somebody's answer");
            let effects = effects(|name| records.get(name), &answered.writes, &none).expect("it was answered, not refused");
            assert!(effects.iter().map(|effect| effect.kind).eq(answered.kinds), "{revision}: {effects:?}");
            let mut changes = Vec::new();
            for effect in effects.into_iter().filter(|effect| effect.kind != Kind::Unchanged) {
                let before = records.insert(effect.name.clone(), effect.version(revision));
                changes.push((effect, before));
            }
            log.insert(revision, changes);
        }
        Self(log)
    }

    /// How many commits there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All that a watch from the beginning shows.
    pub(crate) fn shown(&self, selection: Selection) -> Vec<Shown> {
        let shown = self.0.iter().map(|(revision, changes)| {
            let of_commit = changes.iter().filter_map(|(effect, before)| {
                selection.shows(effect, before.as_ref()).map(|transition| (effect.clone(), transition))
            });
            (*revision, of_commit.collect::<Vec<_>>())
        });
        shown.filter(|(_, changes)| !changes.is_empty()).collect()
    }
}

impl Selection {
    // Outer: whether it is shown. Inner: whether there is a filter and so a transition.
    #[allow(clippy::option_option)]
    fn shows(self, effect: &Effect, before: Option<&Version>) -> Option<Option<Transition>> {
        let is_event = effect.name.starts_with("events/");
        match self {
            Self::All => Some(None),
            Self::Events => is_event.then_some(None),
            Self::Actors => (!is_event).then_some(None),
            Self::Above(_) if !is_event => None,
            Self::Above(count) => {
                let was = before.is_some_and(|version| version.live && version.content.count > count);
                let is = effect.kind != Kind::Deleted && effect.content.count > count;
                match (was, is) {
                    (false, false) => None,
                    (false, true) => Some(Some(Transition::Entered)),
                    (true, true) => Some(Some(Transition::Stayed)),
                    (true, false) => Some(Some(Transition::Left)),
                }
            }
        }
    }
}
