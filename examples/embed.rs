//! The record inside a Rust program, without a network or an async runtime: 1,000 commits, followed, listed and exported.
//! Run it with `cargo run --no-default-features --example embed`.

use annals::{
    proto::{Actor, CommitRequest, ExportRequest, ListRecordsRequest, Mutation, WatchRequest},
    store::{Caller, Store},
};

fn main() -> annals::store::Result<()> {
    let store = Store::in_memory()?; // In a folder that outlives the program: Store::open("./annals-data").
    let mut watch = store.watch(&WatchRequest { after_revision: Some(0), ..Default::default() })?;

    // Submitted commits share a sync. The request id makes a request safe to send again.
    let commit = |number: u32| {
        let actor = Actor { display_name: format!("Unit {number}"), ..Default::default() };
        CommitRequest::of(format!("unit-{number}"), [Mutation::create(actor)])
    };
    let submitted: Vec<_> = (1..=1000).map(|number| store.submit(&Caller::anonymous(), commit(number))).collect();
    submitted.into_iter().try_for_each(|pending| pending.wait().map(drop))?;

    for commit in watch.by_ref().take(1000).collect::<Result<Vec<_>, _>>()? {
        println!("revision {}: {}", commit.revision, commit.changes[0].name);
    }
    // The records at two revisions; 0 is the newest.
    for snapshot in [store.at(500)?, store.at(0)?] {
        let filter = r#"display_name = "Unit 9*""#.to_owned();
        let units =
            snapshot.list::<Actor>(ListRecordsRequest { filter, ..Default::default() }).collect::<Result<Vec<_>, _>>()?;
        println!("revision {}: {} units, such as {}", snapshot.revision(), units.len(), units[0].display_name);
    }
    let exported = store.export(&ExportRequest::default())?.collect::<Result<Vec<_>, _>>()?;
    println!("{} records exported", exported.len());
    store.close()
}

#[test]
fn it_runs() -> annals::store::Result<()> {
    main()
}
