//! What calls in progress take of the server: places and memory, counted for the whole server and for each connection.
//!
//! Memory is that of requests, as they arrive and as they are unpacked, and of answers that clients have not taken. Each
//! connection has a part of it only, so that one client cannot take it all.
//!
//! Knows counts and bounds. Must not know HTTP or what a call does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tonic::Status;

use super::{options::ServerOptions, status, traffic::Traffic};

/// Bytes of a call that are not counted: most calls are smaller, and counting costs each of them.
const UNCOUNTED_BYTES: usize = 4096;

/// The calls of the whole server.
#[derive(Debug, Default)]
pub(crate) struct Load {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// What the calls of one connection share.
#[derive(Debug)]
pub(crate) struct Scope {
    /// Every bound.
    pub(crate) options: Arc<ServerOptions>,
    /// What happens on the connection.
    pub(crate) traffic: Traffic,
    server: Arc<Load>,
    bytes: AtomicUsize,
}

impl Scope {
    /// A new connection.
    pub(crate) fn new(options: Arc<ServerOptions>, server: Arc<Load>, traffic: Traffic) -> Self {
        Self { options, traffic, server, bytes: AtomicUsize::new(0) }
    }
}

/// What one call takes. Given back when the last handle on it is dropped: the request's body has one, and the answer's.
#[derive(Debug)]
pub(crate) struct Held {
    scope: Arc<Scope>,
    /// Takes a place.
    counted: bool,
    bytes: AtomicUsize,
}

impl Held {
    /// A call that takes no place, and may go on however many there are.
    pub(crate) fn uncounted(scope: &Arc<Scope>) -> Self {
        Self::new(scope, false)
    }

    /// A call that takes a place, if there is one.
    pub(crate) fn take(scope: &Arc<Scope>) -> Result<Self, Status> {
        let held = Self::new(scope, true);
        let maximum = scope.options.calls_max;
        if scope.server.calls.fetch_add(1, Ordering::Relaxed) >= maximum {
            return Err(status::too_many_requests("rpc.calls", maximum));
        }
        Ok(held)
    }

    fn new(scope: &Arc<Scope>, counted: bool) -> Self {
        Self { scope: Arc::clone(scope), counted, bytes: AtomicUsize::new(0) }
    }

    /// The connection.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes memory, if there is some.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Status> {
        let options = &self.scope.options;
        let (connection, server) = self.add(bytes);
        if connection > options.bytes_per_connection_max {
            return Err(status::too_many_requests("rpc.bytes_per_connection", options.bytes_per_connection_max));
        }
        if server > options.bytes_max {
            return Err(status::too_many_requests("rpc.bytes", options.bytes_max));
        }
        Ok(())
    }

    /// Takes memory that is used already. What is too much is felt by the calls that come next. What the connection and the
    /// server use now.
    pub(crate) fn add(&self, bytes: usize) -> (usize, usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let counted = (before + bytes).max(UNCOUNTED_BYTES) - before.max(UNCOUNTED_BYTES);
        if counted == 0 {
            return (0, 0);
        }
        let add = |to: &AtomicUsize| to.fetch_add(counted, Ordering::Relaxed) + counted;
        (add(&self.scope.bytes), add(&self.scope.server.bytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let scope = &self.scope;
        if self.counted {
            scope.server.calls.fetch_sub(1, Ordering::Relaxed);
        }
        let counted = self.bytes.load(Ordering::Relaxed).saturating_sub(UNCOUNTED_BYTES);
        if counted > 0 {
            scope.bytes.fetch_sub(counted, Ordering::Relaxed);
            scope.server.bytes.fetch_sub(counted, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl Load {
    /// Places and bytes that are taken.
    pub(crate) fn now(&self) -> (usize, usize) {
        (self.calls.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn scope(server: &Arc<Load>) -> Arc<Scope> {
        let options = ServerOptions { bytes_per_connection_max: 100_000, bytes_max: 150_000, ..ServerOptions::default() };
        Arc::new(Scope::new(Arc::new(options), Arc::clone(server), Traffic::new(None)))
    }

    fn limit_of(refused: Result<(), Status>) -> String {
        let details = refused.expect_err("too much").get_error_details();
        assert!(details.retry_info().is_some());
        details.error_info().and_then(|info| info.metadata.get("limit").cloned()).unwrap_or_default()
    }

    #[test]
    fn memory_is_bounded_for_a_connection_and_for_all_and_given_back() {
        let server = Arc::default();
        let (one, other) = (scope(&server), scope(&server));
        let call = |scope| Held::take(scope).expect("a place");
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
        let call = Held::take(&scope(&server)).expect("a place");
        for _ in 0..100 {
            call.charge(1000).expect("there is room");
        }
        assert_eq!(server.now(), (1, 100_000 - UNCOUNTED_BYTES));
        drop(call);
        assert_eq!(server.now(), (0, 0));
    }
}
