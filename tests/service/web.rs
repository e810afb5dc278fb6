//! Pages in browsers: gRPC-Web, which pages may call, and what other HTTP clients get.

use std::time::Duration;

use annals::{
    proto::{
        Event, GetRecordRequest, GetServerInfoRequest, GetServerInfoResponse, WatchRequest, WatchResponse, watch_response,
    },
    rpc::{ServerOptions, WebOrigins},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::time::timeout;
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    page::{BINARY, Page, Part, TEXT, framed, path},
    server::{Server, metadata, reason},
    support,
};

const OURS: &str = "http://localhost:3000";
const OTHER: &str = "http://evil.example";

async fn serve_pages_of(origins: &str) -> Server {
    let web_origins: WebOrigins = origins.parse().expect("origins");
    Server::start_with(ServerOptions { web_origins, ..ServerOptions::default() }).await
}

fn get(name: &str) -> GetRecordRequest {
    GetRecordRequest { name: name.into(), ..Default::default() }
}

#[tokio::test]
async fn a_page_is_answered_over_both_versions_of_http_in_bytes_and_in_text() {
    let server = Server::start().await;
    server.commit(&support::event("e1", "")).await;
    for mut page in [Page::open(&server).await, Page::open_http2(&server).await] {
        for content_type in [BINARY, TEXT, "application/grpc-web", "application/grpc-web-text+proto"] {
            let content_type = if content_type.contains("text") { TEXT } else { content_type };
            let mut answer = page.call_as(content_type, "GetEvent", &get("events/e1"), &[]).await;
            assert_eq!(answer.head.status, 200);
            assert_eq!(answer.message::<Event>().await.title, "e1");
            assert_eq!(answer.status().await.code(), Code::Ok);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn an_answer_of_many_chunks_arrives_whole_also_as_text() {
    let server = Server::start().await;
    let long = "x".repeat(60_000);
    for number in 0..20 {
        server.commit(&support::event(&format!("e{number}"), &format!(r#", "description": "{long}""#))).await;
    }
    let mut page = Page::open(&server).await;
    for content_type in [BINARY, TEXT] {
        let request = annals::proto::ListRecordsRequest { page_size: 50, ..Default::default() };
        let mut answer = page.call_as(content_type, "ListEvents", &request, &[]).await;
        let events = answer.message::<annals::proto::ListEventsResponse>().await.events;
        assert_eq!(events.len(), 20);
        assert!(events.iter().all(|event| event.description == long));
        assert_eq!(answer.status().await.code(), Code::Ok);
    }
    server.stop().await;
}

#[tokio::test]
async fn an_error_says_to_a_page_what_it_says_to_everybody() {
    let server = Server::start().await;
    let mut page = Page::open(&server).await;
    let status = page.call("GetEvent", &get("events/none"), &[]).await.status().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    assert_eq!(metadata(&status, "name"), "events/none");
    let request = support::request("r1", r#"{"create": {"event": {"name": "events/e1", "title": ""}}}"#);
    let status = page.call("Commit", &request, &[]).await.status().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("fields").field_violations;
    assert_eq!(violations[0].field, "mutations[0].create.event.title");
    let late = page.call("GetEvent", &get("events/e1"), &[("grpc-timeout", "0n")]).await.status().await;
    assert_eq!(reason(&late), "DEADLINE");
    let nowhere = page.send("POST", "/annals.v1.Nothing/At", &[("content-type", BINARY)], framed(0, &[])).await;
    assert_eq!(nowhere.status().await.code(), Code::Unimplemented);
    server.stop().await;
}

#[tokio::test]
async fn a_compressed_message_is_read_and_answered_so_if_that_is_asked_for() {
    use std::io::{Read, Write};
    let server = Server::start().await;
    server.commit(&support::event("e1", &format!(r#", "description": "{}""#, "x".repeat(5000)))).await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&prost::Message::encode_to_vec(&get("events/e1"))).expect("packed");
    let body = framed(1, &packed.finish().expect("packed"));
    let headers = [("content-type", BINARY), ("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")];
    let mut answer = Page::open(&server).await.send("POST", &path("GetEvent"), &headers, body).await;
    assert_eq!(answer.header("grpc-encoding"), "gzip");
    let Some(Part::Message(1, bytes)) = answer.next().await else { panic!("no compressed message") };
    let mut message = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut message).expect("unpacked");
    let event: Event = prost::Message::decode(message.as_slice()).expect("an event");
    assert_eq!((event.title.as_str(), event.description.len()), ("e1", 5000));
    assert_eq!(answer.status().await.code(), Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn a_page_watches_and_is_told_when_the_server_stops() {
    let mut server = Server::start().await;
    for content_type in [BINARY, TEXT] {
        let mut page = Page::open(&server).await;
        let mut watch = page.call_as(content_type, "Watch", &WatchRequest::default(), &[]).await;
        let opened: WatchResponse = watch.message().await;
        assert!(matches!(opened.content, Some(watch_response::Content::Checkpoint(at)) if at.opened));
        let committed = server.commit(&support::event(&format!("e{}", opened.revision), "")).await;
        let seen: WatchResponse = timeout(Duration::from_secs(5), watch.message()).await.expect("at once");
        assert_eq!(seen.revision, committed.revision);
        assert!(matches!(seen.content, Some(watch_response::Content::Commit(_))));
        if content_type == TEXT {
            server.tell_to_stop();
            let last: WatchResponse = watch.message().await;
            assert!(matches!(last.content, Some(watch_response::Content::Checkpoint(_))));
            let status = watch.status().await;
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
        }
    }
    let began = tokio::time::Instant::now();
    server.stopped().await;
    assert!(began.elapsed() < Duration::from_secs(5), "the pages' connections kept it: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_watch_is_not_cut_by_the_time_that_a_call_may_take() {
    let options = ServerOptions {
        call_time_max: Duration::from_millis(100),
        answer_time_max: Duration::from_millis(100),
        first_request_time_max: Duration::from_millis(100),
        connection_idle_time_max: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let server = Server::start_with(options).await;
    let mut watch = Page::open(&server).await.call("Watch", &WatchRequest::default(), &[]).await;
    let _opened: WatchResponse = watch.message().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let committed = server.commit(&support::event("e1", "")).await;
    assert_eq!(watch.message::<WatchResponse>().await.revision, committed.revision);
    drop(watch);
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_an_origin_that_is_not_listed_may_not_call_and_writes_nothing() {
    for (allowed, may) in [("", false), (OURS, false), ("http://evil.example:8080", false), ("*", true), (OTHER, true)] {
        let server = serve_pages_of(allowed).await;
        let request = support::request("r1", &support::event("e1", ""));
        for mut page in [Page::open(&server).await, Page::open_http2(&server).await] {
            let answer = page.call("Commit", &request, &[("origin", OTHER)]).await;
            assert_eq!(answer.head.status, if may { 200 } else { 403 }, "{allowed}");
            let told = if allowed == "*" { "*" } else { OTHER };
            assert_eq!(answer.header("access-control-allow-origin"), if may { told } else { "" }, "{allowed}");
            if may {
                assert!(answer.header("access-control-expose-headers").contains("grpc-status-details-bin"));
                assert!(answer.header("vary").contains("origin"));
                assert_eq!(answer.status().await.code(), Code::Ok);
            } else {
                assert!(answer.text().await.contains("--web-origin"));
            }
        }
        assert_eq!(server.store.info().expect("info").head_revision, i64::from(may), "{allowed}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_whether_the_page_may_call() {
    let server = serve_pages_of(OURS).await;
    let mut page = Page::open(&server).await;
    let mut ask = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-grpc-web,x-trace"),
        ];
        page.send("OPTIONS", &path("Commit"), &headers, Vec::new()).await
    };
    let answer = ask(OURS).await;
    assert_eq!(answer.head.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), OURS);
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(answer.header("access-control-allow-headers"), "content-type,x-grpc-web,x-trace");
    assert_eq!(answer.header("access-control-max-age"), "7200");
    assert_eq!(answer.header("access-control-allow-credentials"), "", "nobody's cookies are sent here");
    assert_eq!(answer.text().await, "");
    let refused = ask(OTHER).await;
    assert_eq!((refused.head.status.as_u16(), refused.header("access-control-allow-origin")), (403, ""));
    assert!(refused.text().await.contains("--web-origin"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_not_a_call_gets_a_sentence_and_the_connection_stays_open() {
    let server = Server::start().await;
    let message = framed(0, &prost::Message::encode_to_vec(&support::request("r1", &support::event("e1", ""))));
    for mut page in [Page::open(&server).await, Page::open_http2(&server).await] {
        let http1 = matches!(page, Page::Http1(_));
        for (method, at) in [("GET", "/"), ("GET", "/favicon.ico"), ("DELETE", "/x"), ("OPTIONS", "/")] {
            let answer = page.send(method, at, &[("origin", OTHER)], Vec::new()).await;
            assert_eq!((answer.head.status.as_u16(), answer.header("allow")), (405, "POST"), "{method} {at}");
            assert!(answer.header("content-type").starts_with("text/plain"));
            assert!(answer.text().await.contains("Annals"));
        }
        // What a page can send without a preflight request.
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/grpc-webs"]
        {
            let answer = page.send("POST", &path("Commit"), &[("content-type", content_type)], message.clone()).await;
            assert_eq!(answer.head.status, 415, "{content_type}");
            assert!(answer.text().await.contains("application/grpc-web+proto"));
        }
        let none = page.send("POST", &path("Commit"), &[], message.clone()).await;
        assert_eq!(none.head.status, 415);
        drop(none.text().await);
        if http1 {
            let grpc = page.send("POST", &path("Commit"), &[("content-type", "application/grpc")], message.clone()).await;
            assert_eq!(grpc.head.status, 415);
            drop(grpc.text().await);
        }
        let mut info = page.call("GetServerInfo", &GetServerInfoRequest {}, &[]).await;
        assert!(info.message::<GetServerInfoResponse>().await.features.contains(&"grpc-web".to_owned()));
    }
    assert_eq!(server.store.info().expect("info").head_revision, 0, "nothing of it was a commit");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_broken_is_the_callers_mistake() {
    let server = Server::start().await;
    let whole = framed(0, &prost::Message::encode_to_vec(&get("events/e1")));
    for (content_type, body) in [
        (TEXT, b"!!!!".to_vec()),
        (TEXT, STANDARD.encode(&whole).into_bytes()[..6].to_vec()),
        (BINARY, whole[..7].to_vec()),
        (BINARY, framed(0, &[0xff; 9])),
    ] {
        let headers = [("content-type", content_type)];
        let status = Page::open(&server).await.send("POST", &path("GetEvent"), &headers, body.clone()).await.status().await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "{body:?}: {status:?}");
    }
    server.stop().await;
}
