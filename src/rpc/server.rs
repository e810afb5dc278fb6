//! A server's life: it listens, serves, says whether it is healthy, and stops without losing what it has accepted.
//!
//! Knows the order of all that. Must not know messages, or how a connection is served.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{self, JoinSet},
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection,
    layer::Guard,
    load::{Load, Scope},
    options::ServerOptions,
    pool::Pools,
    records::Records,
    services::{self, Health},
    streams::Streams,
    traffic::Traffic,
    web::Web,
};
use crate::store::{self, Store, StoreHealth};

/// How often the store is asked for its condition.
const CONDITION_INTERVAL: Duration = Duration::from_millis(200);

/// How often the progress of a rebuild is logged.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait after the system refused to hand over a connection: it lacks file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long tasks and reads may take to end after their connections were closed.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

/// Why a server could not be started or stopped as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The descriptors that reflection answers with cannot be read: a fault of the build.
    #[error("reflection cannot be set up: {0}")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The store could not be closed cleanly. What was answered is durable all the same.
    #[error("the store could not be closed: {0}")]
    Close(#[source] store::StoreError),
}

/// Serves a store on a listener until `shutdown` ends, then stops: health says `NOT_SERVING`, no new connection or call is
/// taken, calls in progress have `drain_time_max` to end, and the store is closed. What it was given to commit by then is
/// committed.
///
/// A store that is still rebuilding is served at once: it answers UNAVAILABLE by itself, and health says `NOT_SERVING`.
pub async fn serve(
    store: Store,
    listener: TcpListener,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let options = Arc::new(options);
    let pools = Arc::new(Pools::new(&options));
    let health = Health::new().await;
    // Everything that runs is in one of these three, and all three are empty at the end.
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut connections = JoinSet::new();
    let streams = Streams::new(tasks.clone());
    let records = Records::new(store.clone(), Arc::clone(&options), Arc::clone(&pools), streams);
    let services = Arc::new(services::services(records, &health, &options).map_err(ServeError::Reflection)?);
    let load = Arc::new(Load::default());
    let condition = task::spawn(report_condition(store.clone(), health.clone(), stop.clone()));

    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener) => {
                let Some((stream, peer)) = accepted else { continue };
                if connections.len() >= options.connections_max {
                    tracing::debug!(%peer, "connection closed: there are {} already", connections.len());
                    continue;
                }
                let scope = Arc::new(Scope::new(Arc::clone(&options), Arc::clone(&load), Traffic::new(Some(peer))));
                let service = Web::new(Guard::new(Arc::clone(&services), Arc::clone(&scope)), Arc::clone(&scope));
                // A token of its own: one that all connections share would be a lock that all of them take.
                connections.spawn(connection::serve(stream, service, scope, tasks.clone(), stop.child_token()));
            }
        }
    }

    tracing::info!(connections = connections.len(), "stopping");
    drop(listener);
    stop.cancel();
    join(condition).await;
    health.set(false).await;
    let until = Instant::now() + options.drain_time_max;
    while let Ok(Some(_)) = time::timeout_at(until, connections.join_next()).await {}
    if !connections.is_empty() {
        tracing::warn!(connections = connections.len(), "closing connections that did not end in time");
    }
    connections.shutdown().await;
    tasks.close();
    if time::timeout(CLOSE_TIME_MAX, tasks.wait()).await.is_err() {
        tracing::warn!(calls = tasks.len(), "calls did not end with their connections");
    }
    pools.close(CLOSE_TIME_MAX).await;
    close(store).await
}

/// Closes the store, which may have to wait for the disk.
async fn close(store: Store) -> Result<(), ServeError> {
    match task::spawn_blocking(move || store.close()).await {
        Ok(result) => result.map_err(ServeError::Close),
        Err(error) => Err(ServeError::Close(store::StoreError::internal(format_args!("closing the store failed: {error}")))),
    }
}

async fn join(task: task::JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!("a task of the server failed: {error}");
    }
}

/// The next connection. `None` where there is none after all.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Without it Nagle's algorithm and delayed acknowledgements make each small answer wait for 40 ms.
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

/// Whether a connection ended before it was accepted, which says nothing of the next one.
fn is_peers_fault(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

/// Keeps health as the store's condition is, and logs what an operator waits for.
async fn report_condition(store: Store, health: Health, stop: CancellationToken) {
    let mut last: Option<StoreHealth> = None;
    let mut logged = Instant::now();
    loop {
        let condition = store.condition();
        let changed = last.as_ref().is_none_or(|last| std::mem::discriminant(last) != std::mem::discriminant(&condition));
        if changed {
            // Where only writes are refused, reads go on: a balancer that turned away would take those, too.
            health.set(matches!(condition, StoreHealth::Serving | StoreHealth::ReadOnly(_))).await;
        }
        if changed || logged.elapsed() >= PROGRESS_INTERVAL {
            logged = Instant::now();
            log_condition(&condition, changed);
        }
        last = Some(condition);
        tokio::select! {
            () = stop.cancelled() => return,
            () = time::sleep(CONDITION_INTERVAL) => {}
        }
    }
}

fn log_condition(condition: &StoreHealth, changed: bool) {
    match condition {
        StoreHealth::Rebuilding { done, total } => tracing::info!(done, total, "rebuilding the state from the log"),
        _ if !changed => {}
        StoreHealth::Serving => tracing::info!("serving"),
        StoreHealth::ReadOnly(why) => tracing::error!("serving reads only: {why}"),
        StoreHealth::Failed(why) => tracing::error!("serving nothing: {why}"),
        StoreHealth::Closed => tracing::info!("the store is closed"),
    }
}
