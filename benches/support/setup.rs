//! The command line of every benchmark.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;

use crate::server::Launch;

/// The options that all benchmarks share.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Turns that each measurement takes.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seconds of one turn.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Memory of the server for cached pages.
    #[arg(long, default_value = "256MiB")]
    cache: String,
    /// The server to measure, such as one that was built before a change.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_annals"))]
    server: PathBuf,
    /// Measure only what has this in its name.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the data folders are kept for the next run. Without it they are made in a temporary folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Setup {
    /// Runs a benchmark with a folder for its data. It has one thread, so that the client uses at most one core.
    pub(crate) fn run<T>(&self, benchmark: impl AsyncFnOnce(PathBuf) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let temporary = tempfile::tempdir()?;
        let folder = self.keep.clone().unwrap_or_else(|| temporary.path().to_path_buf());
        fs::create_dir_all(&folder)?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(benchmark(folder))
    }

    /// The server to start.
    pub(crate) fn launch(&self) -> Launch {
        Launch { program: self.server.clone(), cache: self.cache.clone() }
    }

    /// The time of one turn.
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Whether to measure what has this name.
    pub(crate) fn is_wanted(&self, what: &str) -> bool {
        what.contains(&self.only)
    }
}
