//! How a command reaches the store: through a server, or by opening a folder in this process. Also the runtime and the signals
//! of a command, and the records to which other records refer.
//!
//! Must not know the request of any one command.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
};
use tonic::Code;

use super::output;
use crate::{
    client::{Client, ClientError, ClientOptions, RetryHook},
    model,
    open::OpenOptions,
    proto::{BatchGetRecordsRequest, record::Record},
    rpc,
    store::{Store, StoreLimits},
};

/// Where the store is: behind a server, or in a folder.
#[derive(Clone, Debug, Args)]
pub(super) struct Access {
    /// The address of the server.
    #[arg(long, value_name = "URL", env = "ANNALS_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,
    /// Open a data folder instead of calling a server. No server may have it open.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// A client, and its store if the store is in this process.
pub(super) struct Connection {
    pub(super) client: Client,
    store: Option<Store>,
}

impl Access {
    /// Connects to the server, or opens the folder.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        self.connect_with(options(&ProgressBar::hidden())).await
    }

    /// Like [`Self::connect`], with options.
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
            Err(error) => Err(anyhow!(
                "no server answers at {address} ({}): start one with \"annals serve\", name another with --server or \
                 ANNALS_SERVER, or open a folder with --data DIR",
                output::root_cause(&error)
            )),
        }
    }

    /// Opens the folder. Opens an empty store in memory if no folder is named.
    pub(super) async fn open(&self) -> anyhow::Result<Store> {
        if let Some(folder) = self.data.as_ref().filter(|folder| !folder.is_dir()) {
            bail!(
                "there is no folder {}: name one that \"annals serve --data\" or \"annals commit --data\" has created",
                folder.display()
            );
        }
        let store = start_store(self.data.clone(), OpenOptions::default()).await?;
        // After a power cut, the state is first rebuilt from the log.
        let started = store.clone();
        spawn_blocking(move || started.wait_until_serving()).await??;
        Ok(store)
    }

    /// Creates the folder if it is missing.
    pub(super) fn create(&self) -> anyhow::Result<()> {
        match &self.data {
            Some(folder) => std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display())),
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
            spawn_blocking(move || store.close()).await??;
        }
        Ok(())
    }
}

/// Reads records as of a revision or time, in as few requests as possible. Each is found by its own name, and by those of the
/// records that were merged into it. A record that is missing is left out.
pub(super) async fn records_by_name(
    client: &Client,
    names: impl IntoIterator<Item = String>,
    (as_of_revision, as_of_time): (i64, Option<prost_types::Timestamp>),
) -> Result<HashMap<String, Record>, ClientError> {
    let names: Vec<String> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let names_max = usize::try_from(StoreLimits::default().batch_get_names).unwrap_or(usize::MAX);
    let mut found = HashMap::new();
    for names in names.chunks(names_max) {
        let request = BatchGetRecordsRequest { names: names.to_vec(), as_of_revision, as_of_time, allow_missing: true };
        for record in client.batch_get(request).await?.records.into_iter().filter_map(|record| record.record) {
            for name in model::merged_names_of(&record) {
                found.insert(name.clone(), record.clone());
            }
            found.insert(model::name_of(&record).to_owned(), record);
        }
    }
    Ok(found)
}

/// Client options that print a message for each retry, above a progress bar.
pub(super) fn options(progress: &ProgressBar) -> ClientOptions {
    let progress = progress.clone();
    let on_retry = RetryHook::new(move |error: &ClientError, delay| {
        let text = format!("trying again in {} ms: {}", delay.as_millis(), output::describe_answer(error));
        progress.suspend(|| output::note(&text));
    });
    ClientOptions { on_retry: Some(on_retry), ..ClientOptions::default() }
}

/// Starts the store of a folder, or an empty one in memory. Servers and commands both use it. It may still be rebuilding.
pub(super) async fn start_store(folder: Option<PathBuf>, options: OpenOptions) -> anyhow::Result<Store> {
    // Opening blocks on the disk.
    let started = spawn_blocking(move || match folder {
        Some(folder) => Store::start_in(folder, options),
        None => Store::in_memory_with(options.store),
    });
    Ok(started.await??)
}

/// Runs a command that calls a server. One thread is enough, because the command mostly waits.
pub(super) fn block_on<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(command)
}

/// SIGTERM and SIGINT, which ask a command to stop.
#[derive(Debug)]
pub(super) struct StopSignals {
    term: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Receives the signals from now on. They no longer end the process by default.
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}
