//! Compares Annals with a gRPC server that does no work, and prints the tables of `docs/performance.md`.
//!
//! ```text
//! cargo bench --profile dist --bench table -- --records 10000,100000
//! ```
//! The server and the echo server run in their own processes and take turns, round after round, so that other load on the
//! machine affects both. Every figure is the median of the rounds, and every ratio is the median of the rounds' ratios.

// Figures are rounded for display. Counts of records and requests fit on any machine that could store them.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use std::{fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use clap::Parser;

use crate::{
    load::{Call, Measured},
    population::Population,
    report::{Report, Row, Turn},
    server::{Launch, Server},
    setup::Setup,
};

#[path = "../support/calls.rs"]
mod calls;
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

mod outage;
mod report;

/// Numbers of streams of one-record commits.
const COMMIT_STREAMS: [usize; 4] = [1, 16, 64, 256];
/// Numbers of streams of Gets.
const GET_STREAMS: [usize; 2] = [1, 64];
/// Number of streams of lists and of bulk commits.
const BULK_STREAMS: usize = 16;
/// Number of events of a bulk commit.
const BULK_EVENTS: u64 = 100;
/// A population up to this size is restored before each round of writes. A larger one grows only slightly.
const RESTORED_EVENTS_MAX: u64 = 100_000;

/// What to measure.
#[derive(Debug, Parser)]
struct Arguments {
    /// Populations, in events.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    records: Vec<u64>,
    #[command(flatten)]
    setup: Setup,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(server::ECHO) {
        return echo::serve();
    }
    let arguments = Arguments::parse();
    let report = arguments.setup.run(async |folder| {
        let mut bench = Bench::prepare(&arguments, folder).await?;
        bench.read().await?;
        bench.write().await?;
        Ok(bench.report)
    })?;
    print!("{report}");
    Ok(())
}

struct Bench<'a> {
    arguments: &'a Arguments,
    launch: Launch,
    folder: PathBuf,
    echo: Server,
    populations: Vec<Population>,
    report: Report,
}

impl<'a> Bench<'a> {
    async fn prepare(arguments: &'a Arguments, folder: PathBuf) -> anyhow::Result<Self> {
        let launch = arguments.setup.launch();
        let mut report = Report::default();
        let mut populations = Vec::new();
        for events in &arguments.records {
            let population = Population::prepare(&folder.join(events.to_string()), *events, &launch).await?;
            report.folder(*events).usage = Some(population::usage(&population.folder)?);
            populations.push(population);
        }
        Ok(Self { arguments, launch, folder, echo: Server::echo()?, populations, report })
    }

    /// Measures Gets and lists, with all populations in turn.
    async fn read(&mut self) -> anyhow::Result<()> {
        let mut servers = Vec::new();
        for population in &self.populations {
            servers.push(Server::annals(&population.folder, &self.launch).await?);
        }
        for round in 0..self.arguments.setup.rounds {
            eprintln!("reading, round {}", round + 1);
            let gets = GET_STREAMS.map(|streams| ("GetEvent", streams));
            for (what, streams) in gets.into_iter().chain([LIST]) {
                if !self.is_wanted(&format!("{what}, {streams} streams")) {
                    continue;
                }
                let echo = self.call(&self.echo, &echo_call(), streams).await?;
                self.report.rows.add(Row { events: 0, what: "echo", streams, records: 1 }, Turn { own: echo, echo });
                for (population, server) in self.populations.iter().zip(&servers) {
                    let call = if what == "GetEvent" { calls::get(population) } else { calls::list(population.events) };
                    let own = self.call(server, &call, streams).await?;
                    let row = Row { events: population.events, what, streams, records: 1 };
                    self.report.rows.add(row, Turn { own, echo });
                }
            }
        }
        for (population, server) in self.populations.iter().zip(servers) {
            self.report.folder(population.events).reading_bytes = server.resident_peak()?;
            server.stop().await?;
        }
        Ok(())
    }

    /// Measures commits, then outages, one population after another.
    async fn write(&mut self) -> anyhow::Result<()> {
        let copy = self.folder.join("copy");
        for population in &self.populations {
            let events = population.events;
            population.copy(&copy)?;
            let mut server = Server::annals(&copy, &self.launch).await?;
            for round in 0..self.arguments.setup.rounds {
                eprintln!("writing at {events} events, round {}", round + 1);
                if round > 0 && events <= RESTORED_EVENTS_MAX {
                    server.stop().await?;
                    population.copy(&copy)?;
                    server = Server::annals(&copy, &self.launch).await?;
                }
                let ones = COMMIT_STREAMS.map(|streams| ("Commit of 1", streams, 1));
                let all = ones.into_iter().chain([("bulk commit of 100", BULK_STREAMS, BULK_EVENTS)]);
                for (what, streams, records) in all {
                    if !self.is_wanted(&format!("{what}, {streams} streams")) {
                        continue;
                    }
                    let echo = self.call(&self.echo, &echo_call(), streams).await?;
                    let own = self.call(&server, &calls::commit(events, records), streams).await?;
                    self.report.rows.add(Row { events, what, streams, records }, Turn { own, echo });
                }
            }
            self.report.folder(events).writing_bytes = server.resident_peak()?;
            if !self.is_wanted("restart") {
                server.stop().await?;
                continue;
            }
            eprintln!("restarting at {events} events");
            server.kill()?;
            let (server, kill) = outage::time_to_answer(&copy, &self.launch).await?;
            server.kill()?;
            outage::cut_power(&copy)?;
            let (server, power_cut) = outage::time_to_answer(&copy, &self.launch).await?;
            let folder = self.report.folder(events);
            (folder.after_kill, folder.after_power_cut) = (kill, power_cut);
            folder.rebuilding_bytes = server.resident_peak()?;
            server.stop().await?;
            folder.usage_written = Some(population::usage(&copy)?);
            fs::remove_dir_all(&copy)?;
        }
        Ok(())
    }

    fn is_wanted(&self, what: &str) -> bool {
        self.arguments.setup.is_wanted(what)
    }

    async fn call(&self, server: &Server, call: &Call, streams: usize) -> anyhow::Result<Measured> {
        load::run(server, call, streams, self.arguments.setup.turn()).await
    }
}

/// The name of the lists in the table, and their number of streams.
const LIST: (&str, usize) = ("ListEvents of 50", BULK_STREAMS);

fn echo_call() -> Call {
    Call { method: echo::METHOD, request: Arc::new(|_| Bytes::new()) }
}
