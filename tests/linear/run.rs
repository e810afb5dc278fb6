//! A run: clients and watchers call a server that is killed and paused. Then the log is read and the history is checked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use annals::proto::{GetCommitRequest, WatchRequest, watch_response::Content};
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::{
    checker::check,
    client::{Caller, logged},
    history::{Line, Logged, Selection},
    recorder::{Recorder, lines},
    serving::{Client, annals},
    target::{Disturbed, Disturber},
    trial::{count, loudly, machine, seed},
    verdict::Verdict,
    watcher::watch,
};

/// Clients that call at the same time.
const CALLERS: usize = 12;
/// The server is killed at least this often, however fast the calls are.
const KILLS_MIN: u64 = 3;
/// Steps that a check may take for each operation.
const STEPS_PER_OPERATION: u64 = 1_000;

/// Calls a server and disturbs it until this many calls were made. Returns the file with the history.
async fn record(folder: &Path, operations: u64, mut rng: Rng) -> (PathBuf, Disturbed) {
    let recorder = Arc::new(Recorder::new(&folder.join("history.ndjson")));
    let data = folder.join("data");
    let mut disturber = Disturber::start(data.clone(), rng.fork()).await;
    let target = disturber.target();
    let ended = Arc::new(AtomicBool::new(false));

    let mut watchers = JoinSet::new();
    let above = |above| Selection::Above("events".into(), above);
    for selection in [Selection::All, Selection::All, Selection::Collection("actors".into()), above(2), above(5), above(7)] {
        let number = watchers.len() as u64;
        let (target, recorder, ended) = (target.clone(), Arc::clone(&recorder), Arc::clone(&ended));
        watchers.spawn(watch(number, selection, target, recorder, ended, rng.fork()));
    }
    let called = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller::new(number, target.clone(), Arc::clone(&recorder), rng.fork()).await;
        callers.spawn(caller.run(Arc::clone(&called)));
    }
    while recorder.operations() < operations || disturber.disturbed().kills < KILLS_MIN {
        disturber.disturb().await;
        if let Some(failed) = callers.try_join_next().or_else(|| watchers.try_join_next()) {
            panic!("a client ended: {failed:?}");
        }
    }
    called.store(true, Ordering::SeqCst);
    while let Some(caller) = callers.join_next().await {
        caller.expect("no failure of a client");
    }
    ended.store(true, Ordering::SeqCst);
    while let Some(watcher) = watchers.join_next().await {
        watcher.expect("no failure of a watcher");
    }
    // Nothing may exist only in memory.
    disturber.kill().await;
    for commit in read_log(target.connect().await, 0).await {
        recorder.record(&Line::Logged(commit));
    }
    let disturbed = disturber.stop();
    let verified = annals(&["verify", "--data"]).arg(&data).output().expect("the binary runs");
    assert!(verified.status.success() && verified.stdout.is_empty(), "{verified:?}");
    (Arc::into_inner(recorder).expect("all clients have ended").close(), disturbed)
}

/// The log after a revision, by a watch, and again commit by commit.
pub(crate) async fn read_log(mut client: Client, after: i64) -> Vec<Logged> {
    let request = WatchRequest { after_revision: Some(after), stop_at_head: true, ..Default::default() };
    let mut stream = client.watch(request).await.expect("a watch").into_inner();
    let mut log = Vec::new();
    while let Some(message) = stream.message().await.expect("no error") {
        if let Some(Content::Commit(commit)) = message.content {
            log.push(logged(&commit));
        }
    }
    for commit in &log {
        let request = GetCommitRequest { revision: commit.revision };
        let read = client.get_commit(request).await.expect("a commit").into_inner();
        assert_eq!(*commit, logged(&read), "Watch and GetCommit tell the same");
    }
    log
}

/// Checks a history and prints the figures. Fails on a violation, and if the check could not be completed.
fn judge(path: &Path, operations: u64) {
    let began = Instant::now();
    let verdict = check(|| lines(path), STEPS_PER_OPERATION * operations.max(1_000));
    let seconds = began.elapsed().as_secs_f64();
    match verdict {
        Verdict::Sound(counted) => {
            loudly(&format!(
                "0 violations / {} operations, checked in {seconds:.1} s: {counted:?}; {}",
                counted.operations,
                machine()
            ));
        }
        Verdict::Broken(violations) => {
            let mut rules = BTreeMap::new();
            for violation in &violations {
                *rules.entry(violation.rule).or_insert(0_u64) += 1;
            }
            let first: Vec<_> = violations.iter().take(20).map(ToString::to_string).collect();
            panic!("{rules:?}, in {}; the first: {first:#?}", path.display());
        }
        Verdict::Unknown(why) => panic!("unknown: {why}, in {}", path.display()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_to_concurrent_clients_of_a_server_that_is_killed_and_paused() {
    let seed = seed("ANNALS_LINEAR_SEED");
    let operations = count("ANNALS_LINEAR_OPERATIONS", 10_000);
    // Saved for a failed test.
    let folder = tempfile::Builder::new().prefix("linear-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder").keep();
    let began = Instant::now();
    let (history, disturbed) = record(&folder, operations, Rng::with_seed(seed)).await;
    loudly(&format!("seed {seed}: {disturbed:?} in {:.1} s", began.elapsed().as_secs_f64()));
    judge(&history, operations);
    std::fs::remove_dir_all(folder).expect("a folder of ours");
}

#[test]
#[ignore = "checks a history that an earlier run left: ANNALS_LINEAR_HISTORY names the file"]
fn a_history_from_a_file_is_checked_again() {
    let path = std::env::var("ANNALS_LINEAR_HISTORY").expect("the path of a history");
    let operations = lines(Path::new(&path)).count() as u64;
    judge(Path::new(&path), operations);
}
