//! An old connection is told to go away, and its streams end in a way that lets a client resume them.

use std::time::Duration;

use annals::{
    proto::{
        ExportRequest, ExportResponse, IngestRequest, IngestResponse, WatchRequest, WatchResponse, ingest_response::Outcome,
        watch_response::Content,
    },
    rpc::ServerOptions,
};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{
    server::{Server, reason},
    support,
};

/// Short. Everything below is opened earlier.
const AGE: Duration = Duration::from_secs(2);
/// Much less than the time that a connection has after it was told to go away.
const SOON: Duration = Duration::from_secs(20);

/// Records that take long enough to send that a client can stop in between.
const RECORDS: usize = 400;

async fn start() -> Server {
    Server::start_with(ServerOptions { connection_age_max: AGE, ..ServerOptions::default() }).await
}

async fn start_with_records() -> Server {
    let server = start().await;
    let text = "long ".repeat(10_000);
    for commit in 0..RECORDS / 40 {
        let source =
            |number| format!(r#"{{"create": {{"source": {{"name": "sources/s{commit}-{number}", "text": "{text}"}}}}}}"#);
        server.commit(&(0..40).map(source).collect::<Vec<_>>().join(",")).await;
    }
    server
}

/// The rest of a stream, and how it ended.
async fn rest<T>(stream: &mut Streaming<T>) -> (Vec<T>, Option<Status>) {
    let mut messages = Vec::new();
    loop {
        match timeout(SOON, stream.message()).await.expect("not cut by the grace") {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(status) => return (messages, Some(status)),
        }
    }
}

fn assert_told(end: Option<&Status>) {
    let end = end.expect("an error at the end");
    assert_eq!((end.code(), reason(end).as_str()), (Code::Unavailable, "SHUTTING_DOWN"), "{end:?}");
}

#[tokio::test]
async fn a_watch_gets_a_last_checkpoint_and_resumes_without_a_gap() {
    let server = start().await;
    let mut client = server.client().await;
    let mut after_revision = Some(0);
    for number in 1..=2 {
        let mut watch =
            client.watch(WatchRequest { after_revision, ..Default::default() }).await.expect("a watch").into_inner();
        server.commit(&support::event(&format!("e{number}"), "")).await;
        let (messages, end) = rest::<WatchResponse>(&mut watch).await;
        assert_told(end.as_ref());
        let [opened, commit, last] = &messages[..] else { panic!("{messages:?}") };
        assert!(matches!(&opened.content, Some(Content::Checkpoint(at)) if at.opened));
        assert!(matches!(&commit.content, Some(Content::Commit(commit)) if commit.revision == number));
        assert!(matches!(&last.content, Some(Content::Checkpoint(at)) if !at.opened));
        assert_eq!(last.revision, number);
        after_revision = Some(last.revision);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_incomplete_initial_state_has_no_revision_to_resume_from() {
    let server = start_with_records().await;
    let mut client = server.client().await;
    let request = WatchRequest { initial_state: true, ..Default::default() };
    let mut watch = client.watch(request).await.expect("a watch").into_inner();
    sleep(AGE * 2).await;
    let (messages, end) = rest::<WatchResponse>(&mut watch).await;
    assert_told(end.as_ref());
    assert!(matches!(&messages[0].content, Some(Content::Checkpoint(at)) if at.opened));
    assert!(messages[1..].iter().all(|message| matches!(message.content, Some(Content::Initial(_)))));
    server.stop().await;
}

#[tokio::test]
async fn an_export_resumes_with_the_token_of_its_last_message() {
    let server = start_with_records().await;
    let mut client = server.client().await;
    let mut export = client.export(ExportRequest::default()).await.expect("an export").into_inner();
    sleep(AGE * 2).await;
    let (first, end) = rest::<ExportResponse>(&mut export).await;
    assert_told(end.as_ref());
    let resume_token = first.last().expect("a message").resume_token.clone();
    let request = ExportRequest { resume_token, ..Default::default() };
    let mut export = client.export(request).await.expect("on a new connection").into_inner();
    let (second, end) = rest::<ExportResponse>(&mut export).await;
    assert!(end.is_none(), "{end:?}");
    let count = |messages: &[ExportResponse]| messages.iter().map(|message| message.records.len()).sum::<usize>();
    assert!(count(&second) > 0, "the first was not cut");
    assert_eq!(count(&first) + count(&second), RECORDS);
    server.stop().await;
}

#[tokio::test]
async fn an_ingest_answers_what_it_accepted() {
    let server = start().await;
    let mut client = server.client().await;
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    let sending = tokio::spawn(async move {
        for number in 0.. {
            let commit = support::request(&format!("r{number}"), &support::event(&format!("e{number}"), ""));
            if sender.send(IngestRequest { commit: Some(commit), stop_on_error: false }).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    });
    let mut answers = client.ingest(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    let (answered, end) = rest::<IngestResponse>(&mut answers).await;
    assert_told(end.as_ref());
    assert!(answered.iter().all(|answer| matches!(answer.outcome, Some(Outcome::Committed(_)))));
    assert!(!answered.is_empty());
    assert_eq!(
        server.store.info().expect("info").head_revision.cast_unsigned(),
        answered.len() as u64,
        "nothing was made without an answer"
    );
    drop(answers);
    timeout(SOON, sending).await.expect("the stream is closed to who sends").expect("joined");
    server.stop().await;
}
