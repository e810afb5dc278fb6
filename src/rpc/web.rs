//! What arrives over HTTP, told apart: gRPC goes on as it is, gRPC-Web is translated, anything else gets a sentence.
//!
//! Pages cannot speak gRPC: without TLS a browser speaks HTTP/1.1, and it shows no page the trailers that a status comes in.
//! gRPC-Web is the same messages with the status at the end of the body.
//!
//! Whether a page may call is checked here and not only left to its browser. For a page whose name was made to lead to this
//! machine (DNS rebinding) this server is its own, and the browser asks nobody; but it still says the page's origin. A page can
//! send nothing that gets past this check: a browser asks first before it sends a content type of ours.
//!
//! Knows content types, methods and origins. Must not know messages, methods' meanings or the store.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use tokio::time::{Sleep, sleep};
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service as TowerService, StdError},
};
use tonic_web::GrpcWebLayer;
use tower_layer::Layer;

use super::{
    layer::{Guard, Guarded},
    load::Scope,
    status,
};

/// To whoever opens the port with a browser or curl.
const NO_PAGE: &str = "This is Annals, a gRPC service, and there is no page here. Call it with a gRPC client over HTTP/2 or, \
                       from a web page, with gRPC-Web. To see what it offers: grpcurl -plaintext HOST:PORT list\n";
/// To whoever posts something else.
const NOT_GRPC: &str = "Annals takes gRPC over HTTP/2 (content-type: application/grpc) and gRPC-Web over HTTP/2 and HTTP/1.1 \
                        (content-type: application/grpc-web+proto), and this is neither\n";
/// To a page, or rather to whoever looks why it does not work.
const ORIGIN_REFUSED: &str = "Pages of this origin may not call this server. Whoever runs it allows an origin with \
                              annals serve --web-origin SCHEME://HOST:PORT\n";

/// The services of one connection, behind one door for all kinds of request.
#[derive(Clone, Debug)]
pub(crate) struct Web<S> {
    grpc: Guard<S>,
    scope: Arc<Scope>,
}

impl<S> Web<S> {
    /// What `grpc` answers, for one connection.
    pub(crate) fn new(grpc: Guard<S>, scope: Arc<Scope>) -> Self {
        Self { grpc, scope }
    }
}

/// What a request says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Grpc,
    GrpcWeb,
    /// A browser asks whether a page may call.
    Preflight,
    NoPost,
    NotGrpc,
}

impl Kind {
    fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        if request.method() != Method::POST {
            let asks = request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
            return if asks { Self::Preflight } else { Self::NoPost };
        }
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match content_type.and_then(|content_type| content_type.strip_prefix(b"application/grpc")) {
            // Trailers over HTTP/1.1 reach hardly any client.
            Some([] | [b'+' | b';', ..]) if request.version() == Version::HTTP_2 => Self::Grpc,
            Some(b"-web" | b"-web+proto" | b"-web-text" | b"-web-text+proto") => Self::GrpcWeb,
            _ => Self::NotGrpc,
        }
    }
}

impl<S> Service<Request<Incoming>> for Web<S>
where
    S: Clone + Send + 'static,
    Guard<S>: Service<Request<Incoming>, Response = Response<Guarded>, Error = Infallible, Future: Unpin>
        + Service<Request<Body>, Response = Response<Guarded>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering<<Guard<S> as Service<Request<Incoming>>>::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match Kind::of(&request) {
            Kind::Grpc => Answering::Grpc(Service::call(&self.grpc, request)),
            Kind::GrpcWeb => self.translated(request),
            Kind::Preflight => self.plain(self.preflight(request.headers())),
            Kind::NoPost => {
                let mut answer = sentence(StatusCode::METHOD_NOT_ALLOWED, NO_PAGE);
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                self.plain(answer)
            }
            Kind::NotGrpc => self.plain(sentence(StatusCode::UNSUPPORTED_MEDIA_TYPE, NOT_GRPC)),
        }
    }
}

impl<S> Web<S> {
    /// A call from a page, or from whoever else speaks gRPC-Web.
    fn translated<F>(&self, request: Request<Incoming>) -> Answering<F>
    where
        S: Clone + Send + 'static,
        Guard<S>: Service<Request<Body>, Response = Response<Guarded>, Error = Infallible, Future: Send + 'static>,
    {
        let scope = Arc::clone(&self.scope);
        // Only browsers send it, and they send it with every POST. Who has no origin is no page.
        let origin = request.headers().get(header::ORIGIN).cloned();
        if origin.as_ref().is_some_and(|origin| !scope.options.web_origins.allow(origin)) {
            return self.plain(sentence(StatusCode::FORBIDDEN, ORIGIN_REFUSED));
        }
        let bridge = Bridge { grpc: self.grpc.clone(), request_time_max: scope.options.call_time_max };
        let answer = GrpcWebLayer::new().layer(bridge).call(request);
        Answering::Other(Box::pin(async move {
            let Ok(mut answer) = answer.await;
            if let Some(origin) = origin {
                scope.options.web_origins.show(&origin, answer.headers_mut());
            }
            Ok(answer.map(Answer::Other))
        }))
    }

    fn preflight(&self, request: &HeaderMap) -> Response<Body> {
        let origins = &self.scope.options.web_origins;
        let Some(origin) = request.get(header::ORIGIN).filter(|origin| origins.allow(origin)) else {
            return sentence(StatusCode::FORBIDDEN, ORIGIN_REFUSED);
        };
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        origins.permit(origin, request, answer.headers_mut());
        answer
    }

    /// An answer to what is no call. The connection is in use all the same.
    fn plain<F>(&self, answer: Response<Body>) -> Answering<F> {
        let traffic = &self.scope.traffic;
        traffic.end(traffic.begin(false));
        Answering::Other(Box::pin(std::future::ready(Ok(answer.map(Answer::Other)))))
    }
}

fn sentence(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::new(text.to_owned()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The guarded services as `tonic-web` takes them.
#[derive(Clone, Debug)]
struct Bridge<S> {
    grpc: Guard<S>,
    request_time_max: Duration,
}

impl<S> TowerService<Request<Body>> for Bridge<S>
where
    Guard<S>: Service<Request<Body>, Response = Response<Guarded>, Error = Infallible>,
{
    type Response = Response<Guarded>;
    type Error = Infallible;
    type Future = <Guard<S> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limit = self.request_time_max;
        Service::call(&self.grpc, request.map(|body| Body::new(Arriving { body, limit, timer: Box::pin(sleep(limit)) })))
    }
}

/// The body of a request, which is whole in a certain time. A stream over HTTP/2 may take as long as it likes to ask, since
/// pings show whether its client is there; over HTTP/1.1 there are none, and gRPC-Web asks only once.
#[derive(Debug)]
struct Arriving {
    body: Body,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending() && self.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(status::deadline(self.limit).into())));
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answer to one request, when it comes.
pub(crate) enum Answering<F> {
    Grpc(F),
    Other(BoxFuture<Response<Answer>, Infallible>),
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Guarded>, Infallible>> + Unpin,
{
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Grpc(answer) => Pin::new(answer).poll(context).map_ok(|answer| answer.map(Answer::Grpc)),
            Self::Other(answer) => answer.as_mut().poll(context),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Grpc(Guarded),
    Other(Body),
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Grpc(body) => Pin::new(body).poll_frame(context),
            Self::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Grpc(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Grpc(body) => body.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}
