//! Readers that stop reading: the server queues nothing for them, and they miss nothing.

use std::time::{Duration, Instant};

use annals::proto::{CommitRequest, Event, Mutation, WatchRequest, watch_response::Content};

use crate::{
    serving::{Client, Serving},
    trial::{count, loudly, machine},
};

const READERS: usize = 40;
/// The size of each commit. A few fill every buffer between server and reader.
const COMMIT_BYTES: usize = 60_000;
/// The pause between two commits, so that minutes of them fit on a small disk.
const PAUSE: Duration = Duration::from_millis(5);
/// The memory that each reader may cost: the buffered answers of a call, the chunk of the log that its watch holds, and as much
/// again for noise. It is far less than what is written meanwhile.
const READER_BYTES_MAX: u64 = 2 << 20;
/// How much the memory of a warm server may vary between two equal loads.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// Commits of some size, one after another, for a time. Returns their number and the peak memory of the server.
async fn write(server: &Server<'_>, time: Duration) -> (u32, u64) {
    let (began, mut commits, mut peak) = (Instant::now(), 0, 0);
    let mut client = server.client.clone();
    // The name is the same each time, so that only the log grows.
    while began.elapsed() < time {
        let description = format!("{}{}", fastrand::u64(..), "x".repeat(COMMIT_BYTES));
        let event = Event { name: "events/large".into(), title: "large".into(), description, ..Default::default() };
        let request = CommitRequest::of(format!("{:x}", fastrand::u128(..)), [Mutation::upsert(event)]);
        client.commit(request).await.expect("room");
        commits += 1;
        peak = peak.max(server.serving.resident_bytes());
        tokio::time::sleep(PAUSE).await;
    }
    (commits, peak)
}

/// Writes without readers until the caches of the server are full. Returns the commits and the peak memory.
async fn settle(server: &Server<'_>) -> (u32, u64) {
    let (mut commits, mut peak) = (0, 0);
    loop {
        let (written, now) = write(server, Duration::from_secs(2)).await;
        commits += written;
        if now < peak + GROWTH_BYTES_MAX {
            return (commits, peak.max(now));
        }
        peak = now;
    }
}

struct Server<'a> {
    serving: &'a Serving,
    client: Client,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_do_not_read_cost_no_memory_and_then_get_every_commit() {
    let time = Duration::from_secs(count("ANNALS_WATCHING_STALL_SECONDS", 4));
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::start_on(folder.path()).await;
    let server = Server { serving: &serving, client: serving.client().await };
    let (before, baseline) = settle(&server).await;

    let mut streams = Vec::new();
    for _ in 0..READERS {
        let request = WatchRequest { after_revision: Some(before.into()), ..Default::default() };
        streams.push(serving.client().await.watch(request).await.expect("a watch").into_inner());
    }
    let (first, stalled) = write(&server, time).await;
    let (second, later) = write(&server, time).await;
    let commits = first + second;
    let kept = u64::from(second) * (COMMIT_BYTES * READERS) as u64;
    let allowed = READERS as u64 * READER_BYTES_MAX;
    assert!(kept > 4 * allowed, "{second} commits would not show");
    let growth = stalled.saturating_sub(baseline);
    assert!(growth < allowed, "{growth} bytes more than the {baseline} without readers");
    let growth = later.saturating_sub(stalled);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes more than the {stalled} of as much time before");

    for mut stream in streams {
        let mut expected = i64::from(before);
        while expected < i64::from(before + commits) {
            let message = stream.message().await.expect("no error").expect("no end");
            if let Some(Content::Commit(commit)) = message.content {
                expected += 1;
                assert_eq!(commit.revision, expected, "every commit, in order");
            }
        }
    }
    serving.stop();
    let mib = |bytes: u64| bytes >> 20;
    loudly(&format!(
        "{READERS} readers stalled for {:?}: {} MiB resident before, {} in the first half, {} in the second; {commits} commits, \
         {} MiB of the second half if each were kept for each; {}",
        2 * time,
        mib(baseline),
        mib(stalled),
        mib(later),
        mib(kept),
        machine()
    ));
}
