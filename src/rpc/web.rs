//! Handles each HTTP request by its kind. gRPC is passed on, gRPC-Web is translated, and a GET is answered by its handler if it
//! has one. All other requests get a sentence.
//!
//! Web pages cannot use gRPC: without TLS a browser uses HTTP/1.1, and it does not show pages the trailers that hold the
//! status. gRPC-Web has the same messages, and puts the status at the end of the body.
//!
//! The server itself checks the origin of a page, and does not rely on browsers alone. In a DNS rebinding attack, the host name
//! of a page resolves to this machine. Then the browser takes this server for the page's own, and sends no preflight. But it
//! still sends the origin of the page. A page cannot avoid the check: a browser sends a preflight before a request with a
//! content type of gRPC-Web.
//!
//! Knows content types, methods and origins. Must not know messages, what a method does, or the store.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::service::Service;
use tokio::time::{Sleep, sleep};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{BoxFuture, Service as TowerService, StdError},
};
use tonic_web::GrpcWebLayer;
use tower_layer::Layer;

use super::{connection_context::ConnectionContext, layers::LayerChain, status};

/// The answer to a GET without a handler, for people who open the port with a browser or curl.
const NO_PAGE: &str = "This is Annals, a gRPC service, and there is no page here. Call it with a gRPC client over HTTP/2 or, \
                       from a web page, with gRPC-Web. To see what it offers: grpcurl -plaintext HOST:PORT list\n";
/// The answer to a POST with another content type.
const NOT_GRPC: &str = "Annals takes gRPC over HTTP/2 (content-type: application/grpc) and gRPC-Web over HTTP/2 and HTTP/1.1 \
                        (content-type: application/grpc-web+proto), and this request is neither\n";
/// The answer to a page of an origin that is not allowed, for its author.
const ORIGIN_REFUSED: &str = "Pages of this origin may not call this server. The operator allows an origin with \
                              annals serve --web-origin SCHEME://HOST:PORT\n";

/// A handler that answers a GET. The extensions of the request hold its call context.
pub(super) type GetHandler = Box<dyn Fn(Parts) -> BoxFuture<Response<Body>, Infallible> + Send + Sync>;

/// The handlers of plain HTTP GETs, by path. The layers are around them as around the services. If a layer answers with a
/// status, the client gets an HTTP status and a sentence.
pub(super) struct GetHandlers(Vec<(&'static str, GetHandler)>);

impl GetHandlers {
    /// The handlers, each with the path that it answers.
    pub(super) fn new(handlers: Vec<(&'static str, GetHandler)>) -> Self {
        Self(handlers)
    }

    fn find(&self, path: &str) -> Option<&GetHandler> {
        self.0.iter().find(|(answered, _)| *answered == path).map(|(_, handler)| handler)
    }
}

impl<B> Service<Request<B>> for GetHandlers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        let Some(handler) = self.find(head.uri.path()) else {
            return Box::pin(std::future::ready(Ok(sentence(StatusCode::NOT_FOUND, NO_PAGE))));
        };
        let answer = handler(head);
        Box::pin(async move {
            let Ok(mut answer) = answer.await;
            // A status for the access log, because a plain HTTP answer has none.
            let code = match answer.status() {
                status if status.is_server_error() => Code::Internal,
                status if status.is_client_error() => Code::InvalidArgument,
                _ => Code::Ok,
            };
            answer.extensions_mut().insert(Status::new(code, ""));
            Ok(answer)
        })
    }
}

/// Answers all requests of one connection, by their kind.
#[derive(Clone)]
pub(super) struct Web<S> {
    grpc: LayerChain<S>,
    get: LayerChain<Arc<GetHandlers>>,
    get_handlers: Arc<GetHandlers>,
    connection: Arc<ConnectionContext>,
}

impl<S: Clone> Web<S> {
    /// The services and handlers, with all layers around them, for one connection.
    pub(super) fn new(services: S, get_handlers: Arc<GetHandlers>, connection: Arc<ConnectionContext>) -> Self {
        Self {
            grpc: LayerChain::new(services, Arc::clone(&connection)),
            get: LayerChain::new(Arc::clone(&get_handlers), Arc::clone(&connection)),
            get_handlers,
            connection,
        }
    }
}

/// The kind of a request, from its method and headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Grpc,
    GrpcWeb,
    /// A CORS preflight: a browser asks whether a page may call.
    Preflight,
    Get,
    NoPost,
    NotGrpc,
}

impl Kind {
    fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        if request.method() != Method::POST {
            let asks = request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
            return match *request.method() {
                Method::GET => Self::Get,
                _ if asks => Self::Preflight,
                _ => Self::NoPost,
            };
        }
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match content_type.and_then(|content_type| content_type.strip_prefix(b"application/grpc")) {
            // gRPC needs HTTP/2, because most clients cannot read trailers over HTTP/1.1.
            Some([] | [b'+' | b';', ..]) if request.version() == Version::HTTP_2 => Self::Grpc,
            Some(b"-web" | b"-web+proto" | b"-web-text" | b"-web-text+proto") => Self::GrpcWeb,
            _ => Self::NotGrpc,
        }
    }
}

