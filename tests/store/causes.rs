//! Every error keeps its cause: `source()` leads from what a caller is told down to the first error.

use std::{
    error::Error,
    io, iter,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use annals::{
    engine::{
        EngineError, Log as _, LogEntry, LogSequence, State as _, StateBatch, StateRead as _, StateWrite, memory::MemoryEngine,
    },
    model::RecordNameError,
    proto::Actor,
    store::{Caller, Store, StoreError, StoreErrorKind, StoreHealth, StoreOptions},
};
use bytes::Bytes;
use prost::DecodeError;

use crate::{
    faults::{Call, Hooked},
    support::{actor, reason, request, store_on},
};

const CURRENT: u8 = 0x20;
const RECEIPT: u8 = 0x50;
const META: u8 = 0x01;

/// The first cause of this type.
fn cause<T: Error + 'static>(error: &StoreError) -> Option<&T> {
    let mut causes = iter::successors(error.source(), |cause| (*cause).source());
    causes.find_map(|cause| cause.downcast_ref())
}

fn disk_error() -> io::Error {
    io::Error::other("the disk is gone")
}

fn is_disk_error(error: &StoreError) -> bool {
    cause::<io::Error>(error).is_some_and(|cause| cause.to_string() == disk_error().to_string())
}

/// Replaces the value of the one key with this first byte.
fn replace(engine: &MemoryEngine, first: u8, value: impl FnOnce(&[u8]) -> Vec<u8>) {
    let range = (std::ops::Bound::Included(vec![first]), std::ops::Bound::Excluded(vec![first + 1]));
    let found = engine.state.scan(range, annals::engine::ScanDirection::Forward, 10).unwrap();
    let [(key, before)] = &found[..] else { panic!("{found:?}") };
    let write = StateWrite::Put(key.to_vec(), value(before).into());
    engine.state.apply(StateBatch { stages: vec![vec![write]] }).unwrap();
}

#[test]
fn a_store_that_refuses_writes_says_why_each_time() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    engine.hook(|call| match call {
        Call::Append => Err(EngineError::SyncFailed { path: "a.log".into(), source: disk_error() }),
        _ => Ok(()),
    });
    for id in ["1", "2", "3"] {
        let refused = store.commit(request(id, &actor(id))).unwrap_err();
        assert!(is_disk_error(&refused), "{id}: {refused:?}");
        assert_eq!(reason::<()>(Err(refused)), "STORE_POISONED");
    }
    let StoreHealth::ReadOnly(why) = store.health() else { panic!("{:?}", store.health()) };
    assert!(is_disk_error(&why), "{why:?}");
}

#[test]
fn what_is_refused_while_the_log_does_not_answer_says_why() {
    let engine = Hooked::new(MemoryEngine::new());
    let store = store_on(engine.engine());
    let lost = Arc::new(AtomicBool::new(true));
    let is_lost = Arc::clone(&lost);
    let (appends, appended) = mpsc::channel();
    engine.hook(move |call| {
        if call != Call::Append || !is_lost.load(Ordering::SeqCst) {
            return Ok(());
        }
        appends.send(()).unwrap_or_default();
        Err(EngineError::Unknown(Box::new(disk_error())))
    });
    let first = store.submit(&Caller::anonymous(), request("1", &actor("a")));
    appended.recv().unwrap();
    let refused = store.commit(request("2", &actor("b"))).unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Unavailable, "{refused}");
    assert!(is_disk_error(&refused), "{refused:?}");
    lost.store(false, Ordering::SeqCst);
    assert_eq!(first.wait().unwrap().revision, 1);
}

#[test]
fn what_cannot_be_decoded_says_why() {
    let engine = MemoryEngine::new();
    let store = store_on(engine.clone());
    store.commit(request("1", &actor("a"))).unwrap();
    // Change, revision, chunks and target are as they were.
    replace(&engine, CURRENT, |value| [&value[..4], &[0xff]].concat());
    let errors = [store.get::<Actor>("actors/a").unwrap_err(), store.at(0).unwrap().batch_get(["actors/a"]).unwrap_err()];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Internal);
        assert!(cause::<DecodeError>(&error).is_some(), "{error:?}");
    }
    replace(&engine, RECEIPT, |_| vec![0xff]);
    let error = store.commit(request("1", &actor("a"))).unwrap_err();
    assert!(cause::<DecodeError>(&error).is_some(), "{error:?}");

    let scratch = MemoryEngine::new();
    scratch.state.apply(StateBatch { stages: vec![vec![StateWrite::Put(vec![META], Bytes::from_static(&[0xff]))]] }).unwrap();
    let error = annals::store::verify(&engine.into(), &*scratch.state, &mut |_| ()).unwrap_err();
    assert!(cause::<DecodeError>(&error).is_some(), "{error:?}");
}

#[test]
fn a_store_that_cannot_open_says_why_each_time() {
    let engine = MemoryEngine::new();
    let strange = LogEntry { sequence: LogSequence(1), revision: 0, time_us: 0, body: Bytes::from_static(&[0xff]) };
    engine.log.append(LogSequence(0), &[strange]).unwrap();
    let store = Store::start(engine, StoreOptions::default()).unwrap();
    for _ in 0..2 {
        let error = store.wait_until_serving().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::DataLoss, "{error}");
        assert!(cause::<DecodeError>(&error).is_some(), "{error:?}");
    }
}

#[test]
fn a_name_that_is_none_says_why() {
    let error = store_on(MemoryEngine::new()).get::<Actor>("nobody").unwrap_err();
    assert!(cause::<RecordNameError>(&error).is_some(), "{error:?}");
}
