//! Shared by random tests: their size and seed from the environment, and figures that the test runner does not swallow.
//!
//! Knows the environment. Must not know what is tested.
#![allow(dead_code)]

use std::io::Write as _;

/// A number from the environment, for a longer run.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}

/// The seed of a test: a new one each time, unless the environment sets one. Printed with the name of the test.
pub(crate) fn seed(variable: &str) -> u64 {
    let seed = count(variable, fastrand::u64(..));
    loudly(&format!("{}: seed {seed}", std::thread::current().name().unwrap_or_default()));
    seed
}

/// Writes a line that the test runner does not swallow.
pub(crate) fn loudly(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Kernel and commit, for figures.
pub(crate) fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    format!("kernel {}, commit {commit}", kernel.trim())
}
