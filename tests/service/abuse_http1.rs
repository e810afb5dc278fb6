//! Malicious and broken clients over HTTP/1.1. A well-behaved client beside them notices nothing.

use std::time::Duration;

use annals::{proto::GetServerInfoRequest, rpc::ServerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    abuse::assert_polite_clients_are_served,
    page::{framed, path},
    server::Server,
};

const SHORT: Duration = Duration::from_millis(200);

/// The head of a call with a body of this many bytes.
fn head(method: &str, length: usize) -> String {
    format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: {length}\r\n\r\n",
        path(method)
    )
}

fn call(method: &str) -> Vec<u8> {
    let mut call = head(method, 5).into_bytes();
    call.extend(framed(0, &[]));
    call
}

async fn connect(server: &Server, first: &[u8]) -> TcpStream {
    let mut peer = TcpStream::connect(server.address).await.expect("it listens");
    peer.write_all(first).await.expect("written");
    peer
}

/// What the server sends until it closes the connection, and how long that takes.
async fn end(mut peer: TcpStream) -> (String, Duration) {
    let began = Instant::now();
    let mut said = Vec::new();
    // A reset is an end too.
    drop(timeout(Duration::from_secs(10), peer.read_to_end(&mut said)).await.expect("closed"));
    (String::from_utf8_lossy(&said).into_owned(), began.elapsed())
}

#[tokio::test]
async fn half_a_request_and_a_head_that_comes_slowly_are_closed() {
    let server = Server::start_with(ServerOptions { first_request_time_max: SHORT, ..ServerOptions::default() }).await;
    for first in [&b"P"[..], b"POST / HTTP/1.1\r\nhos", b"\r\n\r\n\r\n"] {
        let (said, lived) = end(connect(&server, first).await).await;
        assert!(said.is_empty() && lived < Duration::from_secs(2), "{first:?}: {said:?} {lived:?}");
    }
    let mut slow = connect(&server, b"POST / HTTP/1.1\r\nx: ").await;
    let began = Instant::now();
    while slow.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "it may go on for ever");
        sleep(Duration::from_millis(20)).await;
    }
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_comes_slowly_after_an_answer_and_a_connection_that_is_left_alone_are_closed() {
    let server = Server::start_with(ServerOptions { first_request_time_max: SHORT, ..ServerOptions::default() }).await;
    for then in [&b""[..], b"POST / HTTP/1.1\r\nhos"] {
        let mut peer = connect(&server, &call("GetServerInfo")).await;
        let mut first = [0; 12];
        peer.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200");
        peer.write_all(then).await.expect("written");
        let (_, lived) = end(peer).await;
        assert!((Duration::from_millis(100)..Duration::from_secs(2)).contains(&lived), "{lived:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn heads_that_are_too_long_or_nonsense_are_refused() {
    let server = Server::start().await;
    let long = format!("POST / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let info = server.client().await.get_server_info(GetServerInfoRequest {}).await.expect("info").into_inner();
    let headers_max = usize::try_from(info.limits["rpc.http1_headers"]).expect("a count");
    let with_headers = |count: usize| format!("POST / HTTP/1.1\r\nconnection: close\r\n{}\r\n", "x: x\r\n".repeat(count - 1));
    let (few, many) = (with_headers(headers_max), with_headers(headers_max + 1));
    let path = format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    for (head, code) in [(long, "431"), (many, "431"), (path, "431"), ("\u{1}\u{2}\r\n\r\n".to_owned(), "400")] {
        let (said, _) = end(connect(&server, head.as_bytes()).await).await;
        assert!(said.is_empty() || said.starts_with(&format!("HTTP/1.1 {code}")), "{said}");
    }
    let (said, _) = end(connect(&server, few.as_bytes()).await).await;
    assert!(said.starts_with("HTTP/1.1 415"), "{said}");
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_comes_a_byte_at_a_time_is_ended_by_the_deadline_of_a_watch_too() {
    let options = ServerOptions { call_time_max: SHORT, ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    for method in ["GetServerInfo", "Watch"] {
        let mut peer = connect(&server, head(method, 1000).as_bytes()).await;
        let began = Instant::now();
        let mut said = [0; 4096];
        let read = loop {
            peer.write_all(&[0]).await.expect("written");
            match timeout(Duration::from_millis(20), peer.read(&mut said)).await {
                Ok(read) => break read.expect("an answer"),
                Err(_) => assert!(began.elapsed() < Duration::from_secs(5), "{method} may go on for ever"),
            }
        };
        let said = String::from_utf8_lossy(&said[..read]).into_owned();
        assert!(said.contains("grpc-status: 4"), "{method}: {said}");
        let (_, lived) = end(peer).await;
        assert!(lived < Duration::from_secs(2), "the rest of the body is waited for: {lived:?}");
    }
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_closed() {
    let options = ServerOptions { call_time_max: SHORT, answer_time_max: SHORT, ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    let long = "x".repeat(60_000);
    for number in 0..60 {
        server.commit(&super::support::event(&format!("e{number}"), &format!(r#", "description": "{long}""#))).await;
    }
    // Answers of 3 MiB each, requested a hundred times, and none of them is read.
    let message = prost::Message::encode_to_vec(&annals::proto::ListRecordsRequest { page_size: 100, ..Default::default() });
    let mut call = head("ListEvents", message.len() + 5).into_bytes();
    call.extend(framed(0, &message));
    let mut peer = connect(&server, &call.repeat(100)).await;
    let began = Instant::now();
    // Only writing to a closed connection fails.
    while peer.write_all(b"x").await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "it is kept for ever");
        sleep(Duration::from_millis(20)).await;
    }
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn requests_that_do_not_wait_for_answers_are_answered_in_their_order() {
    let server = Server::start().await;
    let mut requests = Vec::new();
    for number in 0..200 {
        requests.extend(if number % 2 == 0 { call("GetServerInfo") } else { b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec() });
    }
    requests.extend(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut peer = TcpStream::connect(server.address).await.expect("it listens");
    let (read, mut write) = peer.split();
    let mut said = Vec::new();
    let mut read = read;
    let (sent, got) = tokio::join!(write.write_all(&requests), read.read_to_end(&mut said));
    sent.expect("written");
    got.expect("read");
    let said = String::from_utf8_lossy(&said);
    let codes: Vec<_> = said.match_indices("HTTP/1.1 ").map(|(at, _)| &said[at + 9..at + 12]).collect();
    assert_eq!(codes.len(), 201);
    assert!(
        codes.iter().enumerate().all(|(at, code)| *code == if at % 2 == 0 && at < 200 { "200" } else { "405" }),
        "{codes:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn pages_that_go_away_leave_nothing_behind() {
    let server = Server::start_with(ServerOptions { calls_max: 4, ..ServerOptions::default() }).await;
    for number in 0..100 {
        let method = if number % 2 == 0 { "Watch" } else { "GetServerInfo" };
        let mut peer = connect(&server, &call(method)).await;
        if number % 3 == 0 {
            let mut first = [0; 1];
            peer.read_exact(&mut first).await.expect("an answer");
        }
        drop(peer);
    }
    sleep(Duration::from_millis(200)).await;
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}
