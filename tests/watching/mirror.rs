//! A watcher that maintains a set: from the initial state and the changes after it, again and again from the start.
//!
//! Knows Watch and List. Must not know the log.

use std::{
    collections::BTreeMap,
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use annals::proto::{ListRecordsRequest, Record, WatchRequest, watch_response::Content};
use fastrand::Rng;

use crate::{
    follower::{SILENCE_MAX, filter, request, shown},
    log::{Selection, Transition},
    model::{Effect, Kind, Version},
    serving::{Client, connect},
    wire,
};

/// Messages after which a mirror is discarded and started again.
const MESSAGES: std::ops::Range<usize> = 5..60;
/// One set of this many is kept, and compared again when the mirror is discarded.
const KEPT_ONE_IN: u8 = 8;

/// The comparisons that were made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mirrored {
    /// Initial states.
    pub(crate) starts: u64,
    /// Lists as of the revision of the message that made the set.
    pub(crate) at_once: u64,
    /// Lists as of a revision between two messages.
    pub(crate) between: u64,
    /// Lists as of a much older revision.
    pub(crate) later: u64,
}

impl AddAssign for Mirrored {
    fn add_assign(&mut self, other: Self) {
        self.starts += other.starts;
        self.at_once += other.at_once;
        self.between += other.between;
        self.later += other.later;
    }
}

type Set = BTreeMap<String, Version>;

/// Mirrors a selection, and compares the mirror with lists as of all the revisions that it passes, until it is told to stop.
pub(crate) async fn mirror(address: String, selection: Selection, ended: Arc<AtomicBool>, mut rng: Rng) -> Mirrored {
    let mut client = connect(&address).await.expect("it listens");
    let mut mirrored = Mirrored::default();
    while !ended.load(Ordering::SeqCst) {
        let request = WatchRequest { initial_state: true, ..request(selection) };
        let mut stream = client.watch(request).await.expect("a watch").into_inner();
        // The revision of the set. 0: the initial state is not complete, or nothing was received.
        let (mut set, mut revision, mut kept) = (Set::new(), 0, Vec::new());
        mirrored.starts += 1;
        for _ in 0..rng.usize(MESSAGES) {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            let message = tokio::time::timeout(SILENCE_MAX, stream.message()).await.expect("a sign of life every second");
            let message = message.expect("no error").expect("no end");
            // No commit came between, so nothing that is shown has changed.
            if revision > 0 && message.revision > revision + 1 {
                let between = rng.i64(revision + 1..message.revision);
                assert_eq!(set, list(&mut client, selection, between).await, "{selection:?} as of {between}, between messages");
                mirrored.between += 1;
            }
            match &message.content {
                Some(Content::Initial(batch)) => {
                    assert_eq!(revision, 0, "an initial state comes first");
                    for (name, version) in batch.records.iter().map(wire::read) {
                        assert!(set.insert(name, version).is_none(), "an initial state has each record once");
                    }
                }
                Some(Content::Commit(commit)) => {
                    for (effect, transition) in shown(commit).1 {
                        let fits = apply(&mut set, &effect, transition, commit.revision);
                        assert!(fits, "{transition:?} fits what {selection:?} had shown before: {effect:?}");
                    }
                }
                _ => {}
            }
            revision = message.revision;
            if revision > 0 {
                assert_eq!(set, list(&mut client, selection, revision).await, "{selection:?} as of {revision}");
                mirrored.at_once += 1;
                if rng.u8(..KEPT_ONE_IN) == 0 {
                    kept.push((revision, set.clone()));
                }
            }
        }
        for (revision, set) in kept {
            assert_eq!(set, list(&mut client, selection, revision).await, "{selection:?} as of {revision}, later");
            mirrored.later += 1;
        }
    }
    mirrored
}

/// Whether a change fits the set to which it is applied.
fn apply(set: &mut Set, effect: &Effect, transition: Option<Transition>, revision: i64) -> bool {
    // Without a filter there are no transitions, and a record is in the set while it is live.
    let transition = transition.unwrap_or(match effect.kind {
        Kind::Created | Kind::Undeleted => Transition::Entered,
        Kind::Updated => Transition::Stayed,
        Kind::Deleted => Transition::Left,
        Kind::Unchanged => return false,
    });
    match transition {
        Transition::Entered => set.insert(effect.name.clone(), effect.version(revision)).is_none(),
        Transition::Stayed => set.insert(effect.name.clone(), effect.version(revision)).is_some(),
        Transition::Left => set.remove(&effect.name).is_some(),
    }
}

/// What a selection shows, as of a revision.
async fn list(client: &mut Client, selection: Selection, revision: i64) -> Set {
    let filter = if let Selection::Above(count) = selection { filter(count) } else { String::new() };
    let request = ListRecordsRequest { filter, as_of_revision: revision, page_size: 1000, ..Default::default() };
    let mut set = Set::new();
    if !matches!(selection, Selection::Actors) {
        let page = client.list_events(request.clone()).await.expect("a page").into_inner();
        assert!(page.next_page_token.is_empty(), "all on one page");
        set.extend(page.events.into_iter().map(|event| wire::read(&Record::from(event))));
    }
    if matches!(selection, Selection::All | Selection::Actors) {
        let page = client.list_actors(request).await.expect("a page").into_inner();
        assert!(page.next_page_token.is_empty(), "all on one page");
        set.extend(page.actors.into_iter().map(|actor| wire::read(&Record::from(actor))));
    }
    set
}
