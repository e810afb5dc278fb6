//! A miniature store: entries with random bodies, keys derived from them, and the model of both.

use std::{collections::BTreeMap, ops::Bound, path::Path, sync::Arc};

use annals::engine::{
    Engine, LogEntry, LogSequence, Result, ScanDirection, StateBatch, StateWrite, VALUE_BYTES_MAX,
    embedded::{EmbeddedEngine, EmbeddedOptions, disk::Disk},
};
use bytes::Bytes;

/// Holds the sequence of the last entry whose keys were all written.
pub(crate) const APPLIED: &[u8] = b"applied";

/// Opens an engine with small segments, so that a short run crosses many.
pub(crate) fn open(folder: &Path, disk: Arc<dyn Disk>, boot_id: &str) -> Result<Engine> {
    let options = EmbeddedOptions {
        segment_bytes: 16 << 10,
        cache_bytes: 16 << 20,
        disk,
        boot_id: boot_id.into(),
        ..EmbeddedOptions::default()
    };
    EmbeddedEngine::open(folder, options).map(Engine::from)
}

/// Entry `n` of a run. Its body contains its number, so that a misplaced entry is detected.
pub(crate) fn entry(seed: u64, n: u64) -> LogEntry {
    let mut rng = fastrand::Rng::with_seed(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let length = match rng.u8(..100) {
        0 => rng.usize(..30_000),
        1..10 => rng.usize(..4000),
        _ => rng.usize(..600),
    };
    let mut body = n.to_be_bytes().to_vec();
    body.extend(std::iter::repeat_with(|| rng.u8(..)).take(length));
    LogEntry { sequence: LogSequence(n), revision: n.cast_signed() * 3, time_us: n.cast_signed() * 1000, body: body.into() }
}

/// The entries of a run with these sequences.
pub(crate) fn entries(seed: u64, sequences: impl IntoIterator<Item = u64>) -> Vec<LogEntry> {
    sequences.into_iter().map(|n| entry(seed, n)).collect()
}

/// The keys derived from a group of entries: records, older versions, random postings, and sometimes a removal. A later stage
/// holds the last complete entry. About nine keys for each entry.
pub(crate) fn batch(group: &[LogEntry]) -> StateBatch {
    let mut keys: BTreeMap<Vec<u8>, Option<Bytes>> = BTreeMap::new();
    for entry in group {
        let n = entry.sequence.0;
        let mut rng = fastrand::Rng::with_seed(n);
        let value = entry.body.slice(..entry.body.len().min(VALUE_BYTES_MAX));
        keys.insert([b"current ", &rng.u16(..2000).to_be_bytes()[..]].concat(), Some(value.clone()));
        keys.insert([b"history ", &n.to_be_bytes()[..]].concat(), Some(value));
        for index in 0..6_u8 {
            let place = rng.u64(..) & 0x7f7f_7f7f_7f7f_7f7f;
            keys.insert([b"index ", &[index][..], &place.to_be_bytes(), &n.to_be_bytes()].concat(), Some(Bytes::new()));
        }
        if n > 50 && n.is_multiple_of(3) {
            keys.insert([b"history ", &(n - 50).to_be_bytes()[..]].concat(), None);
        }
    }
    let writes = keys.into_iter().map(|(key, value)| match value {
        Some(value) => StateWrite::Put(key, value),
        None => StateWrite::Remove(key),
    });
    let applied = group.last().expect("a group is not empty").sequence.0.to_be_bytes().to_vec();
    StateBatch { stages: vec![writes.collect(), vec![StateWrite::Put(APPLIED.to_vec(), applied.into())]] }
}

/// What the state holds after the entries up to `head`.
pub(crate) fn model(log: &[LogEntry]) -> BTreeMap<Vec<u8>, Bytes> {
    let mut state = BTreeMap::new();
    for entry in log {
        for write in batch(std::slice::from_ref(entry)).stages.into_iter().flatten() {
            match write {
                StateWrite::Put(key, value) => state.insert(key, value),
                StateWrite::Remove(key) => state.remove(&key),
            };
        }
    }
    state
}

/// The sequence up to which the state claims to be complete.
pub(crate) fn applied(engine: &Engine) -> Result<u64> {
    let value = engine.state.get(APPLIED)?;
    Ok(value.map_or(0, |value| u64::from_be_bytes(value[..].try_into().expect("the state holds what was put"))))
}

/// Applies the entries of the log that the state lacks, as opening a store does.
pub(crate) fn catch_up(engine: &Engine) -> Result<()> {
    let head = engine.log.head()?;
    loop {
        let group = engine.log.read_after(LogSequence(applied(engine)?), 100_000)?;
        if group.is_empty() {
            assert_eq!(applied(engine)?, head.0, "the state is not ahead of the log");
            return Ok(());
        }
        engine.state.apply(batch(&group))?;
    }
}

/// All keys of the state.
pub(crate) fn contents(engine: &Engine) -> Result<BTreeMap<Vec<u8>, Bytes>> {
    let all = engine.state.scan((Bound::Unbounded, Bound::Unbounded), ScanDirection::Forward, usize::MAX)?;
    Ok(all.into_iter().map(|(key, value)| (key.to_vec(), value)).collect())
}

/// The whole log, read in chunks.
pub(crate) fn read_all(engine: &Engine) -> Result<Vec<LogEntry>> {
    let mut log: Vec<LogEntry> = Vec::new();
    loop {
        let chunk = engine.log.read_after(log.last().map_or(LogSequence(0), |last| last.sequence), 50_000)?;
        if chunk.is_empty() {
            return Ok(log);
        }
        log.extend(chunk);
    }
}

/// Appends a group of a run and applies it.
pub(crate) fn commit(engine: &Engine, seed: u64, from: u64, count: u64) -> Result<()> {
    let group = entries(seed, from + 1..=from + count);
    engine.log.append(LogSequence(from), &group)?;
    engine.state.apply(batch(&group))
}

/// Copies a folder without its lock file.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let target = to.join(found.file_name());
        if found.file_type().unwrap().is_dir() {
            copy(&found.path(), &target);
        } else if found.file_name() != "LOCK" {
            std::fs::copy(found.path(), target).unwrap();
        }
    }
}
