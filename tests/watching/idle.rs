//! A watcher whose filter nothing matches: it must be told how far it has come all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use annals::proto::{Checkpoint, WatchRequest, watch_response::Content};

use crate::{follower::request, log::Selection, serving::connect};

/// The heartbeat asked for is a second; the rest is for a server that shares the machine with two hundred watchers.
const BEAT_MAX: Duration = Duration::from_secs(4);

/// Each message was sent within a heartbeat of the one before, and its revision is not below what any writer knew a heartbeat
/// before it was sent. Gives how many beats there were. By the server's clock, which is this machine's: how late this task comes to
/// read a message says nothing of the server.
pub(crate) async fn idle(address: String, head: Arc<AtomicI64>, ended: Arc<AtomicBool>) -> u64 {
    let mut client = connect(&address).await.expect("it listens");
    let request = WatchRequest { after_revision: Some(0), ..request(Selection::Above(1 << 40)) };
    let mut stream = client.watch(request).await.expect("a watch").into_inner();
    // What was known when, at every message.
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
