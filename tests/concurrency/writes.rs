//! Conflicting writers: of two commits that each depend on what the other changes, one succeeds, and one external id always
//! names one record.

use std::collections::BTreeSet;

use annals::proto::{
    Actor, ChangeKind, CommitRequest, ListRecordsRequest, Mutation, Precondition, Update, Upsert, mutation::Op,
    precondition::Condition,
};
use tonic::Code;

use crate::{
    answered, clients, create, durable_server, event, head, rng,
    server::{Client, reason},
};

/// Writes one record on the condition that another has not changed.
async fn write_on_condition(mut client: Client, id: String, written: &str, read: &str, revision: i64) -> Result<(), Code> {
    let update = Update { record: Some(event(written, &id).into()), ..Default::default() };
    let request = CommitRequest {
        request_id: id,
        mutations: vec![Mutation { label: String::new(), op: Some(Op::Update(update)) }],
        preconditions: vec![Precondition { name: read.into(), condition: Some(Condition::Revision(revision)) }],
        ..Default::default()
    };
    match answered(&mut client, &request).await {
        Ok(response) => {
            assert!(!response.replayed);
            Ok(())
        }
        Err(status) => {
            assert_eq!(reason(&status), "REVISION_MISMATCH");
            Err(status.code())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_commits_that_each_depend_on_what_the_other_changes_one_succeeds() {
    let mut rng = rng();
    let (server, _folder) = durable_server().await;
    let connections = clients(&server, 2).await;
    let mut client = connections[0].clone();
    let mut first_won = 0;
    for round in 0..100 {
        let (a, b) = (format!("events/a{round}"), format!("events/b{round}"));
        let revision = create(&mut client, &format!("make-{round}"), [event(&a, "a"), event(&b, "b")]).await.revision;
        let one = write_on_condition(connections[0].clone(), format!("one-{round}"), &a, &b, revision);
        let other = write_on_condition(connections[1].clone(), format!("other-{round}"), &b, &a, revision);
        // Neither of the two is always sent first.
        let (one, other) = if rng.bool() {
            tokio::join!(one, other)
        } else {
            let (other, one) = tokio::join!(other, one);
            (one, other)
        };
        assert!(matches!((one, other), (Ok(()), Err(Code::Aborted)) | (Err(Code::Aborted), Ok(()))), "{one:?} {other:?}");
        first_won += u32::from(one.is_ok());
        assert_eq!(head(&mut client).await, revision + 1);
    }
    println!("the first won {first_won} times");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_upserts_of_one_external_id_at_once_are_one_record() {
    rng();
    let (server, _folder) = durable_server().await;
    let connections = clients(&server, 4).await;
    let tasks: Vec<_> = (0..100)
        .map(|number: usize| {
            let mut client = connections[number % 4].clone();
            let create_only = number.is_multiple_of(3);
            let actor = Actor {
                display_name: format!("actor {number}"),
                external_ids: vec!["wikidata:Q423".into(), format!("number:{number}")],
                ..Default::default()
            };
            let upsert = Upsert { record: Some(actor.into()), create_only, ..Default::default() };
            let request = CommitRequest {
                request_id: format!("upsert-{number}"),
                mutations: vec![Mutation { label: String::new(), op: Some(Op::Upsert(upsert)) }],
                ..Default::default()
            };
            tokio::spawn(async move { (create_only, answered(&mut client, &request).await.expect("it can be done")) })
        })
        .collect();
    let (mut names, mut kinds) = (BTreeSet::new(), Vec::new());
    for task in tasks {
        let (create_only, mut response) = task.await.expect("no failure");
        let result = response.results.remove(0);
        if create_only {
            assert_ne!(result.kind(), ChangeKind::Updated);
        }
        kinds.push(result.kind());
        names.insert(result.name);
    }
    assert_eq!(names.len(), 1, "{names:?}");
    let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
    assert_eq!(count(ChangeKind::Created), 1);
    assert_eq!(count(ChangeKind::Created) + count(ChangeKind::Updated) + count(ChangeKind::Unchanged), 100);
    let mut client = connections[0].clone();
    let revisions = count(ChangeKind::Created) + count(ChangeKind::Updated);
    assert_eq!(head(&mut client).await, i64::try_from(revisions).expect("small"));
    let request = ListRecordsRequest { filter: r#"external_ids:"wikidata:Q423""#.into(), ..Default::default() };
    let found = client.list_actors(request).await.expect("an answer").into_inner().actors;
    assert_eq!(found.len(), 1);
    // Every id of an applied upsert exists, and none exists twice.
    let ids: BTreeSet<_> = found[0].external_ids.iter().collect();
    assert_eq!((ids.len(), found[0].external_ids.len()), (revisions + 1, revisions + 1));
    server.stop().await;
}
