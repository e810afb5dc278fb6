//! A full disk: writes stop before it is full, reads continue, and writes resume when there is space.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    OpenOptions,
    engine::embedded::{
        self,
        disk::{Disk, LocalDisk},
    },
    model::RecordKind,
    proto::{Actor, CommitRequest, ErrorReason, GetRecordRequest, Mutation, Record, mutation::Op, record},
    store::{Store, StoreHealth},
};
use rustix::fs::{FallocateFlags, fallocate};

use crate::{narrow_disk::NarrowDisk, own_disk::OwnDisk};

fn actor(id: &str) -> CommitRequest {
    let actor = Actor { name: format!("actors/{id}"), display_name: id.into(), ..Default::default() };
    let op = Op::Create(Record { record: Some(record::Record::Actor(actor)) });
    let mutations = vec![Mutation { label: String::new(), op: Some(op) }];
    CommitRequest { request_id: id.into(), mutations, ..Default::default() }
}

#[test]
fn writes_stop_at_the_disk_reserve_reads_continue_and_writes_resume_without_a_restart() {
    const RESERVE: u64 = 1 << 30;
    let folder = tempfile::tempdir().expect("a folder");
    let available = Arc::new(AtomicU64::new(2 * RESERVE));
    let engine = embedded::EmbeddedOptions {
        segment_bytes: 1 << 20,
        disk_reserve_bytes: RESERVE,
        disk: Arc::new(NarrowDisk { total: 100 << 30, available: Arc::clone(&available) }),
        ..Default::default()
    };
    let store = Store::open_with(folder.path(), OpenOptions { engine, ..Default::default() }).expect("a store");
    store.commit(actor("a")).expect("there is room");

    available.store(RESERVE - 1, Ordering::SeqCst);
    let refused = store.commit(actor("b")).expect_err("there is no room");
    assert_eq!(refused.reason, ErrorReason::StorageFull, "{refused}");
    let a = GetRecordRequest { name: "actors/a".into(), ..Default::default() };
    store.get_encoded(RecordKind::Actor, &a).expect("reads go on");
    assert!(store.commit(actor("a")).expect("what was answered before is answered again").replayed);
    assert_eq!(store.health(), StoreHealth::Serving);

    available.store(2 * RESERVE, Ordering::SeqCst);
    assert_eq!(store.commit(actor("b")).expect("there is room again").revision, 2);
    store.close().expect("a store that can be closed");
}

#[test]
fn a_store_on_a_disk_that_fills_up_stops_writing_can_be_rebuilt_and_resumes() {
    const DISK_BYTES: u64 = 384 << 20;
    const LEFT_BYTES: u64 = 48 << 20;
    let Some(disk) = OwnDisk::new(DISK_BYTES) else { return };
    let folder = disk.mount_point().join("data");
    let open = || {
        let engine = embedded::EmbeddedOptions { segment_bytes: 1 << 20, ..Default::default() };
        Store::open_with(&folder, OpenOptions { engine, ..Default::default() }).expect("a store")
    };
    let store = open();
    let ballast = File::create(disk.mount_point().join("ballast")).expect("room for a name");
    let available = LocalDisk.space(&folder).expect("a disk says what it has").available;
    fallocate(&ballast, FallocateFlags::empty(), 0, available - LEFT_BYTES).expect("there is room for it");

    let large = |number: u64| {
        let mut request = actor(&format!("a{number}"));
        for mutation in &mut request.mutations {
            let Some(Op::Create(Record { record: Some(record::Record::Actor(actor)) })) = &mut mutation.op else { continue };
            actor.description = "description ".repeat(20_000);
        }
        request
    };
    // Writes until there is no space. Returns how many records exist then.
    let fill = |store: &Store, first: u64| {
        let refused = |number| Some((number, store.commit(large(number)).err()?));
        let (written, refused) = (first..10_000).find_map(refused).expect("a full disk");
        assert_eq!(refused.reason, ErrorReason::StorageFull, "{refused}");
        written
    };
    let written = fill(&store, 0);
    assert!(written > 10, "only {written} were written");
    let read_all = |store: &Store, written: u64| {
        for number in 0..written {
            let request = GetRecordRequest { name: format!("actors/a{number}"), ..Default::default() };
            store.get_encoded(RecordKind::Actor, &request).expect("reads go on");
        }
    };
    read_all(&store, written);
    store.close().expect("a full disk is no reason not to close");
    drop(store);

    let store = open();
    read_all(&store, written);
    // Closing may have freed some space that sled did not use.
    let written = fill(&store, written);
    drop(store);
    std::fs::remove_dir_all(folder.join("state")).expect("sled's folder");
    let store = open();
    read_all(&store, written);

    ballast.set_len(0).expect("a file can be cut");
    assert_eq!(store.commit(large(written)).expect("there is room again").revision.unsigned_abs(), written + 1);
    store.close().expect("a store that can be closed");
}
