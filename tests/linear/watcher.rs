//! A watcher: follows the commits, is cut at random and whenever the server goes down, and resumes where it was.
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
    client::above_filter,
    history::{Line, Moved, Selection, Transition},
    recorder::Recorder,
    target::Target,
    wire,
};

/// How long a stream may be silent. It is asked for a heartbeat every second.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Follows until it has reached the head as of a moment after `ended` was set.
pub(crate) async fn watch(
    number: u64,
    selection: Selection,
    target: Target,
    recorder: Arc<Recorder>,
    ended: Arc<AtomicBool>,
    mut rng: Rng,
) {
    let mut after = 0;
    loop {
        let stop_at_head = ended.load(Ordering::SeqCst);
        let messages = if stop_at_head { usize::MAX } else { rng.usize(1..400) };
        let request = WatchRequest { after_revision: Some(after), stop_at_head, ..request(&selection) };
        let mut client = target.connect().await;
        let Ok(stream) = client.watch(request).await else { continue };
        let mut stream = stream.into_inner();
        recorder.record(&Line::Opened { watch: number, after, selection: selection.clone() });
        for _ in 0..messages {
            if ended.load(Ordering::SeqCst) && !stop_at_head {
                break;
            }
            match tokio::time::timeout(SILENCE_MAX, stream.message()).await.expect("a sign of life every second") {
                Ok(Some(message)) => {
                    after = message.revision;
                    if let Some(line) = line(number, message) {
                        recorder.record(&line);
                    }
                }
                Ok(None) => {
                    assert!(stop_at_head, "a watch ends by itself only where it is asked to");
                    return;
                }
                // The server is down.
                Err(_) => break,
            }
        }
    }
}

fn request(selection: &Selection) -> WatchRequest {
    let heartbeat_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let types = |collection: &str| match collection {
        "actors" => vec![RecordType::Actor.into()],
        _ => vec![RecordType::Event.into()],
    };
    let (types, filter) = match selection {
        Selection::All => (Vec::new(), String::new()),
        Selection::Collection(collection) => (types(collection), String::new()),
        Selection::Above(collection, above) => (types(collection), above_filter(*above)),
    };
    WatchRequest { types, filter, heartbeat_interval, ..Default::default() }
}

fn line(watch: u64, message: proto::WatchResponse) -> Option<Line> {
    let revision = message.revision;
    match message.content? {
        Content::Commit(commit) => {
            let changes = commit.changes.iter().map(|change| moved(change, revision)).collect();
            Some(Line::Delivered { watch, revision, changes })
        }
        Content::Checkpoint(checkpoint) if checkpoint.opened => None,
        Content::Checkpoint(_) => Some(Line::Progressed { watch, revision }),
        Content::Initial(_) => panic!("nobody asked for an initial state"),
    }
}

fn moved(change: &proto::Change, revision: i64) -> Moved {
    let transition = match change.transition() {
        proto::Transition::Unspecified => None,
        proto::Transition::Entered => Some(Transition::Entered),
        proto::Transition::Stayed => Some(Transition::Stayed),
        proto::Transition::Left => Some(Transition::Left),
    };
    Moved { effect: wire::change(change, revision), transition }
}
