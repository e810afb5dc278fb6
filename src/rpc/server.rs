//! Starts and stops a server: it listens, serves, reports its health, and shuts down gracefully without losing an accepted
//! commit. Also serves a client in the same process, without a network.
//!
//! Knows the parts of a server, and the order in which they start and stop. Must not know messages, or how a connection is
//! served.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    task::{self, JoinSet},
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    codegen::Service,
    transport::{Channel, Endpoint},
};
use tonic_reflection::server::{v1, v1alpha};

use super::{
    connection,
    connection_context::{ConnectionContext, ServerLoad},
    methods::Records,
    options::ServerOptions,
    pool::Pools,
    services::{self, Health, Services},
    streams::Streams,
    web::{GetHandlers, Web},
};
use crate::store::{self, Store, StoreHealth};

/// How often the store's health is read.
const HEALTH_INTERVAL: Duration = Duration::from_millis(200);

/// How often the progress of a rebuild is logged.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait after the system could not accept a connection because it lacks file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long tasks and reads may take to end after their connections were closed.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// The size of the pipe between a client in this process and the server.
const PIPE_BYTES: usize = 256 << 10;

/// Longer than any process runs, but short enough for the arithmetic of timers.
const UNLIMITED_TIME: Duration = Duration::from_hours(10 * 365 * 24);

/// Why a server could not start or stop cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The descriptors for reflection cannot be read. This is a bug of the build.
    #[error("reflection cannot be set up: {0}")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The store could not be closed cleanly. Commits that were answered are durable.
    #[error("the store could not be closed: {0}")]
    Close(#[source] store::StoreError),
}

/// What all connections of a server share.
struct Server<V1, V1Alpha> {
    options: Arc<ServerOptions>,
    services: Arc<Services<V1, V1Alpha>>,
    get_handlers: Arc<GetHandlers>,
    load: Arc<ServerLoad>,
    pools: Arc<Pools>,
    health: Health,
    /// The tasks of calls and streams.
    tasks: TaskTracker,
}

/// Makes a server of a store. It has no connections yet, and its health is `NOT_SERVING`.
async fn server(
    store: Store,
    options: ServerOptions,
) -> Result<Server<impl v1::ServerReflection, impl v1alpha::ServerReflection>, ServeError> {
    let options = Arc::new(options);
    let pools = Arc::new(Pools::new(&options));
    let health = Health::new().await;
    let tasks = TaskTracker::new();
    let records = Records::new(store, Arc::clone(&options), Arc::clone(&pools), Streams::new(tasks.clone()));
    let services = Arc::new(services::services(records, &health, &options).map_err(ServeError::Reflection)?);
    let get_handlers = Arc::new(services::get_handlers());
    Ok(Server { options, services, get_handlers, load: Arc::default(), pools, health, tasks })
}

impl<V1: v1::ServerReflection, V1Alpha: v1alpha::ServerReflection> Server<V1, V1Alpha> {
    /// Serves one connection until it ends. After `stop` it accepts no new call. `peer` is `None` if the client is in this
    /// process.
    fn serve_connection<IO>(
        &self,
        io: IO,
        peer: Option<SocketAddr>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<IO, V1, V1Alpha>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let context = Arc::new(ConnectionContext::new(Arc::clone(&self.options), Arc::clone(&self.load), peer));
        let service = Web::new(Arc::clone(&self.services), Arc::clone(&self.get_handlers), Arc::clone(&context));
        connection::serve(io, service, context, self.tasks.clone(), stop)
    }
}

