//! An engine that fails or pauses where a test says: what callers get then, and what is left behind.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
    mpsc,
};

use annals::{
    engine::{
        self, Engine, KeyRange, Log, LogEntry, LogSeek, LogSequence, Result, ScanDirection, State, StateBatch, StateRead,
        memory::{MemoryEngine, MemoryState},
    },
    model::RecordKind,
    proto::{self, GetRecordRequest},
    store::{Caller, Store, StoreLimits, StoreOptions},
};
use bytes::Bytes;

use crate::support::{actor, event, get, reason, request, store_on};

/// A call on the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call<'a> {
    Get(&'a [u8]),
    Append,
    Apply,
}

impl Call<'_> {
    /// Whether it reads the newest version of the record with this id.
    fn gets_current(self, id: &str) -> bool {
        const CURRENT: u8 = 0x20;
        matches!(self, Self::Get([CURRENT, _, rest @ ..]) if rest == id.as_bytes())
    }
}

type Hook = dyn Fn(Call<'_>) -> Result<()> + Send + Sync;

/// A log and a state in memory, with a function that is called before each call and may fail it or hold it up.
pub(crate) struct Hooked {
    memory: MemoryEngine,
    hook: Mutex<Arc<Hook>>,
    suspect: AtomicBool,
}

impl Hooked {
    pub(crate) fn new(memory: MemoryEngine) -> Arc<Self> {
        Arc::new(Self { memory, hook: Mutex::new(Arc::new(|_| Ok(()))), suspect: AtomicBool::new(false) })
    }

    pub(crate) fn engine(self: &Arc<Self>) -> Engine {
        Engine { log: Arc::clone(self) as Arc<dyn Log>, state: Arc::clone(self) as Arc<dyn State> }
    }

    pub(crate) fn hook(&self, hook: impl Fn(Call<'_>) -> Result<()> + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Arc::new(hook);
    }

    fn call(&self, call: Call<'_>) -> Result<()> {
        let hook = Arc::clone(&self.hook.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = hook(call);
        if matches!(outcome, Err(engine::EngineError::State(_))) {
            self.suspect.store(true, Ordering::SeqCst);
        }
        outcome
    }
}

impl StateRead for Hooked {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.call(Call::Get(key))?;
        self.memory.state.get(key)
    }

    fn scan(&self, range: KeyRange, direction: ScanDirection, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        self.memory.state.scan(range, direction, limit)
    }
}

impl State for Hooked {
    fn distrust(&self) -> Option<String> {
        self.suspect.load(Ordering::SeqCst).then(|| "by intent".into())
    }

    fn apply(&self, batch: StateBatch) -> Result<()> {
        self.call(Call::Apply)?;
        self.memory.state.apply(batch)
    }

    fn reset(&self) -> Result<()> {
        self.memory.state.reset()?;
        self.suspect.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.memory.state.disk_bytes()
    }

    fn close(&self) -> Result<()> {
        self.memory.state.close()
    }
}

impl Log for Hooked {
    fn head(&self) -> Result<LogSequence> {
        self.memory.log.head()
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        self.call(Call::Append)?;
        self.memory.log.append(expected_head, entries)
    }

    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        self.memory.log.read_after(after, bytes_max)
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        self.memory.log.seek(seek)
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.memory.log.disk_bytes()
    }

    fn close(&self) -> Result<()> {
        self.memory.log.close()
    }
}

/// A point at which one thread waits until the test lets it continue.
struct Gate {
    reached: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

/// The other side of a [`Gate`]: makes the first thread that arrives wait.
struct Barred {
    reach: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

impl Gate {
    fn new() -> (Self, Barred) {
        let (reach, reached) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        (Self { reached, go }, Barred { reach: Mutex::new(Some((reach, wait))) })
    }
}

impl Barred {
    fn pass(&self) {
        let first = self.reach.lock().unwrap().take();
        if let Some((reach, wait)) = first {
            reach.send(()).unwrap();
            // The other side is gone, so the test has ended.
            wait.recv().unwrap_or_default();
        }
    }
}

fn is_writer() -> bool {
    std::thread::current().name() == Some("annals-writer")
}

fn full() -> engine::EngineError {
    engine::EngineError::Full { available: 1, reserve: 2, path: "data".into() }
}

fn update(id: &str, text: &str) -> String {
    format!(r#"{{"update": {{"record": {{"actor": {{"name": "actors/{id}", "display_name": "{text}"}}}}}}}}"#)
}

/// The result of a call. The test fails if the call never returns.
fn in_time<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || done.send(call()));
    finished.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer")
}

fn assert_sound(engine: &Hooked) {
    let mut findings = Vec::new();
    annals::store::verify(&engine.memory.clone().into(), &MemoryState::default(), &mut |finding| {
        findings.push(finding.to_string());
    })
    .unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn the_past_is_read_by_time_while_the_disk_is_full() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    let first = store.commit(request("1", &event("e", ""))).unwrap().commit_time;
    engine.hook(|call| if call == Call::Append { Err(full()) } else { Ok(()) });
    assert_eq!(reason(store.commit(request("2", &event("f", "")))), "STORAGE_FULL");
    let request = GetRecordRequest { name: "events/e".into(), as_of_time: first, ..Default::default() };
    assert!(
        store.get_encoded(RecordKind::Event, &request).is_ok(),
        "no later commit can have this time, so nothing needs promising"
    );
}

#[test]
fn no_commit_is_refused_because_of_a_commit_that_never_happened() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    let (gate, barred) = Gate::new();
    let appends = AtomicU64::new(0);
    engine.hook(move |call| {
        if call != Call::Append {
            return Ok(());
        }
        barred.pass();
        if appends.fetch_add(1, Ordering::SeqCst) == 1 { Err(full()) } else { Ok(()) }
    });
    let submit = |id: &str, mutation: &str| store.submit(&Caller::anonymous(), request(id, mutation));
    let before = submit("0", &actor("before"));
    gate.reached.recv().unwrap();
    let invalid = submit("i", r#"{"delete": {"name": "actors/none"}}"#);
    let (first, second) = (submit("1", &actor("x")), submit("2", &actor("x")));
    gate.go.send(()).unwrap();
    before.wait().unwrap();
    assert_eq!(reason(invalid.wait()), "RECORD_NOT_FOUND", "refused for its own sake");
    assert_eq!(reason(first.wait()), "STORAGE_FULL");
    assert_eq!(reason(second.wait()), "STORAGE_FULL", "actors/x is not in use");
    assert_eq!(store.commit(request("2", &actor("x"))).unwrap().revision, 2);
}

#[test]
fn a_commit_during_which_the_state_fails_leaves_nothing_behind() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    store.commit(request("0", &["a", "b", "c"].map(actor).join(","))).unwrap();
    let (gate, barred) = Gate::new();
    let reads = AtomicU64::new(0);
    engine.hook(move |call| {
        if call == Call::Append {
            barred.pass();
        }
        // Once when the commit is checked, and once when its keys are derived, after the keys of two other records.
        if call.gets_current("c") && reads.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err(engine::EngineError::State("by intent".into()));
        }
        Ok(())
    });
    let submit = |id: &str, mutations: &str| store.submit(&Caller::anonymous(), request(id, mutations));
    let before = submit("1", &actor("d"));
    gate.reached.recv().unwrap();
    let failed = submit("2", &["a", "b", "c"].map(|id| update(id, "x")).join(","));
    let next = submit("3", &update("d", "y"));
    gate.go.send(()).unwrap();
    before.wait().unwrap();
    assert_eq!(reason(failed.wait()), "STORE_REBUILDING");
    let next = next.wait().unwrap();
    store.wait_until_serving().unwrap();
    assert_eq!(next.revision, 3);
    assert_eq!(get::<proto::Actor>(&store, "actors/a").unwrap().display_name, "a");
    assert_eq!(store.commit(request("2", &["a", "b", "c"].map(|id| update(id, "x")).join(","))).unwrap().revision, 4);
    store.close().unwrap();
    let engine = Hooked::new(engine.memory.reopen());
    assert_sound(&engine);
}

