//! Exceeds each limit of the server.

use std::time::Duration;

use annals::{
    proto::{BatchGetRecordsRequest, GetRecordRequest, GetServerInfoRequest},
    rpc::ServerOptions,
};
use tonic::{Code, codec::CompressionEncoding};

use super::{
    server::{Server, metadata, reason},
    support,
};

fn names(bytes: usize) -> BatchGetRecordsRequest {
    BatchGetRecordsRequest { names: vec!["x".repeat(bytes)], ..Default::default() }
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_with_limit_exceeded_whether_or_not_tonic_would_have_read_it() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for bytes in [4 << 20, 17 << 20] {
        let status = client.batch_get_records(names(bytes)).await.expect_err("too big");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "LIMIT_EXCEEDED"), "{status:?}");
        assert_eq!(metadata(&status, "limit"), "request.bytes");
    }
    // Just below the limit: refused for its content, not for its size.
    let status = client.batch_get_records(names((4 << 20) - 64)).await.expect_err("no name");
    assert_eq!(reason(&status), "FIELD_INVALID");
    server.stop().await;
}

#[tokio::test]
async fn compression_works_in_both_directions_and_the_limit_applies_to_the_decompressed_size() {
    let server = Server::start().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = server.client().await.send_compressed(encoding).accept_compressed(encoding);
        let answer = client.get_server_info(GetServerInfoRequest {}).await.expect("understood");
        assert!(answer.metadata().contains_key("grpc-encoding"), "{encoding:?}");
        assert!(!answer.into_inner().limits.is_empty());
        // A client that can read it has not asked for it.
        let mut reader = server.client().await.accept_compressed(encoding);
        let answer = reader.get_server_info(GetServerInfoRequest {}).await.expect("understood");
        assert!(!answer.metadata().contains_key("grpc-encoding"), "{encoding:?}");
        // 64 MiB that take a few KiB on the wire.
        let status = client.batch_get_records(names(64 << 20)).await.expect_err("a bomb");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "LIMIT_EXCEEDED"), "{status:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_limit_of_the_server_is_reported_by_name() {
    let server = Server::start().await;
    let info = server.client().await.get_server_info(GetServerInfoRequest {}).await.expect("info").into_inner();
    for name in ["request.bytes", "commit.mutations", "annotations", "references.count", "rpc.calls", "rpc.call_ms"] {
        assert!(info.limits.get(name).is_some_and(|limit| *limit > 0), "{name}: {:?}", info.limits);
    }
    assert_eq!(info.features, ["grpc-web", "gzip", "health", "reflection", "zstd"]);
    assert!(info.server_time.is_some() && !info.store_id.is_empty() && info.record_counts.len() == 6);
    server.stop().await;
}

#[tokio::test]
async fn headers_over_the_limit_are_refused_and_the_server_lives_on() {
    let server = Server::start().await;
    let mut request = tonic::Request::new(GetServerInfoRequest {});
    request.metadata_mut().insert("x-much", "x".repeat(20_000).parse().expect("a header"));
    assert!(server.client().await.get_server_info(request).await.is_err());
    assert!(server.client().await.get_server_info(GetServerInfoRequest {}).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_taken_again_when_there_is_room() {
    let server = Server::start_with(ServerOptions { connections_max: 1, ..ServerOptions::default() }).await;
    let mut first = server.client().await;
    first.get_server_info(GetServerInfoRequest {}).await.expect("there is room");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let refused = match endpoint.connect().await {
        Err(_) => true,
        Ok(channel) => annals::proto::record_service_client::RecordServiceClient::new(channel)
            .get_server_info(GetServerInfoRequest {})
            .await
            .is_err(),
    };
    assert!(refused);
    drop(first);
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Ok(channel) = endpoint.connect().await {
            let mut client = annals::proto::record_service_client::RecordServiceClient::new(channel);
            if client.get_server_info(GetServerInfoRequest {}).await.is_ok() {
                break;
            }
        }
        assert!(tokio::time::Instant::now() < until, "the first connection's place is not given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_are_all_answered_or_refused_with_a_reason_and_none_leaks_its_place() {
    let server = Server::start_with(ServerOptions { calls_max: 8, ..ServerOptions::default() }).await;
    let mut client = server.client().await;
    client.commit(support::request("r1", &support::event("e1", ""))).await.expect("committed");
    let calls = (0..400).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.get_event(GetRecordRequest { name: "events/e1".into(), ..Default::default() }).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut answered = 0;
    for call in calls {
        match call.await.expect("joined") {
            Ok(_) => answered += 1,
            Err(status) => {
                assert_eq!(
                    (status.code(), reason(&status).as_str()),
                    (Code::ResourceExhausted, "TOO_MANY_REQUESTS"),
                    "{status:?}"
                );
            }
        }
    }
    assert!(answered > 0);
    for _ in 0..20 {
        client
            .get_event(GetRecordRequest { name: "events/e1".into(), ..Default::default() })
            .await
            .expect("there is room again");
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_that_need_too_much_memory_are_refused_with_a_reason_and_others_are_served() {
    let options = ServerOptions {
        bytes_max: 1 << 20,
        bytes_per_connection_max: 1 << 20,
        decode_bytes_max: 5 << 20,
        ..ServerOptions::default()
    };
    let server = Server::start_with(options).await;
    let mut plain = server.client().await;
    let mut packed = server.client().await.send_compressed(CompressionEncoding::Zstd);
    for client in [&mut plain, &mut packed] {
        let status = client.batch_get_records(names(3 << 20)).await.expect_err("too much");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY_REQUESTS"), "{status:?}");
        assert_eq!(metadata(&status, "limit"), "rpc.bytes_per_connection");
        client.get_server_info(GetServerInfoRequest {}).await.expect("what it took was given back");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_long_commit_and_a_check_are_answered_as_a_short_one() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let events: Vec<_> =
        (0..500).map(|n| support::event(&format!("e{n}"), &format!(r#", "description": "{}""#, "x".repeat(500)))).collect();
    let request = support::request("long", &events.join(","));
    let check = annals::proto::CommitRequest { validate_only: true, ..request.clone() };
    assert_eq!(client.commit(check).await.expect("checked").into_inner().revision, 0);
    let answer = client.commit(request).await.expect("committed").into_inner();
    assert_eq!((answer.revision, answer.results.len()), (1, 500));
    let mut huge = support::request("huge", &support::event("huge", ""));
    huge.annotations.insert("a".into(), "x".repeat(5 << 20));
    assert_eq!(reason(&client.commit(huge).await.expect_err("too long")), "LIMIT_EXCEEDED");
    server.stop().await;
}