/// Serves a store on a listener until `shutdown` is ready. Then shuts down gracefully: health says `NOT_SERVING`, no new
/// connection or call is accepted, calls in progress have `drain_time_max` to end, and the store is closed. Commits that were
/// accepted before are made.
///
/// It serves at once, even if the store is still rebuilding. Until the rebuild ends, calls get UNAVAILABLE and health says
/// `NOT_SERVING`.
pub async fn serve(
    store: Store,
    listener: TcpListener,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let server = server(store.clone(), options).await?;
    // All work runs in `connections` or in the tasks of the server. Both are empty at the end.
    let mut connections = JoinSet::new();
    let stop = CancellationToken::new();
    let health_report = task::spawn(report_health(store.clone(), server.health.clone(), stop.clone()));

    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener) => {
                let Some((stream, peer)) = accepted else { continue };
                if connections.len() >= server.options.connections_max {
                    tracing::debug!(%peer, "connection closed: there are {} already", connections.len());
                    continue;
                }
                // Each connection has its own token, because a shared one would be a lock that all connections take.
                connections.spawn(server.serve_connection(stream, Some(peer), stop.child_token()));
            }
        }
    }

    tracing::info!(connections = connections.len(), "stopping");
    drop(listener);
    stop.cancel();
    join(health_report).await;
    server.health.set(false).await;
    let until = Instant::now() + server.options.drain_time_max;
    while let Ok(Some(_)) = time::timeout_at(until, connections.join_next()).await {}
    if !connections.is_empty() {
        tracing::warn!(connections = connections.len(), "closing connections that did not end in time");
    }
    connections.shutdown().await;
    server.tasks.close();
    if time::timeout(CLOSE_TIME_MAX, server.tasks.wait()).await.is_err() {
        tracing::warn!(calls = server.tasks.len(), "calls did not end with their connections");
    }
    server.pools.close(CLOSE_TIME_MAX).await;
    close(store).await
}

/// Closes the store on a thread that may block, because this waits for the disk.
async fn close(store: Store) -> Result<(), ServeError> {
    match task::spawn_blocking(move || store.close()).await {
        Ok(result) => result.map_err(ServeError::Close),
        Err(error) => Err(ServeError::Close(store::StoreError::internal(error))),
    }
}

async fn join(task: task::JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!("a task of the server failed: {error}");
    }
}

/// The next connection. `None` if it could not be accepted.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Without this, Nagle's algorithm and delayed acknowledgements delay each small answer by 40 ms.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, "connection closed: {error}");
                return None;
            }
            Some((stream, peer))
        }
        Err(error) if is_peers_fault(&error) => None,
        Err(error) => {
            tracing::warn!("cannot accept connections: {error}");
            time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Whether the error is that the connection ended before it was accepted. Such an error does not affect the next one.
fn is_peers_fault(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

/// Reports the health of the store as that of the server, and logs its changes for the operator.
async fn report_health(store: Store, health: Health, stop: CancellationToken) {
    let mut last: Option<StoreHealth> = None;
    let mut logged = Instant::now();
    loop {
        let current = store.health();
        let changed = last.as_ref().is_none_or(|last| std::mem::discriminant(last) != std::mem::discriminant(&current));
        if changed {
            // A read-only store still answers reads. If its health was `NOT_SERVING`, a load balancer would stop sending reads
            // too.
            health.set(matches!(current, StoreHealth::Serving | StoreHealth::ReadOnly(_))).await;
        }
        if changed || logged.elapsed() >= PROGRESS_INTERVAL {
            logged = Instant::now();
            log_health(&current, changed);
        }
        last = Some(current);
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(HEALTH_INTERVAL) => {}
        }
    }
}

fn log_health(health: &StoreHealth, changed: bool) {
    match health {
        StoreHealth::Rebuilding { done, total } => tracing::info!(done, total, "rebuilding the state from the log"),
        _ if !changed => {}
        StoreHealth::Serving => tracing::info!("serving"),
        StoreHealth::ReadOnly(why) => tracing::error!("serving reads only: {}", why.in_full()),
        StoreHealth::Failed(why) => tracing::error!("serving nothing: {}", why.in_full()),
        StoreHealth::Closed => tracing::info!("the store is closed"),
    }
}

/// A channel to a store in this process, for any generated client. The limits of calls and the errors are those of a server on
/// the network. It needs a tokio runtime while it is used. Dropping it does not close the store.
pub async fn in_process(store: Store) -> Result<Channel, ServeError> {
    let options = ServerOptions {
        // Both peers are in this process, so no connection is lost, and none must be closed because of its age or because it is
        // idle.
        connection_age_max: UNLIMITED_TIME,
        connection_idle_time_max: UNLIMITED_TIME,
        first_request_time_max: UNLIMITED_TIME,
        ..ServerOptions::default()
    };
    // Streams end with the channel, because each notices that its client is gone.
    let server = server(store, options).await?;
    server.health.set(true).await;
    let connect = move |connections: &mut JoinSet<()>, io: DuplexStream| {
        connections.spawn(server.serve_connection(io, None, CancellationToken::new()));
    };
    let connector = Connector { connect, connections: JoinSet::new() };
    // The address is never resolved. The client only writes it into its requests.
    Ok(Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector))
}

/// Connects the client: makes a pipe, and serves one end of it. It owns the connections, so they end with the channel.
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
