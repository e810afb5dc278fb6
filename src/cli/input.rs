//! The input of commands: files and standard input, plain or compressed, and the commits in them.
//!
//! A commit without a request id gets one made from its content. If the same commit is sent again, from any file and in any
//! order, it gets its first answer. A file may therefore be read again from the start, repaired, split or joined with others.
//! The price: a commit that occurs twice in the input is applied once, unless each has its own id.
//!
//! Must not know what a commit means, or what is done with it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;
use flate2::{read::MultiGzDecoder, write::GzEncoder};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{
    formats::{
        json::{self, JsonError},
        reading::{LINE_BYTES_MAX, read_line},
    },
    proto::CommitRequest,
};

/// Number of lines that are read in advance.
const AHEAD_MAX: usize = 256;

/// The prefix of a request id that is made from the content of a commit.
const REQUEST_ID_PREFIX: &str = "sha256:";

/// A file that can be read.
#[derive(Debug)]
pub(super) struct InputFile {
    /// The name as given on the command line. `-` is standard input.
    pub(super) name: String,
    path: PathBuf,
    /// The length, if it is a regular file.
    bytes: Option<u64>,
}

/// Opens each file once, so that a wrong name is reported before any file is used.
pub(super) fn open(paths: &[PathBuf]) -> anyhow::Result<Vec<InputFile>> {
    paths.iter().map(|path| InputFile::open(path)).collect()
}

/// A progress bar for a terminal: bytes read, a message, and the time left.
pub(super) fn progress(inputs: &[InputFile]) -> ProgressBar {
    let bytes: Option<u64> = inputs.iter().map(|input| input.bytes).sum();
    let progress = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr());
    let template = match bytes {
        Some(_) => "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left",
        None => "{spinner} {bytes}  {msg}  {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        progress.set_style(style);
    }
    progress
}

impl InputFile {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let bytes = if name == "-" {
            None
        } else {
            let metadata = File::open(path).and_then(|file| file.metadata()).with_context(|| format!("cannot read {name}"))?;
            metadata.is_file().then_some(metadata.len())
        };
        Ok(Self { name, path: path.to_owned(), bytes })
    }

    /// The decompressed content. The bar counts the bytes of the compressed file, so that it ends at the file's length.
    pub(super) fn read(&self, progress: &ProgressBar) -> io::Result<Box<dyn BufRead + Send>> {
        let compression = Compression::of(&self.path);
        let content = match self.name.as_str() {
            "-" => Box::new(progress.wrap_read(io::stdin())),
            _ => compression.reader(progress.wrap_read(BufReader::new(File::open(&self.path)?)))?,
        };
        Ok(Box::new(BufReader::new(content)))
    }
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The compression by the ending of the name: `.gz`, `.zst` or `.zstd`.
    pub(super) fn of(file: &Path) -> Self {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Decompresses a file. Several compressed streams after one another are one content.
    pub(super) fn reader(self, from: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(from),
            Self::Gzip => Box::new(MultiGzDecoder::new(from)),
            Self::Zstd => Box::new(zstd::Decoder::new(from)?),
        })
    }

    /// Writes the content as one compressed stream. It may follow other streams in the same file.
    pub(super) fn compress(self, content: &[u8], to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::None => to.write_all(content),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(to, flate2::Compression::default());
                encoder.write_all(content)?;
                encoder.finish().map(|_| ())
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.write_all(content)?;
                encoder.finish().map(|_| ())
            }
        }
    }
}

/// The position of a line or of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The index of the file.
    pub(super) file: usize,
    /// The number of the line or row, from 1. 0 is the file itself, or its header.
    pub(super) number: u64,
}

/// A line that is not empty.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) location: Location,
    pub(super) content: Content,
}

/// The content of a line.
#[derive(Debug)]
pub(super) enum Content {
    /// The line is a commit.
    Commit {
        /// The commit, with a request id.
        commit: CommitRequest,
        /// Whether the request id was made from the content.
        id_from_content: bool,
    },
    /// The line is not a commit, and why.
    Broken(String),
    /// The rest of the file cannot be read.
    Unreadable(io::Error),
}

