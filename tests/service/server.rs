//! A server to test: in memory, on a free port, in this process.

use std::{net::SocketAddr, time::Duration};

use annals::{
    proto::{CommitRequest, CommitResponse, record_service_client::RecordServiceClient},
    rpc::{self, ServeError, ServerOptions},
    store::{Caller, Store},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// A running server.
pub(crate) struct Server {
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// The store that it serves.
    pub(crate) store: Store,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

/// A client of the service.
pub(crate) type Client = RecordServiceClient<Channel>;

impl Server {
    /// Starts one with default options.
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts one.
    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        Self::start_on(super::support::store(), options).await
    }

    /// Starts one on a store.
    pub(crate) async fn start_on(store: Store, options: ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            drop(stopped.await);
        };
        let task = tokio::spawn(rpc::serve(store.clone(), listener, options, shutdown));
        Self { address, store, stop: Some(stop), task }
    }

    /// A connection to it.
    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("it listens")
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Client {
        RecordServiceClient::new(self.channel().await).max_decoding_message_size(16 << 20)
    }

    /// Commits mutations in proto3 JSON to its store.
    pub(crate) async fn commit(&self, mutations: &str) -> CommitResponse {
        self.commit_request(super::support::fresh_request(mutations)).await
    }

    /// Commits a request to its store.
    pub(crate) async fn commit_request(&self, request: CommitRequest) -> CommitResponse {
        self.store.submit(&Caller::anonymous(), request).await.expect("committed")
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn tell_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("it runs");
        }
    }

    /// Asks it to stop and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.tell_to_stop();
        self.stopped().await;
    }

    /// Waits until it has stopped.
    pub(crate) async fn stopped(self) {
        let result = tokio::time::timeout(Duration::from_secs(20), self.task).await.expect("it stops in time");
        result.expect("no panic").expect("a clean stop");
    }
}

/// The reason of an error.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// A value from the metadata of an error.
pub(crate) fn metadata(status: &Status, key: &str) -> String {
    let details = status.get_error_details();
    details.error_info().and_then(|info| info.metadata.get(key).cloned()).unwrap_or_default()
}
