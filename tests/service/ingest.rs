//! Ingest: one answer for each message, in order; errors that end the stream or do not; repeats from the start.

use annals::proto::{CommitRequest, IngestRequest, IngestResponse, ingest_response::Outcome};
use tokio_stream::StreamExt;

use super::{
    server::{Client, Server},
    support,
};

async fn ingest(client: &mut Client, requests: Vec<IngestRequest>) -> Vec<IngestResponse> {
    let answers = client.ingest(tokio_stream::iter(requests)).await.expect("a stream").into_inner();
    answers.map(|answer| answer.expect("no error of the stream")).collect().await
}

fn message(commit: CommitRequest) -> IngestRequest {
    IngestRequest { commit: Some(commit), stop_on_error: false }
}

fn events(count: usize) -> Vec<IngestRequest> {
    (0..count)
        .map(|number| message(support::request(&format!("r{number}"), &support::event(&format!("e{number}"), ""))))
        .collect()
}

fn revision(answer: &IngestResponse) -> Option<i64> {
    match &answer.outcome {
        Some(Outcome::Committed(response)) => Some(response.revision),
        _ => None,
    }
}

#[tokio::test]
async fn each_message_is_answered_once_in_order_and_a_second_sending_changes_nothing() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for again in [false, true] {
        let answers = ingest(&mut client, events(1000)).await;
        assert_eq!(answers.len(), 1000);
        for (number, answer) in (0..).zip(&answers) {
            assert_eq!((answer.index, answer.request_id.as_str()), (number, format!("r{number}").as_str()));
            assert_eq!(revision(answer), Some(number + 1));
            let Some(Outcome::Committed(response)) = &answer.outcome else { panic!("{answer:?}") };
            assert_eq!(response.replayed, again);
        }
    }
    assert_eq!(server.store.info().expect("info").head_revision, 1000);
    server.stop().await;
}

#[tokio::test]
async fn a_failed_commit_is_answered_with_its_error_and_the_stream_continues() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut requests = events(3);
    requests[1] = message(support::request("r1", r#"{"delete": {"name": "events/none"}}"#));
    let answers = ingest(&mut client, requests).await;
    assert_eq!(answers.iter().map(revision).collect::<Vec<_>>(), [Some(1), None, Some(2)]);
    let Some(Outcome::Error(status)) = &answers[1].outcome else { panic!("{answers:?}") };
    assert_eq!(status.code, i32::from(tonic::Code::NotFound));
    assert!(status.details.iter().any(|detail| detail.type_url.ends_with("google.rpc.ErrorInfo")), "{status:?}");
    server.stop().await;
}

#[tokio::test]
async fn stop_on_error_leaves_nothing_behind_the_first_failure() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut requests = events(50);
    requests[0].stop_on_error = true;
    requests[10] = message(support::request("r10", r#"{"delete": {"name": "events/none"}}"#));
    let answers = ingest(&mut client, requests).await;
    assert_eq!(answers.len(), 11);
    assert_eq!(revision(&answers[10]), None);
    assert_eq!(server.store.info().expect("info").head_revision, 10);
    server.stop().await;
}

#[tokio::test]
async fn an_empty_stream_ends_and_a_message_without_a_commit_is_refused_alone() {
    let server = Server::start().await;
    let mut client = server.client().await;
    assert!(ingest(&mut client, Vec::new()).await.is_empty());
    let answers = ingest(&mut client, vec![IngestRequest::default(), events(1).remove(0)]).await;
    assert_eq!(answers.iter().map(revision).collect::<Vec<_>>(), [None, Some(1)]);
    server.stop().await;
}
