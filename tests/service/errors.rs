//! Every error says what to do, with a reason that a program can act on.

use std::time::Duration;

use annals::{
    proto::{
        CommitRequest, GetRecordRequest, GetServerInfoRequest, ListRecordsRequest, admin_service_client::AdminServiceClient,
    },
    rpc::ServerOptions,
};
use prost::bytes::Bytes;
use tokio::net::TcpStream;
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};
use tonic_types::StatusExt;

use super::{
    server::{Server, metadata, reason},
    support,
};

/// Sends bytes to a method that no generated client would send.
async fn send(channel: Channel, path: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("connected");
    let request = Request::new(Bytes::from(body));
    grpc.unary(request, path.parse().expect("a path"), raw::Codec).await.map(|answer| answer.into_inner().to_vec())
}

/// Messages of arbitrary bytes.
mod raw {
    use prost::bytes::{Buf, BufMut, Bytes};
    use tonic::{
        Status,
        codec::{self, DecodeBuf, Decoder, EncodeBuf, Encoder},
    };

    pub(super) struct Codec;

    impl codec::Codec for Codec {
        type Encode = Bytes;
        type Decode = Bytes;
        type Encoder = Self;
        type Decoder = Self;
        fn encoder(&mut self) -> Self {
            Self
        }
        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Codec {
        type Item = Bytes;
        type Error = Status;
        fn encode(&mut self, bytes: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
            to.put(bytes);
            Ok(())
        }
    }

    impl Decoder for Codec {
        type Item = Bytes;
        type Error = Status;
        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
            Ok(Some(from.copy_to_bytes(from.remaining())))
        }
    }
}

#[tokio::test]
async fn what_is_written_can_be_read_and_a_missing_record_is_not_found() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = support::request("r1", &support::event("e1", ""));
    let answer = client.commit(request.clone()).await.expect("committed").into_inner();
    assert_eq!((answer.revision, answer.replayed), (1, false));
    let again = client.commit(request).await.expect("committed").into_inner();
    assert_eq!((again.revision, again.replayed), (1, true));

    let get = |name: &str| GetRecordRequest { name: name.to_owned(), ..Default::default() };
    let event = client.get_event(get("events/e1")).await.expect("there").into_inner();
    assert_eq!((event.name.as_str(), event.revision), ("events/e1", 1));
    let status = client.get_event(get("events/e2")).await.expect_err("not there");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));
    assert_eq!(metadata(&status, "name"), "events/e2");
    assert_eq!(status.get_error_details().error_info().map(|info| info.domain.as_str()), Some("annals"));
    server.stop().await;
}

#[tokio::test]
async fn all_violations_come_back_with_their_fields() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mutations = r#"{"create": {"event": {"name": "events/a"}}}, {"create": {"actor": {"name": "actors/a"}}}"#;
    let status = client.commit(support::request("r1", mutations)).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    let details = status.get_error_details();
    let fields: Vec<_> = details.bad_request().expect("fields").field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["mutations[0].create.event.title", "mutations[1].create.actor.display_name"]);
    assert_eq!(server.store.info().expect("info").head_revision, 0);
    server.stop().await;
}

#[tokio::test]
async fn methods_of_later_versions_say_what_to_use_instead() {
    let server = Server::start().await;
    let mut admin = AdminServiceClient::new(server.channel().await);
    let compact = admin.compact(annals::proto::CompactRequest::default()).await.expect_err("not yet");
    assert_eq!(compact.code(), Code::Unimplemented);
    assert!(compact.message().contains("history"), "{}", compact.message());
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_method_or_service_is_unimplemented() {
    let server = Server::start().await;
    for path in ["/annals.v1.RecordService/GetNothing", "/annals.v2.RecordService/GetEvent", "/x"] {
        let status = send(server.channel().await, path, Vec::new()).await.expect_err(path);
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_an_invalid_argument() {
    let server = Server::start().await;
    let truncated = vec![0x0a, 0x7f, b'x'];
    let not_text = vec![0x0a, 0x02, 0xff, 0xfe];
    // Unknown groups within groups, nested deeper than the decoder follows.
    let deep = vec![0x9b; 10_000];
    for body in [truncated, not_text, deep] {
        let status = send(server.channel().await, "/annals.v1.RecordService/GetEvent", body).await.expect_err("broken");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "{status:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_deadline_exceeded_and_not_cancelled() {
    let server = Server::start_with(ServerOptions { call_time_max: Duration::ZERO, ..ServerOptions::default() }).await;
    let status = server.client().await.get_server_info(GetServerInfoRequest {}).await.expect_err("too late");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE"));
    server.stop().await;
    // tonic's client would end the call itself if it knew the deadline.
    let server = Server::start().await;
    let stream = TcpStream::connect(server.address).await.expect("it listens");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/annals.v1.RecordService/GetServerInfo", server.address))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "0n")
        .body(())
        .expect("a request");
    let (answer, mut body) = client.send_request(request, false).expect("sent");
    body.send_data(Bytes::from_static(&[0; 5]), true).expect("sent");
    let answer = answer.await.expect("answered");
    assert_eq!(answer.headers().get("grpc-status").map(http::HeaderValue::as_bytes), Some(&b"4"[..]));
    drop((client, body, answer));
    connection.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_commit_without_an_id_is_refused_by_its_own_reason() {
    let server = Server::start().await;
    let status = server.client().await.commit(CommitRequest::default()).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_ID_MISSING"));
    server.stop().await;
}

#[tokio::test]
async fn a_closed_store_is_unavailable_with_a_time_to_retry() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let store = server.store.clone();
    tokio::task::spawn_blocking(move || store.close()).await.expect("joined").expect("closed");
    let status = client.commit(support::request("r1", &support::event("e1", ""))).await.expect_err("closed");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let list = client.list_events(ListRecordsRequest::default()).await.expect_err("closed");
    assert_eq!(list.code(), Code::Unavailable, "{list:?}");
    server.stop().await;
}
