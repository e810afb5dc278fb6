//! A watcher that keeps a set up to date: from its initial state, by what entered, stayed and left.
//!
//! Knows Watch and List. Must not know the log.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use annals::proto::{ListRecordsRequest, Record, WatchRequest, watch_response::Content};

use crate::{
    follower::{filter, request, shown},
    log::{Selection, Transition},
    model::Version,
    serving::{Client, connect},
    wire,
};

/// Mirrors the events with a count above a number and compares the mirror with a list after every message. Gives how often.
pub(crate) async fn mirror(address: String, above: i64, ended: Arc<AtomicBool>) -> u64 {
    let mut client = connect(&address).await.expect("it listens");
    let request = WatchRequest { initial_state: true, ..request(Selection::Above(above)) };
    let mut stream = client.watch(request).await.expect("a watch").into_inner();
    let (mut set, mut compared) = (BTreeMap::<String, Version>::new(), 0);
    while !ended.load(Ordering::SeqCst) {
        let message = stream.message().await.expect("no error").expect("no end");
        match &message.content {
            Some(Content::Initial(batch)) => set.extend(batch.records.iter().map(wire::read)),
            Some(Content::Commit(commit)) => {
                for (effect, transition) in shown(commit).1 {
                    let there = match transition.expect("there is a filter") {
                        Transition::Entered => set.insert(effect.name.clone(), effect.version(commit.revision)).is_none(),
                        Transition::Stayed => set.insert(effect.name.clone(), effect.version(commit.revision)).is_some(),
                        Transition::Left => set.remove(&effect.name).is_some(),
                    };
                    assert!(there, "{transition:?} fits what the watch had shown before: {effect:?}");
                }
            }
            _ => {}
        }
        if message.revision > 0 {
            assert_eq!(set, list(&mut client, above, message.revision).await, "as of {}", message.revision);
            compared += 1;
        }
    }
    compared
}

async fn list(client: &mut Client, above: i64, revision: i64) -> BTreeMap<String, Version> {
    let request = ListRecordsRequest { filter: filter(above), as_of_revision: revision, page_size: 1000, ..Default::default() };
    let page = client.list_events(request).await.expect("a page").into_inner();
    assert!(page.next_page_token.is_empty(), "all on one page");
    page.events.into_iter().map(|event| wire::read(&Record::from(event))).collect()
}
