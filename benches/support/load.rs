//! The load: a closed loop of unary calls on one connection. Each stream sends its next call after the previous one is
//! answered.
//!
//! One thread encodes all requests and receives all answers without decoding them, so that every call costs the client the
//! same. Server and client share the machine's cores.
#![allow(dead_code)] // Each benchmark uses its part.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use bytes::Bytes;
use fastrand::Rng;
use hdrhistogram::Histogram;
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery};

use crate::{raw::Raw, server::Server};

/// Warm-up time before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// Latencies are counted up to this, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;
/// The longest answer that the client accepts.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A call that is repeated with other requests.
#[derive(Clone)]
pub(crate) struct Call {
    /// The path of the method: `/package.Service/Method`.
    pub(crate) method: &'static str,
    /// Makes the next request.
    pub(crate) request: Arc<dyn Fn(&mut Rng) -> Bytes + Send + Sync>,
}

/// The result of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Calls per second.
    pub(crate) rate: f64,
    /// Median time to the answer, in microseconds.
    pub(crate) p50_us: f64,
    /// The time within which 99 of 100 calls are answered, in microseconds.
    pub(crate) p99_us: f64,
    /// The server's processor time per call, in microseconds.
    pub(crate) cpu_us: f64,
}

/// Calls a server for this time. Errs at the first call that fails.
pub(crate) async fn run(server: &Server, call: &Call, streams: usize, time: Duration) -> anyhow::Result<Measured> {
    let channel = server.connect().await?;
    let (stop, counting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = (0..streams)
        .map(|_| {
            let grpc = Grpc::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
            tokio::spawn(stream(grpc, call.clone(), Arc::clone(&stop), Arc::clone(&counting)))
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let (began, cpu) = (Instant::now(), server.cpu()?);
    counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(time).await;
    counting.store(false, Ordering::Relaxed);
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), server.cpu()?.saturating_sub(cpu));
    stop.store(true, Ordering::Relaxed);

    let mut latencies = histogram()?;
    for task in tasks {
        latencies.add(task.await??)?;
    }
    if latencies.is_empty() {
        bail!("no call of {} was answered in {time:?}", call.method);
    }
    Ok(Measured {
        rate: latencies.len() as f64 / seconds,
        p50_us: latencies.value_at_quantile(0.5) as f64,
        p99_us: latencies.value_at_quantile(0.99) as f64,
        cpu_us: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
    })
}

async fn stream(
    mut grpc: Grpc<tonic::transport::Channel>,
    call: Call,
    stop: Arc<AtomicBool>,
    counting: Arc<AtomicBool>,
) -> anyhow::Result<Histogram<u64>> {
    let mut rng = Rng::new();
    let mut latencies = histogram()?;
    while !stop.load(Ordering::Relaxed) {
        let request = Request::new((call.request)(&mut rng));
        let began = Instant::now();
        grpc.ready().await?;
        grpc.unary(request, PathAndQuery::from_static(call.method), Raw).await?;
        if counting.load(Ordering::Relaxed) {
            latencies.saturating_record(u64::try_from(began.elapsed().as_micros())?);
        }
    }
    Ok(latencies)
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?)
}
