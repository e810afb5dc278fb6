//! A state that fails in the middle of a run. The commits stay, and the store rebuilds the state, reports it, and continues.
//!
//! Knows how a state can fail. Must not know how the store detects it.

use std::{
    fs,
    ops::Bound,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::{
    engine::{
        Engine, EngineError, KeyRange, Result, ScanDirection, State, StateBatch, StateRead, StateWrite,
        embedded::{EmbeddedEngine, EmbeddedOptions, EmbeddedState},
    },
    proto::ErrorReason,
    store::{self, Store, StoreHealth},
};
use bytes::Bytes;

use crate::{
    inspect::{Inspection, acknowledged},
    process::{Life, loudly, seed},
    script::{Purpose, Said, Script},
    workload::Writer,
};

const META: u8 = 0x01;
const REST: u8 = 0x11;
/// The tables of the state whose values have content, by the first byte of their keys.
const TABLES: [(u8, &str); 5] = [
    (META, "the meta value"),
    (0x10, "an older version"),
    (REST, "a further chunk"),
    (0x20, "a newest version"),
    (0x50, "a receipt"),
];

/// A state that fails at random: a whole call, or in the middle of a batch, and then until it is reset.
struct FailingState {
    state: Arc<EmbeddedState>,
    rng: Mutex<fastrand::Rng>,
    failed: AtomicBool,
    failures: AtomicU64,
    /// How many reads of a thousand, and how many batches of a thousand, fail.
    reads: AtomicU64,
    batches: AtomicU64,
}

impl FailingState {
    fn new(state: Arc<EmbeddedState>, seed: u64) -> Self {
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        Self {
            state,
            rng,
            failed: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            batches: AtomicU64::new(0),
        }
    }

    fn check(&self, rate: &AtomicU64) -> Result<()> {
        let chance = self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(..1000);
        if chance < rate.load(Ordering::SeqCst) && !self.failed.swap(true, Ordering::SeqCst) {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        if self.failed.load(Ordering::SeqCst) { Err(EngineError::State("a test wants it so".into())) } else { Ok(()) }
    }
}

impl StateRead for FailingState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.check(&self.reads)?;
        self.state.get(key)
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.check(&self.reads)?;
        self.state.scan(range, direction, limit)
    }
}

impl State for FailingState {
    fn distrust(&self) -> Option<String> {
        if self.failed.load(Ordering::SeqCst) { Some("a test wants it so".into()) } else { self.state.distrust() }
    }

    fn apply(&self, mut batch: StateBatch) -> Result<()> {
        if let Err(error) = self.check(&self.batches) {
            let rng = &mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            batch.stages.truncate(rng.usize(..=batch.stages.len()));
            if let Some(last) = batch.stages.last_mut() {
                last.retain(|_| rng.bool());
            }
            self.state.apply(batch)?;
            return Err(error);
        }
        self.state.apply(batch)
    }

    fn reset(&self) -> Result<()> {
        self.state.reset()?;
        self.failed.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.state.disk_bytes()
    }

    fn close(&self) -> Result<()> {
        self.state.close()
    }
}

/// Commits on an engine whose state fails at random and retries what was not answered. Returns how often the state failed.
fn commit_through_failures(reads: u64, batches: u64) -> u64 {
    const REQUESTS: usize = 300;
    let seed = seed();
    let folder = tempfile::tempdir().expect("a folder");
    let mut script = Script::new(folder.path().join("data"), seed, Purpose::Inspect, 1);
    let options = EmbeddedOptions { cache_bytes: 16 << 20, segment_bytes: 1 << 20, ..EmbeddedOptions::default() };
    let engine = EmbeddedEngine::open(&script.folder, options).expect("a new folder");
    let state = Arc::new(FailingState::new(engine.state, seed));
    let engine = Engine { log: engine.log, state: Arc::clone(&state) as Arc<dyn State> };
    let store = Store::start(engine.clone(), store::StoreOptions::default()).expect("a thread");
    store.wait_until_serving().expect("a store");
    state.reads.store(reads, Ordering::SeqCst);
    state.batches.store(batches, Ordering::SeqCst);
    let mut writer = Writer::new(seed, 0);
    for _ in 0..REQUESTS {
        let request = writer.step().request;
        let begun = Instant::now();
        let response = loop {
            match store.commit(request.clone()) {
                Ok(response) => break response,
                Err(error) if error.reason == ErrorReason::StoreRebuilding => {
                    store.wait_until_serving().expect("a failing state is no failing store");
                    assert!(
                        begun.elapsed() < Duration::from_mins(1),
                        "the store does not rebuild its state: {:?}",
                        store.health()
                    );
                }
                Err(error) => panic!("{}: {error}", request.request_id),
            }
        };
        script.acknowledged[0].push(acknowledged(&response));
    }
    state.reads.store(0, Ordering::SeqCst);
    state.batches.store(0, Ordering::SeqCst);
    let mut violations = Vec::new();
    let mut report = |what| violations.push(what);
    let inspected = Inspection::new(&script, &engine, &mut report).serving(&store);
    assert_eq!(store.health(), StoreHealth::Serving);
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    assert_eq!(inspected.resent, REQUESTS as u64);
    store.close().expect("a state that was rebuilt can be closed");
    state.failures.load(Ordering::SeqCst)
}

#[test]
fn a_state_that_fails_when_it_is_written_is_rebuilt_and_no_commit_is_lost() {
    let failures = commit_through_failures(0, 50);
    loudly(&format!("a state that fails when it is written: 0 violations / {failures} failures"));
    assert!(failures > 0);
}

