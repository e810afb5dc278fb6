//! A log in memory that several stores append to, and that fails now and then: what is remote about a log, without a network.
#![allow(dead_code)] // Each test uses its part.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use annals::engine::{Engine, EngineError, HeadSignal, Log, LogEntry, LogSeek, LogSequence, Result, memory::MemoryEngine};

/// What becomes of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Fine,
    /// It is refused for now.
    Unavailable,
    /// There is no room for it.
    Full,
    /// It is lost on its way, and nobody knows.
    Lost,
    /// It arrives, and its answer is lost.
    Unanswered,
    /// It is believed lost, and arrives later.
    Late,
    /// It fails like a sync.
    Failed,
}

/// One store's handle on a log.
#[derive(Clone)]
pub(crate) struct SharedLog {
    shared: Arc<Shared>,
    /// Which of the appenders this is.
    number: usize,
    closed: Arc<AtomicBool>,
}

struct Shared {
    entries: MemoryEngine,
    /// The signal of each appender.
    signals: Mutex<Vec<Option<HeadSignal>>>,
    /// What becomes of the next appends, before chance decides.
    script: Mutex<VecDeque<Fate>>,
    /// Whether signals are lost.
    is_silent: AtomicBool,
    /// Of a thousand calls, how many fail.
    faults: AtomicU64,
    rng: Mutex<fastrand::Rng>,
}

impl SharedLog {
    /// The first handle on a new log.
    pub(crate) fn new(seed: u64) -> Self {
        let shared = Shared {
            entries: MemoryEngine::new(),
            signals: Mutex::new(vec![None]),
            script: Mutex::default(),
            is_silent: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
        };
        Self { shared: Arc::new(shared), number: 0, closed: Arc::default() }
    }

    /// Another handle on the same log.
    pub(crate) fn another(&self) -> Self {
        let mut signals = self.shared.signals.lock().unwrap();
        signals.push(None);
        Self { shared: Arc::clone(&self.shared), number: signals.len() - 1, closed: Arc::default() }
    }

    /// This log and an empty state in memory.
    pub(crate) fn engine(&self) -> Engine {
        Engine { log: Arc::new(self.clone()), state: MemoryEngine::new().state }
    }

    /// Decides what becomes of the next appends, of whichever store.
    pub(crate) fn script(&self, fates: impl IntoIterator<Item = Fate>) {
        self.shared.script.lock().unwrap().extend(fates);
    }

    /// Loses every signal from now on.
    pub(crate) fn silence(&self) {
        self.shared.is_silent.store(true, Ordering::SeqCst);
    }

    /// Makes so many of a thousand calls fail.
    pub(crate) fn fail(&self, of_a_thousand: u64) {
        self.shared.faults.store(of_a_thousand, Ordering::SeqCst);
    }

    /// Everything in the log, without faults.
    pub(crate) fn entries(&self) -> Vec<LogEntry> {
        self.shared.entries.log.read_after(LogSequence(0), usize::MAX).unwrap()
    }

    fn is_due(&self) -> bool {
        let rate = self.shared.faults.load(Ordering::SeqCst);
        rate > 0 && self.shared.rng.lock().unwrap().u64(..1000) < rate
    }

    fn call(&self) -> Result<()> {
        if self.is_due() { Err(EngineError::Unavailable("by intent".into())) } else { Ok(()) }
    }

    fn fate(&self) -> Fate {
        let scripted = self.shared.script.lock().unwrap().pop_front();
        scripted.unwrap_or_else(|| {
            if !self.is_due() {
                return Fate::Fine;
            }
            let fates = [Fate::Unavailable, Fate::Full, Fate::Lost, Fate::Unanswered, Fate::Late];
            *self.shared.rng.lock().unwrap().choice(fates.iter()).unwrap()
        })
    }

    fn deliver(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        self.shared.entries.log.append(expected_head, entries)?;
        if self.shared.is_silent.load(Ordering::SeqCst) {
            return Ok(());
        }
        let signals = self.shared.signals.lock().unwrap().clone();
        let others = signals.into_iter().enumerate().filter(|(number, _)| *number != self.number);
        others.filter_map(|(_, signal)| signal).for_each(|signal| signal.notify());
        Ok(())
    }
}

impl Log for SharedLog {
    fn head(&self) -> Result<LogSequence> {
        self.call()?;
        self.shared.entries.log.head()
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(EngineError::Poisoned("the engine was closed".into()));
        }
        let unknown = || Err(EngineError::Unknown("by intent".into()));
        match self.fate() {
            Fate::Fine => self.deliver(expected_head, entries),
            Fate::Unavailable => Err(EngineError::Unavailable("by intent".into())),
            Fate::Full => Err(EngineError::Full { available: 1, reserve: 2, path: "data".into() }),
            Fate::Lost => unknown(),
            Fate::Unanswered => {
                drop(self.deliver(expected_head, entries));
                unknown()
            }
            Fate::Late => {
                let (log, entries) = (self.clone(), entries.to_vec());
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(3));
                    drop(log.deliver(expected_head, &entries));
                });
                unknown()
            }
            Fate::Failed => Err(EngineError::SyncFailed { path: "log".into(), source: std::io::Error::other("by intent") }),
        }
    }

    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        self.call()?;
        self.shared.entries.log.read_after(after, bytes_max)
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        self.call()?;
        self.shared.entries.log.seek(seek)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn on_head_moved(&self, signal: HeadSignal) {
        self.shared.signals.lock().unwrap()[self.number] = Some(signal);
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }
}
