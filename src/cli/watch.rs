//! `annals watch`: prints every commit as it is made, and stores its position in a file.
//!
//! Must not know how a watch is resumed after a lost connection.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::{
    access::{self, Access, StopSignals},
    arguments,
    output::{self, Outcome, Output},
    resume,
    speakers::Speakers,
    table,
};
use crate::{
    client::Client,
    formats::json,
    model::{RecordKind, kind_of},
    proto::{Change, Checkpoint, Commit, Transition, WatchRequest, WatchResponse, record::Record, watch_response::Content},
};

/// Longest time until a printed message is flushed, and between two writes of the position.
const FLUSH_DELAY: Duration = Duration::from_millis(100);

/// Follow the commits of the store: print every commit once, in order, as it is made.
///
/// The command begins with the next commit, unless --after or --initial-state is given. It runs until it is interrupted, and
/// reconnects after the server was unreachable. With --state it stores its position in a file, and the next run resumes there.
/// After a crash it may print some lines twice, but it misses none.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals watch\n  annals watch events claims --after 0 --json --state position.json\n  \
                        annals watch events --filter 'types:\"cameo:190\"' --initial-state\n  \
                        annals watch --after 120 --stop-at-head --json | jq .commit.changes")]
pub(super) struct Arguments {
    #[arg(value_parser = arguments::collection, value_name = "COLLECTION", help = arguments::collections_help())]
    collections: Vec<RecordKind>,
    /// Print the changes of one collection whose record matches this filter before or after the change.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// Begin after this revision. 0 begins with the first commit.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(0..), conflicts_with = "initial_state")]
    after: Option<i64>,
    /// Begin with all current records.
    #[arg(long)]
    initial_state: bool,
    /// Keep the position in this file, and resume from it. If it has a position, --after and --initial-state are ignored.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Print the messages in proto3 JSON, one annals.v1.WatchResponse per line, including heartbeats.
    #[arg(long)]
    json: bool,
    /// Stop after the current head revision.
    #[arg(long)]
    stop_at_head: bool,
    #[command(flatten)]
    access: Access,
}

/// The content of the state file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The store to which the revision belongs.
    store_id: String,
    /// Everything up to this revision was printed.
    revision: i64,
}

/// Prints commits until a signal, an error, or the head if `--stop-at-head` is given.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    arguments::check_filter("watch", &arguments.collections, &arguments.filter)?;
    access::block_on(async {
        let stop = StopSignals::listen()?;
        let mut options = access::options(&ProgressBar::hidden());
        if !arguments.stop_at_head {
            // A watch without end reconnects, however long the server is unavailable.
            options.outage_time_max = None;
        }
        let connection = arguments.access.connect_with(options).await?;
        let followed = follow(&connection.client, arguments, stop, out).await;
        connection.close().await?;
        followed
    })?;
    Ok(Outcome::Done)
}

async fn follow(client: &Client, arguments: &Arguments, mut stop: StopSignals, out: &mut Output) -> anyhow::Result<()> {
    let mut keeper = PositionKeeper::load(arguments)?;
    let request = WatchRequest {
        after_revision: keeper.kept.as_ref().map(|kept| kept.revision).or(arguments.after),
        types: arguments::types(&arguments.collections),
        filter: arguments.filter.clone(),
        initial_state: keeper.initial_state,
        heartbeat_interval: None,
        stop_at_head: arguments.stop_at_head,
    };
    let mut watch = tokio::select! {
        opened = client.watch(request) => opened?,
        () = stop.next() => return Ok(()),
    };
    let mut due = None;
    let ended = loop {
        tokio::select! {
            biased;
            () = stop.next() => break Ok(()),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                keeper.keep(out)?;
            }
            message = watch.message() => match message {
                Ok(Some(message)) => {
                    keeper.take(&message)?;
                    show(&message, arguments, out)?;
                    due.get_or_insert_with(|| Instant::now() + FLUSH_DELAY);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            },
        }
    };
    keeper.keep(out)?;
    ended
}

