//! Takes a permit for every call, and holds it until the client has read the answer.
//!
//! Knows which calls need a permit. Must not know how permits are counted.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use hyper::service::Service;
use tonic::Status;

use super::{
    super::{call_context::CallContext, connection_context::OpenCall},
    Call,
};

layer!(PermitsLayer, Permits);

impl<S, B, R> Service<Call<B>> for Permits<S>
where
    S: Service<Call<B>, Response = Response<R>, Error = Infallible, Future: Unpin>,
    R: Default,
{
    type Response = Response<PermitBody<R>>;
    type Error = Infallible;
    type Future = PermitsFuture<S::Future>;

    fn call(&self, call: Call<B>) -> Self::Future {
        let context = call.context.clone();
        // Health checks need no permit, so that they are answered under any load.
        if !context.path().starts_with("/grpc.health.v1.")
            && let Err(status) = context.permit().acquire()
        {
            return PermitsFuture::Refused(status);
        }
        let open = context.connection().begin(context.is_streaming());
        PermitsFuture::Admitted(self.0.call(call), Some(HeldPermit { context, open }))
    }
}

/// Holds the permit of a call, and counts the call as in progress. The last clone of the context gives the permit back.
#[derive(Debug)]
pub(crate) struct HeldPermit {
    context: CallContext,
    open: OpenCall,
}

impl Drop for HeldPermit {
    fn drop(&mut self) {
        self.context.connection().end(self.open);
    }
}

#[derive(Debug)]
pub(crate) enum PermitsFuture<F> {
    Refused(Status),
    Admitted(F, Option<HeldPermit>),
}

impl<F, R> Future for PermitsFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>> + Unpin,
    R: Default,
{
    type Output = Result<Response<PermitBody<R>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match &mut *self {
            Self::Refused(status) => status.clone().into_http(),
            Self::Admitted(answer, permit) => {
                let Ok(response) = ready!(Pin::new(answer).poll(context));
                response.map(|body| PermitBody { body, _permit: permit.take() })
            }
        }))
    }
}

/// The body of an answer. It holds the permit of its call.
#[derive(Debug, Default)]
pub(crate) struct PermitBody<B> {
    body: B,
    _permit: Option<HeldPermit>,
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for PermitBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    size_of_inner_body!();
}
