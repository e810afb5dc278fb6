//! Serves one connection, from its acceptance to its end.
//!
//! This uses hyper and not `tonic::transport::Server`. tonic's server (0.14.9) closes an old connection without telling its
//! client first, and leaves connections open if a graceful shutdown takes too long. It cannot limit the number of connections,
//! or close idle and stalled ones.
//!
//! The first bytes from the client decide between HTTP/1.1 and HTTP/2. Both have the same limits. HTTP/1.1 has one call at a
//! time, and the server can neither ask the client to close nor ping it. When such a connection must close, the server closes
//! it after the answer in progress. It closes an idle one sooner than over HTTP/2.
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

use super::{
    connection_context::ConnectionContext,
    options::{HTTP1_HEADERS_MAX, ServerOptions},
};

/// The smallest buffer that hyper accepts for each direction of an HTTP/1.1 connection.
const HTTP1_BUFFER_BYTES_MIN: usize = 8 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Spawns hyper's task of each call on a tracker, so that the server can wait for its end.
#[derive(Clone, Debug)]
struct TrackedExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.0.spawn(call);
    }
}

/// Why a connection was asked to close.
#[derive(Clone, Copy, Debug)]
enum CloseReason {
    Shutdown,
    Age,
    Idle,
}

/// Serves one connection until it ends. Calls run as tasks of `tasks`. After `stop` it accepts no new call, and ends when the
/// calls in progress are answered.
pub(super) async fn serve<IO, S, B>(
    io: IO,
    service: S,
    context: Arc<ConnectionContext>,
    tasks: TaskTracker,
    stop: CancellationToken,
) where
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
    let options = &context.options;
    let builder = builder(options, tasks);
    let connection = builder.serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let born = Instant::now();
    let mut answer_checks = interval_at(born + options.answer_time_max, options.answer_time_max);
    answer_checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing: Option<(CloseReason, Instant)> = None;
    let mut idle = IdleTimer { calls: 0, since: born };
    let mut idle_check = born + options.first_request_time_max;
    let end = loop {
        let why = tokio::select! {
            result = connection.as_mut() => break match result {
                Ok(()) => "closed",
                Err(error) => {
                    tracing::debug!(peer = &*context.peer, error = error_chain(&*error), "connection failed");
                    "failed"
                }
            },
            () = stop.cancelled(), if !matches!(closing, Some((CloseReason::Shutdown, _))) => CloseReason::Shutdown,
            () = sleep_until(born + options.connection_age_max), if closing.is_none() => CloseReason::Age,
            () = sleep_until(idle_check), if closing.is_none() => {
                if context.calls() == 0 {
                    break "closed: it sent no request";
                }
                match idle.check(&context, options.connection_idle_time_max) {
                    Some(later) => {
                        idle_check = later;
                        continue;
                    }
                    None => CloseReason::Idle,
                }
            }
            () = grace_over(closing, options.connection_grace) => break "closed: it did not close in time",
            _ = answer_checks.tick() => {
                if context.next_interval() {
                    break "closed: an answer was not read";
                }
                continue;
            }
        };
        closing = Some((why, Instant::now()));
        connection.as_mut().graceful_shutdown();
        // A stream without an end would be cut off later. This lets it end by itself now.
        context.closing.cancel();
    };
    tracing::debug!(peer = &*context.peer, calls = context.calls(), going = ?closing, "connection {end}");
}

async fn grace_over(closing: Option<(CloseReason, Instant)>, grace: Duration) {
    match closing {
        Some((CloseReason::Age | CloseReason::Idle, since)) => sleep_until(since + grace).await,
        // The server's `drain_time_max` bounds a shutdown.
        Some((CloseReason::Shutdown, _)) | None => pending().await,
    }
}

/// How long a connection has been idle.
#[derive(Debug)]
struct IdleTimer {
    calls: u64,
    since: Instant,
}

impl IdleTimer {
    /// When to check again. `None` if the connection has been idle for too long.
    fn check(&mut self, context: &ConnectionContext, limit: Duration) -> Option<Instant> {
        let calls = context.calls();
        if calls != self.calls || context.is_busy() {
            *self = Self { calls, since: Instant::now() };
        }
        let until = self.since + limit;
        (until > Instant::now()).then_some(until)
    }
}

fn builder(options: &ServerOptions, tasks: TaskTracker) -> auto::Builder<TrackedExecutor> {
    let mut builder = auto::Builder::new(TrackedExecutor(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .keep_alive(true)
        .half_close(false)
        .header_read_timeout(options.first_request_time_max)
        .max_headers(HTTP1_HEADERS_MAX)
        // The headers must fit into the buffer, so this bounds their length.
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