/// Reads the commits of files, in order, on its own thread. The thread ends after the last line, or when the receiver is
/// dropped. A thread that waits for standard input ends with the process.
pub(super) fn read_commits(files: Vec<InputFile>, progress: ProgressBar) -> mpsc::Receiver<Line> {
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

/// Sends the lines of a file. False if the receiver was dropped.
fn read_file(file: usize, input: &InputFile, progress: &ProgressBar, to: &mpsc::Sender<Line>) -> bool {
    let mut location = Location { file, number: 0 };
    let mut text = Vec::new();
    let mut from = match input.read(progress) {
        Ok(from) => from,
        Err(error) => return to.blocking_send(Line { location, content: Content::Unreadable(error) }).is_ok(),
    };
    loop {
        location.number += 1;
        let content = match read_line(&mut from, &mut text) {
            Ok(None) => return true,
            Ok(Some(true)) if text.trim_ascii().is_empty() => continue,
            Ok(Some(true)) => parse(&text),
            Ok(Some(false)) => Content::Broken(format!("is longer than {} MiB", LINE_BYTES_MAX >> 20)),
            Err(error) => return to.blocking_send(Line { location, content: Content::Unreadable(error) }).is_ok(),
        };
        if to.blocking_send(Line { location, content }).is_err() {
            return false;
        }
    }
}

fn parse(text: &[u8]) -> Content {
    let Ok(text) = std::str::from_utf8(text) else { return Content::Broken("is not UTF-8".into()) };
    match json::from_str::<CommitRequest>(text) {
        Ok(mut commit) => {
            let id_from_content = fill_request_id(&mut commit);
            Content::Commit { commit, id_from_content }
        }
        // The line number of the error is left out. It is always 1, because the text is one line.
        Err(JsonError::Invalid { field, message, .. }) if field.is_empty() => Content::Broken(message),
        Err(JsonError::Invalid { field, message, .. }) => Content::Broken(format!("{field}: {message}")),
        Err(JsonError::Io(error)) => Content::Unreadable(error),
    }
}

/// Sets the request id of a commit that has none, unless the commit is only checked. Returns whether it was set.
pub(super) fn fill_request_id(request: &mut CommitRequest) -> bool {
    if !request.request_id.is_empty() || request.validate_only {
        return false;
    }
    // The digest is of the decoded message, whose maps are ordered. Spaces, the order of keys and the spelling of names in JSON
    // make no difference.
    request.request_id = format!("{REQUEST_ID_PREFIX}{:x}", Sha256::digest(request.encode_to_vec()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_in_a_row_are_read_as_one_content() {
        for (name, magic) in [("a.json", &b"on"[..]), ("a.json.gz", &[0x1f, 0x8b]), ("a.zst", &[0x28, 0xb5, 0x2f, 0xfd])] {
            let compression = Compression::of(Path::new(name));
            let mut file = Vec::new();
            for content in ["one\n", "two\n"] {
                compression.compress(content.as_bytes(), &mut file).expect("written");
            }
            assert!(file.starts_with(magic), "{name}");
            let mut text = String::new();
            compression.reader(io::Cursor::new(file)).and_then(|mut from| from.read_to_string(&mut text)).expect("text");
            assert_eq!(text, "one\ntwo\n", "{name}");
        }
    }

    #[test]
    fn a_line_that_is_no_commit_says_why_and_in_which_field() {
        let broken = |text: &[u8]| match parse(text) {
            Content::Broken(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(broken(b"{").contains("EOF"));
        assert!(
            broken(b"{\"mutations\":[{\"create\":{\"event\":{\"titel\":\"x\"}}}]}").starts_with("mutations[0].create.event: ")
        );
        assert!(broken(b"{} {}").contains("second"));
        assert_eq!(broken(&[0xff]), "is not UTF-8");
    }

    fn id(text: &str) -> String {
        let mut request = json::from_str(text).expect("a request");
        fill_request_id(&mut request);
        request.request_id
    }

    #[test]
    fn equal_content_has_one_id_however_it_is_written_and_other_content_another() {
        let first = id(
            r#"{"annotations": {"a": "1", "b": "2"}, "mutations": [{"delete": {"name": "events/e", "allow_missing": true}}]}"#,
        );
        let again = id(r#"{"mutations":[{"delete":{"allowMissing":true,"name":"events/e"}}],"annotations":{"b":"2","a":"1"}}"#);
        let other = id(
            r#"{"annotations": {"a": "1", "b": "3"}, "mutations": [{"delete": {"name": "events/e", "allow_missing": true}}]}"#,
        );
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first.len() == 71 && first.starts_with("sha256:"), "{first}");
        assert_eq!(id(r#"{"request_id": "mine"}"#), "mine");
        assert_eq!(id(r#"{"validate_only": true}"#), "");
    }
}
