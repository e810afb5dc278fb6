//! `annals serve` in its own process: started, paused, killed, stopped, and observed from outside.
//!
//! Knows processes. Must not know what the server is asked.
#![allow(dead_code)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use annals::proto::record_service_client::RecordServiceClient;
use rustix::process::{Pid, Signal, kill_process};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// A client of the service.
pub(crate) type Client = RecordServiceClient<Channel>;

/// The largest message that a client accepts.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How often a server that does not answer yet is asked again.
const RETRY: Duration = Duration::from_millis(5);
/// A server that does not answer within this time never will.
const START_TIME_MAX: Duration = Duration::from_mins(2);

/// The binary, without the environment variables of the person who runs the tests. `ANNALS_TEST_BINARY` names another binary
/// than the one built with the tests, such as a release build for a long run.
pub(crate) fn annals(arguments: &[&str]) -> Command {
    let program = std::env::var_os("ANNALS_TEST_BINARY");
    let mut command = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_annals").as_ref()));
    command.args(arguments);
    for name in ["ANNALS_SERVER", "ANNALS_CONFIG", "ANNALS_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A running server.
pub(crate) struct Serving {
    child: Child,
    address: String,
    /// Reads its log, so that it never blocks on writing it.
    log: Option<JoinHandle<String>>,
}

impl Serving {
    /// Starts one on a free port and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", arguments)
    }

    /// Starts one on an address and waits until it listens.
    pub(crate) fn listen(address: &str, arguments: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", address];
        all.extend(arguments);
        let mut child = annals(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut errors = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            drop(errors.read_to_end(&mut log));
            String::from_utf8_lossy(&log).into_owned()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let Some(address) = line.trim().strip_prefix("listening on ").map(str::to_owned) else {
            drop(child.kill());
            panic!("it does not listen: {line:?}, {}", log.join().expect("no panic"));
        };
        Self { child, address: format!("http://{address}"), log: Some(log) }
    }

    /// Starts one on a data folder, with a small cache, and waits until it answers reads.
    pub(crate) async fn start_on(folder: &Path) -> Self {
        let folder = folder.to_str().expect("a path in UTF-8");
        let serving = Self::start(&["--data", folder, "--cache", "32MiB", "--log", "warn"]);
        let mut client = serving.client().await;
        let began = Instant::now();
        while let Err(status) = client.get_server_info(annals::proto::GetServerInfoRequest {}).await {
            assert!(status.code() == Code::Unavailable && began.elapsed() < START_TIME_MAX, "{status:?}");
            tokio::time::sleep(RETRY).await;
        }
        serving
    }

    /// Its URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A client with its own connection.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.address).await.expect("it listens")
    }

    /// Its resident memory now, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the kernel tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for resident memory");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
    }

    /// Pauses all its threads.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes it.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it. It must have run until now.
    pub(crate) fn kill(mut self) {
        let ended = self.child.try_wait().expect("a child of ours");
        assert!(ended.is_none(), "it ended by itself, {ended:?}: {}", self.log());
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Stops it as an init system does. Returns its log.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let began = Instant::now();
        let status = self.child.wait().expect("it ends");
        let log = self.log();
        assert!(status.success(), "{status}: {log}");
        assert!(began.elapsed() < Duration::from_secs(15), "{log}");
        log
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    fn log(&mut self) -> String {
        self.log.take().map(|log| log.join().expect("no panic")).unwrap_or_default()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // After a failed test. A stopped one is gone. SIGKILL also ends a paused one.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A client of the server at an address, with its own connection.
pub(crate) async fn connect(address: &str) -> Result<Client, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(address.to_owned())?;
    let channel = endpoint.tcp_nodelay(true).connect().await?;
    Ok(RecordServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}
