//! `annals watch`: every commit as it is made.
//!
//! Knows what a watch sends and when a position may be kept. Must not know how a watch is resumed within one run.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout_at},
};

use super::{
    Outcome,
    access::{self, Access},
    collection,
    output::{self, Output},
    position::Position,
    table, time,
};
use crate::{
    client::{self, Client, ClientOptions, Messages},
    exchange::json,
    model::Kind,
    proto::{Commit, WatchRequest, WatchResponse, watch_response::Content},
};

/// Longest time that what came in is held back, to print and to keep the position of many commits at once.
const HELD_TIME_MAX: Duration = Duration::from_millis(100);

/// Follow the record: print every commit as it is made.
///
/// It begins with what is committed from now on, unless told otherwise, and goes on until it is interrupted. When the server is
/// away it waits for it, and misses nothing. With --state it keeps its position in a file, and goes on there when it is started
/// again: no commit is missed. The last ones may be printed again if it was killed; after SIGINT or SIGTERM none is.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals watch\n  annals watch claims estimates --json\n  \
                        annals watch events --filter 'participants.actor = \"actors/nis\"' --initial-state\n  \
                        annals watch --after 0 --state position.json --json | ./process\n  \
                        annals watch --after 120 --stop-at-head")]
pub(super) struct Arguments {
    /// Only these: sources, actors, events, claims, estimates, relations. Left out: all.
    #[arg(value_name = "COLLECTION", value_parser = collection::parse)]
    collections: Vec<Kind>,
    /// Only changes of records that match, or did. Needs exactly one collection.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// Print every commit after this revision; 0: all.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(0..), conflicts_with = "initial_state")]
    after: Option<i64>,
    /// First print every record as it is now.
    #[arg(long)]
    initial_state: bool,
    /// Keep the position in this file. Where it has one, --after and --initial-state are for the first time only.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// End when everything up to now was printed.
    #[arg(long)]
    stop_at_head: bool,
    /// Print proto3 JSON, one annals.v1.WatchResponse a line; heartbeats are left out.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Follows it.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let position = arguments.state.as_deref().map(Position::load).transpose()?.flatten();
    access::block_on(async {
        let mut options = access::options(&indicatif::ProgressBar::hidden());
        if !arguments.stop_at_head {
            options = ClientOptions { outage_time_max: None, ..options };
        }
        let connection = arguments.access.connect_with(options).await?;
        let followed = follow(&connection.client, arguments, position, out).await;
        connection.close().await?;
        followed
    })?;
    Ok(Outcome::Done)
}

async fn follow(client: &Client, arguments: &Arguments, position: Option<Position>, out: &mut Output) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut watch = client.watch(request(arguments, position.as_ref())).await?;
    let mut printer = Printer { arguments, out, position: position.unwrap_or_default(), is_held: false };
    let mut due = Instant::now();
    loop {
        let received = tokio::select! {
            biased;
            _ = interrupt.recv() => break,
            _ = term.recv() => break,
            received = receive(&mut watch, printer.is_held.then_some(due)) => received,
        };
        if let Some(received) = received {
            let Some(message) = received.inspect_err(|_| printer.keep_or_tell())? else { break };
            if !printer.is_held {
                due = Instant::now() + HELD_TIME_MAX;
            }
            printer.print(&message)?;
        }
        if Instant::now() >= due {
            printer.keep()?;
        }
    }
    printer.keep()
}

/// The next message, or the end, or an error; none when it is time to hand over what is held.
async fn receive<T: Send + 'static>(messages: &mut Messages<T>, due: Option<Instant>) -> Option<client::Result<Option<T>>> {
    match due {
        Some(due) => timeout_at(due, messages.message()).await.ok(),
        None => Some(messages.message().await),
    }
}

fn request(arguments: &Arguments, position: Option<&Position>) -> WatchRequest {
    let mut request = WatchRequest {
        types: collection::types(&arguments.collections),
        filter: arguments.filter.clone(),
        after_revision: arguments.after,
        initial_state: arguments.initial_state,
        stop_at_head: arguments.stop_at_head,
        ..Default::default()
    };
    // A kept 0 means the beginning: of the initial state, if one was asked for.
    if let Some(position) = position.filter(|position| position.revision > 0 || !arguments.initial_state) {
        request.initial_state = false;
        request.after_revision = Some(position.revision);
    }
    request
}

/// Prints messages, and keeps the position behind what was handed over.
struct Printer<'a> {
    arguments: &'a Arguments,
    out: &'a mut Output,
    /// That of the last message that was printed.
    position: Position,
    /// Whether something is not handed over yet.
    is_held: bool,
}

impl Printer<'_> {
    fn print(&mut self, message: &WatchResponse) -> anyhow::Result<()> {
        let mut is_heartbeat = false;
        match &message.content {
            Some(Content::Checkpoint(checkpoint)) => {
                if !self.position.store_id.is_empty() && self.position.store_id != checkpoint.store_id {
                    bail!(
                        "the position is of store {}, and the server holds store {}: its revisions mean other commits. Name \
                         another --state file to begin anew",
                        self.position.store_id,
                        checkpoint.store_id
                    );
                }
                self.position.store_id.clone_from(&checkpoint.store_id);
                is_heartbeat = !checkpoint.opened && !checkpoint.initial_state_complete;
                if !self.arguments.json && checkpoint.opened {
                    output::note(&format!("watching, the newest revision is {}", checkpoint.head_revision));
                }
                if !self.arguments.json && checkpoint.initial_state_complete {
                    output::note(&format!("that was everything at revision {}", message.revision));
                }
            }
            Some(Content::Commit(commit)) if !self.arguments.json => self.print_commit(commit)?,
            Some(Content::Initial(batch)) if !self.arguments.json => {
                for record in batch.records.iter().filter_map(|record| record.record.as_ref()) {
                    self.out.line(table::line(record))?;
                }
            }
            _ => {}
        }
        if self.arguments.json && !is_heartbeat {
            self.out.json_line(&json::to_value(message))?;
        }
        self.position.revision = message.revision;
        self.is_held = true;
        Ok(())
    }

    fn print_commit(&mut self, commit: &Commit) -> anyhow::Result<()> {
        let time = time::text(commit.commit_time.as_ref());
        self.out.line(format!("revision {}  {time}  {}  {}", commit.revision, commit.author, commit.request_id))?;
        for change in &commit.changes {
            let kind = change.kind().as_str_name().trim_start_matches("CHANGE_KIND_");
            let what = match change.record.as_ref().and_then(|record| record.record.as_ref()) {
                Some(record) => table::line(record),
                None => change.name.clone(),
            };
            self.out.line(format!("  {kind:<8} {what}"))?;
        }
        Ok(())
    }

    /// Hands over what was printed, and then keeps the position: a crash between the two repeats a commit, and loses none.
    fn keep(&mut self) -> anyhow::Result<()> {
        self.out.flush()?;
        if let Some(file) = self.arguments.state.as_deref().filter(|_| self.is_held) {
            self.position.store(file)?;
        }
        self.is_held = false;
        Ok(())
    }

    /// As [`Self::keep`], on the way to another error.
    fn keep_or_tell(&mut self) {
        if let Err(error) = self.keep() {
            output::complain(&format!("{error:#}"));
        }
    }
}
