//! Commands of the binary, and files for them to read.

use std::{
    io::Write,
    process::{Child, Output},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::serving::annals;

/// What a command prints and how it ends.
pub(crate) fn run(arguments: &[&str]) -> Output {
    annals(arguments).output().expect("the binary runs")
}

/// Standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The standard output of a command that must succeed.
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// The standard error of a command that must fail, and its status.
pub(crate) fn fails(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded: {}", stdout(&output));
    (output.status.code().unwrap_or(-1), stderr(&output))
}

/// A file with this text. Returns its path.
pub(crate) fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    path.to_string_lossy().into_owned()
}

/// A text, compressed.
pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("packed")
}

/// Sends a signal to a process.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}
