//! The client: every call of `RecordService` in Rust types, with retries and streams that resume.
//!
//! - The client retries reads and commits, with growing delays, if the connection is lost or the server returns a transient
//!   error. A commit always has a request id, so a retry never writes it twice.
//! - [`Client::watch`], [`Client::export`] and [`Client::ingest`] are streams that resume after a lost connection. Nothing is
//!   missed or received twice.
//! - A call returns a [`ClientError`] if the error is not transient, or if the retries took too long. It has the reason, and
//!   every violation with its field.
//!
//! The same type works over the network ([`Client::connect`]) and in one process ([`Client::over`] with the channel that
//! `rpc::in_process` makes).
//!
//! ```
//! # #[cfg(feature = "server")] {
//! use annals::{
//!     client::Client,
//!     proto::{Actor, CommitRequest, ListRecordsRequest, Mutation},
//!     rpc,
//!     store::Store,
//! };
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! // Over the network: Client::connect("http://127.0.0.1:50051").await?
//! let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
//!
//! let nis = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
//! let answer = client.commit(CommitRequest::of("first", [Mutation::create(nis)])).await?;
//! assert_eq!(answer.revision, 1);
//! assert_eq!(client.get::<Actor>("actors/nis").await?.display_name, "NIS");
//!
//! let mut actors = client.list::<Actor>(ListRecordsRequest { filter: "display_name = \"N*\"".into(), ..Default::default() });
//! while let Some(actor) = actors.message().await? {
//!     assert_eq!(actor.name, "actors/nis");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Knows the contract and tonic's channel. Must not know the server, the store, or what a record means.

mod error;
mod options;

mod retry;
mod streams;

mod read;
mod write;

use std::{sync::Arc, time::Duration};

use tonic::transport::{Channel, Endpoint};

use crate::proto::record_service_client::RecordServiceClient;

pub use error::{ClientError, FieldViolation, PreconditionViolation, Result};
pub use options::{ClientOptions, RetryHook};
pub use read::ClientPage;
pub use streams::MessageStream;
pub use write::{IngestOptions, IngestResult};

/// A client of one server. Cloning is cheap, and clones share one connection. A lost connection is opened again.
#[derive(Clone, Debug)]
pub struct Client {
    grpc: RecordServiceClient<Channel>,
    options: Arc<ClientOptions>,
}

impl Client {
    /// Connects to a server, such as `http://127.0.0.1:50051`. Fails at once if no server answers.
    /// [`ClientOptions::connect_lazy`] connects later.
    pub async fn connect(url: &str) -> Result<Self> {
        ClientOptions::default().connect(url).await
    }

    /// A client over your own channel: the channel of `rpc::in_process`, or one with TLS. Set HTTP/2 keep-alive on a channel
    /// over a network. Without it, the client notices late that the server has vanished.
    pub fn over(channel: Channel) -> Self {
        ClientOptions::default().over(channel)
    }
}

impl ClientOptions {
    /// Connects to a server with these options.
    pub async fn connect(self, url: &str) -> Result<Client> {
        let channel = self.endpoint(url)?.connect().await.map_err(ClientError::unreachable)?;
        Ok(self.over(channel))
    }

    /// Like [`Self::connect`], but connects on the first call. The server need not run yet. Call it within a tokio runtime.
    pub fn connect_lazy(self, url: &str) -> Result<Client> {
        let channel = self.endpoint(url)?.connect_lazy();
        Ok(self.over(channel))
    }

    /// A client over your own channel. The options of the connection have no effect on it.
    pub fn over(self, channel: Channel) -> Client {
        let grpc = RecordServiceClient::new(channel).max_decoding_message_size(self.answer_bytes_max);
        Client { grpc, options: Arc::new(self) }
    }

    fn endpoint(&self, url: &str) -> Result<Endpoint> {
        let agent = concat!("annals/", env!("CARGO_PKG_VERSION"));
        let agent = if self.user_agent.is_empty() { agent.to_owned() } else { format!("{} {agent}", self.user_agent) };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| ClientError::address(url, error))?;
        let endpoint = endpoint.user_agent(agent).map_err(|error| ClientError::user_agent(&self.user_agent, error))?;
        Ok(endpoint
            .connect_timeout(self.connect_time_max)
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .tcp_keepalive(Some(self.keepalive_interval.max(Duration::from_secs(1)))))
    }
}
