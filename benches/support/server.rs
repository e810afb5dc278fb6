//! A server in its own process, so that its cost can be measured separately.
#![allow(dead_code)] // Each benchmark uses its part.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use annals::proto::{GetRecordRequest, GetServerInfoRequest, record_service_client::RecordServiceClient};
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

/// The argument that makes this program the echo server.
pub(crate) const ECHO: &str = "echo";
/// The ticks in which `/proc` counts processor time.
const TICKS_PER_SECOND: u64 = 100;
/// The wait between attempts to reach a server that does not answer yet.
const RETRY: Duration = Duration::from_millis(10);

/// Which server to start, and how.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The path of the binary.
    pub(crate) program: PathBuf,
    /// The value of `--cache`.
    pub(crate) cache: String,
}

/// A running server.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts this benchmark again as the echo server.
    pub(crate) fn echo() -> anyhow::Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg(ECHO))
    }

    /// `annals serve` on a data folder, with default options except for the cache. Waits until it answers reads.
    pub(crate) async fn annals(folder: &Path, launch: &Launch) -> anyhow::Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--cache", &launch.cache, "--data"]).arg(folder);
        let server = Self::start(&mut command)?;
        let mut client = RecordServiceClient::new(server.connect().await?);
        let any = GetRecordRequest { name: "events/none".into(), ..GetRecordRequest::default() };
        while client.get_event(any.clone()).await.is_err_and(|status| status.code() == Code::Unavailable) {
            tokio::time::sleep(RETRY).await;
        }
        Ok(server)
    }

    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = command.stdout(Stdio::piped()).spawn().context("cannot start a server")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("a server's output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix("listening on ") else { bail!("the server did not start: {line:?}") };
        Ok(Self { process, address: address.to_owned() })
    }

    /// Opens a new connection to it.
    pub(crate) async fn connect(&self) -> anyhow::Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?;
        Ok(endpoint.tcp_nodelay(true).buffer_size(1024).connect().await?)
    }

    /// The number of its live records.
    pub(crate) async fn records(&self) -> anyhow::Result<u64> {
        let mut client = RecordServiceClient::new(self.connect().await?);
        let info = client.get_server_info(GetServerInfoRequest {}).await?.into_inner();
        Ok(u64::try_from(info.record_counts.values().sum::<i64>())?)
    }

    /// Processor time used by all its threads so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name of the command may contain anything. The fields after it start with the third; fields 14 and 15 are the
        // ticks in user space and in the kernel.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or_default()).sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Its peak resident memory, in bytes.
    pub(crate) fn resident_peak(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells peak memory")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// Asks it to stop and waits until it has stopped. Meanwhile the client still answers on its connections.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let id = Pid::from_child(&self.process);
        kill_process(id, Signal::TERM)?;
        let status = tokio::task::spawn_blocking(move || self.process.wait()).await??;
        // The echo server does not listen for signals, so the signal ends it.
        anyhow::ensure!(status.success() || status.code().is_none(), "the server stopped with {status}");
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Kills the server after an error too. A server that has already exited is left alone.
        if matches!(self.process.try_wait(), Ok(None)) {
            self.process.kill().unwrap_or_default();
            self.process.wait().map(drop).unwrap_or_default();
        }
    }
}
