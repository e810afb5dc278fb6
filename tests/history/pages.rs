//! Pages that are read while somebody writes. Together they are the list at one revision.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use annals::{
    engine::{
        Engine,
        embedded::{EmbeddedEngine, EmbeddedOptions},
        memory::MemoryEngine,
    },
    model::RecordKind,
    proto::ListRecordsRequest,
    store::{Store, StoreLimits, StoreOptions},
};
use bytes::Bytes;
use fastrand::Rng;

use crate::{
    Stepped, assert_listed, list_page_by_page,
    model::{Model, Prediction},
    options,
    random::Tree,
    random_filter, random_order, rng, serving, workload,
};

const READERS: usize = 3;
/// Revisions before the first read, and the earliest end of the writer.
const FIRST: u64 = 120;
const LAST: u64 = 500;
/// Lists of several pages for which the writer waits.
const LISTS: u64 = 120;

/// A list that was read.
struct Listed {
    kind: RecordKind,
    tree: Tree,
    request: ListRecordsRequest,
    revision: u64,
    records: Vec<Bytes>,
}

/// Reads lists until it is told to stop.
fn read(store: &Store, mut rng: Rng, ended: &AtomicBool, overtaken: &AtomicU64) -> Vec<Listed> {
    let mut listed = Vec::new();
    while !ended.load(Ordering::Acquire) {
        let kind = *workload::one(
            &mut rng,
            &[RecordKind::Event, RecordKind::Event, RecordKind::Actor, RecordKind::Claim, RecordKind::Relation],
        );
        let (tree, filter) = match rng.u32(..2) {
            0 => (Tree::All(Vec::new()), String::new()),
            _ => random_filter(&mut rng, kind, 1),
        };
        let request = ListRecordsRequest {
            filter,
            order_by: random_order(&mut rng, kind).into(),
            page_size: rng.i32(1..=7),
            show_deleted: rng.u32(..4) == 0,
            ..Default::default()
        };
        let head = || store.info().unwrap().head_revision.cast_unsigned();
        let (before, mut pages) = (head(), 0);
        let (revision, records) = list_page_by_page(store, kind, &request, &mut || pages += 1).unwrap();
        assert!(revision >= before, "a list is of everything that was answered before it began");
        if pages > 1 && head() > revision {
            overtaken.fetch_add(1, Ordering::AcqRel);
        }
        listed.push(Listed { kind, tree, request, revision, records });
    }
    listed
}

fn check(engine: impl Into<Engine>, limits: StoreLimits) {
    let (seed, mut rng) = rng();
    let clock = Stepped::at_start();
    let store = serving(engine, StoreOptions { limits, ..options(&clock) });
    let (ended, overtaken) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut model = Model::default();
    let mut number = 0;
    let mut write = |model: &mut Model, rng: &mut Rng| {
        number += 1;
        clock.0.fetch_add(rng.i64(0..2_000), Ordering::SeqCst);
        let request = workload::request(rng, model, format!("r{number}"));
        let prediction = model.predict(&request, clock.0.load(Ordering::SeqCst));
        let answer = store.commit(request);
        assert_eq!(answer.is_ok(), !matches!(prediction, Prediction::Refused(_)), "{answer:?}");
        model.apply(&prediction);
    };
    while model.head() < FIRST {
        write(&mut model, &mut rng);
    }
    let listed: Vec<Listed> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS as u64)
            .map(|reader| {
                let (store, ended, overtaken) = (&store, &ended, &overtaken);
                let rng = Rng::with_seed(seed.wrapping_add(reader + 1));
                scope.spawn(move || read(store, rng, ended, overtaken))
            })
            .collect();
        while model.head() < LAST || overtaken.load(Ordering::Acquire) < LISTS {
            // A reader that failed has ended before it was told to stop.
            if readers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
            write(&mut model, &mut rng);
        }
        ended.store(true, Ordering::Release);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    println!("{} lists, {} overtaken by {} commits", listed.len(), overtaken.into_inner(), model.head());
    for Listed { kind, tree, request, revision, records } in listed {
        assert_listed(&model, kind, &tree, &request, revision, &records);
    }
}

#[test]
fn pages_taken_while_somebody_writes_are_one_list_of_their_revision() {
    check(MemoryEngine::new(), StoreLimits::default());
}

#[test]
fn so_are_pages_of_the_embedded_engine_that_close_early() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { segment_bytes: 256 << 10, ..EmbeddedOptions::default() };
    let engine = EmbeddedEngine::open(folder.path(), options).unwrap();
    check(engine, StoreLimits { scan_rows: 5, response_bytes: 20_000, ..StoreLimits::default() });
}
