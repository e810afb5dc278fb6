//! `annals completions`: for the shell's Tab key.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Outcome, output::Output};

/// Print a script that completes commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals completions bash > ~/.local/share/bash-completion/completions/annals\n  \
                        annals completions zsh > ~/.zfunc/_annals\n  \
                        annals completions fish > ~/.config/fish/completions/annals.fish")]
pub(super) struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints it.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Arguments::command(), "annals", &mut script);
    out.line(String::from_utf8(script)?.trim_end())?;
    out.flush()?;
    Ok(Outcome::Done)
}