impl<S, B, R> Service<Request<B>> for Web<S>
where
    LayerChain<S>: Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Unpin>
        + Service<Request<Body>, Response = Response<R>, Error = Infallible, Future: Send + 'static>,
    LayerChain<Arc<GetHandlers>>: Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Send + 'static>,
    S: Clone + Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<StdError> + std::fmt::Display> + Send + 'static,
    R: HttpBody<Data = Bytes, Error = Status> + Send + 'static,
{
    type Response = Response<WebBody<R>>;
    type Error = Infallible;
    type Future = WebFuture<<LayerChain<S> as Service<Request<B>>>::Future, R>;

    fn call(&self, request: Request<B>) -> Self::Future {
        match Kind::of(&request) {
            Kind::Grpc => WebFuture::Grpc(Service::call(&self.grpc, request)),
            Kind::GrpcWeb => self.translated(request),
            Kind::Preflight => self.plain(self.preflight(request.headers())),
            Kind::Get if self.get_handlers.find(request.uri().path()).is_some() => self.get(request),
            Kind::Get | Kind::NoPost => {
                let mut answer = sentence(StatusCode::METHOD_NOT_ALLOWED, NO_PAGE);
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                self.plain(answer)
            }
            Kind::NotGrpc => self.plain(sentence(StatusCode::UNSUPPORTED_MEDIA_TYPE, NOT_GRPC)),
        }
    }
}

impl<S> Web<S> {
    /// Answers a call over gRPC-Web.
    fn translated<B, F, R>(&self, request: Request<B>) -> WebFuture<F, R>
    where
        S: Clone + Send + 'static,
        B: HttpBody<Data = Bytes, Error: Into<StdError> + std::fmt::Display> + Send + 'static,
        R: HttpBody<Data = Bytes, Error = Status> + Send + 'static,
        LayerChain<S>: Service<Request<Body>, Response = Response<R>, Error = Infallible, Future: Send + 'static>,
    {
        let Ok(origin) = self.allowed_origin(request.headers()) else {
            return self.plain(sentence(StatusCode::FORBIDDEN, ORIGIN_REFUSED));
        };
        let connection = Arc::clone(&self.connection);
        let bridge = Bridge { grpc: self.grpc.clone(), request_time_max: connection.options.call_time_max };
        let answer = GrpcWebLayer::new().layer(bridge).call(request);
        WebFuture::Other(Box::pin(async move {
            let Ok(mut answer) = answer.await;
            if let Some(origin) = origin {
                connection.options.web_origins.show(&origin, answer.headers_mut());
            }
            Ok(answer.map(WebBody::Other))
        }))
    }

    /// Answers a GET with its handler.
    fn get<B, F, R>(&self, request: Request<B>) -> WebFuture<F, R>
    where
        R: Send + 'static,
        LayerChain<Arc<GetHandlers>>: Service<Request<B>, Response = Response<R>, Error = Infallible, Future: Send + 'static>,
    {
        if self.allowed_origin(request.headers()).is_err() {
            return self.plain(sentence(StatusCode::FORBIDDEN, ORIGIN_REFUSED));
        }
        let answer = self.get.call(request);
        WebFuture::Other(Box::pin(async move {
            let Ok(answer) = answer.await;
            // An answer of a layer is a gRPC status. An answer of a handler has another content type.
            let is_grpc = answer.headers().get(header::CONTENT_TYPE).is_some_and(|of| of.as_bytes() == b"application/grpc");
            Ok(match answer.extensions().get::<Status>().filter(|_| is_grpc) {
                None => answer.map(WebBody::Grpc),
                Some(status) => {
                    let http = match status.code() {
                        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
                        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
                        _ => StatusCode::INTERNAL_SERVER_ERROR,
                    };
                    sentence(http, format!("{}\n", status.message())).map(WebBody::Other)
                }
            })
        }))
    }

    /// The origin of the calling page. Errs if it is not allowed. Only browsers send an origin, and they send it with every
    /// POST, but with a GET only to another origin. So a POST without an origin does not come from a page of another origin. A GET
    /// without one may: a handler that shows what a stranger may not see must check the host, too.
    fn allowed_origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
        let origin = headers.get(header::ORIGIN);
        let is_allowed = origin.is_none_or(|origin| self.connection.options.web_origins.allow(origin));
        if is_allowed { Ok(origin.cloned()) } else { Err(()) }
    }

    fn preflight(&self, request: &HeaderMap) -> Response<Body> {
        let origins = &self.connection.options.web_origins;
        let Some(origin) = request.get(header::ORIGIN).filter(|origin| origins.allow(origin)) else {
            return sentence(StatusCode::FORBIDDEN, ORIGIN_REFUSED);
        };
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        origins.permit(origin, request, answer.headers_mut());
        answer
    }

    /// Answers a request that is not a call. It counts as use of the connection, which is then not idle.
    fn plain<F, R: Send + 'static>(&self, answer: Response<Body>) -> WebFuture<F, R> {
        self.connection.end(self.connection.begin(false));
        WebFuture::Other(Box::pin(std::future::ready(Ok(answer.map(WebBody::Other)))))
    }
}

