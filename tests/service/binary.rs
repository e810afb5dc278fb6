//! The binary in a process of its own, and files for it to read.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The binary with these arguments, and nothing of our environment.
pub(crate) fn annals(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.args(arguments);
    for name in ["ANNALS_SERVER", "ANNALS_CONFIG", "ANNALS_LOG"] {
        command.env_remove(name);
    }
    command
}

/// What a command prints and how it ends.
pub(crate) fn run(arguments: &[&str]) -> Output {
    annals(arguments).output().expect("the binary runs")
}

/// What it printed.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What it said.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command that must succeed prints.
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// What a command that must fail says, and its status.
pub(crate) fn fails(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded: {}", stdout(&output));
    (output.status.code().unwrap_or(-1), stderr(&output))
}

/// A server in a process of its own.
pub(crate) struct Serving {
    child: Child,
    /// Its address, for --server.
    pub(crate) address: String,
}

impl Serving {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", arguments)
    }

    /// Starts one on an address.
    pub(crate) fn listen(address: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", address];
        all.extend(arguments);
        let mut child = annals(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, address: format!("http://{address}") }
    }

    /// Ends it as an init system would. Its log.
    pub(crate) fn stop(mut self) -> String {
        signal(&self.child, Signal::TERM);
        let began = Instant::now();
        let mut log = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {log}");
        assert!(began.elapsed() < Duration::from_secs(15), "{log}");
        log
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // After a failed test; a stopped one is gone.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A file with this text. Its path.
pub(crate) fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("written");
    path.to_string_lossy().into_owned()
}

/// A text, packed.
pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("packed")
}

/// Sends a signal to a process.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(id, signal).expect("it runs");
}
