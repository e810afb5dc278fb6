//! Simulates outages, and measures how long a server takes to answer after one.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::fs::{Advice, fadvise};

use crate::server::{Launch, Server};

/// Makes a data folder look as it does after a power cut: the shutdown marker names another boot of the machine, and the page
/// cache contains nothing of the log.
pub(crate) fn cut_power(folder: &Path) -> anyhow::Result<()> {
    let mark = folder.join("MARK");
    let text = fs::read_to_string(&mark)?;
    let (lines, _) = text.rsplit_once("checksum ").context("the mark ends in its checksum")?;
    let (before, boot) = lines.trim_end().rsplit_once(' ').context("the mark names a boot")?;
    let other: String = boot.chars().map(|letter| if letter == '0' { '1' } else { '0' }).collect();
    let lines = format!("{before} {other}\n");
    // Like every checksum of the folder, it begins with a salt, which is 0 here.
    let checksum = crc32fast::hash(&[&[0; 8], lines.as_bytes()].concat());
    fs::write(&mark, format!("{lines}checksum {checksum:08x}\n"))?;
    for entry in fs::read_dir(folder.join("log"))? {
        let file = fs::File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Starts a server. Returns the time until it answers reads.
pub(crate) async fn time_to_answer(folder: &Path, launch: &Launch) -> anyhow::Result<(Server, Duration)> {
    let began = Instant::now();
    let server = Server::annals(folder, launch).await?;
    Ok((server, began.elapsed()))
}
