//! `annals verify`: whether a data folder is sound.

use std::{io, path::PathBuf};

use clap::Args;

use super::{
    Outcome,
    output::{self, Output},
};
use crate::open;

/// Check a data folder: every key of its state against its log, every entry of the log against its checksums.
///
/// No server may have the folder open. Nothing is changed. Each finding is a line on standard output; the exit status is 1 if
/// there is one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  annals verify --data ./annals-data")]
pub(super) struct Arguments {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Checks it.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    if !arguments.data.is_dir() {
        anyhow::bail!("there is no folder {}", arguments.data.display());
    }
    let mut written: io::Result<()> = Ok(());
    let verified = open::verify(&arguments.data, &mut |finding| {
        if written.is_ok() {
            written = out.line(finding.to_string());
        }
    })?;
    written?;
    out.flush()?;
    output::note(&format!("{} entries, {} keys, {} findings", verified.entries, verified.keys, verified.findings));
    Ok(if verified.findings == 0 { Outcome::Done } else { Outcome::Failed })
}
