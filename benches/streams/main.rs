//! Measures the streams: watches, an ingest and an export compared with unary calls. Prints the tables of
//! `docs/performance.md`.
//!
//! ```text
//! cargo bench --profile dist --bench streams -- --records 100000
//! cargo bench --profile dist --bench streams -- --only watch       # or ingest, or export
//! ```
//! The compared servers run in their own processes and take turns, round after round. Every figure is the median of the rounds,
//! and every ratio is the median of the rounds' ratios.

// Figures are rounded for display.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::{fs, path::PathBuf};

use clap::Parser;

use crate::{population::Population, server::Server, setup::Setup};

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
#[path = "../support/setup.rs"]
mod setup;

mod exporting;
mod ingesting;
mod watching;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events of the population that is exported and written to.
    #[arg(long, default_value_t = 100_000)]
    records: u64,
    /// Watchers beside one.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    watchers: Vec<usize>,
    /// Commits a second while there are watchers.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    #[command(flatten)]
    setup: Setup,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(server::ECHO) {
        return echo::serve();
    }
    let arguments = Arguments::parse();
    arguments.setup.run(async |folder| measure(&arguments, folder).await)
}

async fn measure(arguments: &Arguments, folder: PathBuf) -> anyhow::Result<()> {
    let (setup, launch) = (&arguments.setup, arguments.setup.launch());
    let population = Population::prepare(&folder.join(arguments.records.to_string()), arguments.records, &launch).await?;
    if setup.is_wanted("export") {
        let echo = Server::echo()?;
        let server = Server::annals(&population.folder, &launch).await?;
        print!("{}", exporting::measure(&server, &echo, setup.rounds).await?);
        server.stop().await?;
    }
    let copy = folder.join("copy");
    population.copy(&copy)?;
    let server = Server::annals(&copy, &launch).await?;
    if setup.is_wanted("watch") {
        print!("{}", watching::measure(&server, &arguments.watchers, arguments.rate, setup.turn(), setup.rounds).await?);
    }
    if setup.is_wanted("ingest") {
        print!("{}", ingesting::measure(&server, arguments.records, setup.turn(), setup.rounds).await?);
    }
    server.stop().await?;
    fs::remove_dir_all(&copy)?;
    Ok(())
}
