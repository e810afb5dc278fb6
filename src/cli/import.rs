//! `annals import`: imports files of external formats, with many commits in flight.
//!
//! Must not know which records a row of a format makes.

use std::{path::PathBuf, thread};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::{
    access::{self, Access},
    arguments::FormatArgument,
    input,
    output::{self, Outcome, Output},
    report::RowReport,
    sending::{FileBatch, Sending},
};
use crate::{
    client::{Client, IngestOptions},
    formats::{
        FormatImporter, ImportInput,
        import::{
            ImportRowError,
            batch::{ImportBatchLimits, ImportBatches, SentRecords},
        },
    },
};

/// Commits in flight: enough to keep a server's disk busy, and few enough that a shared record is soon known to exist.
const IN_FLIGHT_MAX: usize = 16;

/// Number of batches that are prepared in advance.
const AHEAD_MAX: usize = 4;

/// Import files of external formats: data sets, series, fact checks.
///
/// Each row becomes records. Their names are made from the ids in the row: importing the same file again changes nothing, and
/// importing a newer file writes the differences. Transient errors are retried. A row that is invalid or refused is reported
/// with its number and the reason; the other rows are imported. Files that end in .gz or .zst are decompressed. docs/formats
/// has a page for each format.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals import ucdp-ged GEDEvent_v23_1.csv\n  annals import gdelt-events 2024*.export.CSV.gz\n  \
                        unzip -p ged.zip | annals import ucdp-ged --data ./annals-data -\n  annals import acled --dry-run acled.csv\n  \
                        annals import series --mapping examples/mappings/flusight.toml forecasts.csv\n  annals import claimreview feed.json.gz"
)]
pub(super) struct Arguments {
    /// The format of the files.
    #[arg(value_parser = FormatArgument::parser(|format| format.importer.as_ref()))]
    format: FormatArgument<FormatImporter>,
    /// The files to import. - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The mapping of columns to fields, for a format that needs one: see docs/formats/series.md.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Stop at the first row that is invalid or refused, and import nothing after it. This is slower: commits are applied one
    /// at a time.
    #[arg(long)]
    strict: bool,
    /// Check every row against the rules and the records in the store, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Compare every row with the records in the store again, even if an earlier run applied it. Use this after imported
    /// records were changed.
    #[arg(long, conflicts_with = "dry_run")]
    again: bool,
    #[command(flatten)]
    access: Access,
}

/// Imports all files, and prints a summary. `Failed` if a row was refused.
pub(super) fn run(arguments: &Arguments, _: &mut Output) -> anyhow::Result<Outcome> {
    let mapping = mapping(arguments)?;
    let files = input::open(&arguments.files)?;
    let progress = input::progress(&files);
    let names = files.iter().map(|file| file.name.clone()).collect();
    let report = RowReport::new(names, arguments.dry_run, progress.clone());
    let (report, imported) = access::block_on(async {
        arguments.access.create()?;
        let connection = arguments.access.connect_with(access::options(&progress)).await?;
        let limits = connection.client.info().await?.limits.into_iter().collect();
        let batches = read(arguments, files, mapping, ImportBatchLimits::within(&limits), progress.clone());
        let sending = Sending::new(batches, report, arguments.dry_run, arguments.strict);
        let imported = import(&connection.client, &sending, arguments.strict).await;
        connection.close().await?;
        Ok((sending.into_report(), imported))
    })?;
    progress.finish_and_clear();
    for line in report.summary() {
        output::note(&line);
    }
    if imported.is_err() {
        output::note("stopped: run the same command again to resume; nothing is applied twice");
    }
    imported?;
    Ok(if report.refused() == 0 { Outcome::Done } else { Outcome::Failed })
}

/// The text of the mapping file, if the format needs one.
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

/// Reads files in order, on its own thread. The thread ends after the last batch, or when the receiver is dropped. A thread
/// that waits for standard input ends with the process.
fn read(
    arguments: &Arguments,
    files: Vec<input::InputFile>,
    mapping: Option<String>,
    bounds: ImportBatchLimits,
    progress: ProgressBar,
) -> mpsc::Receiver<FileBatch> {
    let (to, batches) = mpsc::channel(AHEAD_MAX);
    let format = arguments.format;
    // A shared record is known to exist after this many further commits: the commit that creates it is then answered.
    let mut known = if arguments.dry_run { SentRecords::never() } else { SentRecords::after(IN_FLIGHT_MAX) };
    let salt = if arguments.again { ulid::Ulid::new().to_string() } else { String::new() };
    thread::spawn(move || {
        for (file, input) in files.iter().enumerate() {
            let send = |content| to.blocking_send(FileBatch { file, content }).is_ok();
            let rows = match input.read(&progress) {
                Ok(content) => (format.open)(ImportInput { content, mapping: mapping.clone() }),
                Err(error) => Err(ImportRowError::whole(0, format!("cannot be read: {error}"))),
            };
            let taken = match rows {
                Ok(rows) => {
                    let origin = [format.name, &input.name, &salt].join(" ");
                    ImportBatches::new(rows, bounds, origin, &mut known).all(send)
                }
                Err(bad) => send(Err(bad)),
            };
            if !taken {
                return;
            }
        }
    });
    batches
}

/// Sends the batches in order, and reports the outcome of each.
async fn import(client: &Client, sending: &Sending, strict: bool) -> anyhow::Result<()> {
    // With one commit in flight, nothing after a refused row is sent.
    let in_flight_max = if strict { 1 } else { IN_FLIGHT_MAX };
    let options = IngestOptions { in_flight_max, ..IngestOptions::default() };
    let mut outcomes = client.ingest(sending.commits(), options);
    while let Some(ingested) = outcomes.message().await? {
        sending.answered(client, ingested).await?;
    }
    Ok(())
}
