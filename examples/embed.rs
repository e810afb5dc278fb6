//! The record inside a Rust program, without a network or an async runtime.
//!
//! ```text
//! cargo run --no-default-features --example embed
//! ```

use annals::{
    proto::{
        Actor, Citation, CommitRequest, Event, GetRecordRequest, ListRecordsRequest, Mutation, Participant, Source, SourceKind,
    },
    store::Store,
};

fn main() -> annals::store::Result<()> {
    // Store::open("./annals-data") keeps it on disk.
    let store = Store::in_memory()?;

    // One call writes an article, an actor and an event, or none of them. "@nis" is the label of the actor in this call.
    let article = Source {
        kind: SourceKind::NewsArticle.into(),
        title: "Troops sent to Russia".into(),
        text: "The NIS reported that North Korea has deployed around 3,000 troops to Russia.".into(),
        ..Default::default()
    };
    let nis = Actor {
        display_name: "National Intelligence Service".into(),
        external_ids: vec!["wikidata:Q484816".into()],
        ..Default::default()
    };
    let deployment = Event {
        name: "events/deployment".into(),
        title: "Troops deployed to Russia".into(),
        participants: vec![Participant { actor: "@nis".into(), ..Default::default() }],
        citations: vec![Citation { source: "@article".into(), quote: "around 3,000 troops".into(), ..Default::default() }],
        ..Default::default()
    };
    let mutations =
        [Mutation::upsert(nis).labelled("nis"), Mutation::create(article).labelled("article"), Mutation::create(deployment)];
    let first = store.commit(CommitRequest::of("article-1", mutations))?;
    println!("revision {} has {} records", first.revision, first.results.len());

    // An update replaces the fields that it sets.
    let title =
        Event { name: "events/deployment".into(), title: "3,000 troops deployed to Russia".into(), ..Default::default() };
    let second = store.commit(CommitRequest::of("article-1-title", [Mutation::update(title)]))?;

    // Read the event as it is now and as it was before, then list all events with the actor.
    let now: Event = store.get("events/deployment")?;
    let before: Event = store.get_with(&GetRecordRequest {
        name: "events/deployment".into(),
        as_of_revision: first.revision,
        ..Default::default()
    })?;
    println!("revision {}: {}\nrevision {}: {}", first.revision, before.title, second.revision, now.title);
    let actor = &now.participants[0].actor;
    let filter = format!("participants.actor:\"{actor}\"");
    let page = store.list::<Event>(&ListRecordsRequest { filter, ..Default::default() })?;
    println!("{} events with {actor}", page.records.len());
    store.close()
}
