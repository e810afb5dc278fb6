//! Graceful shutdown: accepted calls are answered, and streams that would not end are ended.

use std::time::Duration;

use annals::{proto::GetServerInfoRequest, rpc::ServerOptions};
use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant};
use tonic::Code;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
};

use super::{server::Server, support};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_in_progress_are_answered_or_known_not_to_be_made() {
    let mut server = Server::start().await;
    let client = server.client().await;
    let commits: Vec<_> = (0..200)
        .map(|number| {
            let mut client = client.clone();
            let request = support::request(&format!("r{number}"), &support::event(&format!("e{number}"), ""));
            tokio::spawn(async move { client.commit(request).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    server.tell_to_stop();
    let store = server.store.clone();
    let mut answered = 0;
    for commit in commits {
        match commit.await.expect("joined") {
            Ok(_) => answered += 1,
            Err(status) => assert!(
                matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal),
                "{status:?}"
            ),
        }
    }
    server.stopped().await;
    drop(store);
    assert!(answered > 0);
}

#[tokio::test]
async fn the_port_is_free_and_the_store_closed_when_it_has_stopped() {
    let server = Server::start().await;
    let (address, store) = (server.address, server.store.clone());
    server.client().await.get_server_info(GetServerInfoRequest {}).await.expect("served");
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    let refused =
        tokio::task::spawn_blocking(move || support::commit(&store, &support::event("e1", ""))).await.expect("joined");
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_stream_that_does_not_end_and_a_peer_that_says_nothing_hold_it_no_longer_than_the_drain() {
    let options = ServerOptions { drain_time_max: Duration::from_millis(300), ..ServerOptions::default() };
    let server = Server::start_with(options).await;
    let (_questions, stream) = tokio::sync::mpsc::channel::<ServerReflectionRequest>(1);
    let mut client = ServerReflectionClient::new(server.channel().await);
    let mut open =
        client.server_reflection_info(tokio_stream::wrappers::ReceiverStream::new(stream)).await.expect("open").into_inner();
    let mut silent = TcpStream::connect(server.address).await.expect("it listens");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    server.stop().await;
    let took = began.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_secs(3)).contains(&took), "{took:?}");
    assert!(open.message().await.is_err());
    let mut rest = Vec::new();
    assert!(matches!(silent.read_to_end(&mut rest).await, Ok(_) | Err(_)), "closed, not left hanging");
}

#[tokio::test]
async fn an_idle_client_does_not_delay_it() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.get_server_info(GetServerInfoRequest {}).await.expect("served");
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(client);
}

#[tokio::test]
async fn a_reflection_call_ends_by_itself() {
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let request =
        ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("open").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
    assert!(answers.message().await.expect("the end").is_none());
    server.stop().await;
}
