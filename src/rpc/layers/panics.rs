//! Catches panics: a call that panics is answered with an internal error, and the panic goes to the log.
//!
//! Knows panics. Must not know what a method does.

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use hyper::service::Service;
use tonic::Status;

use super::{
    super::{call_context::CallContext, refuse, status},
    Call,
};
use crate::store::StoreError;

layer!(PanicsLayer, Panics);

impl<S, B, R> Service<Call<B>> for Panics<S>
where
    S: Service<Call<B>, Response = Response<R>, Error = Infallible, Future: Unpin>,
    R: Default,
{
    type Response = Response<PanicsBody<R>>;
    type Error = Infallible;
    type Future = PanicsFuture<S::Future>;

    fn call(&self, call: Call<B>) -> Self::Future {
        let context = call.context.clone();
        // A service may panic before it returns a future.
        let answer = catch_unwind(AssertUnwindSafe(|| self.0.call(call))).map_err(|panic| status_of(&*panic, Some(&context)));
        PanicsFuture { answer, context: Some(context) }
    }
}

/// Answers a panic. The text of the panic goes to the log.
fn status_of(panic: &(dyn Any + Send), context: Option<&CallContext>) -> Status {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("something that is no text");
    refuse(StoreError::internal(format!("{} panicked: {text}", context.map_or("", CallContext::path))))
}

#[derive(Debug)]
pub(crate) struct PanicsFuture<F> {
    answer: Result<F, Status>,
    context: Option<CallContext>,
}

impl<F, R> Future for PanicsFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>> + Unpin,
    R: Default,
{
    type Output = Result<Response<PanicsBody<R>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = match &mut this.answer {
            Ok(answer) => catch_unwind(AssertUnwindSafe(|| Pin::new(answer).poll(task))),
            Err(status) => return Poll::Ready(Ok(status.clone().into_http())),
        };
        Poll::Ready(Ok(match polled {
            Ok(polled) => {
                let Ok(response) = ready!(polled);
                response.map(|body| PanicsBody { body, context: this.context.take() })
            }
            Err(panic) => status_of(&*panic, this.context.as_ref()).into_http(),
        }))
    }
}

/// The body of an answer. If it panics, it ends with trailers.
#[derive(Debug, Default)]
pub(crate) struct PanicsBody<B> {
    body: B,
    context: Option<CallContext>,
}

impl<B: Body<Data = Bytes, Error = Status> + Default + Unpin> Body for PanicsBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(task))).unwrap_or_else(|panic| {
            this.body = B::default();
            Poll::Ready(Some(status::trailers(&status_of(&*panic, this.context.as_ref()))))
        })
    }

    size_of_inner_body!();
}
