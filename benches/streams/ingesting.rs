//! Measures one ingest, compared with 64 streams of unary commits of the same size.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use annals::proto::{CommitRequest, IngestRequest, record::Record};
use bytes::Bytes;
use prost::Message;
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery};

use crate::{
    load::{self, Call},
    median::median,
    raw::Raw,
    records,
    server::Server,
};

const METHOD: &str = "/annals.v1.RecordService/Ingest";
/// Number of streams of unary commits.
const STREAMS: usize = 64;
/// Records of a commit: one, and the number of a short article.
const SIZES: [u64; 2] = [1, 10];
/// Warm-up time before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// One round: commits per second, and the server's processor time per commit.
struct Turn {
    unary: (f64, f64),
    ingest: (f64, f64),
}

/// All rounds, by the records of a commit.
pub(crate) struct Ingests(BTreeMap<u64, Vec<Turn>>);

pub(crate) async fn measure(server: &Server, events: u64, time: Duration, rounds: usize) -> anyhow::Result<Ingests> {
    let mut turns = BTreeMap::<u64, Vec<Turn>>::new();
    for round in 0..rounds {
        eprintln!("ingesting, round {}", round + 1);
        for size in SIZES {
            let request = move |_: &mut fastrand::Rng| next(events, size).encode_to_vec().into();
            let call = Call { method: "/annals.v1.RecordService/Commit", request: Arc::new(request) };
            let unary = load::run(server, &call, STREAMS, time).await?;
            let ingest = ingest(server, events, size, time).await?;
            turns.entry(size).or_default().push(Turn { unary: (unary.rate, unary.cpu_us), ingest });
        }
    }
    Ok(Ingests(turns))
}

/// A commit of new events.
fn next(events: u64, size: u64) -> CommitRequest {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
    let first = NEXT.fetch_add(size, Ordering::Relaxed);
    let actors = records::actors(events);
    records::commit((first..first + size).map(|number| Record::Event(records::event(number, actors))))
}

/// Sends commits on one stream for this time, as many as it accepts.
async fn ingest(server: &Server, events: u64, size: u64, time: Duration) -> anyhow::Result<(f64, f64)> {
    let mut grpc = Grpc::new(server.connect().await?);
    grpc.ready().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let commits = std::iter::from_fn(move || {
        let ingest = || IngestRequest { commit: Some(next(events, size)), stop_on_error: false };
        (!stopped.load(Ordering::Relaxed)).then(|| Bytes::from(ingest().encode_to_vec()))
    });
    let request = Request::new(tokio_stream::iter(commits));
    let mut answers = grpc.streaming(request, PathAndQuery::from_static(METHOD), Raw).await?.into_inner();
    let warm = Instant::now() + WARM_UP;
    while Instant::now() < warm {
        answers.message().await?;
    }
    let (began, cpu, mut answered) = (Instant::now(), server.cpu()?, 0_u64);
    while began.elapsed() < time {
        answers.message().await?;
        answered += 1;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu()?.saturating_sub(cpu));
    stop.store(true, Ordering::Relaxed);
    while answers.message().await?.is_some() {}
    Ok((answered as f64 / seconds, cpu.as_secs_f64() * 1e6 / answered as f64))
}

impl fmt::Display for Ingests {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "\n| records per commit | unary commits/s, {STREAMS} streams | server CPU us each | ingested commits/s, one stream | server CPU \
             us each | ratio to unary |"
        )?;
        writeln!(to, "|--:|--:|--:|--:|--:|--:|")?;
        for (size, turns) in &self.0 {
            let of = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure)).unwrap_or_default();
            writeln!(
                to,
                "| {size} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} |",
                of(|turn| turn.unary.0),
                of(|turn| turn.unary.1),
                of(|turn| turn.ingest.0),
                of(|turn| turn.ingest.1),
                of(|turn| turn.ingest.0 / turn.unary.0),
            )?;
        }
        Ok(())
    }
}
