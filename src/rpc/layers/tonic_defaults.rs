//! Replaces two defaults of tonic: which answers are compressed, and the statuses of refused messages.
//!
//! Knows gRPC's headers and tonic's statuses. Must not know what a method does.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderName, Response};
use hyper::service::Service;
use tonic::Status;

use super::{super::status, Call};

static GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

layer!(TonicDefaultsLayer, TonicDefaults);

impl<S, B, R> Service<Call<B>> for TonicDefaults<S>
where
    S: Service<Call<B>, Response = Response<R>, Error = Infallible, Future: Unpin>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = TonicDefaultsFuture<S::Future>;

    fn call(&self, mut call: Call<B>) -> Self::Future {
        let decode_bytes_max = call.context.connection().options.decode_bytes_max;
        if !call.context.is_compressed() {
            // Answers are compressed only for clients that compress their requests. Most clients list in every call the
            // encodings that they can read, even if they do not want compression. Compressing each Get for them would cost more
            // than the Get.
            call.request.headers_mut().remove(&GRPC_ACCEPT_ENCODING);
        }
        TonicDefaultsFuture { answer: self.0.call(call), decode_bytes_max }
    }
}

#[derive(Debug)]
pub(crate) struct TonicDefaultsFuture<F> {
    answer: F,
    decode_bytes_max: usize,
}

impl<F, R> Future for TonicDefaultsFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>> + Unpin,
    R: Default,
{
    type Output = Result<Response<R>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.answer).poll(context));
        // Only an answer without messages has its status here.
        let status = response.extensions().get::<Status>();
        let ours = status.and_then(|status| status::from_tonic(status, self.decode_bytes_max));
        Poll::Ready(Ok(ours.map_or(response, Status::into_http)))
    }
}
