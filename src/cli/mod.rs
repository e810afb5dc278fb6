//! The command line: one binary that serves the record, fills it and reads it.
//!
//! Knows options, the client and what to say to people. Must not know keys, batches or how a command of another
//! file works.

mod access;
mod collection;
mod compression;
mod input;
mod lines;
mod output;
mod part;
mod partial;
mod position;
mod problem;
mod refusals;
mod report;
mod request_id;
mod sending;
mod signal;
mod table;
mod tally;
mod time;

mod commit;
mod completions;
mod export;
mod get;
mod history;
mod import;
mod info;
mod ingest;
mod list;
mod serve;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::output::Output;

/// One shared record of reported events: who said what, about which event, through whom, when, and with which numbers.
#[derive(Debug, Parser)]
#[command(
    name = "annals",
    version,
    propagate_version = true,
    after_help = "Begin with:\n  annals serve                                  \
                  start a server that keeps its data in ./annals-data\n  annals commit FILE.json                       \
                  write a file of commits to it\n  annals list events --filter 'title = \"*troops*\"'\n  \
                  annals get events/e1 --as-of 2024-10-23\n\nEach command tells more with --help."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Arguments>),
    Commit(commit::Arguments),
    Ingest(ingest::Arguments),
    Import(import::Arguments),
    Get(get::Arguments),
    List(list::Arguments),
    History(history::Arguments),
    Watch(watch::Arguments),
    Export(export::Arguments),
    Info(info::Arguments),
    Verify(verify::Arguments),
    Completions(completions::Arguments),
}

/// How a command ended: the exit status 0, or 1. Wrong arguments end the program with 2 before a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It did what it was asked.
    Done,
    /// It ran, and what it found or was answered is bad; it has said so.
    Failed,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = Output::stdout();
    let result = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, &mut out),
        Command::Commit(arguments) => commit::run(&arguments, &mut out),
        Command::Ingest(arguments) => ingest::run(&arguments, &mut out),
        Command::Import(arguments) => import::run(&arguments, &mut out),
        Command::Get(arguments) => get::run(&arguments, &mut out),
        Command::List(arguments) => list::run(&arguments, &mut out),
        Command::History(arguments) => history::run(&arguments, &mut out),
        Command::Watch(arguments) => watch::run(&arguments, &mut out),
        Command::Export(arguments) => export::run(&arguments, &mut out),
        Command::Info(arguments) => info::run(&arguments, &mut out),
        Command::Verify(arguments) => verify::run(&arguments, &mut out),
        Command::Completions(arguments) => completions::run(&arguments, &mut out),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        // Whoever reads our output has seen enough: head(1), or a pager that was left.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&problem::describe(&error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
