//! The deadline of a call: its answer must come in time, and a stream must end in time.
//!
//! It starts a timer only if the answer is not ready at once.
//!
//! Knows time. Must not know where a deadline comes from.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use hyper::service::Service;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::{super::status, Call};

layer!(DeadlineLayer, Deadline);

impl<S, B, R> Service<Call<B>> for Deadline<S>
where
    S: Service<Call<B>, Response = Response<R>, Error = Infallible, Future: Unpin>,
    R: Default,
{
    type Response = Response<DeadlineBody<R>>;
    type Error = Infallible;
    type Future = DeadlineFuture<S::Future>;

    fn call(&self, call: Call<B>) -> Self::Future {
        let context = &call.context;
        let timer = context.time_max().map(|limit| Timer { limit, started: context.started(), sleep: None });
        let is_streaming = context.is_streaming();
        let is_over = timer.as_ref().is_some_and(|timer| timer.limit.is_zero());
        DeadlineFuture { answer: (!is_over).then(|| self.0.call(call)), timer, is_streaming }
    }
}

/// The time limit of a call.
#[derive(Debug)]
struct Timer {
    limit: Duration,
    started: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready with the status of the call when its time is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let end = self.started + self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(end)));
        sleep.as_mut().poll(context).map(|()| status::deadline(self.limit))
    }
}

#[derive(Debug)]
pub(crate) struct DeadlineFuture<F> {
    /// `None` if the time was over before the call began.
    answer: Option<F>,
    timer: Option<Timer>,
    is_streaming: bool,
}

impl<F, R> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>> + Unpin,
    R: Default,
{
    type Output = Result<Response<DeadlineBody<R>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(answer) = &mut this.answer else { return Poll::Ready(Ok(status::deadline(Duration::ZERO).into_http())) };
        if let Poll::Ready(Ok(response)) = Pin::new(answer).poll(context) {
            // The body of a unary answer is complete already, so it needs no timer.
            let timer = this.timer.take().filter(|_| this.is_streaming);
            return Poll::Ready(Ok(response.map(|body| DeadlineBody { body, timer })));
        }
        let Some(timer) = &mut this.timer else { return Poll::Pending };
        timer.poll(context).map(|status| Ok(status.into_http()))
    }
}

/// The body of an answer. If the deadline of a stream passes, it ends with trailers.
#[derive(Debug, Default)]
pub(crate) struct DeadlineBody<B> {
    body: B,
    timer: Option<Timer>,
}

impl<B: Body<Data = Bytes, Error = Status> + Default + Unpin> Body for DeadlineBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let Some(timer) = &mut this.timer else { return Poll::Pending };
        let status = ready!(timer.poll(context));
        this.body = B::default();
        Poll::Ready(Some(status::trailers(&status)))
    }

    size_of_inner_body!();
}
