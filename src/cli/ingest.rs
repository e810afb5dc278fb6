//! `annals ingest`: applies the commits of files, with many in flight.
//!
//! Must not know how a commit is sent or retried.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use clap::Args;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};

use super::{
    access::{self, Access},
    input::{self, Content, Line, Location},
    output::{self, Outcome, Output},
    report::LineReport,
};
use crate::{
    client::{Client, IngestOptions},
    proto::CommitRequest,
};

/// Apply many commits from files, fast.
///
/// A file contains one annals.v1.CommitRequest in proto3 JSON per line. Files that end in .gz or .zst are decompressed. The
/// commits are applied in order, each completely or not at all, with hundreds in flight. Transient errors are retried. A line
/// that is not a commit, and a commit that is refused, are reported with file and line; the other lines are applied.
///
/// It is safe to run the command again, from the start or from any line. A commit whose request_id was applied before gets the
/// same answer. A line without a request_id gets one that is made from its content, not from its file. So a file can be
/// corrected, split and sent again, and a line that repeats an earlier line has no effect. If both are meant, give each line a
/// request_id.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals ingest articles.ndjson.zst\n  annals ingest --server http://10.0.0.5:50051 *.ndjson.gz\n  \
                        generate-commits | annals ingest -\n  annals ingest --stop-on-error --data ./annals-data steps.ndjson"
)]
pub(super) struct Arguments {
    /// The files of commits. - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Stop at the first line that fails, and apply nothing after it. This is slower: commits are applied one at a time.
    #[arg(long)]
    stop_on_error: bool,
    #[command(flatten)]
    access: Access,
}

/// Applies the commits of all files, and prints a summary. `Failed` if a line was refused.
pub(super) fn run(arguments: &Arguments, _: &mut Output) -> anyhow::Result<Outcome> {
    let files = input::open(&arguments.files)?;
    let progress = input::progress(&files);
    let names = files.iter().map(|file| file.name.clone()).collect();
    let report = Arc::new(Mutex::new(LineReport::new(names, progress.clone())));
    let ingested = access::block_on(async {
        arguments.access.create()?;
        let connection = arguments.access.connect_with(access::options(&progress)).await?;
        let lines = input::read_commits(files, progress.clone());
        let ingested = ingest(&connection.client, lines, arguments.stop_on_error, &report).await;
        connection.close().await?;
        Ok(ingested)
    })?;
    progress.finish_and_clear();
    let report = report.lock().unwrap_or_else(PoisonError::into_inner);
    for line in report.summary() {
        output::note(&line);
    }
    if ingested.is_err() {
        output::note(&report.interrupted());
    }
    ingested?;
    Ok(if report.refused() == 0 { Outcome::Done } else { Outcome::Failed })
}

/// Applies the lines in order, and reports the outcome of each.
async fn ingest(
    client: &Client,
    lines: mpsc::Receiver<Line>,
    stop_on_error: bool,
    report: &Arc<Mutex<LineReport>>,
) -> anyhow::Result<()> {
    let head = client.info().await?.head_revision;
    // Contains one location for each commit in flight.
    let (to, mut locations) = mpsc::unbounded_channel();
    let commits = commits(lines, stop_on_error, Arc::clone(report), to);
    let mut options = IngestOptions { stop_on_error, ..IngestOptions::default() };
    if stop_on_error {
        // No line is read after the first failure.
        options.in_flight_max = 1;
    }
    let mut outcomes = client.ingest(commits, options);
    while let Some(ingested) = outcomes.message().await? {
        let (location, id_from_content) = locations.try_recv().context("an outcome without a line")?;
        // If this line was sent twice, its first attempt may have been applied. Otherwise another line with the same content
        // was.
        let repeats = id_from_content && !ingested.resent;
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match &ingested.outcome {
            Ok(response) => report.applied(location, response.replayed, repeats && response.revision > head),
            Err(error) => report.refuse_answer(location, error),
        }
    }
    Ok(())
}

/// The commits of the lines. Their locations go to `locations`. Other lines are reported as refused.
fn commits(
    lines: mpsc::Receiver<Line>,
    stop_on_error: bool,
    report: Arc<Mutex<LineReport>>,
    locations: mpsc::UnboundedSender<(Location, bool)>,
) -> impl Stream<Item = CommitRequest> + Send + 'static {
    let read = ReceiverStream::new(lines).map(move |Line { location, content }| {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match content {
            Content::Commit { commit, id_from_content } => {
                // The receiver is dropped only when the outcomes are no longer read.
                return locations.send((location, id_from_content)).ok().map(|()| commit);
            }
            Content::Broken(why) => report.refuse(location, "not a commit", &why),
            Content::Unreadable(error) => report.refuse(location, "cannot be read", &error.to_string()),
        }
        None
    });
    read.take_while(move |commit| commit.is_some() || !stop_on_error).filter_map(|commit| commit)
}
