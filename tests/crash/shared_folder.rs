//! Two processes and one data folder, and a disk without room.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    OpenOptions,
    engine::embedded::{
        self,
        disk::{Disk, DiskFile, LocalDisk, Space},
    },
    model::Kind,
    proto::{Actor, CommitRequest, ErrorReason, GetRecordRequest, Mutation, Record, mutation::Op, record},
    store::{Condition, Store},
};

use crate::{
    process::Life,
    script::{Compared, Purpose, Said, Script},
};

#[test]
fn a_second_process_is_refused_and_told_who_has_the_folder() {
    let files = tempfile::tempdir().expect("a folder");
    let script = Script {
        folder: files.path().join("data"),
        boot_id: "one boot".into(),
        seed: 1,
        purpose: Purpose::CommitAndWait(3),
        sabotage: None,
        acknowledged: vec![Vec::new()],
        seen: 0,
        compared: Compared::default(),
    };
    let first = Life::start(&script, files.path());
    first.wait_for(|said| matches!(said, Said::Acknowledged { step: 2, .. }));
    let refused = Store::open(&script.folder).map(drop).expect_err("the folder is in use");
    let holder = format!("is in use by process {}", first.id());
    assert!(refused.message.contains(&holder), "{:?} in {refused}", holder);
    assert!(refused.message.contains(&script.folder.display().to_string()), "{refused}");

    let (_, by_itself) = first.kill();
    assert_eq!(by_itself, None, "the first was not disturbed");
    let store = Store::open(&script.folder).expect("who was killed holds no folder");
    assert!(store.info().expect("a store that serves").head_revision > 0);
}

/// A disk with as much room as a test says.
#[derive(Clone, Debug)]
struct Narrow {
    available: Arc<AtomicU64>,
}

impl Disk for Narrow {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        LocalDisk.list(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.sync_folder(folder)
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { total: 100 << 30, available: self.available.load(Ordering::SeqCst) })
    }
}

fn actor(id: &str) -> CommitRequest {
    let actor = Actor { name: format!("actors/{id}"), display_name: id.into(), ..Default::default() };
    let op = Op::Create(Record { record: Some(record::Record::Actor(actor)) });
    let mutations = vec![Mutation { label: String::new(), op: Some(op) }];
    CommitRequest { request_id: id.into(), mutations, ..Default::default() }
}

#[test]
fn writes_stop_at_the_disk_reserve_reads_go_on_and_writes_come_back_by_themselves() {
    const RESERVE: u64 = 1 << 30;
    let folder = tempfile::tempdir().expect("a folder");
    let available = Arc::new(AtomicU64::new(2 * RESERVE));
    let engine = embedded::Options {
        segment_bytes: 1 << 20,
        disk_reserve_bytes: RESERVE,
        disk: Arc::new(Narrow { available: Arc::clone(&available) }),
        ..Default::default()
    };
    let store = Store::open_with(folder.path(), OpenOptions { engine, ..Default::default() }).expect("a store");
    store.commit(actor("a")).expect("there is room");

    available.store(RESERVE - 1, Ordering::SeqCst);
    let refused = store.commit(actor("b")).expect_err("there is no room");
    assert_eq!(refused.reason, ErrorReason::StorageFull, "{refused}");
    let a = GetRecordRequest { name: "actors/a".into(), ..Default::default() };
    store.get_encoded(Kind::Actor, &a).expect("reads go on");
    assert!(store.commit(actor("a")).expect("what was answered before is answered again").replayed);
    assert_eq!(store.condition(), Condition::Serving);

    available.store(2 * RESERVE, Ordering::SeqCst);
    assert_eq!(store.commit(actor("b")).expect("there is room again").revision, 2);
    store.close().expect("a store that can be closed");
}
