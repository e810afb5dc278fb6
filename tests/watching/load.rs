//! The run: writers, followers, mirrors and idle watchers on one server.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::task::JoinSet;

use crate::{
    follower::follow,
    idle::idle,
    log::{Log, Selection},
    mirror::{Mirrored, mirror},
    serving::Serving,
    trial::{count, loudly, machine, seed},
    writers::{COUNTS, Writers},
};

/// Long enough for several heartbeats.
const LOAD_TIME_MIN: Duration = Duration::from_secs(9);
/// Watchers whose filter matches nothing.
const IDLERS: usize = 4;
/// What followers watch, in turns.
const SELECTIONS: [Selection; 6] =
    [Selection::All, Selection::Events, Selection::Actors, Selection::Above(2), Selection::Above(5), Selection::Above(COUNTS)];

/// What is mirrored: with a filter, and without one.
const MIRRORED: [Selection; 4] = [Selection::Above(2), Selection::Above(5), Selection::All, Selection::Actors];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_watcher_sees_the_log_in_order_once_however_often_it_is_cut() {
    let mut rng = Rng::with_seed(seed("ANNALS_WATCHING_SEED"));
    // The test delivers at least this many commits to this many watchers.
    let (deliveries, watchers) = (count("ANNALS_WATCHING_DELIVERIES", 10_000), count("ANNALS_WATCHING_WATCHERS", 200));
    let folder = tempfile::tempdir().expect("a folder");
    let server = Serving::start_on(folder.path()).await;
    let began = Instant::now();
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = Writers::start(&server, &mut rng).await;

    let (mut followers, mut selections) = (JoinSet::new(), SELECTIONS.iter().cycle());
    for number in 0..watchers {
        let selection = *selections.next().expect("it cycles");
        let following = follow(server.address().to_owned(), selection, number % 5 == 0, Arc::clone(&ended), rng.fork());
        followers.spawn(async move { (selection, following.await) });
    }
    let (mut mirrors, mut idlers) = (JoinSet::new(), JoinSet::new());
    for selection in MIRRORED {
        mirrors.spawn(mirror(server.address().to_owned(), selection, Arc::clone(&ended), rng.fork()));
    }
    for _ in 0..IDLERS {
        idlers.spawn(idle(server.address().to_owned(), Arc::clone(&writers.head), Arc::clone(&ended)));
    }

    // A watch without a filter shows every commit, and one follower in six is one.
    let commits = i64::try_from(deliveries / (watchers / 6).max(1)).expect("a small number");
    while writers.head.load(Ordering::SeqCst) < commits || began.elapsed() < LOAD_TIME_MIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
        writers.check();
        let failed = followers.try_join_next().map(|ended| ended.map(drop));
        let failed = failed.or_else(|| mirrors.try_join_next().map(|ended| ended.map(drop)));
        if let Some(failed) = failed.or_else(|| idlers.try_join_next().map(|ended| ended.map(drop))) {
            panic!("a watcher ended: {failed:?}");
        }
    }
    let log = Log::replay(writers.stop().await);
    let wrote = began.elapsed();
    ended.store(true, Ordering::SeqCst);

    let (mut delivered, mut cuts) = (0, 0);
    while let Some(followed) = followers.join_next().await {
        let (selection, followed) = followed.expect("no failure of a follower");
        let expected = log.shown(selection);
        let differ = followed.shown.iter().zip(&expected).find(|(shown, expected)| shown != expected);
        assert!(differ.is_none(), "{selection:?}: {differ:?}");
        assert_eq!(followed.shown.len(), expected.len(), "{selection:?}");
        delivered += followed.shown.len() as u64;
        cuts += followed.cuts;
    }
    let mut mirrored = Mirrored::default();
    while let Some(mirror) = mirrors.join_next().await {
        mirrored += mirror.expect("no failure of a mirror");
    }
    let mut beats = 0;
    while let Some(idle) = idlers.join_next().await {
        beats += idle.expect("no failure of an idle watcher");
    }
    assert!(delivered >= deliveries && beats > 8 * IDLERS as u64, "{delivered} delivered, {beats} beats");
    let Mirrored { starts, at_once, between, later } = mirrored;
    assert!(at_once > 50 && between > 10 && later > 5, "too few to mean anything: {mirrored:?}");
    server.stop();
    loudly(&format!(
        "0 violations / {delivered} commits delivered to {watchers} watchers, {cuts} cuts; {starts} mirrors compared \
         with {at_once} lists at once, {between} between messages, {later} later; {beats} heartbeats; {} commits in {:.1} s; {}",
        log.len(),
        wrote.as_secs_f64(),
        machine()
    ));
}
