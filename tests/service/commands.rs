//! The binary as people and scripts use it.

use std::{io::Write, path::Path, process::Stdio};

use annals::model::RecordKind;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    binary::{fails, gzip, ok, run, stdout, write},
    serving::{Serving, annals},
};

const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seed/commit.json");
const COMMITS: &str = r#"{"request_id":"c1","mutations":[{"create":{"event":{"name":"events/e1","title":"first"}}}]}
{"request_id":"c2","mutations":[{"update":{"record":{"event":{"name":"events/e1","title":"second"}}}}]}
"#;

#[test]
fn the_seed_is_committed_to_a_server_and_again_and_read_back() {
    let serving = Serving::start(&["--in-memory"]);
    let server = ["--server", serving.address()];
    let with = |arguments: &[&str]| [arguments, &server].concat().iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let ok = |arguments: &[&str]| ok(&with(arguments).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ok(&["commit", SEED]), "article:nk-troops-2024-10-23: revision 1, 96 created\n");
    assert_eq!(ok(&["commit", SEED]), "article:nk-troops-2024-10-23: revision 1, 96 created, already applied before\n");
    let source: Value = serde_json::from_str(&ok(&["get", "sources/nk-troops-2024-10-23", "--json"])).expect("JSON");
    assert_eq!((&source["name"], &source["revision"]), (&"sources/nk-troops-2024-10-23".into(), &"1".into()));
    let info: Value = serde_json::from_str(&ok(&["info", "--json"])).expect("JSON");
    assert_eq!(info["head_revision"], "1");
    assert!(ok(&["history", "sources/nk-troops-2024-10-23"]).contains("CREATED"));
    let log = serving.stop();
    assert!(log.contains("starting") && log.contains("config=") && log.contains("stopped"), "{log}");
}

#[test]
fn a_folder_is_filled_read_as_it_was_and_verified_without_a_server() {
    let folder = TempDir::new().expect("a folder");
    let commits = write(&folder, "commits.ndjson", COMMITS);
    let data = folder.path().join("data").to_string_lossy().into_owned();
    assert_eq!(ok(&["commit", "--data", &data, &commits]), "c1: revision 1, 1 created\nc2: revision 2, 1 updated\n");
    assert!(ok(&["get", "events/e1", "--data", &data]).contains("second"));
    assert!(ok(&["get", "events/e1", "--data", &data, "--as-of", "1"]).contains("first"));
    let history = ok(&["history", "events/e1", "--data", &data, "--json"]);
    let kinds: Vec<Value> =
        history.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["kind"].clone()).collect();
    assert_eq!(kinds, ["CHANGE_KIND_UPDATED", "CHANGE_KIND_CREATED"]);
    assert_eq!(ok(&["verify", "--data", &data]), "");
    assert!(!Path::new(&data).join("state").join("blobs").exists() || ok(&["verify", "--data", &data]).is_empty());
}

#[test]
fn lists_are_filtered_ordered_cut_and_explained() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    ok(&["commit", "--data", &data, SEED]);
    let all = ok(&["list", "estimates", "--data", &data, "--limit", "0", "--page-size", "3", "--json"]);
    let names: Vec<Value> =
        all.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["name"].clone()).collect();
    assert!(names.len() > 6 && names.is_sorted_by(|a, b| a.as_str() < b.as_str()), "{names:?}");
    let filter = "estimand.measure = \"measure:troops_deployed\" AND aspect = INCREMENT";
    let some = ok(&["list", "estimates", "--data", &data, "--filter", filter, "--order-by", "name desc", "--limit", "2"]);
    let lines: Vec<_> = some.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("NAME") && lines[1] > lines[2], "{some}");
    for arguments in [&["--data", data.as_str()][..], &[]] {
        let plan =
            ok(&[&["list", "claims", "--filter", "attribution.actors:\"actors/nis\"", "--explain"][..], arguments].concat());
        assert!(plan.contains("attribution.actors"), "{plan}");
    }
    let (_, text) = fails(&["list", "events", "--data", &data, "--filter", "titel = 1"]);
    assert!(text.contains("FILTER_INVALID") && text.matches("titel").count() == 1, "{text}");
}

#[test]
fn a_denial_is_shown_in_the_words_of_its_statement() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    ok(&["commit", "--data", &data, SEED]);
    let filter = ["--filter", "polarity = NEGATED", "--data", &data];
    let listed = ok(&[&["list", "claims", "--json"][..], &filter].concat());
    let denials: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let shown = ok(&[&["list", "claims"][..], &filter].concat());
    assert!(!denials.is_empty() && !shown.contains("NOT "), "{shown}");
    for denial in &denials {
        assert!(shown.contains(denial["statement"].as_str().expect("a text")), "{shown}");
    }
}

