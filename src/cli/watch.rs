//! `annals watch`: every commit, as it is made.
//!
//! Knows what a watch's messages say, and when a position may be kept. Must not know how a watch is resumed.

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
    Outcome,
    access::{self, Access},
    collection,
    output::{self, Output},
    position,
    signal::StopSignals,
    table, time,
};
use crate::{
    client::Client,
    formats::json,
    model::{RecordKind, kind_of},
    proto::{Change, Checkpoint, Commit, Transition, WatchRequest, WatchResponse, record::Record, watch_response::Content},
};

/// Longest time between a message and its being handed over, and between two writes of the position.
const FLUSH_DELAY: Duration = Duration::from_millis(100);

/// Follow the record: every commit, in order, once each, as it is made.
///
/// Begins now, or where --after or --initial-state say, and goes on until it is interrupted, also when the server is away for a
/// while. With --state the position is kept in a file, and the next run goes on there: after a crash some lines may come
/// twice, and none is missed.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals watch\n  annals watch events claims --after 0 --json --state position.json\n  \
                        annals watch events --filter 'types:\"cameo:190\"' --initial-state\n  \
                        annals watch --after 120 --stop-at-head --json | jq .commit.changes")]
pub(super) struct Arguments {
    /// sources, actors, events, claims, estimates, relations. Left out: all.
    #[arg(value_parser = collection::parse, value_name = "COLLECTION")]
    collections: Vec<RecordKind>,
    /// Which records, of one collection: also those that matched before a change and do not after it.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// Begin behind a revision; 0 is the beginning.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(0..), conflicts_with = "initial_state")]
    after: Option<i64>,
    /// Begin with every record that there is.
    #[arg(long)]
    initial_state: bool,
    /// Go on from the position in this file, and keep it there. Where it holds one, --after and --initial-state do not count.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Print proto3 JSON, one annals.v1.WatchResponse a line, signs of life included.
    #[arg(long)]
    json: bool,
    /// End when everything that there is now was shown.
    #[arg(long)]
    stop_at_head: bool,
    #[command(flatten)]
    access: Access,
}

/// What the state file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// Whose revisions these are.
    store_id: String,
    /// Everything up to here was shown.
    revision: i64,
}

/// Follows it.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    access::block_on(async {
        let stop = StopSignals::listen()?;
        let mut options = access::options(&ProgressBar::hidden());
        if !arguments.stop_at_head {
            // Whoever follows wants to go on when the server is back.
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
    let mut keeper = Keeper::load(arguments)?;
    let request = WatchRequest {
        after_revision: keeper.kept.as_ref().map(|kept| kept.revision).or(arguments.after),
        types: collection::types(&arguments.collections),
        filter: arguments.filter.clone(),
        initial_state: keeper.begins,
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

/// Keeps the position, never ahead of what was handed over.
struct Keeper<'a> {
    file: Option<&'a Path>,
    /// What the file holds.
    kept: Option<Position>,
    /// What it is to hold next.
    next: Option<Position>,
    store_id: String,
    /// The initial state is coming: until it is complete there is no position.
    begins: bool,
}

impl<'a> Keeper<'a> {
    fn load(arguments: &'a Arguments) -> anyhow::Result<Self> {
        let file = arguments.state.as_deref();
        let kept = file.map(position::load).transpose()?.flatten();
        let begins = arguments.initial_state && kept.is_none();
        Ok(Self { file, kept, next: None, store_id: String::new(), begins })
    }

    /// Notes how far the watch has come.
    fn take(&mut self, message: &WatchResponse) -> anyhow::Result<()> {
        match &message.content {
            Some(Content::Checkpoint(Checkpoint { store_id, .. })) if self.store_id.is_empty() => {
                if let (Some(kept), Some(file)) = (&self.kept, self.file)
                    && kept.store_id != *store_id
                {
                    bail!(
                        "{} holds a position in store {}, and this is store {store_id}: its revisions mean other commits; name \
                         another file",
                        file.display(),
                        kept.store_id
                    );
                }
                self.store_id.clone_from(store_id);
            }
            Some(Content::Checkpoint(checkpoint)) if checkpoint.initial_state_complete => self.begins = false,
            _ => {}
        }
        let position = Position { store_id: self.store_id.clone(), revision: message.revision };
        self.next = (!self.begins).then_some(position);
        Ok(())
    }

    /// Hands over what was shown, and then keeps the position.
    fn keep(&mut self, out: &mut Output) -> anyhow::Result<()> {
        out.flush()?;
        if let (Some(file), Some(next)) = (self.file, self.next.take())
            && self.kept.as_ref() != Some(&next)
        {
            position::store(file, &next)?;
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
                out.line(format!("as it is  {}", record_line(record)))?;
            }
        }
        Some(Content::Checkpoint(checkpoint)) if checkpoint.opened && arguments.initial_state => {
            output::note("every record that there is follows");
        }
        Some(Content::Checkpoint(checkpoint)) if checkpoint.initial_state_complete => {
            output::note(&format!("these are all as of revision {}, changes follow", message.revision));
        }
        Some(Content::Checkpoint(_)) | None => {}
    }
    Ok(())
}

/// "7  2024-10-23T08:00:00Z  UPDATED  events/e1  A briefing  (title)".
fn change_line(commit: &Commit, change: &Change) -> String {
    let mut cells = vec![commit.revision.to_string(), time::text(commit.commit_time.as_ref()), table::change(change)];
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

/// A record's row without its revision.
fn record_line(record: &Record) -> String {
    let (_, row) = table::columns(kind_of(record));
    let mut cells = row(&json::record_value(record));
    cells.pop();
    cells.retain(|cell| !cell.is_empty());
    cells.join("  ")
}
