//! `annals serve`: configures, opens, announces and stops the server.
//!
//! Must not know how the server serves.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::{TcpListener, lookup_host};
use tracing_subscriber::EnvFilter;

use super::{
    access::{self, StopSignals},
    output::{self, Outcome, Output},
};
use crate::{
    config::{LogFormat, ServeArguments, ServeOptions},
    engine::embedded::EmbeddedOptions,
    open::OpenOptions,
    rpc,
};

/// Serve the store to gRPC clients.
///
/// Every option can also be set in a TOML file (--config) or in the environment: --cache wins over ANNALS_CACHE, which wins
/// over "cache" in the file. The table [rpc] of the file contains the limits and times of the server. docs/options.md lists all
/// options. The server logs its effective options when it starts.
///
/// When the server listens, it prints one line on standard output: "listening on 127.0.0.1:50051". SIGTERM or SIGINT starts a
/// graceful shutdown: calls in progress have time to finish (--drain). A second signal ends the server at once. Every commit
/// that was answered is on disk in both cases.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals serve\n  annals serve --data /var/lib/annals --cache 1GiB\n  \
                        annals serve --in-memory --listen 127.0.0.1:0\n  ANNALS_LOG=debug annals serve --config annals.toml")]
pub(super) struct Arguments {
    /// A TOML file of options.
    #[arg(long, value_name = "FILE", env = "ANNALS_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: ServeArguments,
}

/// Runs the command until a signal.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let options = ServeOptions::load(arguments.config.as_deref(), &arguments.options).map_err(anyhow::Error::msg)?;
    start_log(&options)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = serde_json::to_string(&options)?, "starting");
    for name in ServeOptions::ignored_variables() {
        tracing::warn!("the environment variable {name} is not an option and is ignored");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if options.threads > 0 {
        runtime.worker_threads(options.threads);
    }
    let runtime = runtime.thread_name("annals-rpc").enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(options, out))?;
    Ok(Outcome::Done)
}

fn start_log(options: &ServeOptions) -> anyhow::Result<()> {
    // The details of these libraries do not concern the store. A filter that names one of them shows them.
    let filter = EnvFilter::try_new(format!("h2=info,hyper=info,hyper_util=info,sled=info,{}", options.log))
        .with_context(|| format!("\"{}\" is not a filter for the log", options.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match options.log_format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

async fn serve(options: ServeOptions, out: &mut Output) -> anyhow::Result<()> {
    let addresses = addresses(&options).await?;
    // The signals are received before anything is opened, so that they also stop a long start.
    let stop = stop_signal()?;
    let listener = TcpListener::bind(addresses.as_slice()).await.with_context(|| {
        format!(
            "cannot listen on {}: is a server running there already? --listen 127.0.0.1:0 takes a free port",
            options.listen
        )
    })?;
    let bound = listener.local_addr()?;
    if options.in_memory {
        tracing::warn!("keeping everything in memory: it is lost when this server stops");
    }
    let folder = (!options.in_memory).then(|| options.data.clone());
    let store = access::start_store(folder, open_options(&options)).await?;
    tracing::info!("listening on {bound}");
    out.line(format!("listening on {bound}"))?;
    out.flush()?;
    rpc::serve(store, listener, options.rpc, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The addresses to listen on. Errs if other machines can reach one of them, unless --insecure allows it.
async fn addresses(options: &ServeOptions) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = lookup_host(&options.listen)
        .await
        .with_context(|| format!("\"{}\" is not an address to listen on: write HOST:PORT", options.listen))?
        .collect();
    if !options.insecure && addresses.iter().any(|address| !address.ip().is_loopback()) {
        bail!(
            "{} can be reached from other machines, and this version has no authentication: listen on 127.0.0.1, put a proxy that \
             authenticates in front, or give --insecure if every machine that reaches the server may read and write everything",
            options.listen
        );
    }
    Ok(addresses)
}

/// The options of the store and its engine.
fn open_options(options: &ServeOptions) -> OpenOptions {
    OpenOptions {
        engine: EmbeddedOptions {
            cache_bytes: options.cache.0,
            segment_bytes: options.segment.0,
            disk_reserve_bytes: options.disk_reserve.0,
            ..EmbeddedOptions::default()
        },
        ..OpenOptions::default()
    }
}

/// Returns a future that waits for the first SIGTERM or SIGINT. A second one ends the process.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut signals = StopSignals::listen()?;
    Ok(async move {
        signals.next().await;
        output::note("stopping: calls in progress have time to finish; a second signal stops at once");
        tokio::spawn(async move {
            signals.next().await;
            output::note("stopped at once");
            // Every answered commit is durable. The next start replays the log.
            std::process::exit(130);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_and_a_program_with_the_library_open_a_store_in_the_same_way() {
        let (server, library) = (open_options(&ServeOptions::default()).engine, EmbeddedOptions::default());
        let sizes = |options: EmbeddedOptions| (options.cache_bytes, options.segment_bytes, options.disk_reserve_bytes);
        assert_eq!(sizes(server), sizes(library));
    }
}
