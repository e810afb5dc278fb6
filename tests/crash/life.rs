//! The process that is killed. It opens a data folder, checks that everything exists, commits, and reports.
//!
//! It is this test binary, started again with the path of a script in its environment.
//!
//! Knows the store. Must not know when it will be killed.

use std::{
    fmt::{Debug, Write as _},
    io::Write as _,
    path::PathBuf,
    sync::Arc,
};

use annals::{
    engine::{
        Engine,
        embedded::{EmbeddedEngine, EmbeddedOptions, disk::LocalDisk},
    },
    proto::ErrorReason,
    store::{self, Store},
};

use crate::{
    inspect::{Inspection, acknowledged},
    sabotage::{DelayedLog, UnsyncedLog},
    script::{Purpose, Sabotage, Said, Script},
    workload::Writer,
};

/// The environment variable with the path of the script.
pub(crate) const SCRIPT: &str = "ANNALS_CRASH_SCRIPT";
/// The arguments that make this binary run such a process.
pub(crate) const ARGUMENTS: [&str; 4] = ["--exact", "life::a_life", "--ignored", "--nocapture"];
/// Small, so that a process crosses several segments, and some commits need a segment for themselves.
const SEGMENT_BYTES: u64 = 512 << 10;
/// How often a request is retried after a transient error.
const ATTEMPTS: u64 = 1000;

#[test]
#[ignore = "is started by the other tests, as a process of its own"]
fn a_life() {
    let Some(path) = std::env::var_os(SCRIPT) else { return };
    let script = std::fs::read(PathBuf::from(path)).expect("the script");
    live(&serde_json::from_slice(&script).expect("a script"));
}

fn live(script: &Script) {
    tracing::subscriber::set_global_default(Logged).expect("the first subscriber");
    let disk = UnsyncedLog::new(script.sabotage);
    let options = EmbeddedOptions {
        cache_bytes: 16 << 20,
        segment_bytes: SEGMENT_BYTES,
        boot_id: script.boot_id.clone(),
        disk: if script.sabotage.is_some() { Arc::new(disk.clone()) } else { Arc::new(LocalDisk) },
        ..EmbeddedOptions::default()
    };
    let engine: Engine = match EmbeddedEngine::open(&script.folder, options) {
        Ok(engine) if script.sabotage == Some(Sabotage::StateFirst) => DelayedLog::engine(engine),
        Ok(engine) => engine.into(),
        Err(error) => return violated(format!("cannot open: {error}")),
    };
    disk.opened();
    say(&Said::Opened { suspect: engine.state.distrust() });

    let mut report = violated;
    let mut inspection = Inspection::new(script, &engine, &mut report);
    if script.purpose == Purpose::Commit {
        inspection.before_replay();
    }
    let store = Store::start(engine.clone(), store::StoreOptions::default()).expect("a thread for the writer");
    if let Err(error) = store.wait_until_serving() {
        return violated(format!("cannot open: {error}"));
    }
    match script.purpose {
        Purpose::Commit => {
            let inspected = inspection.serving(&store);
            let from = inspected.compared.revision;
            say(&Said::Inspected(inspected));
            commit_until_killed(script, &store, from);
        }
        Purpose::Inspect => {
            let inspected = inspection.serving(&store);
            say(&Said::Inspected(inspected));
        }
        Purpose::CommitSome(count) => commit_some(script, &store, count),
        Purpose::CommitAndWait(count) => {
            commit_some(script, &store, count);
            loop {
                std::thread::park();
            }
        }
    }
    match store.close() {
        Ok(()) => say(&Said::Closed),
        Err(error) => violated(format!("cannot close: {error}")),
    }
}

/// Every writer sends its requests one after another, beginning with those that an earlier process got no answer to.
fn commit_until_killed(script: &Script, store: &Store, from: u64) {
    std::thread::scope(|scope| {
        for (number, answers) in script.acknowledged.iter().enumerate() {
            scope.spawn(move || {
                let mut writer = Writer::new(script.seed, number);
                writer.skip(answers.len() as u64);
                while commit_next(&mut writer, number, store) {}
            });
        }
        scope.spawn(|| {
            let mut seen = from;
            loop {
                let info = match store.info() {
                    Ok(info) => info,
                    Err(error) if error.reason == ErrorReason::StoreRebuilding => {
                        // The next inspection ends in the same way.
                        drop(store.wait_until_serving());
                        continue;
                    }
                    Err(_) => return,
                };
                if info.head_revision.cast_unsigned() > seen {
                    seen = info.head_revision.cast_unsigned();
                    match store.get_commit(seen.cast_signed()) {
                        Ok(_) => say(&Said::Seen { revision: seen }),
                        Err(error) => return violated(format!("revision {seen} is the head and cannot be read: {error}")),
                    }
                }
                std::thread::yield_now();
            }
        });
    });
}

fn commit_some(script: &Script, store: &Store, count: u64) {
    let mut writer = Writer::new(script.seed, 0);
    for _ in 0..count {
        if !commit_next(&mut writer, 0, store) {
            // The following requests depend on it. They are sent anyway, to show that nothing else is acknowledged.
            writer = Writer::new(!script.seed, 0);
        }
    }
}

/// Returns whether the request was acknowledged. Retries it after a transient error.
fn commit_next(writer: &mut Writer, number: usize, store: &Store) -> bool {
    let step = writer.steps();
    let request = writer.step().request;
    let mut outcome = store.commit(request.clone());
    for _ in 0..ATTEMPTS {
        match &outcome {
            Err(error) if error.reason == ErrorReason::StoreRebuilding => drop(store.wait_until_serving()),
            Err(error) if error.reason == ErrorReason::StorageFull => std::thread::yield_now(),
            _ => break,
        }
        outcome = store.commit(request.clone());
    }
    match outcome {
        Ok(response) => {
            say(&Said::Acknowledged { writer: number, step, answer: acknowledged(&response) });
            true
        }
        Err(error) => {
            let reason = error.reason.as_str_name().to_owned();
            say(&Said::Refused { writer: number, step, reason: format!("{reason}: {error}") });
            false
        }
    }
}

/// One call writes the whole line, so that lines of other threads do not mix with it.
fn say(said: &Said) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone.
    drop(out.write_all(said.line().as_bytes()).and_then(|()| out.flush()));
}

fn violated(what: String) {
    say(&Said::Violation(what));
}

/// Reports every warning and error of the log.
struct Logged;

impl tracing::Subscriber for Logged {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN && metadata.target().starts_with("annals")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        say(&Said::Logged(text.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
        written.expect("writing into a String does not fail");
    }
}
