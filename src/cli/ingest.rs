//! `annals ingest`: files of many commits into a record, many in flight.
//!
//! Knows lines and outcomes. Must not know how a commit is sent, or sent again.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use clap::Args;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};

use super::{
    Outcome,
    access::{self, Access},
    input,
    lines::{self, Content, Line, Place},
    output::{self, Output},
    report::Report,
};
use crate::{
    client::{Client, IngestOptions},
    proto::CommitRequest,
};

/// Apply many commits from files, fast.
///
/// A file holds one annals.v1.CommitRequest in proto3 JSON a line; files that end in .gz and .zst are decompressed. Commits are applied
/// in order, each whole or not at all, with hundreds in flight. A line that is no commit, and a commit that is refused, is
/// reported with its file and line, and the rest goes on.
///
/// It is safe to run it again, from the start or from any line. A commit whose request_id was applied before is answered as it was then. A
/// line without a request_id gets one that is made from what it says, whatever file it stands in: so a file can be mended, split
/// and sent again, and a line that stands twice is applied once. Give such lines a request_id each if both are meant.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(
    after_help = "Examples:\n  annals ingest articles.ndjson.zst\n  annals ingest --server http://10.0.0.5:50051 *.ndjson.gz\n  \
                        generate-commits | annals ingest -\n  annals ingest --stop-on-error --data ./annals-data steps.ndjson"
)]
pub(super) struct Arguments {
    /// Files of commits; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// End at the first line that fails; nothing behind it is applied. Slower: commits are applied one at a time.
    #[arg(long)]
    stop_on_error: bool,
    #[command(flatten)]
    access: Access,
}

/// Applies them.
pub(super) fn run(arguments: &Arguments, _: &mut Output) -> anyhow::Result<Outcome> {
    let files = input::open(&arguments.files)?;
    let progress = input::progress(&files);
    let names = files.iter().map(|file| file.name.clone()).collect();
    let report = Arc::new(Mutex::new(Report::new(names, progress.clone())));
    let ingested = access::block_on(async {
        arguments.access.create()?;
        let connection = arguments.access.connect_with(access::options(&progress)).await?;
        let lines = lines::read(files, progress.clone());
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
        output::note(&report.resume_hint());
    }
    ingested?;
    Ok(if report.refused() == 0 { Outcome::Done } else { Outcome::Failed })
}

/// Applies line after line, and notes what becomes of each.
async fn ingest(
    client: &Client,
    lines: mpsc::Receiver<Line>,
    stop_on_error: bool,
    report: &Arc<Mutex<Report>>,
) -> anyhow::Result<()> {
    let head = client.info().await?.head_revision;
    // As many as are in flight.
    let (to, mut places) = mpsc::unbounded_channel();
    let commits = commits(lines, stop_on_error, Arc::clone(report), to);
    let mut options = IngestOptions { stop_on_error, ..IngestOptions::default() };
    if stop_on_error {
        // A line behind the first that fails is not even looked at.
        options.in_flight_max = 1;
    }
    let mut outcomes = client.ingest(commits, options);
    while let Some(ingested) = outcomes.message().await? {
        let (place, made) = places.try_recv().context("an outcome without a line")?;
        // Its own sending may have been the first, or another line of this run that says the same.
        let repeats = made && !ingested.resent;
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match &ingested.outcome {
            Ok(response) => report.applied(place, response.replayed, repeats && response.revision > head),
            Err(error) => report.refuse_answer(place, error),
        }
    }
    Ok(())
}

/// The commits among the lines; their places go to `places`, what is none to the report.
fn commits(
    lines: mpsc::Receiver<Line>,
    stop_on_error: bool,
    report: Arc<Mutex<Report>>,
    places: mpsc::UnboundedSender<(Place, bool)>,
) -> impl Stream<Item = CommitRequest> + Send + 'static {
    let read = ReceiverStream::new(lines).map(move |Line { place, content }| {
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match content {
            Content::Commit(commit, made) => {
                // Whoever reads the outcomes holds the other end.
                return places.send((place, made)).ok().map(|()| commit);
            }
            Content::Broken(why) => report.refuse(place, "not a commit", &why),
            Content::Unreadable(error) => report.refuse(place, "cannot be read", &error.to_string()),
        }
        None
    });
    read.take_while(move |commit| commit.is_some() || !stop_on_error).filter_map(|commit| commit)
}
