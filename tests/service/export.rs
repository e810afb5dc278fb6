//! Export: every record at one revision, resumed at any point, equal to the lists of that revision.

use annals::{
    model::{RecordKind, kind_of},
    proto::{ExportRequest, ExportResponse, ListRecordsRequest, RecordType, record::Record},
};
use tokio_stream::StreamExt;
use tonic::Code;

use super::{
    server::{Client, Server, reason},
    support,
};

async fn export(client: &mut Client, request: ExportRequest) -> Vec<ExportResponse> {
    let stream = client.export(request).await.expect("a stream").into_inner();
    stream.map(|message| message.expect("no error")).collect().await
}

fn names(messages: &[ExportResponse]) -> Vec<String> {
    let name = |record: &Record| match record {
        Record::Source(source) => source.name.clone(),
        Record::Actor(actor) => actor.name.clone(),
        Record::Event(event) => event.name.clone(),
        Record::Claim(claim) => claim.name.clone(),
        Record::Estimate(estimate) => estimate.name.clone(),
        Record::Relation(relation) => relation.name.clone(),
    };
    messages.iter().flat_map(|message| &message.records).filter_map(|record| record.record.as_ref()).map(name).collect()
}

#[tokio::test]
async fn an_export_is_every_record_at_one_revision() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.commit_request(support::seed()).await;
    server.commit(&support::event("later", "")).await;
    let all = export(&mut client, ExportRequest { as_of_revision: 1, ..Default::default() }).await;
    assert!(all.iter().all(|message| message.revision == 1));
    assert_eq!(names(&all).len(), 96);
    for kind in RecordKind::ALL {
        let request = ListRecordsRequest { page_size: 1000, as_of_revision: 1, ..Default::default() };
        let listed = server.store.list_encoded(kind, &request).expect("a page").records;
        let exported: Vec<_> = all
            .iter()
            .flat_map(|message| &message.records)
            .filter_map(|record| record.record.as_ref())
            .filter(|record| kind_of(record) == kind)
            .map(annals::model::encode)
            .collect();
        assert_eq!(exported, listed, "{kind:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_export_resumes_after_any_message_and_its_token_is_bound_to_the_request() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for batch in 0..7 {
        let events: Vec<_> = (0..500).map(|number| support::event(&format!("e{batch}-{number}"), "")).collect();
        server.commit(&events.join(",")).await;
    }
    let whole = export(&mut client, ExportRequest::default()).await;
    assert_eq!(names(&whole).len(), 3500);
    assert!(whole.len() > 3);
    server.commit(&support::event("later", "")).await;
    for (at, message) in whole.iter().enumerate() {
        let request = ExportRequest { resume_token: message.resume_token.clone(), ..Default::default() };
        let rest = export(&mut client, request.clone()).await;
        assert_eq!(names(&rest), names(&whole[at + 1..]), "after message {at}");
        let other = ExportRequest { types: vec![RecordType::Event.into()], ..request };
        let status = client.export(other).await.expect_err("another export");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_MISMATCH"));
    }
    let damaged = ExportRequest { resume_token: "AAAA".into(), ..Default::default() };
    assert_eq!(reason(&client.export(damaged).await.expect_err("damaged")), "PAGE_TOKEN_INVALID");
    server.stop().await;
}

#[tokio::test]
async fn an_export_of_nothing_tells_its_revision() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let empty = export(&mut client, ExportRequest::default()).await;
    assert_eq!(empty.iter().map(|message| (message.revision, message.records.len())).collect::<Vec<_>>(), [(0, 0)]);
    server.commit(&support::event("e", "")).await;
    let filtered = ExportRequest { types: vec![RecordType::Event.into()], filter: "labels:*".into(), ..Default::default() };
    let none = export(&mut client, filtered).await;
    assert_eq!(none.iter().map(|message| (message.revision, message.records.len())).collect::<Vec<_>>(), [(1, 0)]);
    server.stop().await;
}
