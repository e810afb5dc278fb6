//! Bulk import and export: `annals ingest` and `annals export`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    binary::{fails, gzip, ok, run, stderr, write},
    serving::{Serving, annals},
};

const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seed/commit.json");

/// A commit of an event whose name the server chooses. If it were applied twice, there would be two events.
fn event(number: usize) -> String {
    format!(r#"{{"mutations":[{{"create":{{"event":{{"title":"event {number}"}}}}}}]}}"#)
}

fn lines(count: usize) -> String {
    (0..count).map(|number| event(number) + "\n").collect()
}

fn pack(folder: &TempDir, name: &str, bytes: Vec<u8>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    path.to_string_lossy().into_owned()
}

/// The newest revision, and the number of events.
fn head(access: &[&str]) -> (u64, u64) {
    let info: Value = serde_json::from_str(&ok(&[&["info", "--json"], access].concat())).expect("JSON");
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    (number(&info["head_revision"]), number(&info["record_counts"]["events"]))
}

/// The standard error of a run that must succeed.
fn ingested(arguments: &[&str]) -> String {
    let output = run(&[&["ingest"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stderr(&output)
}

fn all_said(output: &Output) -> Vec<String> {
    stderr(output).lines().map(str::to_owned).collect()
}

#[test]
fn each_line_that_is_refused_is_reported_with_its_place_and_the_rest_is_applied() {
    let folder = TempDir::new().expect("a folder");
    let serving = Serving::start(&["--in-memory"]);
    let access = ["--server", serving.address()];
    let text = [
        event(1).as_str(),
        r#"{"mutations": ["#,
        "",
        r#"{"request_id":"x","mutations":[{"delete":{"name":"events/none"}}]}"#,
        r#"{"mutations":[{"create":{"event":{"titel":"x"}}}]}"#,
        r#"{"request_id":"y","mutations":[{"create":{"event":{}}},{"create":{"actor":{}}}]}"#,
        event(2).as_str(),
    ]
    .join("\n");
    let first = write(&folder, "first.ndjson", &text);
    let second = write(&folder, "second.ndjson", &event(3));
    let arguments = [&["ingest", &first, &second], &access[..]].concat();
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let said = all_said(&output);
    let has = |parts: &[&str]| {
        let found = said.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?}: {said:#?}");
    };
    has(&["first.ndjson:2: ", "EOF"]);
    has(&["first.ndjson:4: ", "RECORD_NOT_FOUND"]);
    has(&["first.ndjson:5: mutations[0].create.event", "titel"]);
    has(&["first.ndjson:6: ", "FIELD_INVALID"]);
    has(&["  mutations[1].create.actor.display_name: "]);
    has(&["3 commits applied, 4 lines refused:"]);
    has(&["  2 not a commit, the first at ", "first.ndjson:2"]);
    has(&["  1 RECORD_NOT_FOUND, the first at ", "first.ndjson:4"]);
    assert_eq!(head(&access), (3, 3));

    let again = all_said(&run(&arguments));
    assert!(again.contains(&"3 commits applied, 3 of them by an earlier run, 4 lines refused:".to_owned()), "{again:#?}");
    assert_eq!(head(&access), (3, 3));
}

#[test]
fn compressed_files_and_standard_input_are_read_and_a_line_without_an_id_is_applied_once_wherever_it_is() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let access = ["--data", data.as_str()];
    let text = lines(300);
    let zstd = pack(&folder, "a.ndjson.zst", zstd::encode_all(text.as_bytes(), 1).expect("packed"));
    let gzip = pack(&folder, "a.ndjson.gz", gzip(&text));
    assert_eq!(ingested(&[&[zstd.as_str()], &access[..]].concat()), "300 commits applied\n");
    assert_eq!(ingested(&[&[gzip.as_str()], &access[..]].concat()), "300 commits applied, 300 of them by an earlier run\n");

    let mut child = annals(&[&["ingest", "-"], &access[..]].concat())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // With other lines around it, in another order, and one line twice.
    let mixed = format!("{}\n{}\n{}\n{}\n", event(1000), event(7), event(1001), event(1000));
    child.stdin.take().expect("piped").write_all(mixed.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let said = stderr(&output);
    assert!(output.status.success() && said.starts_with("4 commits applied, 1 of them by an earlier run\n"), "{said}");
    assert!(said.contains("1 line without a request_id repeated another line"), "{said}");
    assert_eq!(head(&access), (302, 302));
}

#[test]
fn a_file_that_breaks_off_is_reported_and_the_next_is_applied() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let access = ["--data", data.as_str()];
    let mut packed = gzip(&lines(5));
    packed.truncate(packed.len() - 9);
    let broken = pack(&folder, "broken.gz", packed);
    let whole = write(&folder, "whole.ndjson", &event(100));
    let output = run(&[&["ingest", &broken, &whole], &access[..]].concat());
    let said = stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains("broken.gz:") && said.contains("cannot be read"), "{said}");
    assert!(head(&access).0 >= 1, "{said}");
    let (status, text) = fails(&[&["ingest", &whole, "missing.ndjson"], &access[..]].concat());
    assert!(status == 1 && text.contains("missing.ndjson"), "{text}");
}

#[test]
fn stop_on_error_applies_nothing_after_the_first_failing_line_of_either_kind() {
    let folder = TempDir::new().expect("a folder");
    for (at, broken) in [(20, "{"), (30, r#"{"request_id":"x","mutations":[{"delete":{"name":"events/none"}}]}"#)] {
        let data = folder.path().join(format!("data{at}")).to_string_lossy().into_owned();
        let mut text: Vec<_> = (0..100).map(event).collect();
        text[at] = broken.to_owned();
        text[at + 5] = "not looked at".to_owned();
        let file = write(&folder, "steps.ndjson", &text.join("\n"));
        let output = run(&["ingest", "--stop-on-error", "--data", &data, &file]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{at} commits applied, 1 line refused:")), "{said}");
        assert!(said.contains(&format!("steps.ndjson:{}: ", at + 1)), "{said}");
        assert_eq!(head(&["--data", &data]).0, at as u64);
    }
}

#[test]
fn a_run_that_is_killed_and_a_server_that_is_killed_leave_nothing_twice() {
    const COMMITS: usize = 6000;
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let file = write(&folder, "all.ndjson", &lines(COMMITS));
    let mut serving = Serving::start(&["--data", &data]);
    let address = serving.address().trim_start_matches("http://").to_owned();
    let server = format!("http://{address}");
    let access = ["--server", server.as_str()];
    let start = || annals(&[&["ingest", &file], &access[..]].concat()).stderr(Stdio::piped()).spawn().expect("it starts");
    let wait_for = |revision: u64| {
        while head(&access).0 < revision {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let mut killed = start();
    wait_for(500);
    killed.kill().expect("it runs");
    killed.wait().expect("it ends");

    let mut child = start();
    wait_for(2000);
    drop(serving);
    serving = Serving::listen(&address, &["--data", &data]);
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("it ends").success(), "{said}");
    assert!(said.contains("trying again in") && said.contains("6,000 commits applied, "), "{said}");
    assert_eq!(head(&access), (COMMITS as u64, COMMITS as u64));
    serving.stop();
}

/// What the lists of every collection print.
fn listed(access: &[&str], more: &[&str]) -> String {
    let collections = ["sources", "actors", "events", "claims", "estimates", "relations"];
    let list = |collection: &str| ok(&[&["list", collection, "--limit", "0", "--json"], access, more].concat());
    collections.map(list).concat()
}

fn read(file: &Path) -> String {
    let mut text = String::new();
    let packed = fs::File::open(file).expect("there");
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text),
        Some("zst") => zstd::Decoder::new(packed).expect("zstd").read_to_string(&mut text),
        _ => BufReader::new(packed).read_to_string(&mut text),
    }
    .expect("text");
    text
}

#[test]
fn an_export_is_the_lists_of_its_revision_on_standard_output_and_in_packed_files() {
    let folder = TempDir::new().expect("a folder");
    let serving = Serving::start(&["--in-memory"]);
    let access = ["--server", serving.address()];
    ok(&[&["commit", SEED], &access[..]].concat());
    let file = write(&folder, "more.ndjson", &lines(1500));
    ingested(&[&[file.as_str()], &access[..]].concat());

    assert_eq!(ok(&[&["export"], &access[..]].concat()), listed(&access, &[]));
    let first = listed(&access, &["--as-of", "1"]);
    assert_eq!(first.lines().count(), 96);
    for name in ["out.ndjson", "out.ndjson.gz", "out.ndjson.zst"] {
        let path = folder.path().join(name);
        let text = path.to_string_lossy().into_owned();
        assert_eq!(ok(&[&["export", "--as-of", "1", "-o", &text], &access[..]].concat()), "");
        assert_eq!(read(&path), first, "{name}");
    }
    let filtered = ok(&[&["export", "events", "--filter", "title = \"event 7\""], &access[..]].concat());
    assert_eq!(filtered.lines().count(), 1);
    let two = ok(&[&["export", "relations", "sources"], &access[..]].concat());
    assert_eq!(two.lines().count(), 13, "a source and twelve relations");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn an_export_whose_reader_has_seen_enough_ends_quietly_and_one_that_cannot_be_written_says_so() {
    let folder = TempDir::new().expect("a folder");
    let serving = Serving::start(&["--in-memory"]);
    let access = ["--server", serving.address()];
    let file = write(&folder, "all.ndjson", &lines(3000));
    ingested(&[&[file.as_str()], &access[..]].concat());
    let mut child =
        annals(&[&["export"], &access[..]].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
    let (status, text) = fails(&[&["export", "-o", "/nowhere/out.ndjson"], &access[..]].concat());
    assert!(status == 1 && text.contains("/nowhere/out.ndjson.part"), "{text}");
}
