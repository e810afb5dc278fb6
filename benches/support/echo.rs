//! The baseline: a gRPC server that does as little as possible.
//!
//! It is tonic with default options, the system's allocator, one unary method, and an answer of 600 bytes or of the requested
//! size. Its rate is the maximum for this machine and this client at this moment, whatever else is running.
#![allow(dead_code)] // Each benchmark uses its part.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use prost::Message;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

/// The only method.
pub(crate) const METHOD: &str = "/bench.v1.Echo/Get";
/// Bytes of an answer if the request does not say.
const ANSWER_BYTES: usize = 600;
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The number of cores of the machine for which the targets were set.
const WORKERS: usize = 2;

/// The request.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Question {
    /// Bytes of the answer. 0 means the default.
    #[prost(uint32, tag = "1")]
    pub(crate) bytes: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
}

#[derive(Clone)]
struct Echo(Bytes);

impl NamedService for Echo {
    const NAME: &'static str = "bench.v1.Echo";
}

impl UnaryService<Question> for Echo {
    type Response = Answer;
    type Future = BoxFuture<Response<Answer>, Status>;

    fn call(&mut self, request: Request<Question>) -> Self::Future {
        let bytes = match request.into_inner().bytes as usize {
            0 => ANSWER_BYTES,
            bytes => bytes.min(ANSWER_BYTES_MAX),
        };
        let payload = self.0.slice(..bytes);
        Box::pin(async move { Ok(Response::new(Answer { payload })) })
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::<Answer, Question>::default()).unary(service, request).await) })
    }
}

/// Serves until the process is killed. Prints its address as `annals serve` does.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let echo = Echo(vec![b'x'; ANSWER_BYTES_MAX].into());
        Ok(Server::builder().add_service(echo).serve_with_incoming(incoming).await?)
    })
}
