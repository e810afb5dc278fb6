//! Measures the streams: watches, an ingest and an export beside unary calls, and prints the tables of `docs/performance.md`.
//!
//! ```text
//! cargo bench --bench streams -- --records 100000
//! ```
//! What is compared takes turns, round after round, on servers in processes of their own; every figure is the median of the
//! rounds, every ratio the median of the rounds' own ratios.

// Figures are rounded for people.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;

use crate::{
    population::Population,
    server::{Launch, Server},
};

#[path = "../support/echo.rs"]
mod echo;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/median.rs"]
mod median;
#[path = "../support/population.rs"]
mod population;
#[path = "../support/raw.rs"]
mod raw;
#[path = "../support/records.rs"]
mod records;
#[path = "../support/server.rs"]
mod server;

mod exporting;
mod ingesting;
mod watching;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of the population that is exported and written to.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Turns that each measurement takes.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one turn.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Watchers beside one.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    watchers: Vec<usize>,
    /// Commits a second while there are watchers.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Memory of the server for cached pages.
    #[arg(long, default_value = "256MiB")]
    cache: String,
    /// The server to measure, such as one that was built before a change.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_annals"))]
    server: PathBuf,
    /// Measure only what has this in its name: `watch`, `ingest`, `export`.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the data folders are kept for the next run. Without it they are made in a temporary folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(server::ECHO) {
        return echo::serve();
    }
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    fs::create_dir_all(&folder)?;
    // One thread: the client takes no more than one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments, folder))
}

async fn measure(arguments: &Arguments, folder: PathBuf) -> anyhow::Result<()> {
    let launch = Launch { program: arguments.server.clone(), cache: arguments.cache.clone() };
    let population = Population::prepare(&folder.join(arguments.records.to_string()), arguments.records, &launch).await?;
    let turn = Duration::from_secs_f64(arguments.seconds);
    let (rounds, is_wanted) = (arguments.rounds, |what: &str| what.contains(&arguments.only));
    if is_wanted("export") {
        let echo = Server::echo()?;
        let server = Server::annals(&population.folder, &launch).await?;
        print!("{}", exporting::measure(&server, &echo, rounds).await?);
        server.stop().await?;
    }
    let copy = folder.join("copy");
    population.copy(&copy)?;
    let server = Server::annals(&copy, &launch).await?;
    if is_wanted("watch") {
        print!("{}", watching::measure(&server, &arguments.watchers, arguments.rate, turn, rounds).await?);
    }
    if is_wanted("ingest") {
        print!("{}", ingesting::measure(&server, arguments.records, turn, rounds).await?);
    }
    server.stop().await?;
    fs::remove_dir_all(&copy)?;
    Ok(())
}
