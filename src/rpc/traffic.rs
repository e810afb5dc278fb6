//! What happens on one connection, as far as others have to know: who is at the other end, which calls are in progress, and
//! whether it was told to go.
//!
//! Knows counts and rounds of time. Must not know HTTP, or how a connection is served.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

/// Rounds that a call in progress can have begun in: this one and the one before. What is older is closed.
const ROUNDS: usize = 2;

/// What happens on one connection, as far as its end depends on it.
#[derive(Debug)]
pub(crate) struct Traffic {
    peer: Arc<str>,
    /// Calls that ever began.
    began: AtomicU64,
    /// Calls in progress, streams too.
    open: AtomicUsize,
    /// The round that is going on. One lasts `answer_time_max`.
    round: AtomicUsize,
    /// Unary calls in progress by the round they began in: two counters and a look every round, where a clock for each call
    /// would cost each call.
    open_by_round: [AtomicUsize; ROUNDS],
    going: CancellationToken,
}

/// The other end of a connection, as a stream has to know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Who a caller is where nobody has to say.
    pub(crate) name: Arc<str>,
    /// Cancelled when the connection is told to go: a stream that does not end then is cut later.
    pub(crate) going: CancellationToken,
}

/// A call that [`Traffic`] counts. The round is that in which a unary one began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    round: Option<usize>,
}

impl Traffic {
    /// Nothing yet.
    pub(crate) fn new(peer: Option<SocketAddr>) -> Self {
        Self {
            peer: peer.map_or_else(|| "in process".into(), |peer| peer.to_string().into()),
            began: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            open_by_round: Default::default(),
            going: CancellationToken::new(),
        }
    }

    /// The other end.
    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    /// The other end, for whoever answers a stream.
    pub(super) fn to_peer(&self) -> Peer {
        Peer { name: Arc::clone(&self.peer), going: self.going.clone() }
    }

    /// Tells the streams that the connection was told to go.
    pub(super) fn go(&self) {
        self.going.cancel();
    }

    /// Calls that ever began.
    pub(super) fn calls(&self) -> u64 {
        self.began.load(Ordering::Relaxed)
    }

    /// Whether calls are in progress.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// A call begins. Hand the answer to [`Self::end`].
    pub(super) fn begin(&self, streaming: bool) -> Begun {
        self.began.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        // A stream may be open for as long as it likes.
        let round = (!streaming).then(|| self.round.load(Ordering::Relaxed) % ROUNDS);
        if let Some(round) = round {
            self.open_by_round[round].fetch_add(1, Ordering::Relaxed);
        }
        Begun { round }
    }

    /// A call has ended.
    pub(super) fn end(&self, call: Begun) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(round) = call.round {
            self.open_by_round[round].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Begins a new round. Whether a unary call is still open that began before the round that ends: it is older than a call may
    /// be, so its answer waits for a client that does not take it.
    pub(super) fn next_round(&self) -> bool {
        let next = self.round.load(Ordering::Relaxed) + 1;
        let stalled = self.open_by_round[next % ROUNDS].load(Ordering::Relaxed) > 0;
        self.round.store(next, Ordering::Relaxed);
        stalled
    }
}
