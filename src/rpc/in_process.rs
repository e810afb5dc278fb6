//! The server without a network: a client's channel to a store in the same process, with every rule of the wire in between.
//!
//! Knows channels. Must not know messages.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{io::DuplexStream, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    codegen::Service,
    transport::{Channel, Endpoint},
};

use super::{
    connection,
    layer::Guard,
    load::{Load, Scope},
    options::ServerOptions,
    pool::Pools,
    records::Records,
    server::ServeError,
    services::{self, Health},
    streams::Streams,
    traffic::Traffic,
};
use crate::store::Store;

/// Bytes that wait in the pipe between client and server.
const PIPE_BYTES: usize = 256 << 10;

/// Long enough for any process, short enough for the arithmetic of timers.
const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);

/// A channel to a store in this process, for any generated client. Needs a tokio runtime while it is used. The store is not
/// closed with it.
pub async fn in_process(store: Store) -> Result<Channel, ServeError> {
    let options = Arc::new(ServerOptions {
        // Both ends are ours and in one process: no peer is lost, old or idle.
        connection_age_max: FOR_EVER,
        connection_idle_time_max: FOR_EVER,
        first_request_time_max: FOR_EVER,
        ..ServerOptions::default()
    });
    let pools = Arc::new(Pools::new(&options));
    let health = Health::new().await;
    health.set(true).await;
    // Streams end with the channel, as each notices when its client goes.
    let streams = Streams::new(TaskTracker::new());
    let records = Records::new(store, Arc::clone(&options), pools, streams);
    let services = Arc::new(services::services(records, &health, &options).map_err(ServeError::Reflection)?);
    let load = Arc::new(Load::default());
    let connect = move |connections: &mut JoinSet<()>, io: DuplexStream| {
        let scope = Arc::new(Scope::new(Arc::clone(&options), Arc::clone(&load), Traffic::new(None)));
        let guard = Guard::new(Arc::clone(&services), Arc::clone(&scope));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        connections.spawn(connection::serve(io, guard, scope, tasks, stop));
    };
    let connector = Connector { connect, connections: JoinSet::new() };
    // The address is never resolved; the client only puts it into its requests.
    Ok(Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector))
}

/// Makes a pipe and serves its other end. Owns what it serves: when the channel goes, so do the connections.
struct Connector<F> {
    connect: F,
    connections: JoinSet<()>,
}

impl<F: FnMut(&mut JoinSet<()>, DuplexStream)> Service<Uri> for Connector<F> {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        (self.connect)(&mut self.connections, server);
        std::future::ready(Ok(TokioIo::new(client)))
    }
}
