//! `annals export`: every record at one revision.
//!
//! Knows an export's messages and where its lines go. Must not know how an export is resumed on the wire.

use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Outcome,
    access::{self, Access},
    collection,
    output::{self, Output},
    partial::Partial,
    table,
    time::AsOf,
};
use crate::{
    client::{Client, ClientOptions},
    model::Kind,
    proto::{ExportRequest, ExportResponse},
};

/// Write every record to a file, or to standard output.
///
/// All are as of one revision, in proto3 JSON, one record a line, type after type. A FILE that ends in .gz or .zst is compressed. FILE
/// is there only when it is whole: until then it is FILE.part, and running the same again goes on where it stopped, at the
/// same revision. Deleted records and those merged into others are not exported.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals export -o record.ndjson.zst\n  annals export events claims --as-of 2024-10-23 -o october.ndjson.gz\n  \
                        annals export events --filter 'labels:\"x:1\"' | jq .title"
)]
pub(super) struct Arguments {
    /// sources, actors, events, claims, estimates, relations. Left out: all.
    #[arg(value_parser = collection::parse, value_name = "COLLECTION")]
    collections: Vec<Kind>,
    /// Which records, of one collection.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// As they were at a revision, or at a time: 12, 2024-10-23, 2024-10-23T08:00:00Z. Left out: as they are.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Where to. Left out: standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

/// How far an export has come.
#[derive(Debug, Default)]
struct Done {
    records: u64,
    revision: i64,
}

/// Writes them.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let (as_of_revision, as_of_time) = AsOf::fields(arguments.as_of);
    let request = ExportRequest {
        types: collection::types(&arguments.collections),
        filter: arguments.filter.clone(),
        as_of_revision,
        as_of_time,
        resume_token: String::new(),
    };
    // Lines on a terminal are progress enough.
    let progress = if arguments.output.is_none() && out.is_terminal() { ProgressBar::hidden() } else { bar() };
    let done = access::block_on(async {
        let options: ClientOptions = access::options(&progress);
        let connection = arguments.access.connect_with(options).await?;
        let done = match &arguments.output {
            None => to_standard_output(&connection.client, request, &progress, out).await,
            Some(file) => {
                let store_id = connection.client.info().await?.store_id;
                let partial = Partial::open(file, &request, &store_id)?;
                to_file(&connection.client, request, &progress, partial).await
            }
        };
        connection.close().await?;
        done
    })?;
    progress.finish_and_clear();
    let records = if done.records == 1 { "record" } else { "records" };
    output::note(&format!("{} {records} at revision {}", HumanCount(done.records), done.revision));
    Ok(Outcome::Done)
}

async fn to_standard_output(
    client: &Client,
    request: ExportRequest,
    progress: &ProgressBar,
    out: &mut Output,
) -> anyhow::Result<Done> {
    let mut done = Done::default();
    let mut export = client.export(request);
    while let Some(message) = export.message().await? {
        for line in lines(&message) {
            out.line(line)?;
        }
        done.count(&message, progress);
    }
    out.flush()?;
    Ok(done)
}

async fn to_file(
    client: &Client,
    mut request: ExportRequest,
    progress: &ProgressBar,
    mut partial: Partial,
) -> anyhow::Result<Done> {
    let (records, revision) = partial.done();
    let mut done = Done { records, revision };
    if records > 0 {
        progress.suspend(|| output::note(&format!("going on behind {} records", HumanCount(records))));
    }
    partial.resume_token().clone_into(&mut request.resume_token);
    let mut export = client.export(request);
    while let Some(message) = export.message().await? {
        partial.write(lines(&message), &message)?;
        done.count(&message, progress);
    }
    partial.finish()?;
    Ok(done)
}

impl Done {
    fn count(&mut self, message: &ExportResponse, progress: &ProgressBar) {
        self.records += message.records.len() as u64;
        self.revision = message.revision;
        progress.set_position(self.records);
    }
}

fn lines(message: &ExportResponse) -> impl Iterator<Item = String> {
    let records = message.records.iter().filter_map(|record| record.record.as_ref());
    records.map(|record| table::record_value(record).to_string())
}

/// How many records there are in the end is known to nobody: what is counted is what came.
fn bar() -> ProgressBar {
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} records  {per_sec}  {elapsed}") {
        progress.set_style(style);
    }
    progress
}
