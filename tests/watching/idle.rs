//! A watcher whose filter nothing matches: it must be told how far it has come all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::proto::{WatchRequest, watch_response::Content};

use crate::{follower::request, log::Selection, serving::connect};

/// The heartbeat asked for is a second; the rest is for a machine that does ten other things.
const BEAT_MAX: Duration = Duration::from_secs(4);

/// Each message comes within a heartbeat, and its revision is not below what any writer knew so long before. Gives how many
/// beats there were.
pub(crate) async fn idle(address: String, head: Arc<AtomicI64>, ended: Arc<AtomicBool>) -> u64 {
    let mut client = connect(&address).await.expect("it listens");
    let request = WatchRequest { after_revision: Some(0), ..request(Selection::Above(1 << 40)) };
    let mut stream = client.watch(request).await.expect("a watch").into_inner();
    // When each message came, and what was known by then.
    let mut known: Vec<(Instant, i64)> = Vec::new();
    while !ended.load(Ordering::SeqCst) {
        let began = Instant::now();
        let message = stream.message().await.expect("no error").expect("no end");
        assert!(began.elapsed() < BEAT_MAX, "{:?} without a sign of life", began.elapsed());
        let Some(Content::Checkpoint(_)) = message.content else { panic!("nothing matches: {message:?}") };
        let old = known.iter().rev().find(|(when, _)| when.elapsed() > BEAT_MAX).map_or(0, |(_, head)| *head);
        assert!(message.revision >= old, "{old} was known {BEAT_MAX:?} ago, and the watch is at {}", message.revision);
        known.push((Instant::now(), head.load(Ordering::SeqCst)));
    }
    known.len() as u64
}
