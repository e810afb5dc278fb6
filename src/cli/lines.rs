//! Files of commits, one a line, read on a thread of its own while others are on their way.
//!
//! Knows lines and JSON. Must not know what becomes of a commit.

use std::{io, thread};

use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::{input::Input, request_id};
use crate::{
    formats::{
        json::{self, Error},
        long_lines::{LINE_BYTES_MAX, read_line},
    },
    proto::CommitRequest,
};

/// Lines that are read before they are asked for.
const AHEAD_MAX: usize = 256;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the files.
    pub(super) file: usize,
    /// From 1.
    pub(super) line: u64,
}

/// A line that is not empty.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Content {
    /// A commit, and whether its request id was made from what it says.
    Commit(CommitRequest, bool),
    /// Something else.
    Broken(String),
    /// The rest of the file cannot be read.
    Unreadable(io::Error),
}

/// Reads files one after another. The thread ends with them, or when nobody takes the lines any more; one that waits for standard
/// input ends with the process.
pub(super) fn read(files: Vec<Input>, progress: ProgressBar) -> mpsc::Receiver<Line> {
    let (to, lines) = mpsc::channel(AHEAD_MAX);
    thread::spawn(move || {
        for (file, input) in files.iter().enumerate() {
            if !read_file(file, input, &progress, &to) {
                return;
            }
        }
    });
    lines
}

/// Whether the lines are still taken.
fn read_file(file: usize, input: &Input, progress: &ProgressBar, to: &mpsc::Sender<Line>) -> bool {
    let mut place = Place { file, line: 0 };
    let mut text = Vec::new();
    let mut from = match input.read(progress) {
        Ok(from) => from,
        Err(error) => return to.blocking_send(Line { place, content: Content::Unreadable(error) }).is_ok(),
    };
    loop {
        place.line += 1;
        let content = match read_line(&mut from, &mut text) {
            Ok(None) => return true,
            Ok(Some(true)) if text.trim_ascii().is_empty() => continue,
            Ok(Some(true)) => parse(&text),
            Ok(Some(false)) => Content::Broken(format!("longer than {} MiB", LINE_BYTES_MAX >> 20)),
            Err(error) => return to.blocking_send(Line { place, content: Content::Unreadable(error) }).is_ok(),
        };
        if to.blocking_send(Line { place, content }).is_err() {
            return false;
        }
    }
}

fn parse(text: &[u8]) -> Content {
    let Ok(text) = std::str::from_utf8(text) else { return Content::Broken("not UTF-8".into()) };
    match json::from_str::<CommitRequest>(text) {
        Ok(mut commit) => {
            let made = request_id::fill(&mut commit);
            Content::Commit(commit, made)
        }
        // Its line is that of the text, which is always the first.
        Err(Error::Invalid { field, message, .. }) if field.is_empty() => Content::Broken(message),
        Err(Error::Invalid { field, message, .. }) => Content::Broken(format!("{field}: {message}")),
        Err(Error::Io(error)) => Content::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_commit_says_why_and_where() {
        let broken = |text: &[u8]| match parse(text) {
            Content::Broken(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(broken(b"{").contains("EOF"));
        assert!(
            broken(b"{\"mutations\":[{\"create\":{\"event\":{\"titel\":\"x\"}}}]}").starts_with("mutations[0].create.event: ")
        );
        assert!(broken(b"{} {}").contains("second"));
        assert_eq!(broken(&[0xff]), "not UTF-8");
    }
}
