//! The command line: one binary that serves a store, writes to it and reads it.
//!
//! Must not know keys, batches or how a command of another file works.

mod access;
mod arguments;
mod input;
mod output;
mod report;
mod resume;
mod speakers;
mod table;

mod commit;
mod export;
mod import;
mod ingest;
mod read;
mod sending;
mod serve;
mod watch;

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::{Shell, generate};

use self::output::{Outcome, Output};

/// One shared record of reported events: who said what, about which event, through whom, when, and with which numbers.
#[derive(Debug, Parser)]
#[command(
    name = "annals",
    version,
    propagate_version = true,
    after_help = "To begin:\n  annals serve                                  \
                  start a server that keeps its data in ./annals-data\n  annals commit FILE.json                       \
                  apply a file of commits to it\n  annals list events --filter 'title = \"*troops*\"'\n  \
                  annals get events/e1 --as-of 2024-10-23\n\n\"annals COMMAND --help\" describes each command."
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
    Get(read::GetArguments),
    List(read::ListArguments),
    History(read::HistoryArguments),
    Watch(watch::Arguments),
    Export(export::Arguments),
    Info(read::InfoArguments),
    Verify(read::VerifyArguments),
    Completions(CompletionsArguments),
}

/// Print a script that completes commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals completions bash > ~/.local/share/bash-completion/completions/annals\n  \
                        annals completions zsh > ~/.zfunc/_annals\n  \
                        annals completions fish > ~/.config/fish/completions/annals.fish")]
struct CompletionsArguments {
    /// The shell that the script is for.
    shell: Shell,
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
        Command::Get(arguments) => read::get(&arguments, &mut out),
        Command::List(arguments) => read::list(&arguments, &mut out),
        Command::History(arguments) => read::history(&arguments, &mut out),
        Command::Watch(arguments) => watch::run(&arguments, &mut out),
        Command::Export(arguments) => export::run(&arguments, &mut out),
        Command::Info(arguments) => read::info(&arguments, &mut out),
        Command::Verify(arguments) => read::verify(&arguments, &mut out),
        Command::Completions(arguments) => print_completions(&arguments, &mut out),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        // The reader of the output has closed it, such as head(1) or a pager.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&output::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn print_completions(arguments: &CompletionsArguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Arguments::command(), "annals", &mut script);
    out.line(String::from_utf8(script)?.trim_end())?;
    out.flush()?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
