//! `annals serve`: the server.
//!
//! Knows the order in which it is configured, opened, announced and stopped. Must not know how it serves.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::{TcpListener, lookup_host};
use tracing_subscriber::EnvFilter;

use super::{
    Outcome,
    output::{self, Output},
    signal::StopSignals,
};
use crate::{
    config::{Config, LogFormat, Overrides, RpcOverrides, Size},
    engine::embedded,
    open::OpenOptions,
    rpc::{self, WebOrigins},
    store::Store,
};

/// Serve the record to gRPC clients.
///
/// Every option can also be set in a TOML file (--config) and by the environment: a flag wins over ANNALS_CACHE, which wins
/// over "cache" in the file. The table [rpc] of the file has the limits and times of the server. The configuration that is in
/// effect is logged at the start.
///
/// When it listens, one line says so on standard output: "listening on 127.0.0.1:50051". On SIGTERM or SIGINT calls in progress
/// have time to end (--drain); a second signal ends it at once. What was answered is on disk in any case.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals serve\n  annals serve --data /var/lib/annals --cache 1GiB\n  \
                        annals serve --in-memory --listen 127.0.0.1:0\n  ANNALS_LOG=debug annals serve --config annals.toml")]
pub(super) struct Arguments {
    /// The data folder, made where it is not there [default: ./annals-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep everything in memory: it is gone when the server stops.
    #[arg(long, conflicts_with = "data")]
    in_memory: bool,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:50051].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Listen beyond this machine although nobody is asked who they are.
    #[arg(long)]
    insecure: bool,
    /// A TOML file of options.
    #[arg(long, value_name = "FILE", env = "ANNALS_CONFIG")]
    config: Option<PathBuf>,
    /// Memory for cached pages of the state [default: 256MiB].
    #[arg(long, value_name = "SIZE")]
    cache: Option<Size>,
    /// Length of one file of the log [default: 64MiB].
    #[arg(long, value_name = "SIZE")]
    segment: Option<Size>,
    /// Room on the disk at which writes stop, or 5 % of it where that is less [default: 1GiB].
    #[arg(long, value_name = "SIZE")]
    disk_reserve: Option<Size>,
    /// Threads that serve the network; 0: one a core [default: 0].
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Time that calls in progress have to end when the server stops [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = rpc::duration::parse)]
    drain: Option<Duration>,
    /// An origin whose web pages may call, such as http://localhost:3000; can be given again, "*" is any [default: none].
    #[arg(long, value_name = "ORIGIN")]
    web_origin: Vec<String>,
    /// What is logged: error, warn, info, debug, or a filter such as annals::rpc=debug,info [default: info].
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How it is logged [default: text].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Arguments {
    fn overrides(&self) -> Result<Overrides, String> {
        let web_origins = (!self.web_origin.is_empty())
            .then(|| {
                WebOrigins::parse(self.web_origin.iter().map(String::as_str)).map_err(|error| format!("--web-origin: {error}"))
            })
            .transpose()?;
        Ok(Overrides {
            data: self.data.clone(),
            in_memory: self.in_memory.then_some(true),
            listen: self.listen.clone(),
            insecure: self.insecure.then_some(true),
            cache: self.cache,
            segment: self.segment,
            disk_reserve: self.disk_reserve,
            threads: self.threads,
            log: self.log.clone(),
            log_format: self.log_format,
            rpc: RpcOverrides { drain_time_max: self.drain, web_origins },
        })
    }
}

/// Serves until a signal.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let overrides = arguments.overrides().map_err(anyhow::Error::msg)?;
    let mut config = Config::load(arguments.config.as_deref(), &overrides).map_err(anyhow::Error::msg)?;
    // Whoever names a folder on the command line wants it, whatever the file says.
    config.in_memory &= arguments.data.is_none();
    start_log(&config)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), config = serde_json::to_string(&config)?, "starting");
    for name in Config::ignored_variables() {
        tracing::warn!("the environment variable {name} sets nothing here");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.threads > 0 {
        runtime.worker_threads(config.threads);
    }
    let runtime = runtime.thread_name("annals-rpc").enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(config, out))?;
    Ok(Outcome::Done)
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    // The libraries' own details say nothing of the record; a filter that names them brings them back.
    let filter = EnvFilter::try_new(format!("h2=info,hyper=info,hyper_util=info,sled=info,{}", config.log))
        .with_context(|| format!("\"{}\" is not a filter for the log", config.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

async fn serve(config: Config, out: &mut Output) -> anyhow::Result<()> {
    let addresses = addresses(&config).await?;
    // Before anything else is held: signals during a long start stop it, too.
    let stop = stop_signal()?;
    let listener = TcpListener::bind(addresses.as_slice()).await.with_context(|| {
        format!("cannot listen on {}: is a server running there already? --listen 127.0.0.1:0 takes a free port", config.listen)
    })?;
    let bound = listener.local_addr()?;
    let store = open(&config).await?;
    tracing::info!("listening on {bound}");
    out.line(format!("listening on {bound}"))?;
    out.flush()?;
    rpc::serve(store, listener, config.rpc, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The addresses to listen on, if that is safe.
async fn addresses(config: &Config) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = lookup_host(&config.listen)
        .await
        .with_context(|| format!("\"{}\" is not an address to listen on: write HOST:PORT", config.listen))?
        .collect();
    if !config.insecure && addresses.iter().any(|address| !address.ip().is_loopback()) {
        bail!(
            "{} can be reached from other machines, and this version asks nobody who they are: listen on 127.0.0.1, put a proxy \
             that authenticates in front, or give --insecure if every machine that reaches it may read and write everything",
            config.listen
        );
    }
    Ok(addresses)
}

async fn open(config: &Config) -> anyhow::Result<Store> {
    if config.in_memory {
        tracing::warn!("keeping everything in memory: it is gone when this server stops");
        return Ok(Store::in_memory()?);
    }
    let folder = config.data.clone();
    let options = OpenOptions {
        engine: embedded::EmbeddedOptions {
            cache_bytes: config.cache.0,
            segment_bytes: config.segment.0,
            disk_reserve_bytes: config.disk_reserve.0,
            ..embedded::EmbeddedOptions::default()
        },
        ..OpenOptions::default()
    };
    Ok(tokio::task::spawn_blocking(move || Store::start_in(folder, options)).await??)
}

/// Ends at the first SIGTERM or SIGINT. A second one ends the process.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut signals = StopSignals::listen()?;
    Ok(async move {
        signals.next().await;
        output::note("stopping: calls in progress have time to end; a second signal stops at once");
        tokio::spawn(async move {
            signals.next().await;
            output::note("stopped at once");
            // What was answered is durable; the log is replayed at the next start.
            std::process::exit(130);
        });
    })
}
