//! What an outage costs: the time from starting a server until it answers reads again.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use annals::proto::{GetRecordRequest, record_service_client::RecordServiceClient};
use anyhow::Context;
use rustix::fs::{Advice, fadvise};
use tonic::Code;

use crate::server::Server;

/// How often a server that does not answer yet is asked again.
const RETRY: Duration = Duration::from_millis(10);

/// Makes a data folder as a power cut leaves it, as far as opening it is concerned: the mark names another boot of the machine,
/// and nothing of the log is in the page cache.
pub(crate) fn cut_power(folder: &Path) -> anyhow::Result<()> {
    let mark = folder.join("MARK");
    let text = fs::read_to_string(&mark)?;
    let (lines, _) = text.rsplit_once("checksum ").context("the mark ends in its checksum")?;
    let (before, boot) = lines.trim_end().rsplit_once(' ').context("the mark names a boot")?;
    let other: String = boot.chars().map(|letter| if letter == '0' { '1' } else { '0' }).collect();
    let lines = format!("{before} {other}\n");
    // As every checksum of the folder it begins with a salt, here 0.
    let checksum = crc32fast::hash(&[&[0; 8], lines.as_bytes()].concat());
    fs::write(&mark, format!("{lines}checksum {checksum:08x}\n"))?;
    for entry in fs::read_dir(folder.join("log"))? {
        let file = fs::File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Starts a server and waits until it answers for an event. Gives how long that took.
pub(crate) async fn time_to_answer(folder: &Path, cache: &str, event: &str) -> anyhow::Result<(Server, Duration)> {
    let began = Instant::now();
    let server = Server::annals(folder, cache)?;
    let mut client = RecordServiceClient::new(server.connect().await?);
    let request = GetRecordRequest { name: event.to_owned(), ..GetRecordRequest::default() };
    loop {
        match client.get_event(request.clone()).await {
            Ok(_) => return Ok((server, began.elapsed())),
            Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(RETRY).await,
            Err(status) => return Err(status.into()),
        }
    }
}
