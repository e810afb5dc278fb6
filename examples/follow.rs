//! Follows a record, and goes on where it stopped when it is started again.
//!
//! The position is one number, the revision of the last message that was dealt with, in a file beside the program's own data. Where
//! your data is in a database, keep the number there, and write both in one transaction.
//!
//! ```text
//! cargo run --example follow -- http://127.0.0.1:50051 position.txt
//! ```

use std::{env, error::Error, fs, io, path::Path};

use annals::{
    client::ClientOptions,
    proto::{WatchRequest, watch_response::Content},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".into());
    let position = arguments.next().unwrap_or_else(|| "position.txt".into());
    let position = Path::new(&position);

    // Goes on for as long as it takes when the server is away.
    let options = ClientOptions { user_agent: "follow/1.0".into(), outage_time_max: None, ..Default::default() };
    let client = options.connect(&server).await?;
    let request = WatchRequest { after_revision: Some(load(position)?), ..Default::default() };
    let mut watch = client.watch(request).await?;
    while let Some(message) = watch.message().await? {
        if let Some(Content::Commit(commit)) = message.content {
            for change in &commit.changes {
                println!("{} {} {}", commit.revision, change.kind().as_str_name(), change.name);
            }
        }
        // After the work, not before it: a crash between the two repeats a commit, and loses none.
        store(position, message.revision)?;
    }
    Ok(())
}

/// The position to go on from; 0, the beginning, where there is none yet.
fn load(position: &Path) -> Result<i64, Box<dyn Error>> {
    match fs::read_to_string(position) {
        Ok(text) => Ok(text.trim().parse()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file whole, so that a crash leaves the old position or the new one.
fn store(position: &Path, revision: i64) -> io::Result<()> {
    let beside = position.with_extension("new");
    fs::write(&beside, revision.to_string())?;
    fs::rename(beside, position)
}
