//! The server: the store as a gRPC service. Everything that a client can make it do has a limit.
//!
//! [`serve`] listens on the network, and [`in_process`] serves a client in the same process. These are the files in the order
//! of a call:
//!
//! | file | |
//! |--|--|
//! | `server` | a server's life, and its parts put together |
//! | `connection`, `connection_context` | one connection: how it is served and closed, and what its calls share |
//! | `web`, `origins` | gRPC, gRPC-Web, plain GETs and other requests; which web pages may call |
//! | `layers`, `call_context` | the layers that every call passes through, and what they know of the call |
//! | `services`, `methods` | the services, and their methods |
//! | `streams`, `watch`, `bulk`, `pool` | streaming methods, and the threads for long work |
//! | `codec`, `encoded`, `status` | how requests, answers and errors are written |
//!
//! Knows the store's public API and the contract. Must not know keys, batches or a concrete engine.

mod options;
mod server;

mod connection;
mod connection_context;

mod origins;
mod web;

mod call_context;
mod layers;

mod methods;
mod services;

mod bulk;
mod pool;
mod streams;
mod watch;

mod codec;
mod encoded;
mod status;

// The generated traits use these names.
pub(crate) use codec::{Codec, Received};
pub(crate) use encoded::Encoded;
pub use options::{ServerOptions, duration};
pub use origins::WebOrigins;
pub use server::{ServeError, in_process, serve};

/// Answers a call or a stream with an error of the store. What an operator should see is logged here, and so once for each answer.
fn refuse(error: crate::store::StoreError) -> tonic::Status {
    if let Some(text) = error.for_operator() {
        tracing::error!("{text}");
    }
    status::from_store(error)
}

/// The traits that `build.rs` generates for the server.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/servers/annals.v1.RecordService.rs"));
    include!(concat!(env!("OUT_DIR"), "/servers/annals.v1.AdminService.rs"));
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use tracing::{Event, Metadata, span};

    use super::*;
    use crate::store::StoreError;

    /// Counts the lines of a log.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicU64>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn an_error_is_logged_when_it_is_answered_and_not_when_it_is_converted() {
        let lines = |convert: fn(StoreError) -> tonic::Status, error: StoreError| {
            let lines = Lines::default();
            tracing::subscriber::with_default(lines.clone(), || drop(convert(error)));
            lines.0.load(Ordering::Relaxed)
        };
        assert_eq!(lines(status::from_store, StoreError::internal("a bug")), 0);
        assert_eq!(lines(refuse, StoreError::internal("a bug")), 1);
        assert_eq!(lines(refuse, StoreError::not_found("events/e")), 0, "only the caller can act");
    }
}
