//! Follows the commits of a store. When you start the program again, it resumes where it stopped.
//!
//! The position is one number: the revision of the last message that the program processed. This program stores it in a file.
//! If your data is in a database, store the number there, and write both in one transaction.
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

    // Retries without limit while the server is unavailable.
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
        // Store the position after the work. A crash between the two repeats a commit but loses none.
        store(position, message.revision)?;
    }
    Ok(())
}

/// The position from which to resume. 0, the beginning, if there is none yet.
fn load(position: &Path) -> Result<i64, Box<dyn Error>> {
    match fs::read_to_string(position) {
        Ok(text) => Ok(text.trim().parse()?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the file atomically, so that a crash leaves the old position or the new one.
fn store(position: &Path, revision: i64) -> io::Result<()> {
    let beside = position.with_extension("new");
    fs::write(&beside, revision.to_string())?;
    fs::rename(beside, position)
}
