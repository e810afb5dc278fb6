//! Many clients at once, against a real server on a real port: what the server promises each of them, whatever the others do.
#![allow(missing_docs)]

mod counter;
mod cut;
mod reads;
#[path = "../service/server.rs"]
#[allow(dead_code)]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod writes;

use annals::{
    engine::embedded::{EmbeddedEngine, EmbeddedOptions},
    proto::{self, CommitRequest, CommitResponse, Event, Mutation},
    rpc::ServerOptions,
};
use fastrand::Rng;
use server::{Client, Server};
use tonic::{Code, Status};

/// The seed of a run: `SEED` if it is set. Always printed.
fn rng() -> Rng {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("SEED={seed}");
    Rng::with_seed(seed)
}

/// A server on the embedded engine and its folder, which is deleted with it.
async fn durable_server() -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = EmbeddedEngine::open(folder.path(), EmbeddedOptions::default()).expect("an engine");
    (Server::start_on(support::store_on(engine), ServerOptions::default()).await, folder)
}

/// Clients with a connection each.
async fn clients(server: &Server, connections: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _connection in 0..connections {
        clients.push(server.client().await);
    }
    clients
}

/// Sends a request until the store answers it. A call that was cut may still have been applied.
async fn answered(client: &mut Client, request: &CommitRequest) -> Result<CommitResponse, Status> {
    loop {
        match client.commit(request.clone()).await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::ResourceExhausted) => {
                tokio::task::yield_now().await;
            }
            Err(status) => return Err(status),
        }
    }
}

fn event(name: &str, title: &str) -> Event {
    Event { name: name.into(), title: title.into(), ..Default::default() }
}

async fn head(client: &mut Client) -> i64 {
    client.get_server_info(proto::GetServerInfoRequest {}).await.expect("an answer").into_inner().head_revision
}

async fn create(client: &mut Client, request_id: &str, events: impl IntoIterator<Item = Event>) -> CommitResponse {
    let mutations: Vec<Mutation> = events.into_iter().map(Mutation::create).collect();
    answered(client, &CommitRequest::of(request_id, mutations)).await.expect("created")
}
