//! `annals watch` as people and scripts use it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    binary::{fails, ok, signal, write},
    serving::{Serving, annals},
};

/// A commit of one event.
fn create(id: &str, more: &str) -> String {
    format!(
        r#"{{"request_id":"{id}","mutations":[{{"create":{{"event":{{"name":"events/{id}","title":"title of {id}"{more}}}}}}}]}}"#
    )
}

/// A server, and a folder for files.
struct WatchedServer {
    serving: Serving,
    folder: TempDir,
}

impl WatchedServer {
    fn start() -> Self {
        Self { serving: Serving::start(&["--in-memory"]), folder: TempDir::new().expect("a folder") }
    }

    fn commit(&self, text: &str) {
        let file = write(&self.folder, "commit.json", text);
        ok(&["commit", "--server", self.serving.address(), &file]);
    }

    /// The output of `annals watch` up to the head.
    fn watched(&self, arguments: &[&str]) -> String {
        ok(&[&["watch", "--stop-at-head", "--server", self.serving.address()][..], arguments].concat())
    }

    /// A running `annals watch`.
    fn watch(&self, arguments: &[&str]) -> Child {
        let all = [&["watch", "--server", self.serving.address()][..], arguments].concat();
        annals(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}

fn position(file: &str) -> Value {
    let position: Value = serde_json::from_str(&fs::read_to_string(file).expect("a position")).expect("JSON");
    position["revision"].clone()
}

/// Waits for the end of a process. Returns whether it succeeded.
fn ends_well(mut child: Child) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Some(status) = child.try_wait().expect("a process") {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("it runs");
    panic!("it does not end");
}

#[test]
fn existing_changes_are_printed_and_the_next_run_resumes_from_the_state_file() {
    let server = WatchedServer::start();
    server.commit(&create("a", ""));
    server.commit(r#"{"request_id":"b","mutations":[{"update":{"record":{"event":{"name":"events/a","title":"new"}}}}]}"#);
    let state = server.path("position.json");
    let lines = server.watched(&["--after", "0", "--state", &state]);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("1  ") && lines[0].ends_with("  CREATED  events/a  title of a"), "{lines:?}");
    assert!(lines[1].starts_with("2  ") && lines[1].ends_with("  UPDATED  events/a  new  (title)"), "{lines:?}");
    assert_eq!(position(&state), 2);

    server.commit(&create("c", ""));
    let json = server.watched(&["--after", "0", "--state", &state, "--json"]);
    let messages: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(messages[0]["checkpoint"]["opened"], true);
    let commits: Vec<_> = messages.iter().filter_map(|message| message["commit"]["revision"].as_str()).collect();
    assert_eq!((commits, position(&state)), (vec!["3"], 3.into()));
    assert_eq!(server.watched(&["--state", &state]), "");
}

#[test]
fn an_interrupt_ends_it_with_its_position_kept() {
    let server = WatchedServer::start();
    server.commit(&create("a", ""));
    let state = server.path("position.json");
    for (id, end) in [("b", Signal::INT), ("c", Signal::TERM)] {
        let mut child = server.watch(&["--after", "0", "--state", &state]);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        if id == "b" {
            assert!(lines.next().expect("a line").expect("text").contains("events/a"));
        }
        server.commit(&create(id, ""));
        assert!(lines.next().expect("a line").expect("text").contains(&format!("events/{id}")), "nothing comes twice");
        signal(&child, end);
        assert!(ends_well(child), "{end:?}");
        assert!(lines.next().is_none());
    }
    assert_eq!(position(&state), 3);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let server = WatchedServer::start();
    server.commit(&create("a", ""));
    let mut child = server.watch(&["--after", "0"]);
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    drop(stdout);
    server.commit(&create("b", ""));
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    assert!(ends_well(child));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("text");
    assert_eq!(said, "");
}

#[test]
fn the_position_covers_only_what_was_written_out() {
    let server = WatchedServer::start();
    server.commit(&create("a", ""));
    let state = server.path("position.json");
    let mut child = server.watch(&["--after", "0", "--state", &state]);
    // Before it has printed anything: it starts, connects and asks first.
    drop(child.stdout.take());
    assert!(ends_well(child));
    assert!(!Path::new(&state).exists(), "{}", fs::read_to_string(&state).unwrap_or_default());
}

#[test]
fn every_record_that_there_is_comes_first_where_that_is_asked_for() {
    let server = WatchedServer::start();
    server.commit(&create("a", r#","labels":["x:1"]"#));
    server.commit(&create("b", ""));
    let state = server.path("position.json");
    let arguments = ["events", "--filter", r#"labels:"x:1""#, "--initial-state", "--state", &state];
    assert_eq!(server.watched(&arguments), "INITIAL  events/a  title of a\n");
    assert_eq!(position(&state), 2);
    server.commit(
        r#"{"request_id":"c","mutations":[{"update":{"record":{"event":{"name":"events/a"}},"update_fields":["labels"]}}]}"#,
    );
    let lines = server.watched(&arguments);
    assert!(lines.contains("  UPDATED  LEFT  events/a  ") && lines.lines().count() == 1, "{lines}");
}

#[test]
fn what_cannot_be_followed_is_reported() {
    let server = WatchedServer::start();
    server.commit(&create("a", ""));
    let state = server.path("position.json");
    server.watched(&["--state", &state]);
    let other = Serving::start(&["--in-memory"]);
    let (status, text) = fails(&["watch", "--server", other.address(), "--state", &state, "--stop-at-head"]);
    assert!(status == 1 && text.contains("REVISION_IN_FUTURE"), "{text}");
    fs::write(&state, r#"{"store_id":"another","revision":1}"#).expect("written");
    let (status, text) = fails(&["watch", "--server", server.serving.address(), "--state", &state, "--stop-at-head"]);
    assert!(status == 1 && text.contains("another") && text.contains("other commits"), "{text}");
    fs::write(&state, "12").expect("written");
    let (status, text) = fails(&["watch", "--server", server.serving.address(), "--state", &state]);
    assert!(status == 1 && text.contains("position.json"), "{text}");
    let (status, _) = fails(&["watch", "--after", "0", "--initial-state"]);
    assert_eq!(status, 2);
}
