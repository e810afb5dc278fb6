//! One connection, from its acceptance to its end.
//!
//! Served with hyper and not with `tonic::transport::Server`, because that one closes a connection of a certain age without
//! telling its client first (0.14.9), leaves connections behind when a drain takes too long, and can neither cap connections
//! nor end those that send nothing or take nothing.
//!
//! HTTP/1.1 or HTTP/2 by what the client says first, with the same limits. Over HTTP/1.1 there is one call at a time, and nobody
//! can be told to go or asked whether they are there: such a connection is closed after an answer, and sooner where it is silent.
//!
//! Knows HTTP/1.1 and HTTP/2. Must not know services, messages or the store.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body::Body;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{load::Scope, options::ServerOptions, traffic::Traffic};

/// Headers of a request over HTTP/1.1. HTTP/2 counts their bytes alone.
const HTTP1_HEADERS_MAX: usize = 100;

/// Bytes that hyper keeps at least of an HTTP/1.1 connection, each way.
const HTTP1_BUFFER_BYTES_MIN: usize = 8 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Spawns what hyper runs for each call, so that its end can be waited for.
#[derive(Clone, Debug)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// Why a connection was told to go.
#[derive(Clone, Copy, Debug)]
enum Going {
    Shutdown,
    Age,
    Idle,
}

/// Serves one connection until it ends. Calls run as tasks of `tasks`. After `stop` no new call is taken, and it ends when those
/// in progress have been answered.
pub(crate) async fn serve<IO, S, B>(io: IO, service: S, scope: Arc<Scope>, tasks: TaskTracker, stop: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<B>,
            Error = std::convert::Infallible,
            Future: Send + 'static,
        > + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (options, traffic) = (&scope.options, &scope.traffic);
    let builder = builder(options, tasks);
    let connection = builder.serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let born = Instant::now();
    let mut rounds = interval_at(born + options.answer_time_max, options.answer_time_max);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut going: Option<(Going, Instant)> = None;
    let mut idle = Idle { calls: 0, since: born };
    let mut look_at = born + options.first_request_time_max;
    let end = loop {
        let why = tokio::select! {
            result = connection.as_mut() => break match result {
                Ok(()) => "closed",
                Err(error) => {
                    tracing::debug!(peer = traffic.peer(), error = error_chain(&*error), "connection failed");
                    "failed"
                }
            },
            () = stop.cancelled(), if !matches!(going, Some((Going::Shutdown, _))) => Going::Shutdown,
            () = sleep_until(born + options.connection_age_max), if going.is_none() => Going::Age,
            () = sleep_until(look_at), if going.is_none() => {
                if traffic.calls() == 0 {
                    break "closed: it sent no request";
                }
                match idle.look(traffic, options.connection_idle_time_max) {
                    Some(later) => {
                        look_at = later;
                        continue;
                    }
                    None => Going::Idle,
                }
            }
            () = grace_over(going, options.connection_grace) => break "closed: it did not go in time",
            _ = rounds.tick() => {
                if traffic.next_round() {
                    break "closed: an answer was not taken";
                }
                continue;
            }
        };
        going = Some((why, Instant::now()));
        connection.as_mut().graceful_shutdown();
        // What never ends by itself would be cut in the end.
        traffic.go();
    };
    tracing::debug!(peer = traffic.peer(), calls = traffic.calls(), ?going, "connection {end}");
}

async fn grace_over(going: Option<(Going, Instant)>, grace: Duration) {
    match going {
        Some((Going::Age | Going::Idle, since)) => sleep_until(since + grace).await,
        // Of a shutdown the server's own drain is the bound.
        Some((Going::Shutdown, _)) | None => pending().await,
    }
}

/// Since when nothing has happened.
#[derive(Debug)]
struct Idle {
    calls: u64,
    since: Instant,
}

impl Idle {
    /// When to look again; `None` if nothing happened for too long.
    fn look(&mut self, traffic: &Traffic, limit: Duration) -> Option<Instant> {
        let calls = traffic.calls();
        if calls != self.calls || traffic.is_busy() {
            *self = Self { calls, since: Instant::now() };
        }
        let until = self.since + limit;
        (until > Instant::now()).then_some(until)
    }
}

fn builder(options: &ServerOptions, tasks: TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .keep_alive(true)
        .half_close(false)
        .header_read_timeout(options.first_request_time_max)
        .max_headers(HTTP1_HEADERS_MAX)
        // Headers have to fit into the buffer: so their length is bounded.
        .max_buf_size(HTTP1_BUFFER_BYTES_MIN.max(options.header_bytes_max as usize));
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(options.calls_per_connection_max)
        .initial_stream_window_size(options.stream_window_bytes)
        .initial_connection_window_size(options.connection_window_bytes)
        .adaptive_window(false)
        .max_frame_size(options.frame_bytes_max)
        .max_send_buf_size(options.send_buffer_bytes)
        .max_header_list_size(options.header_bytes_max)
        .max_pending_accept_reset_streams(options.pending_resets_max)
        .max_local_error_reset_streams(options.error_resets_max)
        .keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout);
    builder
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