#[test]
fn a_number_is_shown_with_what_decides_its_meaning() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    ok(&["commit", "--data", &data, SEED]);
    // Later, one actor has another name and another is merged.
    let later = r#"{"mutations":[{"update":{"record":{"actor":{"name":"actors/nis","display_name":"NIS"}}}},
        {"merge":{"name":"actors/park-sun-won","into":"actors/lee-seong-kwon"}}]}"#;
    ok(&["commit", "--data", &data, &write(&folder, "later.json", later)]);
    let check = |access: &[&str]| {
        let line = |command: &[&str], begin: &str, parts: &[&str]| {
            let shown = ok(&[command, access].concat());
            let line = shown.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin}: {shown}"));
            for part in parts {
                assert!(line.contains(part), "{part}: {line}");
            }
        };
        let by = "National Intelligence Service, through Lee Seong Kwon and Park Sun Won";
        let estimates = &["list", "estimates", "--as-of", "1"][..];
        line(estimates, "estimates/nk-troops-q03 ", &["about 3000", "CUMULATIVE", "ESTIMATED", by, "2024-10-23"]);
        line(estimates, "estimates/nk-troops-q05 ", &["about 10000", "CUMULATIVE", "PLANNED", by, "2024-10-23", "by 2024-12"]);
        line(
            estimates,
            "estimates/nk-troops-q06 ",
            &["about 1500", "ESTIMATED (COMPUTED)", "coded by recorder", "before \"recently\""],
        );
        line(estimates, "estimates/nk-troops-q10 ", &["WITHHELD \"the exact scale\"", "PROJECTED", "Lee Seong Kwon"]);
        line(estimates, "estimates/nk-troops-q12 ", &["at least 2 \"various\"", "ESTIMATED (INTERPRETED)", by]);
        let estimate = &["get", "estimates/nk-troops-q05", "--as-of", "1"][..];
        line(estimate, "number ", &["about 10000, CUMULATIVE, PLANNED"]);
        line(estimate, "of ", &["measure:troops_deployed, population:military"]);
        line(estimate, "by ", &[by]);
        line(estimate, "as of ", &["2024-10-23"]);
        line(estimate, "for ", &["by 2024-12"]);
        let instructors = format!("Russian instructors, through {by}");
        line(&["list", "claims", "--as-of", "1"], "claims/nk-troops-c20 ", &[&instructors]);
        line(&["list", "claims"], "claims/nk-troops-c14 ", &["UNCOMMITTED"]);
        line(&["list", "events"], "events/casualties ", &["HYPOTHETICAL"]);
        line(&["get", "claims/nk-troops-c20", "--as-of", "1"], "by ", &[&instructors]);
        line(&["list", "claims"], "claims/nk-troops-c23 ", &["NIS, through Lee Seong Kwon"]);
        line(&["get", "claims/nk-troops-c23"], "by ", &["NIS, through Lee Seong Kwon"]);
    };
    check(&["--data", &data]);
    let serving = Serving::start(&["--data", &data]);
    check(&["--server", serving.address()]);
    serving.stop();
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let check = |arguments: &[&str], status: i32, parts: &[&str]| {
        let (code, text) = fails(arguments);
        assert_eq!(code, status, "{arguments:?}: {text}");
        for part in parts {
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    };
    check(&["info", "--server", "http://127.0.0.1:1"], 1, &["annals serve", "--data"]);
    check(&["get", "events/e1", "--data", &data], 1, &["there is no folder"]);
    check(&["get", "nothing"], 2, &["collection/id"]);
    check(&["list", "things"], 2, &["estimates"]);
    check(&["get", "events/e1", "--as-of", "yesterday"], 2, &["2024-10-23"]);
    check(&["serve", "--listen", "0.0.0.0:0", "--in-memory"], 1, &["--insecure"]);
    check(&["serve", "--cache", "lots"], 2, &["256MiB"]);
    let file = write(&folder, "annals.toml", "listne = \"x\"");
    check(&["serve", "--config", &file], 1, &["listne"]);

    let unknown = write(&folder, "unknown.json", r#"{"request_id":"x","mutations":[{"create":{"event":{"titel":"x"}}}]}"#);
    check(&["commit", "--data", &data, &unknown], 1, &["mutations[0].create.event", "titel", "line 1"]);
    let invalid =
        write(&folder, "invalid.json", r#"{"request_id":"x","mutations":[{"create":{"event":{}}},{"create":{"actor":{}}}]}"#);
    check(
        &["commit", "--data", &data, &invalid],
        1,
        &["FIELD_INVALID", "mutations[0].create.event.title", "mutations[1].create.actor"],
    );
    check(&["get", "events/e1", "--data", &data], 1, &["RECORD_NOT_FOUND"]);
}

#[test]
fn an_error_names_the_option_that_was_given_and_not_a_field_of_the_request() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let commits = r#"{"mutations":[{"create":{"event":{"name":"events/deleted","title":"a"}}},{"create":{"event":{"name":"events/merged","title":"b"}}},{"create":{"event":{"name":"events/e","title":"c"}}}]}
{"mutations":[{"delete":{"name":"events/deleted"}},{"merge":{"name":"events/merged","into":"events/e"}}]}
"#;
    ok(&["commit", "--data", &data, &write(&folder, "commits.ndjson", commits)]);
    for (arguments, says) in [
        (&["get", "events/deleted"][..], "deleted at revision 2: add --show-deleted to see it (RECORD_DELETED)"),
        (&["get", "events/merged", "--no-redirect"], "get that record, or leave out --no-redirect (RECORD_REDIRECTED)"),
        (&["get", "events/e", "--as-of", "9999-01-01"], "error: --as-of: "),
        (&["get", "events/e", "--as-of=-1"], "error: --as-of: "),
        (&["list", "events", "--filter", "titel = 1"], "error: --filter: at position 0"),
        (&["list", "events", "--filter", "titel = 1", "--explain"], "error: --filter: at position 0"),
        (&["list", "events", "--order-by", "titel"], "error: --order-by: at position 0"),
        (&["list", "events", "--page-size=-1"], "error: --page-size: "),
        (&["watch", "--filter", "title:*"], "exactly one collection: annals watch claims --filter ..."),
        (&["watch", "events", "claims", "--filter", "title:*"], "exactly one collection: annals watch events --filter ..."),
        (&["export", "--filter", "title:*"], "exactly one collection: annals export claims --filter ..."),
        (&["export", "--format", "stix", "--filter", "title:*"], "exactly one collection"),
        (&["export", "claims", "--format", "ucdp-ged"], "--format ucdp-ged exports only events: name no other collection"),
    ] {
        let (status, text) = fails(&[arguments, &["--data", &data]].concat());
        assert!(status == 1 && text.contains(says), "{arguments:?}: {text}");
    }
    ok(&["export", "events", "events", "--filter", "title:*", "--data", &data]);
}

#[test]
fn commits_stop_at_the_first_failure_unless_told_to_continue() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let broken = format!("{{\"request_id\":\"broken\",\"mutations\":[]}}\n{COMMITS}");
    let file = write(&folder, "commits.ndjson", &broken);
    let (_, text) = fails(&["commit", "--data", &data, &file]);
    assert!(
        text.contains("broken") && text.contains("0 commits applied, 0 of them already applied before, 1 failed")
            || !text.contains("applied"),
        "{text}"
    );
    let output = run(&["commit", "--data", &data, "--keep-going", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "c1: revision 1, 1 created\nc2: revision 2, 1 updated\n");
}

#[test]
fn a_dry_run_writes_nothing_and_standard_input_is_read() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let mut child = annals(&["commit", "--data", &data, "--dry-run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let first = COMMITS.lines().next().expect("a line");
    child.stdin.take().expect("piped").write_all(first.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(stdout(&output), "c1: checked, nothing written, 1 created\n");
    let info: Value = serde_json::from_str(&ok(&["info", "--data", &data, "--json"])).expect("JSON");
    assert_eq!(info.get("head_revision"), None);
}

#[test]
fn commits_without_an_id_are_made_once_from_whatever_file_plain_or_packed() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let line = r#"{"mutations":[{"create":{"event":{"title":"no name and no id"}}}]}"#;
    let plain = write(&folder, "plain.ndjson", line);
    assert!(ok(&["commit", "--data", &data, &plain]).ends_with("plain.ndjson, commit 1: revision 1, 1 created\n"));
    let spaced = write(&folder, "other.json", &line.replace(':', " : "));
    assert!(ok(&["commit", "--data", &data, &spaced]).contains("revision 1, 1 created, already applied before"));
    for (name, packed) in [("a.json.gz", gzip(line)), ("a.json.zst", zstd::encode_all(line.as_bytes(), 1).expect("packed"))] {
        let path = folder.path().join(name);
        std::fs::write(&path, packed).expect("written");
        assert!(ok(&["commit", "--data", &data, &path.to_string_lossy()]).contains("already applied before"), "{name}");
    }
    let (_, text) = fails(&["commit", "--data", &data, &plain, "missing.json"]);
    assert!(text.contains("missing.json"), "{text}");
}

#[test]
fn a_folder_that_a_server_has_open_is_refused_with_who_has_it() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let serving = Serving::start(&["--data", &data]);
    let (_, text) = fails(&["info", "--data", &data]);
    assert!(text.contains("in use by"), "{text}");
    serving.stop();
    ok(&["info", "--data", &data]);
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(&["completions", shell]).contains("annals"));
    }
}

#[test]
fn help_has_examples_for_each_command() {
    assert!(ok(&["--help"]).contains("annals serve"));
    for command in ["serve", "commit", "get", "list", "history", "watch", "export", "ingest", "info", "verify", "completions"] {
        let help = ok(&[command, "--help"]);
        assert!(help.contains("Example") && help.contains(&format!("annals {command}")), "{command}: {help}");
    }
    for command in ["list", "watch", "export"] {
        let help = ok(&[command, "--help"]);
        assert!(RecordKind::ALL.into_iter().all(|kind| help.contains(kind.collection())), "{command}: {help}");
    }
}
