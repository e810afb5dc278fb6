//! The layers that every call passes through, from the outermost to the innermost. Each layer has its own file.
//!
//! | layer | what it does to a call |
//! |--|--|
//! | [`Chain`] | puts the [`CallContext`] into the request's extensions |
//! | [`permits`] | refuses it if too many are in progress; else holds its permit until the answer has been read |
//! | [`access_log`] | writes its line at the end |
//! | [`panics`] | answers a panic with an internal error |
//! | [`deadline`] | ends it when its time is over |
//! | [`memory`] | counts the bytes of its request |
//! | [`tonic_defaults`] | keeps its answer uncompressed if the request is, and replaces the statuses of tonic |
//!
//! **To add a layer** (identity, metrics, fair scheduling), write its file and add a line to [`Layers`] at its position. A
//! layer is a [`tower_layer::Layer`] without options. Its service reads limits and counts from the call context, as the
//! handlers do: `request.extensions().get::<CallContext>()`. A layer passes results to the layers and handlers behind it by
//! setting them in the context, such as [`CallContext::identity`]. A test in `tests.rs` adds a layer.
//!
//! Services are hyper's, which are called by reference. So the calls of a connection share one chain, and nothing is cloned for
//! a call. Futures and bodies are concrete types. For each call the chain allocates the context and the map that holds it, and
//! a timer only if the call must wait.
//!
//! gRPC-Web is translated outside the chain. So a status that a layer returns is translated too.
//!
//! Knows HTTP requests and gRPC's headers. Must not know messages, what a method does, or the store.

use std::sync::Arc;

use http::Request;
use hyper::service::Service;
use tower_layer::Layer;

use super::{call_context::CallContext, connection_context::ConnectionContext};

/// Declares a layer, and the service that it puts around an inner one.
macro_rules! layer {
    ($layer:ident, $service:ident) => {
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $layer;

        #[derive(Clone, Debug)]
        pub(crate) struct $service<S>(S);

        impl<S> tower_layer::Layer<S> for $layer {
            type Service = $service<S>;

            fn layer(&self, inner: S) -> Self::Service {
                $service(inner)
            }
        }
    };
}

/// Passes on the end and the size of the body inside another body.
macro_rules! size_of_inner_body {
    () => {
        fn is_end_stream(&self) -> bool {
            self.body.is_end_stream()
        }

        fn size_hint(&self) -> http_body::SizeHint {
            self.body.size_hint()
        }
    };
}

mod access_log;
mod deadline;
mod memory;
mod panics;
mod permits;
mod tonic_defaults;

/// The layers, outermost first.
type Layers = (
    permits::PermitsLayer,
    access_log::AccessLogLayer,
    panics::PanicsLayer,
    deadline::DeadlineLayer,
    memory::MemoryLayer,
    tonic_defaults::TonicDefaultsLayer,
);

/// Services with all layers around them, for the calls of one connection.
#[derive(Clone, Debug)]
pub(super) struct Chain<S, L: Layer<S> = Layers> {
    layers: L::Service,
    connection: Arc<ConnectionContext>,
}

impl<S, L: Layer<S> + Default> Chain<S, L> {
    /// Puts the layers around the services.
    pub(super) fn new(services: S, connection: Arc<ConnectionContext>) -> Self {
        Self { layers: L::default().layer(services), connection }
    }
}

impl<S, B, L: Layer<S, Service: Service<Request<B>>>> Service<Request<B>> for Chain<S, L> {
    type Response = <L::Service as Service<Request<B>>>::Response;
    type Error = <L::Service as Service<Request<B>>>::Error;
    type Future = <L::Service as Service<Request<B>>>::Future;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        let context = CallContext::new(&self.connection, &request);
        request.extensions_mut().insert(context);
        self.layers.call(request)
    }
}

#[cfg(test)]
mod tests;
