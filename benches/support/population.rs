//! A data folder with a given number of events, and its contents.
#![allow(dead_code)] // Each benchmark uses its part.

use std::{
    fs,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use annals::{
    engine::{Engine, ScanDirection, embedded::EmbeddedEngine},
    proto::{record::Record, record_service_client::RecordServiceClient},
};
use anyhow::Context;

use crate::{
    records,
    server::{Launch, Server},
};

/// Events per commit while loading.
const EVENTS_PER_COMMIT: u64 = 100;
/// Commits in flight while loading.
const COMMITS_AT_ONCE: usize = 16;
/// Keys read at once when all keys are read.
const KEYS_AT_ONCE: usize = 4096;

/// A loaded data folder.
pub(crate) struct Population {
    /// The number of events.
    pub(crate) events: u64,
    /// The data folder. Writers work on a copy.
    pub(crate) folder: PathBuf,
    /// The names that the server chose.
    pub(crate) names: Arc<Vec<Box<str>>>,
}

/// The size of a data folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Bytes of the log's files, including the preallocated last one.
    pub(crate) log_bytes: u64,
    /// Bytes of the state's files.
    pub(crate) state_bytes: u64,
    /// Bytes of all keys and values of the state.
    pub(crate) content_bytes: u64,
    /// Keys of the state.
    pub(crate) keys: u64,
}

impl Population {
    /// Uses the population of a folder from an earlier run, or makes a new one.
    pub(crate) async fn prepare(folder: &Path, events: u64, launch: &Launch) -> anyhow::Result<Self> {
        let (data, list) = (folder.join("data"), folder.join("names"));
        if let Ok(text) = fs::read_to_string(&list) {
            let names = text.lines().map(Into::into).collect();
            return Ok(Self { events, folder: data, names: Arc::new(names) });
        }
        fs::create_dir_all(folder)?;
        let server = Server::annals(&data, launch).await?;
        let began = Instant::now();
        let names = load(&server, events).await?;
        eprintln!("loaded {events} events in {:.1} s", began.elapsed().as_secs_f64());
        server.stop().await?;
        fs::write(&list, names.join("\n"))?;
        Ok(Self { events, folder: data, names: Arc::new(names) })
    }

    /// Copies the data folder for writers.
    pub(crate) fn copy(&self, to: &Path) -> anyhow::Result<()> {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        copy_folder(&self.folder, to)
    }
}

/// Reads every key of a data folder that no server has open.
pub(crate) fn usage(folder: &Path) -> anyhow::Result<Usage> {
    let engine = Engine::from(EmbeddedEngine::open(folder, annals::engine::embedded::EmbeddedOptions::default())?);
    let (log_bytes, state_bytes) = (engine.log.disk_bytes()?, engine.state.disk_bytes()?);
    let mut usage = Usage { log_bytes, state_bytes, content_bytes: 0, keys: 0 };
    let mut from = Bound::Unbounded;
    loop {
        let entries = engine.state.scan((from, Bound::Unbounded), ScanDirection::Forward, KEYS_AT_ONCE)?;
        let Some((last, _)) = entries.last() else { break };
        from = Bound::Excluded(last.to_vec());
        usage.keys += entries.len() as u64;
        usage.content_bytes += entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
    }
    engine.close()?;
    Ok(usage)
}

/// Commits actors and events until there are this many. Returns the names of the events.
async fn load(server: &Server, events: u64) -> anyhow::Result<Vec<Box<str>>> {
    let mut client = RecordServiceClient::new(server.connect().await?);
    let actors = records::actors(events);
    for first in (0..actors).step_by(EVENTS_PER_COMMIT as usize) {
        let part = first..actors.min(first + EVENTS_PER_COMMIT);
        client.commit(records::commit(part.map(|number| Record::Actor(records::actor(number))))).await?;
    }
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..COMMITS_AT_ONCE)
        .map(|_| {
            let (mut client, next) = (client.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut names: Vec<Box<str>> = Vec::new();
                loop {
                    let first = next.fetch_add(EVENTS_PER_COMMIT, Ordering::Relaxed);
                    if first >= events {
                        return anyhow::Ok(names);
                    }
                    let part = first..events.min(first + EVENTS_PER_COMMIT);
                    let commit = records::commit(part.map(|number| Record::Event(records::event(number, actors))));
                    let answer = client.commit(commit).await?.into_inner();
                    names.extend(answer.results.into_iter().map(|result| Box::from(result.name)));
                }
            })
        })
        .collect();
    let mut names = Vec::new();
    for task in tasks {
        names.extend(task.await??);
    }
    Ok(names)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}
