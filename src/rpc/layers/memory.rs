//! The memory of a request: counts its bytes as they arrive. They are released when the call ends.
//!
//! Knows bodies. Must not know how bytes are counted.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::service::Service;
use tonic::codegen::StdError;

use super::{super::call_context::CallContext, Call};

layer!(MemoryLayer, Memory);

impl<S, B> Service<Call<B>> for Memory<S>
where
    S: Service<Call<CountedBody<B>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, Call { context, request }: Call<B>) -> Self::Future {
        // A message of a stream is released when it has been read, and flow control bounds the messages that wait.
        let counted = (!context.is_streaming()).then(|| context.clone());
        self.0.call(Call { context, request: request.map(|body| CountedBody { body, counted }) })
    }
}

/// The body of a request. It counts the bytes as they arrive.
#[derive(Debug)]
pub(crate) struct CountedBody<B> {
    body: B,
    counted: Option<CallContext>,
}

impl<B> Body for CountedBody<B>
where
    B: Body<Data = Bytes, Error: Into<StdError>> + Unpin,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(Into::into)?;
            if let (Some(data), Some(counted)) = (frame.data_ref(), &self.counted) {
                counted.permit().charge(data.len())?;
            }
            Ok(frame)
        }))
    }

    size_of_inner_body!();
}