#[test]
fn a_state_that_fails_when_only_the_writer_reads_it_is_rebuilt() {
    let failures = commit_through_failures(5, 0);
    loudly(&format!("a state that fails when it is read: 0 violations / {failures} failures"));
    assert!(failures > 0);
}

/// Writes garbage into a state, as the value of the last key that begins with this byte.
fn plant(engine: &Engine, table: u8) {
    let from = (Bound::Included(vec![table]), Bound::Excluded(vec![table + 1]));
    let found = engine.state.scan(from, ScanDirection::Backward, 1).expect("a state that can be read");
    let key = found.first().unwrap_or_else(|| panic!("a key of table {table:#x}")).0.to_vec();
    let stage =
        vec![if table == REST { StateWrite::Remove(key) } else { StateWrite::Put(key, Bytes::from_static(&[0xff; 3])) }];
    engine.state.apply(StateBatch { stages: vec![stage] }).expect("a state that can be written");
}

#[test]
fn a_state_with_garbage_is_rebuilt_once() {
    const REQUESTS: usize = 150;
    let seed = seed();
    for (table, name) in TABLES {
        let folder = tempfile::tempdir().expect("a folder");
        let mut script = Script::new(folder.path().join("data"), seed, Purpose::Inspect, 1);
        let (engine, store) = open(&script.folder, |_| {});
        let mut writer = Writer::new(seed, 0);
        for _ in 0..REQUESTS {
            let response = store.commit(writer.step().request).expect("a state that can be read");
            script.acknowledged[0].push(acknowledged(&response));
        }
        let inspect = |engine: &Engine, store: &Store| {
            let mut violations = Vec::new();
            let mut report = |what| violations.push(what);
            let inspected = Inspection::new(&script, engine, &mut report).serving(store);
            (inspected.retried, violations)
        };
        if table == META {
            // The store reads it when it starts.
            store.close().expect("a state that can be closed");
            let (engine, store) = open(&script.folder, |engine| plant(engine, table));
            assert_eq!(inspect(&engine, &store), (0, Vec::new()), "seed {seed}, {name}");
            continue;
        }

        plant(&engine, table);
        let (retried, violations) = inspect(&engine, &store);
        assert!(violations.is_empty(), "seed {seed}, {name}: {violations:#?}");
        assert!(retried > 0, "seed {seed}, {name}: it was read and the state rebuilt");

        plant(&engine, table);
        let (retried, violations) = inspect(&engine, &store);
        let told = violations.iter().any(|what| what.contains("did not repair it"));
        assert!(told && retried == 0, "seed {seed}, {name}: a second rebuild would not help: {retried}, {violations:#?}");
        assert_eq!(store.health(), StoreHealth::Serving, "{name}: all else is still answered");
    }
}

/// Opens a store after a change to its state.
fn open(folder: &Path, change: impl FnOnce(&Engine)) -> (Engine, Store) {
    let options = EmbeddedOptions { cache_bytes: 16 << 20, segment_bytes: 1 << 20, ..EmbeddedOptions::default() };
    let engine = Engine::from(EmbeddedEngine::open(folder, options).expect("a folder that can be opened"));
    change(&engine);
    let store = Store::start(engine.clone(), store::StoreOptions::default()).expect("a thread");
    store.wait_until_serving().expect("a store");
    (engine, store)
}

#[test]
fn sled_s_file_is_overwritten_and_cut_under_a_running_store() {
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let (trials, mut rebuilt) = (8, 0);
    for trial in 0..trials {
        let files = tempfile::tempdir().expect("a folder");
        let mut script = Script::new(files.path().join("data"), rng.u64(..), Purpose::Commit, 2);
        let life = Life::start(&script, files.path());
        life.wait_for(|said| matches!(said, Said::Acknowledged { step: 40, .. }));
        let db = script.folder.join("state/db");
        let file = fs::OpenOptions::new().write(true).open(&db).expect("sled's file");
        let bytes = file.metadata().expect("sled's file").len();
        match trial % 4 {
            0 => file.set_len(0).expect("a file can be cut"),
            1 => file.set_len(bytes / 2).expect("a file can be cut"),
            2 => file.write_all_at(&vec![0x5a; 1 << 20], 0).expect("a file can be overwritten"),
            _ => fs::remove_dir_all(script.folder.join("state")).expect("a folder can be removed"),
        }
        life.wait_for(|said| matches!(said, Said::Acknowledged { step: 80, .. }));
        let (said, by_itself) = life.kill();
        assert_eq!(by_itself, None);
        for said in said {
            match said {
                Said::Acknowledged { writer, answer, .. } => script.acknowledged[writer].push(answer),
                Said::Violation(what) => panic!("seed {seed}, trial {trial}: {what}"),
                Said::Refused { reason, .. } => panic!("seed {seed}, trial {trial}: {reason}"),
                _ => {}
            }
        }
        script.purpose = Purpose::Inspect;
        let (said, by_itself) = Life::start(&script, files.path()).wait();
        assert_eq!(by_itself, None);
        rebuilt += u64::from(said.iter().any(|said| matches!(said, Said::Opened { suspect: Some(_) })));
        let violations: Vec<_> = said.iter().filter(|said| matches!(said, Said::Violation(_))).collect();
        assert!(violations.is_empty(), "seed {seed}, trial {trial}: {violations:#?}");
    }
    loudly(&format!(
        "sled's file damaged under a running store, which is then killed: 0 violations / {trials} trials, {rebuilt} rebuilt"
    ));
}