fn sentence(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut answer = Response::new(Body::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The services as `tonic-web` calls them.
#[derive(Clone)]
struct Bridge<S> {
    grpc: LayerChain<S>,
    request_time_max: Duration,
}

impl<S> TowerService<Request<Body>> for Bridge<S>
where
    LayerChain<S>: Service<Request<Body>, Error = Infallible>,
{
    type Response = <LayerChain<S> as Service<Request<Body>>>::Response;
    type Error = Infallible;
    type Future = <LayerChain<S> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limit = self.request_time_max;
        Service::call(&self.grpc, request.map(|body| Body::new(TimedBody { body, limit, timer: Box::pin(sleep(limit)) })))
    }
}

/// The body of a request with a time limit, within which all of it must arrive. A gRPC stream over HTTP/2 has no such limit,
/// because pings show whether its client is alive. HTTP/1.1 has no pings, and gRPC-Web sends only one request.
#[derive(Debug)]
struct TimedBody {
    body: Body,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

impl HttpBody for TimedBody {
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

/// The future of the answer to one request.
pub(crate) enum WebFuture<F, R> {
    Grpc(F),
    Other(BoxFuture<Response<WebBody<R>>, Infallible>),
}

impl<F, R> Future for WebFuture<F, R>
where
    F: Future<Output = Result<Response<R>, Infallible>> + Unpin,
{
    type Output = Result<Response<WebBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Grpc(answer) => Pin::new(answer).poll(context).map_ok(|answer| answer.map(WebBody::Grpc)),
            Self::Other(answer) => answer.as_mut().poll(context),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum WebBody<R> {
    Grpc(R),
    Other(Body),
}

impl<R: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for WebBody<R> {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::{
        super::{call_context::CallContext, options::ServerOptions},
        *,
    };

    /// Makes a handler from an async function.
    fn handler<F>(answer: impl Fn(Parts) -> F + Send + Sync + 'static) -> GetHandler
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Box::new(move |head| {
            let answer = answer(head);
            Box::pin(async move { Ok(answer.await) })
        })
    }

    fn web(options: ServerOptions) -> Web<Arc<GetHandlers>> {
        let handlers = Arc::new(GetHandlers::new(vec![
            (
                "/whoami",
                handler(|head| async move {
                    let call = CallContext::of(&head.extensions);
                    Response::new(Body::new(format!("{} {}", call.caller().name(), call.path())))
                }),
            ),
            ("/broken", handler(|_| async { panic!("by intent") })),
        ]));
        let connection = ConnectionContext::new(Arc::new(options), Arc::default(), None);
        // The tests call no service, so the handlers can stand in for the services.
        Web::new(Arc::clone(&handlers), handlers, Arc::new(connection))
    }

    async fn get(web: &Web<Arc<GetHandlers>>, path: &str, origin: Option<&str>) -> (u16, String) {
        let mut request = Request::get(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let Ok(mut answer) = web.call(request.body(Body::empty()).expect("a request")).await;
        let mut text = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(answer.body_mut()).poll_frame(context)).await {
            text.extend(frame.expect("a frame").into_data().expect("data"));
        }
        (answer.status().as_u16(), String::from_utf8(text).expect("text"))
    }

    #[tokio::test]
    async fn a_get_is_answered_by_its_handler_within_all_layers() {
        let web_of = |calls_max| web(ServerOptions { calls_max, ..ServerOptions::default() });
        let web = web_of(10);
        assert_eq!(get(&web, "/whoami", None).await, (200, "anonymous /whoami".to_owned()));
        let (status, text) = get(&web, "/broken", None).await;
        assert!(status == 500 && text.contains("log says more"), "{status} {text}");
        let (status, text) = get(&web, "/whoami", Some("http://evil.example")).await;
        assert!(status == 403 && text.contains("--web-origin"), "{status} {text}");
        let (status, text) = get(&web_of(0), "/whoami", None).await;
        assert!(status == 429 && text.contains("wait a moment"), "{status} {text}");
        assert_eq!((web.connection.calls(), web.connection.is_busy()), (3, false));
    }

    #[tokio::test]
    async fn a_get_without_a_handler_gets_a_sentence() {
        let web = web(ServerOptions::default());
        for path in ["/", "/whoami/", "/metrics"] {
            assert_eq!(get(&web, path, None).await, (405, NO_PAGE.to_owned()), "{path}");
        }
    }
}
