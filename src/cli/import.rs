//! `annals import`: files of others into a record, many commits in flight.
//!
//! Knows formats by name, batches and outcomes. Must not know what a row of a format makes.

use std::{path::PathBuf, thread};

use anyhow::{Context, bail};
use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::{
    Outcome,
    access::{self, Access},
    input,
    output::{self, Output},
    sending::{Piece, Sending},
    tally::Tally,
};
use crate::{
    client::{Client, IngestOptions},
    formats::import::{
        BadRow,
        batch::Batches,
        bounds::Bounds,
        format::{FORMATS, Format, Input},
        known::Known,
    },
};

/// Commits without an answer: enough to keep a server's disk busy, few enough that what rows share is soon known to be there.
const IN_FLIGHT_MAX: usize = 16;

/// Commits that are made ready before they are asked for.
const AHEAD_MAX: usize = 4;

/// Bring in files of others: data sets, series, fact checks.
///
/// Each row becomes records under names that are made from the row's own ids, so that running it again with the same file changes
/// nothing, and with a newer one writes what differs. Files that end in .gz and .zst are decompressed. A row that is bad or refused is
/// reported with its number and the reason, and the rest goes on. docs/data-exchange.md has the tables of what goes where.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals import ucdp-ged GEDEvent_v23_1.csv\n  annals import gdelt-events 2024*.export.CSV.gz\n  \
                        unzip -p ged.zip | annals import ucdp-ged --data ./annals-data -\n  annals import acled --dry-run acled.csv\n  \
                        annals import series --mapping examples/mappings/flusight.toml forecasts.csv\n  annals import claimreview feed.json.gz"
)]
pub(super) struct Arguments {
    /// What the files are.
    #[arg(value_parser = PossibleValuesParser::new(FORMATS.iter().map(told)).try_map(|name| named(&name)))]
    format: &'static Format,
    /// The files; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is what in the files, for a format that says so: see docs/data-exchange.md.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// End at the first row that is bad or refused; nothing behind it is applied. Slower: commits are made one at a time.
    #[arg(long)]
    strict: bool,
    /// Check every row against the rules and the record, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Hold every row against the record again, also those that an earlier run has applied: after somebody changed what they made.
    #[arg(long, conflicts_with = "dry_run")]
    again: bool,
    #[command(flatten)]
    access: Access,
}

/// A format as people are told of it.
fn told(format: &Format) -> PossibleValue {
    PossibleValue::new(format.name).help(format.about)
}

fn named(name: &str) -> Result<&'static Format, String> {
    Format::named(name).ok_or_else(|| format!("there is no format {name}"))
}

/// Brings them in.
pub(super) fn run(arguments: &Arguments, _: &mut Output) -> anyhow::Result<Outcome> {
    let mapping = mapping(arguments)?;
    let files = input::open(&arguments.files)?;
    let progress = input::progress(&files);
    let names = files.iter().map(|file| file.name.clone()).collect();
    let tally = Tally::new(names, arguments.dry_run, progress.clone());
    let (tally, imported) = access::block_on(async {
        arguments.access.create()?;
        let connection = arguments.access.connect_with(access::options(&progress)).await?;
        let limits = connection.client.info().await?.limits.into_iter().collect();
        let pieces = read(arguments, files, mapping, Bounds::within(&limits), progress.clone());
        let sending = Sending::new(pieces, tally, arguments.dry_run, arguments.strict);
        let imported = import(&connection.client, &sending, arguments.strict).await;
        connection.close().await?;
        Ok((sending.into_tally(), imported))
    })?;
    progress.finish_and_clear();
    for line in tally.summary() {
        output::note(&line);
    }
    if imported.is_err() {
        output::note("stopped: run the same again, what was applied is not applied twice");
    }
    imported?;
    Ok(if tally.refused() == 0 { Outcome::Done } else { Outcome::Failed })
}

/// The text of the mapping, if the format needs one.
fn mapping(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    match &arguments.mapping {
        None if arguments.format.needs_mapping => bail!("{} needs --mapping FILE", arguments.format.name),
        Some(_) if !arguments.format.needs_mapping => bail!("{} takes no --mapping", arguments.format.name),
        None => Ok(None),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            text.map(Some).with_context(|| format!("cannot read {}", file.display()))
        }
    }
}

/// Reads files one after another, on a thread of its own. It ends with them, or when nobody takes the batches any more; one that waits for
/// standard input ends with the process.
fn read(
    arguments: &Arguments,
    files: Vec<input::Input>,
    mapping: Option<String>,
    bounds: Bounds,
    progress: ProgressBar,
) -> mpsc::Receiver<Piece> {
    let (to, pieces) = mpsc::channel(AHEAD_MAX);
    let format = arguments.format;
    // What has been sent is answered after so many commits more: those in flight, and those on the way there.
    let mut known = if arguments.dry_run { Known::never() } else { Known::after(IN_FLIGHT_MAX) };
    let salt = if arguments.again { ulid::Ulid::new().to_string() } else { String::new() };
    thread::spawn(move || {
        for (file, input) in files.iter().enumerate() {
            let send = |content| to.blocking_send(Piece { file, content }).is_ok();
            let rows = match input.read(&progress) {
                Ok(content) => (format.open)(Input { content, mapping: mapping.clone() }),
                Err(error) => Err(BadRow::whole(0, format!("cannot be read: {error}"))),
            };
            let taken = match rows {
                Ok(rows) => {
                    let origin = [format.name, &input.name, &salt].join(" ");
                    Batches::new(rows, bounds, origin, &mut known).all(send)
                }
                Err(bad) => send(Err(bad)),
            };
            if !taken {
                return;
            }
        }
    });
    pieces
}

/// Sends batch after batch, and notes what becomes of each.
async fn import(client: &Client, sending: &Sending, strict: bool) -> anyhow::Result<()> {
    // Nothing behind a row that is refused has been sent then.
    let in_flight_max = if strict { 1 } else { IN_FLIGHT_MAX };
    let options = IngestOptions { in_flight_max, ..IngestOptions::default() };
    let mut outcomes = client.ingest(sending.commits(), options);
    while let Some(ingested) = outcomes.message().await? {
        sending.answered(client, ingested).await?;
    }
    Ok(())
}
