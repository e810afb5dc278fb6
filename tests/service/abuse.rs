//! Malicious and broken clients. A well-behaved client beside them notices nothing.

use std::time::Duration;

use annals::{proto::GetServerInfoRequest, rpc::ServerOptions};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::{
    frames::{self, PREFACE, Peer, any_settings, closed_window},
    server::Server,
    support,
};

const GET: &str = "/annals.v1.RecordService/GetEvent";
const INFO: &str = "/annals.v1.RecordService/GetServerInfo";

/// What a client sends first, including its own settings.
fn hello(settings: &[u8]) -> Vec<u8> {
    [PREFACE, settings].concat()
}

/// How long the server keeps an idle connection.
async fn lives(mut peer: Peer) -> Duration {
    let began = Instant::now();
    peer.read_to_end().await;
    began.elapsed()
}

pub(crate) async fn assert_polite_clients_are_served(server: &Server) {
    let mut client = server.client().await;
    for _ in 0..20 {
        // A call that begins just when its connection is told to go away is not answered. A client repeats it.
        let mut answer = Ok(());
        for _ in 0..3 {
            let called = timeout(Duration::from_secs(2), client.get_server_info(GetServerInfoRequest {})).await;
            answer = called.expect("in time").map(drop);
            if answer.as_ref().map_err(Status::code) != Err(Code::Cancelled) {
                break;
            }
        }
        answer.expect("answered");
    }
}

#[tokio::test]
async fn who_says_nothing_or_half_a_preface_is_closed() {
    let options = ServerOptions { first_request_time_max: Duration::from_millis(200), ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    for first in [&b""[..], &PREFACE[..10], PREFACE, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let peer = Peer::connect_with(&server, first).await;
        assert!(lives(peer).await < Duration::from_secs(2), "{first:?}");
    }
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_ended_by_the_deadline() {
    let options = ServerOptions { call_time_max: Duration::from_millis(200), ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    let mut peer = Peer::connect(&server).await;
    peer.send(&frames::open(1, GET, &[])).await.expect("written");
    // The first three bytes of the prefix of a message.
    peer.send(&frames::data(1, &[0, 0, 0])).await.expect("written");
    let began = Instant::now();
    assert!(peer.end_of(1).await.is_some());
    assert!((Duration::from_millis(150)..Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
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
    let mut peer = Peer::connect_with(&server, &hello(&closed_window())).await;
    peer.call(1, INFO, &[]).await;
    let lived = lives(peer).await;
    assert!((Duration::from_millis(150)..Duration::from_secs(2)).contains(&lived), "{lived:?}");
    assert_polite_clients_are_served(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn an_idle_or_old_connection_is_told_to_go_away_and_its_calls_are_answered() {
    let short = Duration::from_millis(200);
    for options in [
        ServerOptions { connection_idle_time_max: short, first_request_time_max: short, ..ServerOptions::default() },
        ServerOptions { connection_age_max: short, ..ServerOptions::default() },
    ] {
        let server = Server::start_with(options).await;
        let mut peer = Peer::connect(&server).await;
        peer.call(1, INFO, &[]).await;
        assert!(peer.end_of(1).await.is_some());
        // No well-behaved client here: on a slow machine it would be told to go away too.
        let lived = lives(peer).await;
        assert!((Duration::from_millis(100)..Duration::from_secs(20)).contains(&lived), "{lived:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_only_their_own_connection() {
    let server = Server::start().await;
    let mut peer = Peer::connect(&server).await;
    let attack = async {
        for number in 0..100_000u32 {
            let stream = number * 2 + 1;
            let mut burst = frames::open(stream, GET, &[]);
            burst.extend(frames::cancel(stream));
            peer.send(&burst).await?;
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
    let floods = [
        (Vec::new(), frames::ping()),
        (Vec::new(), any_settings()),
        (frames::open(1, GET, &[]), frames::data(1, &[])),
        (frames::open_without_end(1, GET), frames::continuation(1)),
    ];
    for (first, flood) in floods {
        let mut peer = Peer::connect(&server).await;
        peer.send(&first).await.expect("written");
        let flood = flood.repeat(200);
        let send = async {
            for _ in 0..200 {
                if peer.send(&flood).await.is_err() {
                    break;
                }
            }
        };
        // A peer that is no longer read waits here, which is as good as closed.
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
