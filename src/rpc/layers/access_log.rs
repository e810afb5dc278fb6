//! The access log: writes a line for each call when the client has read the answer, or is gone.
//!
//! Knows the log, gRPC's codes, and where an answer holds its code. Must not know what a method does.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use hyper::service::Service;
use tonic::{Code, Status};

use super::{super::call_context::CallContext, Call};

layer!(AccessLogLayer, AccessLog);

impl<S, B, R> Service<Call<B>> for AccessLog<S>
where
    S: Service<Call<B>, Response = Response<R>, Error = Infallible, Future: Unpin>,
{
    type Response = Response<AccessLogBody<R>>;
    type Error = Infallible;
    type Future = AccessLogFuture<S::Future>;

    fn call(&self, call: Call<B>) -> Self::Future {
        let context = call.context.clone();
        // If the call is dropped before its end, it was cancelled.
        let line = LogLine { context, code: Code::Cancelled };
        AccessLogFuture { answer: self.0.call(call), line: Some(line) }
    }
}

/// The line of one call. Dropping this writes it.
#[derive(Debug)]
struct LogLine {
    context: CallContext,
    code: Code,
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let (method, peer, started) = (self.context.path(), &*self.context.connection().peer, self.context.started());
        match self.code {
            // A bug or a broken disk. A call that is refused because of load or shutdown is only worth a debug line.
            Code::Unknown | Code::Internal | Code::DataLoss => {
                tracing::info!(method, code = ?self.code, us = started.elapsed().as_micros(), peer, "call failed");
            }
            code => tracing::debug!(method, ?code, us = started.elapsed().as_micros(), peer, "call"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct AccessLogFuture<F> {
    answer: F,
    line: Option<LogLine>,
}

impl<F, R> Future for AccessLogFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>> + Unpin,
{
    type Output = Result<Response<AccessLogBody<R>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.answer).poll(context));
        let mut line = self.line.take();
        // Only an answer without messages has its status here. All others have it at the end of the body.
        if let (Some(line), Some(status)) = (&mut line, response.extensions().get::<Status>()) {
            line.code = status.code();
        }
        Poll::Ready(Ok(response.map(|body| AccessLogBody { body, line })))
    }
}

/// The body of an answer. It reads the status from the trailers for the log.
#[derive(Debug, Default)]
pub(crate) struct AccessLogBody<B> {
    body: B,
    line: Option<LogLine>,
}

impl<B: Body<Data = Bytes, Error = Status> + Unpin> Body for AccessLogBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(line), Some(Ok(frame))) = (&mut self.line, &frame)
            && let Some(trailers) = frame.trailers_ref()
        {
            let code = trailers.get(Status::GRPC_STATUS);
            line.code = code.map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
        }
        Poll::Ready(frame)
    }

    size_of_inner_body!();
}