/// Stores the position in the state file. The position is never ahead of the flushed output.
struct PositionKeeper<'a> {
    file: Option<&'a Path>,
    /// The position in the file.
    kept: Option<Position>,
    /// The position that is written next.
    next: Option<Position>,
    store_id: String,
    /// Whether the initial state is not complete yet. There is no position until it is.
    initial_state: bool,
}

impl<'a> PositionKeeper<'a> {
    fn load(arguments: &'a Arguments) -> anyhow::Result<Self> {
        let file = arguments.state.as_deref();
        let kept = file.map(resume::load_state).transpose()?.flatten();
        let initial_state = arguments.initial_state && kept.is_none();
        Ok(Self { file, kept, next: None, store_id: String::new(), initial_state })
    }

    /// Records the position of a message.
    fn take(&mut self, message: &WatchResponse) -> anyhow::Result<()> {
        match &message.content {
            Some(Content::Checkpoint(Checkpoint { store_id, .. })) if self.store_id.is_empty() => {
                if let (Some(kept), Some(file)) = (&self.kept, self.file)
                    && kept.store_id != *store_id
                {
                    bail!(
                        "{} has a position in store {}, but this is store {store_id}, whose revisions are other commits: name another file",
                        file.display(),
                        kept.store_id
                    );
                }
                self.store_id.clone_from(store_id);
            }
            Some(Content::Checkpoint(checkpoint)) if checkpoint.initial_state_complete => self.initial_state = false,
            _ => {}
        }
        let position = Position { store_id: self.store_id.clone(), revision: message.revision };
        self.next = (!self.initial_state).then_some(position);
        Ok(())
    }

    /// Flushes the output, and then writes the position.
    fn keep(&mut self, out: &mut Output) -> anyhow::Result<()> {
        out.flush()?;
        if let (Some(file), Some(next)) = (self.file, self.next.take())
            && self.kept.as_ref() != Some(&next)
        {
            resume::store_state(file, &next)?;
            self.kept = Some(next);
        }
        Ok(())
    }
}

fn show(message: &WatchResponse, arguments: &Arguments, out: &mut Output) -> anyhow::Result<()> {
    if arguments.json {
        out.json_line(&json::to_value(message))?;
        return Ok(());
    }
    match &message.content {
        Some(Content::Commit(commit)) => {
            for change in &commit.changes {
                out.line(change_line(commit, change))?;
            }
        }
        Some(Content::Initial(batch)) => {
            for record in batch.records.iter().filter_map(|record| record.record.as_ref()) {
                out.line(format!("INITIAL  {}", record_line(record)))?;
            }
        }
        Some(Content::Checkpoint(checkpoint)) if checkpoint.opened && arguments.initial_state => {
            output::note("the initial state follows");
        }
        Some(Content::Checkpoint(checkpoint)) if checkpoint.initial_state_complete => {
            output::note(&format!("the initial state as of revision {} is complete; new commits follow", message.revision));
        }
        Some(Content::Checkpoint(_)) | None => {}
    }
    Ok(())
}

/// A change as one line: "7  2024-10-23T08:00:00Z  UPDATED  events/e1  A briefing  (title)".
fn change_line(commit: &Commit, change: &Change) -> String {
    let mut cells = vec![commit.revision.to_string(), table::time(commit.commit_time.as_ref()), table::change(change)];
    if change.transition() != Transition::Unspecified {
        cells.push(change.transition().as_str_name().trim_start_matches("TRANSITION_").to_owned());
    }
    match change.record.as_ref().and_then(|record| record.record.as_ref()) {
        Some(record) => cells.push(record_line(record)),
        None => cells.push(change.name.clone()),
    }
    if change.previous_revision > 0 && !change.changed_fields.is_empty() {
        cells.push(format!("({})", change.changed_fields.join(", ")));
    }
    cells.join("  ").replace('\n', " ")
}

/// The row of a record without its revision. Its speakers are shown by the names of their records: a watch reads nothing else.
fn record_line(record: &Record) -> String {
    let (_, row) = table::columns(kind_of(record));
    let mut cells = row(&json::record_value(record), &Speakers::default());
    cells.pop();
    cells.retain(|cell| !cell.is_empty());
    cells.join("  ")
}
