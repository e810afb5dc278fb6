//! The connection context: what the calls of one connection share. It also counts permits and memory of calls, for each
//! connection and for the whole server.
//!
//! The counted memory is that of requests, as they arrive and as they are decompressed, and of answers that clients have not
//! read. A connection gets only a part of it, so that one client cannot take it all.
//!
//! Knows counts, limits and intervals of time. Must not know HTTP, what a call does, or how a connection is served.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{options::ServerOptions, status};
use crate::store::Caller;

/// A call in progress began in the current interval or in the one before. A connection with an older call is closed.
const INTERVALS: usize = 2;

/// The first bytes of each call, which are not counted. Most calls are smaller, and so pay nothing for counting.
const UNCOUNTED_BYTES: usize = 4096;

/// The calls in progress of the whole server, and the memory that they use.
#[derive(Debug, Default)]
pub(super) struct ServerLoad {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// What the calls of one connection share.
#[derive(Debug)]
pub(super) struct ConnectionContext {
    /// The limits and times of the server.
    pub(super) options: Arc<ServerOptions>,
    /// The caller. Without authentication all callers share one scope of request ids.
    pub(super) caller: Caller,
    /// The peer's address, or "in process".
    pub(super) peer: Arc<str>,
    /// Cancelled when the connection is asked to close. A stream that does not end then is cut off later.
    pub(super) closing: CancellationToken,
    server: Arc<ServerLoad>,
    bytes: AtomicUsize,
    /// The number of calls that ever began.
    began: AtomicU64,
    /// Calls in progress, including streams.
    open: AtomicUsize,
    /// The number of the current interval, which lasts `answer_time_max`.
    interval: AtomicUsize,
    /// Unary calls in progress, by the interval in which they began. Two counters, and a check at the end of each interval,
    /// cost less than a timer for each call.
    open_by_interval: [AtomicUsize; INTERVALS],
}

/// A call that [`ConnectionContext::begin`] has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenCall {
    /// The interval in which a unary call began.
    interval: Option<usize>,
}

impl ConnectionContext {
    /// A new connection. `None`: the client is in this process.
    pub(super) fn new(options: Arc<ServerOptions>, server: Arc<ServerLoad>, peer: Option<SocketAddr>) -> Self {
        Self {
            options,
            caller: Caller::anonymous(),
            peer: peer.map_or_else(|| "in process".into(), |peer| peer.to_string().into()),
            closing: CancellationToken::new(),
            server,
            bytes: AtomicUsize::new(0),
            began: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            interval: AtomicUsize::new(0),
            open_by_interval: Default::default(),
        }
    }

    /// The number of calls that ever began.
    pub(super) fn calls(&self) -> u64 {
        self.began.load(Ordering::Relaxed)
    }

    /// Whether calls are in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// Counts a call as in progress. Pass the result to [`Self::end`] when the call ends.
    pub(super) fn begin(&self, streaming: bool) -> OpenCall {
        self.began.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        // A stream may be open for any time, so it has no interval.
        let interval = (!streaming).then(|| self.interval.load(Ordering::Relaxed) % INTERVALS);
        if let Some(interval) = interval {
            self.open_by_interval[interval].fetch_add(1, Ordering::Relaxed);
        }
        OpenCall { interval }
    }

    /// Counts a call as ended.
    pub(super) fn end(&self, call: OpenCall) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(interval) = call.interval {
            self.open_by_interval[interval].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Begins a new interval. Returns whether a unary call is open that began before the interval that ends now. Such a call is
    /// past its deadline, so its client does not read the answer.
    pub(super) fn next_interval(&self) -> bool {
        let next = self.interval.load(Ordering::Relaxed) + 1;
        let stalled = self.open_by_interval[next % INTERVALS].load(Ordering::Relaxed) > 0;
        self.interval.store(next, Ordering::Relaxed);
        stalled
    }
}

/// What one call takes from the server: a permit and memory. Dropping this gives them back.
#[derive(Debug)]
pub(super) struct CallPermit {
    connection: Arc<ConnectionContext>,
    /// Whether the call counts among the calls in progress.
    is_counted: AtomicBool,
    bytes: AtomicUsize,
}

impl CallPermit {
    /// The permit of a call that takes nothing yet.
    pub(super) fn new(connection: Arc<ConnectionContext>) -> Self {
        Self { connection, is_counted: AtomicBool::new(false), bytes: AtomicUsize::new(0) }
    }

    /// The connection of the call.
    pub(super) fn connection(&self) -> &ConnectionContext {
        &self.connection
    }

