//! Compares builds of Annals with each other, side by side.
//!
//! ```text
//! cargo bench --profile dist --bench builds -- --server OLD --beside NEW
//! ```
//! All servers run at the same time, each on its own copy of the same data. They take short turns, and each round begins with
//! another server, so that neither their order nor other load on the machine favours one. Every ratio is the median of the
//! rounds' ratios to the first server. To see what the machine's noise is, name the same program twice.

// Figures are rounded for display. Counts of records fit on any machine that could store them.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::{fs, path::PathBuf};

use clap::Parser;

use crate::{
    load::{Call, Measured},
    median::median,
    population::Population,
    server::{Launch, Server},
    setup::Setup,
};

#[path = "../support/calls.rs"]
mod calls;
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

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// The number of events.
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// A server to compare with the first. Can be given several times.
    #[arg(long, required = true)]
    beside: Vec<PathBuf>,
    #[command(flatten)]
    setup: Setup,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    arguments.setup.run(async |folder| compare(&arguments, folder).await)
}

async fn compare(arguments: &Arguments, folder: PathBuf) -> anyhow::Result<()> {
    let setup = &arguments.setup;
    let first = setup.launch();
    let population = Population::prepare(&folder.join(arguments.records.to_string()), arguments.records, &first).await?;
    let beside = arguments.beside.iter().map(|program| Launch { program: program.clone(), ..first.clone() });
    let launches: Vec<Launch> = std::iter::once(first.clone()).chain(beside).collect();
    let copy = |number: usize| folder.join(format!("copy-{number}"));
    let mut servers = Vec::new();
    for (number, launch) in launches.iter().enumerate() {
        population.copy(&copy(number))?;
        servers.push(Server::annals(&copy(number), launch).await?);
    }

    println!("| call | streams | server | calls/s | ratio | server CPU us | ratio |");
    println!("|--|--:|--|--:|--:|--:|--:|");
    for (what, streams, call) in calls(&population) {
        if !setup.is_wanted(&format!("{what}, {streams} streams")) {
            continue;
        }
        let turns = measure(setup, &servers, &call, streams).await?;
        for (number, launch) in launches.iter().enumerate() {
            // The median of a figure, and of its ratio to the first server's.
            let medians = |figure: fn(&Measured) -> f64| {
                let own = median(turns.iter().map(|turn| figure(&turn[number]))).unwrap_or_default();
                let ratio = median(turns.iter().map(|turn| figure(&turn[number]) / figure(&turn[0]))).unwrap_or_default();
                (own, ratio)
            };
            let ((rate, rate_ratio), (cpu, cpu_ratio)) = (medians(|turn| turn.rate), medians(|turn| turn.cpu_us));
            let program = launch.program.display();
            println!("| {what} | {streams} | {program} | {rate:.0} | {rate_ratio:.3} | {cpu:.1} | {cpu_ratio:.3} |");
        }
    }
    for (number, server) in servers.into_iter().enumerate() {
        server.stop().await?;
        fs::remove_dir_all(copy(number))?;
    }
    Ok(())
}

/// The measured calls: their names, numbers of streams, and requests.
fn calls(population: &Population) -> [(&'static str, usize, Call); 3] {
    [
        ("GetEvent", 64, calls::get(population)),
        ("ListEvents of 50", 16, calls::list(population.events)),
        ("Commit of 1", 64, calls::commit(population.events, 1)),
    ]
}

/// One figure for each server in each round.
async fn measure(setup: &Setup, servers: &[Server], call: &Call, streams: usize) -> anyhow::Result<Vec<Vec<Measured>>> {
    let mut turns = Vec::new();
    for round in 0..setup.rounds {
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.rotate_left(round % servers.len());
        let mut turn = Vec::new();
        for number in order {
            turn.push((number, load::run(&servers[number], call, streams, setup.turn()).await?));
        }
        turn.sort_by_key(|(number, _)| *number);
        turns.push(turn.into_iter().map(|(_, measured)| measured).collect());
    }
    Ok(turns)
}
