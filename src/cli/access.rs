//! How a command reaches a record: a server over the network, or a folder in this process.
//!
//! Knows addresses and folders. Must not know requests.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use tonic::transport::{Channel, Endpoint};

use crate::{open::OpenOptions, proto::record_service_client::RecordServiceClient, rpc, store::Store};

/// Bytes of an answer that are read. The server's own limit is 4 MiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How long to wait for a server to take the connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Which record to use.
#[derive(Clone, Debug, Args)]
pub(super) struct Access {
    /// The server.
    #[arg(long, value_name = "URL", env = "ANNALS_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,
    /// A data folder, instead of a server. No server may have it open.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A client, and the store behind it if that is in this process.
pub(super) struct Connection {
    /// The client.
    pub(super) client: RecordServiceClient<Channel>,
    store: Option<Store>,
}

/// No server answers at an address.
#[derive(Debug)]
pub(super) struct NoServer {
    address: String,
    why: String,
}

impl fmt::Display for NoServer {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, why } = self;
        write!(
            to,
            "no server answers at {address} ({why}): start one with \"annals serve\", name another with --server or \
             ANNALS_SERVER, or read a folder with --data DIR"
        )
    }
}

impl std::error::Error for NoServer {}

impl Access {
    /// Connects, or opens the folder.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let (channel, store) = match &self.data {
            Some(_) => {
                let store = self.open().await?;
                (rpc::in_process(store.clone()).await?, Some(store))
            }
            None => (self.dial().await?, None),
        };
        let client = RecordServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Connection { client, store })
    }

    /// The folder's store; an empty one in memory where a server was named.
    pub(super) async fn open(&self) -> anyhow::Result<Store> {
        let Some(folder) = self.data.clone() else { return Ok(Store::in_memory()?) };
        if !folder.is_dir() {
            anyhow::bail!(
                "there is no folder {}: name one that \"annals serve --data\" or \"annals commit --data\" has made",
                folder.display()
            );
        }
        open(folder).await
    }

    /// As [`Self::connect`], but makes the folder where it is not there.
    pub(super) async fn connect_or_create(&self) -> anyhow::Result<Connection> {
        if let Some(folder) = &self.data {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        self.connect().await
    }

    /// Whether a folder was named.
    pub(super) fn is_folder(&self) -> bool {
        self.data.is_some()
    }

    async fn dial(&self) -> anyhow::Result<Channel> {
        let address = if self.server.contains("://") { self.server.clone() } else { format!("http://{}", self.server) };
        let endpoint = Endpoint::from_shared(address.clone())
            .with_context(|| format!("\"{address}\" is not an address: write http://HOST:PORT"))?
            .connect_timeout(CONNECT_TIME_MAX)
            .http2_keep_alive_interval(Duration::from_secs(20));
        endpoint.connect().await.map_err(|error| NoServer { address, why: root_cause(&error) }.into())
    }
}

impl Connection {
    /// Closes the store, if there is one in this process.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.client);
        if let Some(store) = self.store {
            tokio::task::spawn_blocking(move || store.close()).await??;
        }
        Ok(())
    }
}

async fn open(folder: PathBuf) -> anyhow::Result<Store> {
    // Opening reads the disk, and a rebuild may take a while.
    Ok(tokio::task::spawn_blocking(move || Store::open_with(folder, OpenOptions::default())).await??)
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Runs a command that calls a server: it waits more than it works, so one thread does.
pub(super) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(command)
}
