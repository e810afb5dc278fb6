//! Errors as the client decodes them: the reason, and what a program needs to act on it.

use annals::{
    client::{Client, ClientError},
    proto::{
        Actor, CommitRequest, Delete, ErrorReason, Event, ExportRequest, ListRecordsRequest, Mutation, Participant,
        Precondition, WatchRequest, mutation::Op, precondition::Condition,
    },
    rpc,
};
use tonic::Code;

use super::support;

/// The error of a call that must fail.
fn check<T: std::fmt::Debug>(
    answer: Result<T, ClientError>,
    code: Code,
    reason: ErrorReason,
    metadata: &[(&str, &str)],
) -> ClientError {
    let error = answer.expect_err("refused");
    assert_eq!((error.code(), error.reason()), (code, Some(reason)), "{error}");
    for (key, value) in metadata {
        assert_eq!(error.metadata().get(*key).map(String::as_str), Some(*value), "{error}: {:?}", error.metadata());
    }
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().ends_with(&format!("({})", error.reason_name())), "{error}");
    error
}

fn actor(name: &str) -> Actor {
    Actor { name: name.into(), display_name: name.into(), external_ids: vec![format!("x:{name}")], ..Default::default() }
}

#[tokio::test]
async fn a_dozen_reasons_come_with_their_code_metadata_and_violations() {
    let client = Client::over(rpc::in_process(support::store()).await.expect("a channel"));
    let commit = |mutations: Vec<Mutation>| client.commit(CommitRequest::of("", mutations));
    let base = [Mutation::create(actor("actors/a")), Mutation::create(actor("actors/b"))];
    client.commit(CommitRequest::of("base", base)).await.expect("committed");
    commit(vec![Mutation::delete("actors/b")]).await.expect("deleted");

    let untitled = |name: &str| Mutation::create(Event { name: format!("events/{name}"), ..Default::default() });
    let error = check(
        commit(vec![untitled("a"), untitled("b")]).await,
        Code::InvalidArgument,
        ErrorReason::FieldInvalid,
        &[("count", "2")],
    );
    let fields: Vec<_> = error.fields().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["mutations[0].create.event.title", "mutations[1].create.event.title"]);

    let get = async |name: &str| client.get::<Actor>(name).await;
    check(get("actors/none").await, Code::NotFound, ErrorReason::RecordNotFound, &[("name", "actors/none")]);
    check(get("actors/b").await, Code::NotFound, ErrorReason::RecordDeleted, &[("name", "actors/b"), ("revision", "2")]);
    let taken = commit(vec![Mutation::create(Actor { external_ids: Vec::new(), ..actor("actors/a") })]).await;
    check(taken, Code::AlreadyExists, ErrorReason::NameTaken, &[("name", "actors/a")]);
    let double = Actor { name: "actors/c".into(), ..actor("actors/a") };
    let taken = commit(vec![Mutation::create(double)]).await;
    check(taken, Code::AlreadyExists, ErrorReason::ExternalIdTaken, &[("external_id", "x:actors/a"), ("name", "actors/a")]);
    let reused = client.commit(CommitRequest::of("base", [Mutation::create(actor("actors/d"))])).await;
    check(reused, Code::FailedPrecondition, ErrorReason::RequestIdReused, &[("request_id", "base"), ("revision", "1")]);
    let twice = commit(vec![Mutation::update(actor("actors/a")), Mutation::delete("actors/a")]).await;
    check(twice, Code::InvalidArgument, ErrorReason::DuplicateMutation, &[("name", "actors/a")]);
    let with = |actor: &str| {
        let participants = vec![Participant { actor: actor.into(), ..Default::default() }];
        Mutation::create(Event { title: "t".into(), participants, ..Default::default() })
    };
    check(commit(vec![with("@nobody")]).await, Code::InvalidArgument, ErrorReason::LabelUnknown, &[("label", "nobody")]);
    let error = check(
        commit(vec![with("actors/none")]).await,
        Code::FailedPrecondition,
        ErrorReason::ReferenceNotFound,
        &[("name", "actors/none")],
    );
    assert_eq!(error.preconditions().len(), 1, "{error:?}");

    let condition = Precondition { name: "actors/a".into(), condition: Some(Condition::Revision(7)) };
    let request =
        CommitRequest { preconditions: vec![condition], ..CommitRequest::of("", [Mutation::update(actor("actors/a"))]) };
    let error = check(
        client.commit(request).await,
        Code::Aborted,
        ErrorReason::RevisionMismatch,
        &[("name", "actors/a"), ("expected", "7"), ("actual", "1")],
    );
    let violation = &error.preconditions()[0];
    assert_eq!((violation.reason.as_str(), violation.subject.as_str()), ("REVISION_MISMATCH", "actors/a"));

    let list = async |request: ListRecordsRequest| client.list_page::<Actor>(&request).await;
    let filter = ListRecordsRequest { filter: "titel = 1".into(), ..Default::default() };
    check(list(filter).await, Code::InvalidArgument, ErrorReason::FilterInvalid, &[("position", "0"), ("found", "titel")]);
    let order = ListRecordsRequest { order_by: "titel".into(), ..Default::default() };
    check(list(order).await, Code::InvalidArgument, ErrorReason::OrderByInvalid, &[]);
    let token = ListRecordsRequest { page_token: "AAAA".into(), ..Default::default() };
    check(list(token).await, Code::InvalidArgument, ErrorReason::PageTokenInvalid, &[]);
    let ahead = WatchRequest { after_revision: Some(99), ..Default::default() };
    check(
        client.watch(ahead).await,
        Code::OutOfRange,
        ErrorReason::RevisionInFuture,
        &[("revision", "99"), ("head_revision", "2")],
    );
    let token = ExportRequest { resume_token: "AAAA".into(), ..Default::default() };
    check(client.export(token).message().await, Code::InvalidArgument, ErrorReason::PageTokenInvalid, &[]);
    let many = vec![Mutation::from(Op::Delete(Delete::default())); 1001];
    check(
        commit(many).await,
        Code::InvalidArgument,
        ErrorReason::LimitExceeded,
        &[("limit", "commit.mutations"), ("maximum", "1000")],
    );
}
