//! Exports through cut connections: every record once, equal to the lists of the same revision.

use annals::{
    model::{RecordKind, kind_of},
    proto::{CommitRequest, ExportRequest, ListRecordsRequest, RecordType, record::Record},
};

use super::{proxy::Proxy, server::Server, support};

#[tokio::test]
async fn an_export_through_cuts_equals_the_lists_of_its_revision() {
    let server = Server::start().await;
    server.commit_request(support::seed()).await;
    for batch in 0..30 {
        let events: Vec<_> = (0..500).map(|number| support::event(&format!("e{batch}-{number}"), "")).collect();
        server.commit(&events.join(",")).await;
    }
    let revision = server.store.info().expect("info").head_revision;
    let proxy = Proxy::start(server.address, 1).await;
    // A message of 1,000 records has about 60 kB. A connection usually delivers one or two before it is cut.
    proxy.cut_within(250_000, 40);
    let client = proxy.client();
    let mut export = client.export(ExportRequest::default());
    let mut exported: Vec<Record> = Vec::new();
    while let Some(message) = export.message().await.expect("no error") {
        assert_eq!(message.revision, revision);
        exported.extend(message.records.into_iter().filter_map(|record| record.record));
        // Later writes are not part of this revision.
        server.commit(&support::event(&format!("later-{}", exported.len()), "")).await;
    }
    assert!(proxy.cuts() >= 5, "{}", proxy.cuts());
    for kind in RecordKind::ALL {
        let mut listed = Vec::new();
        let mut request = ListRecordsRequest { page_size: 1000, as_of_revision: revision, ..Default::default() };
        loop {
            let page = client.list_records(kind, &request).await.expect("a page");
            listed.extend(page.records);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let of_kind: Vec<_> = exported.iter().filter(|record| kind_of(record) == kind).cloned().collect();
        assert_eq!(of_kind, listed, "{kind:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_export_resumes_in_another_run_from_a_stored_token() {
    let server = Server::start().await;
    for batch in 0..5 {
        let events: Vec<_> = (0..800).map(|number| support::event(&format!("e{batch}-{number}"), "")).collect();
        server.commit(&events.join(",")).await;
    }
    let proxy = Proxy::start(server.address, 2).await;
    let request = ExportRequest { types: vec![RecordType::Event.into()], ..Default::default() };
    let first = proxy.client().export(request.clone()).message().await.expect("no error").expect("a message");
    server.commit_request(CommitRequest::of("more", support::seed().mutations)).await;
    let resumed = ExportRequest { resume_token: first.resume_token, ..request };
    let mut rest = proxy.client().export(resumed);
    let mut count = first.records.len();
    while let Some(message) = rest.message().await.expect("no error") {
        assert_eq!(message.revision, first.revision);
        count += message.records.len();
    }
    assert_eq!(count, 4000);
    server.stop().await;
}
