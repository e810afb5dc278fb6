//! Makes each sync and each write of a run fail, one run each, with strace. Nothing is acknowledged that is missing afterwards.
//! After a sync of the log's writer failed, nothing at all is acknowledged. After a write of it failed, all that follows is.
//!
//! Knows strace's output. Must not know which call does what.

use std::{fs, path::Path, process::Command};

use crate::{
    life::ARGUMENTS,
    process::{Life, count, loudly},
    script::{Purpose, Said, Script},
};

/// Requests in a run.
const REQUESTS: u64 = 20;
/// The largest number of a call that is made to fail in a run. Later calls would not happen.
const CALLS: u64 = 30;

/// The result of a run with one kind of failing call, which fails once in each thread that reaches it.
#[derive(Default)]
struct Run {
    /// The failed calls, as strace prints them.
    refused: Vec<String>,
    acknowledged: u64,
    /// Requests acknowledged after a call of the log's writer on a segment failed, if one did.
    after_writer: Option<u64>,
    /// The same of the thread that allocates segments.
    after_preallocator: Option<u64>,
}

/// Runs a process in which the `when`-th call of a kind fails. Then checks that everything acknowledged exists.
fn refuse(call: &str, error: &str, when: u64) -> Run {
    let files = tempfile::tempdir().expect("a folder");
    let trace = files.path().join("trace");
    let mut script = Script::new(files.path().join("data"), when, Purpose::CommitSome(REQUESTS), 1);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-Y", "-s", "64", "-o"]).arg(&trace);
    strace.args(["-e", &format!("trace=write,{call}"), "-e", &format!("inject={call}:error={error}:when={when}")]);
    strace.arg(std::env::current_exe().expect("this binary has a path")).args(ARGUMENTS);
    // The exit status does not matter: closing a log that refuses writes reports an error.
    let (said, _) = Life::start_with(&mut strace, &script, files.path()).wait();
    let run = Run::read(&trace);
    for said in said {
        match said {
            Said::Acknowledged { step, answer, .. } => {
                assert_eq!(step, script.acknowledged[0].len() as u64, "{call} {when}: answers come in order, without a gap");
                script.acknowledged[0].push(answer);
            }
            Said::Violation(what) if what.contains("cannot open") || what.contains("cannot close") => {}
            Said::Violation(what) => panic!("{call} {when}: {what}"),
            _ => {}
        }
    }
    assert_eq!(run.acknowledged, script.acknowledged[0].len() as u64, "{call} {when}: the trace shows every answer");
    script.purpose = Purpose::Inspect;
    let (said, by_itself) = Life::start(&script, files.path()).wait();
    let violations: Vec<_> = said.iter().filter(|said| matches!(said, Said::Violation(_))).collect();
    assert!(violations.is_empty(), "{call} {when}, {:?}: {violations:#?}", run.refused);
    assert_eq!(by_itself, None, "{call} {when}, {:?}", run.refused);
    run
}

impl Run {
    /// From strace's lines, which are in the order of the calls.
    fn read(trace: &Path) -> Self {
        let mut run = Self::default();
        for line in fs::read_to_string(trace).expect("strace writes its trace").lines() {
            if line.contains("(INJECTED)") {
                run.refused.push(line.to_owned());
                let of_a_segment = line.contains(".segment>");
                if line.contains("<annals-writer>") && of_a_segment {
                    run.after_writer.get_or_insert(0);
                } else if line.contains("<log-preallocate>") && of_a_segment {
                    run.after_preallocator.get_or_insert(0);
                }
            } else if line.contains("write(1<") && line.contains("Acknowledged") {
                run.acknowledged += 1;
                run.after_writer.iter_mut().chain(&mut run.after_preallocator).for_each(|after| *after += 1);
            }
        }
        run
    }
}

fn is_there() -> bool {
    let version = Command::new("strace").arg("--version").output();
    // Older kernels do not name threads.
    let is_there = version.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().and_then(|line| line.rsplit(' ').next()?.split('.').next()?.parse::<u32>().ok());
        version.is_some_and(|version| version >= 6)
    });
    if !is_there {
        loudly(
            "SKIPPED: no call was refused, nothing is known about failing calls of a whole process here: there is no strace 6",
        );
    }
    is_there
}

#[test]
fn nothing_is_acknowledged_after_a_failed_sync() {
    if !is_there() {
        return;
    }
    let (mut trials, mut by_the_writer) = (0, 0);
    for call in ["fdatasync", "fsync"] {
        for when in 1..=count("ANNALS_CRASH_CALLS", CALLS) {
            let run = refuse(call, "EIO", when);
            if run.refused.is_empty() {
                break;
            }
            trials += 1;
            by_the_writer += u64::from(run.after_writer.is_some());
            assert_eq!(run.after_writer.unwrap_or(0), 0, "{call} {when}: acknowledged after {:?}", run.refused);
            // The commit under way has a sync of its own.
            let after = run.after_preallocator.unwrap_or(0);
            assert!(after <= 1, "{call} {when}: acknowledged {after} after {:?}", run.refused);
        }
    }
    loudly(&format!("syncs that fail: 0 violations / {trials} trials, {by_the_writer} of them syncs of a commit"));
    assert!(by_the_writer >= REQUESTS / 2, "the syncs of commits are among those refused");
}

#[test]
fn a_write_that_finds_no_room_loses_nothing() {
    if !is_there() {
        return;
    }
    let (mut trials, mut by_the_writer) = (0, 0);
    for when in 1..=count("ANNALS_CRASH_CALLS", CALLS) {
        let run = refuse("pwrite64", "ENOSPC", when);
        if run.refused.is_empty() {
            break;
        }
        trials += 1;
        if let Some(after) = run.after_writer {
            by_the_writer += 1;
            assert_eq!(run.acknowledged, REQUESTS, "pwrite64 {when}: the refused commit is made when it is sent again");
            assert!(after > 0, "pwrite64 {when}: nothing was acknowledged after {:?}", run.refused);
        }
    }
    loudly(&format!("writes that find no room: 0 violations / {trials} trials, {by_the_writer} of them writes of a commit"));
    assert!(by_the_writer > 0, "the writes of commits are among those refused");
}
