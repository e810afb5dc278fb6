//! How a command reaches a record: a server over the network, or a folder in this process.
//!
//! Knows addresses and folders. Must not know requests.

use std::{fmt, path::PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use tonic::Code;

use super::{output, problem};
use crate::{
    client::{self, Client, ClientOptions, RetryHook},
    open::OpenOptions,
    rpc,
    store::Store,
};

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
    pub(super) client: Client,
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
        self.connect_with(options(&ProgressBar::hidden())).await
    }

    /// As [`Self::connect`], with options.
    pub(super) async fn connect_with(&self, options: ClientOptions) -> anyhow::Result<Connection> {
        if self.data.is_some() {
            let store = self.open().await?;
            let client = options.over(rpc::in_process(store.clone()).await?);
            return Ok(Connection { client, store: Some(store) });
        }
        let address = if self.server.contains("://") { self.server.clone() } else { format!("http://{}", self.server) };
        match options.connect(&address).await {
            Ok(client) => Ok(Connection { client, store: None }),
            Err(error) if error.code() == Code::InvalidArgument => Err(error.into()),
            Err(error) => Err(NoServer { address, why: root_cause(&error) }.into()),
        }
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

    /// Makes the folder where one was named that is not there.
    pub(super) fn create(&self) -> anyhow::Result<()> {
        match &self.data {
            Some(folder) => std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display())),
            None => Ok(()),
        }
    }

    /// Whether a folder was named.
    pub(super) fn is_folder(&self) -> bool {
        self.data.is_some()
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

/// Options of a client that says whatever it tries again, above a progress bar.
pub(super) fn options(progress: &ProgressBar) -> ClientOptions {
    let progress = progress.clone();
    let on_retry = RetryHook::new(move |error: &client::ClientError, delay| {
        let text = format!("trying again in {} ms: {}", delay.as_millis(), problem::describe_answer(error));
        progress.suspend(|| output::note(&text));
    });
    ClientOptions { on_retry: Some(on_retry), ..ClientOptions::default() }
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
