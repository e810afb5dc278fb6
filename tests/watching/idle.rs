//! A watcher whose filter matches nothing. Its heartbeats must still report its position.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use annals::proto::{Checkpoint, WatchRequest, watch_response::Content};

use crate::{follower::request, log::Selection, serving::connect};

/// The requested heartbeat is one second. The rest is for a server that shares the machine with 200 watchers.
const BEAT_MAX: Duration = Duration::from_secs(4);

/// Checks that each message was sent within a heartbeat of the previous one, and that its revision is not below what any writer
/// knew one heartbeat earlier. Returns the number of heartbeats. Uses the server's clock, which is this machine's: when this
/// task reads a message says nothing about the server.
pub(crate) async fn idle(address: String, head: Arc<AtomicI64>, ended: Arc<AtomicBool>) -> u64 {
    let mut client = connect(&address).await.expect("it listens");
    let request = WatchRequest { after_revision: Some(0), ..request(Selection::Above(1 << 40)) };
    let mut stream = client.watch(request).await.expect("a watch").into_inner();
    // What was known when each message was sent.
    let mut known: Vec<(SystemTime, i64)> = Vec::new();
    let (mut beats, mut last) = (0, SystemTime::now());
    while !ended.load(Ordering::SeqCst) {
        let message = stream.message().await.expect("no error").expect("no end");
        let Some(Content::Checkpoint(Checkpoint { server_time: Some(sent), .. })) = message.content else {
            panic!("nothing matches: {message:?}")
        };
        let sent = SystemTime::try_from(sent).expect("a time");
        let silence = sent.duration_since(last).unwrap_or_default();
        assert!(silence < BEAT_MAX, "{silence:?} without a sign of life");
        let old = known.iter().rev().find(|(when, _)| *when + BEAT_MAX < sent).map_or(0, |(_, head)| *head);
        assert!(message.revision >= old, "{old} was known {BEAT_MAX:?} before, and the watch is at {}", message.revision);
        known.push((SystemTime::now(), head.load(Ordering::SeqCst)));
        (beats, last) = (beats + 1, sent);
    }
    beats
}