    /// Counts the call among the calls in progress. `TOO_MANY_REQUESTS` if there are too many.
    pub(super) fn acquire(&self) -> Result<(), Status> {
        let limit = self.connection.options.calls_limit();
        self.is_counted.store(true, Ordering::Relaxed);
        if self.connection.server.calls.fetch_add(1, Ordering::Relaxed) as u64 >= limit.maximum {
            return Err(status::from_store(status::too_many_requests(limit)));
        }
        Ok(())
    }

    /// Takes memory. `TOO_MANY_REQUESTS` if there is not enough.
    pub(super) fn charge(&self, bytes: usize) -> Result<(), Status> {
        let options = &self.connection.options;
        let (connection, server) = self.add(bytes);
        for (used, limit) in [(connection, options.bytes_per_connection_limit()), (server, options.bytes_limit())] {
            if used as u64 > limit.maximum {
                return Err(status::from_store(status::too_many_requests(limit)));
            }
        }
        Ok(())
    }

    /// Counts bytes. Returns the bytes that the connection and the server use now.
    fn add(&self, bytes: usize) -> (usize, usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let counted = (before + bytes).max(UNCOUNTED_BYTES) - before.max(UNCOUNTED_BYTES);
        if counted == 0 {
            return (0, 0);
        }
        let add = |to: &AtomicUsize| to.fetch_add(counted, Ordering::Relaxed) + counted;
        (add(&self.connection.bytes), add(&self.connection.server.bytes))
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let (connection, server) = (&self.connection, &self.connection.server);
        if *self.is_counted.get_mut() {
            server.calls.fetch_sub(1, Ordering::Relaxed);
        }
        let counted = self.bytes.get_mut().saturating_sub(UNCOUNTED_BYTES);
        if counted > 0 {
            connection.bytes.fetch_sub(counted, Ordering::Relaxed);
            server.bytes.fetch_sub(counted, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl ServerLoad {
    /// The counted calls and bytes.
    pub(super) fn now(&self) -> (usize, usize) {
        (self.calls.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn connection(server: &Arc<ServerLoad>) -> Arc<ConnectionContext> {
        let options = ServerOptions { bytes_per_connection_max: 100_000, bytes_max: 150_000, ..ServerOptions::default() };
        Arc::new(ConnectionContext::new(Arc::new(options), Arc::clone(server), None))
    }

    fn call(connection: &Arc<ConnectionContext>) -> CallPermit {
        let permit = CallPermit::new(Arc::clone(connection));
        permit.acquire().expect("a permit");
        permit
    }

    fn limit_of(refused: Result<(), Status>) -> String {
        let details = refused.expect_err("too much").get_error_details();
        assert!(details.retry_info().is_some());
        details.error_info().and_then(|info| info.metadata.get("limit").cloned()).unwrap_or_default()
    }

    #[test]
    fn memory_is_bounded_for_a_connection_and_for_all_and_given_back() {
        let server = Arc::default();
        let (one, other) = (connection(&server), connection(&server));
        let first = call(&one);
        first.charge(90_000).expect("there is room");
        let second = call(&one);
        second.charge(3000).expect("a little is not counted");
        assert_eq!(limit_of(call(&one).charge(50_000)), "rpc.bytes_per_connection");
        let third = call(&other);
        third.charge(60_000).expect("the other connection has room of its own");
        assert_eq!(limit_of(call(&other).charge(30_000)), "rpc.bytes");
        drop(first);
        call(&other).charge(30_000).expect("there is room again");
        drop((second, third));
        assert_eq!(server.now(), (0, 0));
    }

    #[test]
    fn a_call_that_grows_by_small_steps_is_counted_from_where_it_is_no_longer_small() {
        let server = Arc::default();
        let call = call(&connection(&server));
        for _ in 0..100 {
            call.charge(1000).expect("there is room");
        }
        assert_eq!(server.now(), (1, 100_000 - UNCOUNTED_BYTES));
        drop(call);
        assert_eq!(server.now(), (0, 0));
    }

    #[test]
    fn a_unary_call_that_is_open_for_more_than_an_interval_is_noticed_and_a_stream_is_not() {
        let connection = connection(&Arc::default());
        let stream = connection.begin(true);
        let call = connection.begin(false);
        assert!(!connection.next_interval());
        assert!(connection.next_interval());
        connection.end(call);
        assert!(connection.is_busy());
        connection.end(stream);
        assert!(!connection.next_interval() && !connection.is_busy());
        assert_eq!(connection.calls(), 2);
    }
}
