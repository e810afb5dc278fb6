//! The layers that every call passes through, from the outermost to the innermost. Each layer has its own file.
//!
//! | layer | what it does to a call |
//! |--|--|
//! | [`LayerChain`] | makes its [`CallContext`] |
//! | [`permits`] | refuses it if too many are in progress; else holds its permit until the answer has been read |
//! | [`access_log`] | writes its line at the end |
//! | [`panics`] | answers a panic with an internal error |
//! | [`deadline`] | ends it when its time is over |
//! | [`memory`] | counts the bytes of its request |
//! | [`tonic_defaults`] | keeps its answer uncompressed if the request is, and replaces the statuses of tonic |
//! | [`Handlers`] | puts the context into the request's extensions |
//!
//! **To add a layer** (identity, metrics, fair scheduling), write its file and add a line to [`Layers`] at its position. A
//! layer is a [`tower_layer::Layer`] without options. Its service takes a [`Call`]: the call context, which has the limits and
//! the counts, and the request. A layer passes results to the layers and handlers behind it by setting them in the context, such
//! as [`CallContext::identity`]. Handlers read the context from the request: `request.extensions().get::<CallContext>()`. A test
//! in `tests.rs` adds a layer.
//!
//! Services are hyper's, which are called by reference. So the calls of a connection share one chain, and nothing is cloned for
//! a call. Futures and bodies are concrete types. For each call the chain allocates the context and the map that holds it, and
//! a timer only if the call must wait.
//!
//! gRPC-Web is translated outside the chain. So a status that a layer returns is translated too.
//!
//! Knows HTTP requests, gRPC's headers and errors. Must not know messages, what a method does, or what a store holds.

use std::sync::Arc;

use http::Request;
use hyper::service::Service;
use tower_layer::Layer;

use super::{call_context::CallContext, connection_context::ConnectionContext};

/// A call on its way through the layers.
#[derive(Debug)]
pub(crate) struct Call<B> {
    pub(crate) context: CallContext,
    pub(crate) request: Request<B>,
}

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
pub(super) struct LayerChain<S, L: Layer<Handlers<S>> = Layers> {
    layers: L::Service,
    connection: Arc<ConnectionContext>,
}

impl<S, L: Layer<Handlers<S>> + Default> LayerChain<S, L> {
    /// Puts the layers around the services.
    pub(super) fn new(services: S, connection: Arc<ConnectionContext>) -> Self {
        Self { layers: L::default().layer(Handlers(services)), connection }
    }
}

impl<S, B, L: Layer<Handlers<S>, Service: Service<Call<B>>>> Service<Request<B>> for LayerChain<S, L> {
    type Response = <L::Service as Service<Call<B>>>::Response;
    type Error = <L::Service as Service<Call<B>>>::Error;
    type Future = <L::Service as Service<Call<B>>>::Future;

    fn call(&self, request: Request<B>) -> Self::Future {
        let context = CallContext::new(&self.connection, &request);
        self.layers.call(Call { context, request })
    }
}

/// The services behind the layers, whose handlers find the context in the request.
#[derive(Clone, Debug)]
pub(super) struct Handlers<S>(S);

impl<S: Service<Request<B>>, B> Service<Call<B>> for Handlers<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, Call { context, mut request }: Call<B>) -> Self::Future {
        request.extensions_mut().insert(context);
        self.0.call(request)
    }
}

#[cfg(test)]
mod tests;
