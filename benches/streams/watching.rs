//! Measures many watchers of one stream of commits, compared with one watcher.
//!
//! Commits are sent at a fixed rate, each with its time of sending in its request id. The latency is the time from sending
//! until a watcher has decoded the commit, so it includes the commit itself.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use annals::proto::{WatchRequest, record::Record, record_service_client::RecordServiceClient};
use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use prost::Message;
use tokio::{
    task::{JoinSet, LocalSet},
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::{Request, Streaming, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::{median::median, records, server::Server};

const METHOD: &str = "/annals.v1.RecordService/Watch";
/// Watches on one connection. The limit of a caller is 100.
const WATCHES_PER_CONNECTION: usize = 50;
/// Warm-up time before anything is counted, and time for the last commits to arrive.
const SETTLE: Duration = Duration::from_secs(1);
/// Latencies are counted up to this, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// The measured part of a `WatchResponse`.
#[derive(Clone, PartialEq, Message)]
struct Shown {
    #[prost(message, optional, tag = "2")]
    commit: Option<ShownCommit>,
}

/// The measured part of a `Commit`.
#[derive(Clone, PartialEq, Message)]
struct ShownCommit {
    #[prost(string, tag = "4")]
    request_id: String,
}

/// What watchers received in one round, and how long the messages took.
struct Turn {
    commits: u64,
    messages: u64,
    seconds: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_seconds: f64,
}

/// All rounds, by the number of watchers.
pub(crate) struct Watches {
    turns: BTreeMap<usize, Vec<Turn>>,
    rate: f64,
}

pub(crate) async fn measure(
    server: &Server,
    watchers: &[usize],
    rate: f64,
    time: Duration,
    rounds: usize,
) -> anyhow::Result<Watches> {
    let mut turns = BTreeMap::<usize, Vec<Turn>>::new();
    for round in 0..rounds {
        for watchers in watchers {
            eprintln!("{watchers} watching, round {}", round + 1);
            let turn = LocalSet::new().run_until(turn(server, *watchers, rate, time)).await?;
            turns.entry(*watchers).or_default().push(turn);
        }
    }
    Ok(Watches { turns, rate })
}

async fn turn(server: &Server, watchers: usize, rate: f64, time: Duration) -> anyhow::Result<Turn> {
    let epoch = Instant::now();
    let messages = Rc::new(RefCell::new(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?));
    let mut tasks = JoinSet::new();
    for first in (0..watchers).step_by(WATCHES_PER_CONNECTION) {
        let channel = server.connect().await?;
        for _ in first..watchers.min(first + WATCHES_PER_CONNECTION) {
            let stream = watch(Grpc::new(channel.clone())).await?;
            tasks.spawn_local(follow(stream, epoch, Rc::clone(&messages)));
        }
    }
    let mut writer = RecordServiceClient::new(server.connect().await?);
    sleep(SETTLE).await;
    let (began, cpu, mut commits) = (Instant::now(), server.cpu()?, 0);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < time {
        ticks.tick().await;
        // The same record each time, so that each message has the same size.
        let mut event = records::event(0, 1);
        (event.name, event.participants) = ("events/watched".into(), Vec::new());
        event.description = format!("{:032x}", fastrand::u128(..));
        let request_id = format!("{}-{:x}", epoch.elapsed().as_nanos(), fastrand::u64(..));
        writer.commit(records::write(request_id, Record::Event(event))).await?;
        commits += 1;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu()?.saturating_sub(cpu));
    sleep(SETTLE).await;
    if let Some(ended) = tasks.try_join_next() {
        ended?.context("a watch ended")?;
    }
    tasks.shutdown().await;
    let messages = messages.borrow();
    ensure!(messages.len() == commits * watchers as u64, "{} of {commits} x {watchers} messages", messages.len());
    Ok(Turn {
        commits,
        messages: messages.len(),
        seconds,
        p50_us: messages.value_at_quantile(0.5) as f64,
        p99_us: messages.value_at_quantile(0.99) as f64,
        cpu_seconds: cpu.as_secs_f64(),
    })
}

async fn watch(mut grpc: Grpc<tonic::transport::Channel>) -> anyhow::Result<Streaming<Shown>> {
    grpc.ready().await?;
    let codec = ProstCodec::<WatchRequest, Shown>::default();
    let request = Request::new(WatchRequest::default());
    Ok(grpc.server_streaming(request, PathAndQuery::from_static(METHOD), codec).await?.into_inner())
}

async fn follow(mut stream: Streaming<Shown>, epoch: Instant, messages: Rc<RefCell<Histogram<u64>>>) -> anyhow::Result<()> {
    while let Some(shown) = stream.message().await? {
        let Some(commit) = shown.commit else { continue };
        let (sent, _) = commit.request_id.split_once('-').context("the time of sending")?;
        let took = epoch.elapsed().saturating_sub(Duration::from_nanos(sent.parse()?));
        messages.borrow_mut().saturating_record(u64::try_from(took.as_micros())?);
    }
    anyhow::bail!("the server ended a watch")
}

impl fmt::Display for Watches {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "\n| watchers | commits/s | messages/s | p50 us | p99 us | p99 divided by that of one watcher | server CPU, cores | us per message |"
        )?;
        writeln!(to, "|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let of = |turns: &[Turn], figure: fn(&Turn) -> f64| median(turns.iter().map(figure)).unwrap_or_default();
        let one = self.turns.get(&1).map(|turns| of(turns, |turn| turn.p99_us));
        for (watchers, turns) in &self.turns {
            let p99 = of(turns, |turn| turn.p99_us);
            writeln!(
                to,
                "| {watchers} | {:.0} of {:.0} | {:.0} | {:.0} | {p99:.0} | {:.1} | {:.2} | {:.0} |",
                of(turns, |turn| turn.commits as f64 / turn.seconds),
                self.rate,
                of(turns, |turn| turn.messages as f64 / turn.seconds),
                of(turns, |turn| turn.p50_us),
                one.map_or(f64::NAN, |one| p99 / one),
                of(turns, |turn| turn.cpu_seconds / turn.seconds),
                of(turns, |turn| turn.cpu_seconds * 1e6 / turn.messages as f64),
            )?;
        }
        Ok(())
    }
}
