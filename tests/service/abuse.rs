//! Clients that mean harm, or are broken: a polite client beside them notices nothing.

use std::time::Duration;

use annals::{proto::GetServerInfoRequest, rpc::ServerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{server::Server, support};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// SETTINGS with one value.
fn settings(id: u16, value: u32) -> Vec<u8> {
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(4, 0, 0, &payload)
}

/// HEADERS that open a call of a method, with nothing indexed. `end`: there is no body.
fn open(stream: u32, path: &str, end: bool) -> Vec<u8> {
    // Static table: 3 is `:method: POST`, 6 is `:scheme: http`, 4 names `:path`, 1 names `:authority`.
    let mut block = vec![0x83, 0x86];
    let mut literal = |index: u8, name: &str, value: &str| {
        block.push(index);
        if index == 0 {
            block.push(u8::try_from(name.len()).expect("short"));
            block.extend(name.as_bytes());
        }
        block.push(u8::try_from(value.len()).expect("short"));
        block.extend(value.as_bytes());
    };
    literal(4, "", path);
    literal(1, "", "server");
    literal(0, "content-type", "application/grpc");
    literal(0, "te", "trailers");
    frame(1, if end { 0x5 } else { 0x4 }, stream, &block)
}

async fn connect(server: &Server, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    stream.write_all(first).await.expect("written");
    stream
}

/// How long the server keeps a connection that is left alone, everything it sends being read.
async fn lives(mut stream: TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = vec![0; 4096];
    while let Ok(Ok(1..)) = timeout(Duration::from_secs(10), stream.read(&mut rest)).await {}
    began.elapsed()
}

async fn assert_polite_clients_are_served(server: &Server) {
    let mut client = server.client().await;
    for _ in 0..20 {
        let answer = timeout(Duration::from_secs(2), client.get_server_info(GetServerInfoRequest {})).await;
        answer.expect("in time").expect("answered");
    }
}

#[tokio::test]
async fn who_says_nothing_or_half_a_preface_is_closed() {
    let options = ServerOptions { first_request_time_max: Duration::from_millis(200), ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    for first in [&b""[..], &PREFACE[..10], PREFACE, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let stream = connect(&server, first).await;
        assert!(lives(stream).await < Duration::from_secs(2), "{first:?}");
    }
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_ended_by_the_deadline() {
    let options = ServerOptions { call_time_max: Duration::from_millis(200), ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    let mut first = PREFACE.to_vec();
    first.extend(settings(3, 100));
    first.extend(open(1, "/annals.v1.RecordService/GetEvent", false));
    // The first three bytes of a message's prefix.
    first.extend(frame(0, 0, 1, &[0, 0, 0]));
    let mut stream = connect(&server, &first).await;
    let mut answer: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 4096];
    let began = Instant::now();
    // A HEADERS frame that ends stream 1: the status.
    while !answer.windows(9).any(|frame| frame[3] == 1 && frame[4] & 1 == 1 && frame[5..] == [0, 0, 0, 1]) {
        let read = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.expect("in time").expect("read");
        assert!(read > 0, "closed without an answer");
        answer.extend(&buffer[..read]);
    }
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_take_an_answer_is_closed() {
    let options = ServerOptions {
        call_time_max: Duration::from_millis(100),
        answer_time_max: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let server = Server::start_with(options).await;
    let mut first = PREFACE.to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE 0: no byte of a body may be sent.
    first.extend(settings(4, 0));
    first.extend(open(1, "/annals.v1.RecordService/GetServerInfo", false));
    first.extend(frame(0, 1, 1, &[0, 0, 0, 0, 0]));
    let stream = connect(&server, &first).await;
    let lived = lives(stream).await;
    assert!((Duration::from_millis(150)..Duration::from_secs(2)).contains(&lived), "{lived:?}");
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_idle_or_old_is_told_to_go_and_calls_on_it_are_answered() {
    for options in [
        ServerOptions {
            connection_idle_time_max: Duration::from_millis(200),
            first_request_time_max: Duration::from_millis(200),
            ..ServerOptions::default()
        },
        ServerOptions { connection_age_max: Duration::from_millis(200), ..ServerOptions::default() },
    ] {
        let server = Server::start_with(options).await;
        let mut first = PREFACE.to_vec();
        first.extend(settings(3, 100));
        first.extend(open(1, "/annals.v1.RecordService/GetServerInfo", false));
        first.extend(frame(0, 1, 1, &[0, 0, 0, 0, 0]));
        let mut stream = connect(&server, &first).await;
        // hyper says GOAWAY, pings, and closes when the ping is answered; this client only acknowledges.
        let mut told: Vec<u8> = Vec::new();
        let mut buffer = vec![0; 4096];
        let began = Instant::now();
        loop {
            let Ok(Ok(read @ 1..)) = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await else { break };
            told.extend(&buffer[..read]);
            if let Some(at) = told.windows(9).position(|frame| frame[..3] == [0, 0, 8] && frame[3] == 6 && frame[4] == 0)
                && told.len() >= at + 17
            {
                let ack = frame(6, 1, 0, &told[at + 9..at + 17]);
                drop(stream.write_all(&ack).await);
                told.drain(..at + 17);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert_polite_clients_are_served(&server).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_the_connection_and_nobody_elses() {
    let server = Server::start().await;
    let mut stream = connect(&server, PREFACE).await;
    let attack = async {
        stream.write_all(&settings(3, 100)).await?;
        for number in 0..100_000u32 {
            let id = number * 2 + 1;
            let mut burst = open(id, "/annals.v1.RecordService/GetEvent", false);
            burst.extend(frame(3, 0, id, &8u32.to_be_bytes()));
            stream.write_all(&burst).await?;
        }
        std::io::Result::Ok(())
    };
    let ended = timeout(Duration::from_secs(20), attack).await.expect("not forever");
    assert!(ended.is_err(), "the server put up with 100,000 resets");
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn floods_of_control_frames_and_endless_headers_leave_the_server_standing() {
    let server = Server::start().await;
    let ping = frame(6, 0, 0, &[0; 8]);
    let empty_data = frame(0, 0, 1, &[]);
    let continuation = frame(9, 0, 1, &[0; 1000]);
    let mut opened = open(1, "/annals.v1.RecordService/GetEvent", false);
    let mut headers = opened.clone();
    // Without END_HEADERS: CONTINUATION follows.
    headers[4] = 0;
    opened.splice(0..0, settings(3, 100));
    for (first, flood) in
        [(settings(3, 100), ping), (settings(3, 100), settings(3, 100)), (opened, empty_data), (headers, continuation)]
    {
        let mut start = PREFACE.to_vec();
        start.extend(first);
        let mut stream = connect(&server, &start).await;
        let flood = flood.repeat(200);
        let send = async {
            for _ in 0..200 {
                if stream.write_all(&flood).await.is_err() {
                    break;
                }
            }
        };
        // A peer that is no longer read blocks here: as good as closed.
        drop(timeout(Duration::from_secs(2), send).await);
        assert_polite_clients_are_served(&server).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn calls_that_are_cancelled_halfway_leave_nothing_behind() {
    let server = Server::start_with(ServerOptions { calls_max: 4, ..ServerOptions::default() }).await;
    let client = server.client().await;
    for number in 0..200 {
        let mut client = client.clone();
        let request = support::request(&format!("r{number}"), &support::event(&format!("e{number}"), ""));
        drop(timeout(Duration::from_micros(number * 7 % 900), client.commit(request)).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}
