//! A watcher whose stream or connection is cut at random, and which resumes after the last message that it took.
//!
//! Knows the messages of a watch. Must not know what it should have shown.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::proto::{self, RecordType, WatchRequest, watch_response::Content};
use fastrand::Rng;

use crate::{
    log::{Selection, Shown, Transition},
    serving::connect,
    wire,
};

/// How long a stream may be silent. It is asked for a heartbeat every second.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(20);

/// What a follower saw.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) shown: Vec<Shown>,
    pub(crate) cuts: u64,
}

/// Follows from the beginning until it has reached a head that is read after `ended` was set.
pub(crate) async fn follow(
    address: String,
    selection: Selection,
    slow: bool,
    ended: Arc<AtomicBool>,
    mut rng: Rng,
) -> Followed {
    let mut client = connect(&address).await.expect("it listens");
    let (mut followed, mut after) = (Followed::default(), 0);
    loop {
        let stop_at_head = ended.load(Ordering::SeqCst);
        let messages = if stop_at_head { usize::MAX } else { rng.usize(1..200) };
        let request = WatchRequest { after_revision: Some(after), stop_at_head, ..request(selection) };
        let mut stream = client.watch(request).await.expect("a watch").into_inner();
        for _ in 0..messages {
            if !stop_at_head && ended.load(Ordering::SeqCst) {
                break;
            }
            let message = tokio::time::timeout(SILENCE_MAX, stream.message()).await.expect("a sign of life every second");
            let Some(message) = message.expect("nobody but the client cuts") else {
                assert!(stop_at_head, "a watch ends by itself only where it is asked to");
                return followed;
            };
            assert!(message.revision >= after, "a revision never goes down: {} after {after}", message.revision);
            after = message.revision;
            if let Some(Content::Commit(commit)) = &message.content {
                followed.shown.push(shown(commit));
            }
            if slow && !stop_at_head {
                tokio::time::sleep(Duration::from_millis(rng.u64(..50))).await;
            }
        }
        followed.cuts += 1;
        drop(stream);
        if rng.bool() {
            client = connect(&address).await.expect("it listens");
        }
    }
}

/// A request for a selection, with a heartbeat each second.
pub(crate) fn request(selection: Selection) -> WatchRequest {
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let (types, filter) = match selection {
        Selection::All => (Vec::new(), String::new()),
        Selection::Events => (vec![RecordType::Event.into()], String::new()),
        Selection::Actors => (vec![RecordType::Actor.into()], String::new()),
        Selection::Above(count) => (vec![RecordType::Event.into()], filter(count)),
    };
    WatchRequest { types, filter, heartbeat_interval, ..Default::default() }
}

/// The filter for counts above a number.
pub(crate) fn filter(count: i64) -> String {
    format!("metrics.count > {count}")
}

/// A commit as it was shown.
pub(crate) fn shown(commit: &proto::Commit) -> Shown {
    let transition = |change: &proto::Change| match change.transition() {
        proto::Transition::Unspecified => None,
        proto::Transition::Entered => Some(Transition::Entered),
        proto::Transition::Stayed => Some(Transition::Stayed),
        proto::Transition::Left => Some(Transition::Left),
    };
    let changes = commit.changes.iter().map(|change| (wire::change(change, commit.revision), transition(change)));
    (commit.revision, changes.collect())
}
