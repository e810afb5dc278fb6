//! A process seen from outside: starts it, reads its output, ends it.
//!
//! Knows processes. Must not know what a promise is.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub(crate) use crate::trial::{count, loudly};
use crate::{
    life::{ARGUMENTS, SCRIPT},
    script::{Said, Script},
};

/// A process that prints nothing for this long hangs. On a busy machine it may wait for other tests.
const SILENCE_MAX: Duration = Duration::from_mins(3);

/// A process that runs a script.
pub(crate) struct Life {
    child: Child,
    errors: PathBuf,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    said: Vec<Said>,
    ended: bool,
}

impl Life {
    /// Starts a process. `files` is a folder outside the data folder, for the script and for its standard error.
    pub(crate) fn start(script: &Script, files: &std::path::Path) -> Self {
        let own = std::env::current_exe().expect("this binary has a path");
        Self::start_with(Command::new(own).args(ARGUMENTS), script, files)
    }

    /// Like [`Self::start`], with a command that runs this binary.
    pub(crate) fn start_with(command: &mut Command, script: &Script, files: &std::path::Path) -> Self {
        let (told, errors) = (files.join("script.json"), files.join("stderr"));
        fs::write(&told, serde_json::to_vec(script).expect("a script has no odd keys")).expect("room for a script");
        let mut child = command
            .env(SCRIPT, &told)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).expect("room for messages"))
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("its standard output is piped"));
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let listener = std::thread::spawn(move || {
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if let Some(said) = Said::parse(&line) {
                    theirs.lock().said.push(said);
                    theirs.changed.notify_all();
                }
                line.clear();
            }
            theirs.lock().ended = true;
            theirs.changed.notify_all();
        });
        Self { child, errors, shared, listener: Some(listener) }
    }

    /// Waits until it has printed something or ended.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Said) -> bool) {
        let mut heard = self.shared.lock();
        let (mut known, mut since) = (0, Instant::now());
        loop {
            if heard.ended || heard.said[known..].iter().any(&wanted) {
                return;
            }
            if heard.said.len() > known {
                (known, since) = (heard.said.len(), Instant::now());
            }
            if since.elapsed() > SILENCE_MAX {
                return;
            }
            heard = self.shared.changed.wait_timeout(heard, SILENCE_MAX).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was read so far.
    pub(crate) fn heard(&self) -> Vec<Said> {
        self.shared.lock().said.clone()
    }

    /// How it ended by itself, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().expect("a child of ours")?;
        Some(self.end_by_itself(status))
    }

    /// Kills it. Returns everything it printed, and how it ended by itself, if it did.
    pub(crate) fn kill(mut self) -> (Vec<Said>, Option<String>) {
        // Checked first: a process that has ended cannot be killed, and our signal is not its own end.
        let ended = self.child.try_wait().expect("a child of ours");
        self.child.kill().expect("a child of ours");
        self.finish(ended.is_some())
    }

    /// Waits for its end. Returns everything it printed, and how it ended if it failed.
    pub(crate) fn wait(mut self) -> (Vec<Said>, Option<String>) {
        self.wait_for(|_| false);
        if !self.shared.lock().ended {
            self.child.kill().expect("a child of ours");
        }
        self.finish(true)
    }

    fn finish(&mut self, by_itself: bool) -> (Vec<Said>, Option<String>) {
        let status = self.child.wait().expect("a child of ours");
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the listener does not panic");
        }
        let said = std::mem::take(&mut self.shared.lock().said);
        let well = !by_itself || (status.success() && said.last() == Some(&Said::Closed));
        (said, (!well).then(|| self.end_by_itself(status)))
    }

    fn end_by_itself(&self, status: ExitStatus) -> String {
        let errors = fs::read(&self.errors).unwrap_or_default();
        format!("the process ended by itself, {status}: {}", String::from_utf8_lossy(&errors))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seed of a test. Printed.
pub(crate) fn seed() -> u64 {
    crate::trial::seed("ANNALS_CRASH_SEED")
}
