//! What trials by chance share: their size and seed from the environment, and their figures where a test runner does not
//! swallow them.
//!
//! Knows the environment. Must not know what is tried.
#![allow(dead_code)]

use std::io::Write as _;

/// A number from the environment, for a longer run.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}

/// The seed of a test: a new one each time, unless the environment repeats one. Printed with the test's name.
pub(crate) fn seed(variable: &str) -> u64 {
    let seed = count(variable, fastrand::u64(..));
    loudly(&format!("{}: seed {seed}", std::thread::current().name().unwrap_or_default()));
    seed
}

/// Writes a line where a test runner does not swallow it.
pub(crate) fn loudly(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Where figures come from.
pub(crate) fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    format!("kernel {}, commit {commit}", kernel.trim())
}