#[test]
fn reads_as_of_a_time_continue_after_a_commit_that_failed_with_its_revision_assigned() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    store.commit(request("0", &actor("a"))).unwrap();
    let read_now = move |store: &Store| {
        let as_of_time = Some(std::time::SystemTime::now().into());
        store.get_encoded(RecordKind::Actor, &GetRecordRequest { name: "actors/a".into(), as_of_time, ..Default::default() })
    };
    // It promises one second ahead, so the next such read does not need the writer.
    read_now(&store).unwrap();
    let reads = AtomicU64::new(0);
    engine.hook(move |call| {
        if call.gets_current("a") && is_writer() && reads.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err(engine::EngineError::State("by intent".into()));
        }
        Ok(())
    });
    assert_eq!(reason(store.commit(request("1", &update("a", "x")))), "STORE_REBUILDING");
    let read = in_time(move || {
        store.wait_until_serving().unwrap();
        read_now(&store)
    });
    assert!(read.is_ok(), "{read:?}");
}

#[test]
fn a_read_that_a_rebuild_overtakes_is_not_answered_from_half_a_state() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    store.commit(request("0", &actor("a"))).unwrap();
    let ((reader, reads), (rebuild, applies)) = (Gate::new(), Gate::new());
    let applied = AtomicU64::new(0);
    engine.hook(move |call| {
        match call {
            Call::Get(_) if !is_writer() => reads.pass(),
            Call::Apply => match applied.fetch_add(1, Ordering::SeqCst) {
                0 => return Err(engine::EngineError::State("by intent".into())),
                1 => applies.pass(),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    });
    let reading = {
        let store = store.clone();
        std::thread::spawn(move || get::<proto::Actor>(&store, "actors/a"))
    };
    reader.reached.recv().unwrap();
    assert!(store.commit(request("1", &actor("b"))).is_ok(), "it is in the log");
    rebuild.reached.recv().unwrap();
    // The state is empty now.
    reader.go.send(()).unwrap();
    assert_eq!(reason(reading.join().unwrap()), "STORE_REBUILDING");
    rebuild.go.send(()).unwrap();
    store.wait_until_serving().unwrap();
    assert!(get::<proto::Actor>(&store, "actors/a").is_ok());
}

#[test]
fn a_state_that_fails_under_a_reader_is_rebuilt_although_the_queue_is_full() {
    let engine = Hooked::new(MemoryEngine::new());
    let limits = StoreLimits { queue_commits: 2, ..StoreLimits::default() };
    let options = StoreOptions { limits, ..StoreOptions::default() };
    let store = Store::start(engine.engine(), options).unwrap();
    store.wait_until_serving().unwrap();
    store.commit(request("0", &actor("a"))).unwrap();
    let (gate, barred) = Gate::new();
    let failed = AtomicBool::new(false);
    engine.hook(move |call| {
        if call == Call::Append {
            barred.pass();
        }
        if matches!(call, Call::Get(_)) && !is_writer() && !failed.swap(true, Ordering::SeqCst) {
            return Err(engine::EngineError::State("by intent".into()));
        }
        Ok(())
    });
    let submit = |id: &str| store.submit(&Caller::anonymous(), request(id, &actor(id)));
    let first = submit("x");
    gate.reached.recv().unwrap();
    let queued = submit("y");
    assert_eq!(reason(submit("z").wait()), "TOO_MANY_REQUESTS");
    assert_eq!(reason(get::<proto::Actor>(&store, "actors/a")), "STORE_REBUILDING");
    gate.go.send(()).unwrap();
    first.wait().unwrap();
    queued.wait().unwrap();
    let served = store.clone();
    in_time(move || served.wait_until_serving()).unwrap();
    assert!(get::<proto::Actor>(&store, "actors/y").is_ok());
}

#[test]
fn a_state_that_fails_while_the_store_opens_is_rebuilt() {
    let memory = MemoryEngine::new();
    store_on(memory.reopen()).commit(request("0", &actor("a"))).unwrap();
    memory.state.reset().unwrap();
    let engine = Hooked::new(memory);
    let failed = AtomicBool::new(false);
    engine.hook(move |call| {
        if call == Call::Apply && !failed.swap(true, Ordering::SeqCst) {
            return Err(engine::EngineError::State("by intent".into()));
        }
        Ok(())
    });
    let store = store_on(engine.engine());
    assert!(get::<proto::Actor>(&store, "actors/a").is_ok());
}

#[test]
fn a_state_of_another_format_is_rebuilt_once() {
    const META: &[u8] = &[0x01];
    const JOINED: &[u8] = &[0x41, 0, 0];
    let memory = MemoryEngine::new();
    store_on(memory.reopen()).commit(request("0", &actor("a"))).unwrap();
    let put = |key: &[u8], value: Vec<u8>| {
        let writes = vec![engine::StateWrite::Put(key.to_vec(), value.into())];
        memory.state.apply(StateBatch { stages: vec![writes] }).unwrap();
    };
    let mut meta = memory.state.get(META).unwrap().unwrap().to_vec();
    assert_eq!(meta[..2], [0x08, 2], "the meta value begins with its format");
    meta[1] = 1;
    put(META, meta);
    // A key that the log does not imply: a rebuild removes it.
    put(JOINED, Vec::new());
    assert!(get::<proto::Actor>(&store_on(memory.reopen()), "actors/a").is_ok());
    assert_eq!(memory.state.get(JOINED).unwrap(), None, "the state was not rebuilt");
    put(JOINED, Vec::new());
    assert!(get::<proto::Actor>(&store_on(memory.reopen()), "actors/a").is_ok());
    assert!(memory.state.get(JOINED).unwrap().is_some(), "the state was rebuilt again");
}

#[test]
fn a_store_whose_state_cannot_be_rebuilt_can_be_closed() {
    let engine = Hooked::new(MemoryEngine::new());
    let (gate, barred) = Gate::new();
    engine.hook(move |call| {
        if call == Call::Apply {
            barred.pass();
            return Err(engine::EngineError::State("by intent".into()));
        }
        Ok(())
    });
    let store = Store::start(engine.engine(), StoreOptions::default()).unwrap();
    gate.reached.recv().unwrap();
    gate.go.send(()).unwrap();
    in_time(move || store.close()).unwrap();
}

#[test]
fn the_contents_of_a_store_are_not_reported_before_they_are_known() {
    let memory = MemoryEngine::new();
    store_on(memory.reopen()).commit(request("0", &actor("a"))).unwrap();
    memory.state.reset().unwrap();
    let engine = Hooked::new(memory);
    let (gate, barred) = Gate::new();
    engine.hook(move |call| {
        if call == Call::Apply {
            barred.pass();
        }
        Ok(())
    });
    let store = Store::start(engine.engine(), StoreOptions::default()).unwrap();
    gate.reached.recv().unwrap();
    let early = store.info();
    gate.go.send(()).unwrap();
    assert_eq!(reason(early), "STORE_REBUILDING", "its head is 1, and nobody may be told that it is 0");
    store.wait_until_serving().unwrap();
    assert_eq!(store.info().unwrap().head_revision, 1);
}
