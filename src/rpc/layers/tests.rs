//! Tests the layers around services that answer, wait or panic.

use std::{
    convert::Infallible,
    future::{pending, poll_fn, ready},
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame};
use tonic::{Code, Status, body::Body, codegen::BoxFuture};
use tonic_types::StatusExt;

use super::{
    super::{connection_context::ServerLoad, options::ServerOptions},
    memory::CountedBody,
    *,
};
use crate::store::Caller;

type Answer = BoxFuture<Response<Body>, Infallible>;

/// The service behind the layers, as a function.
struct Handler<F>(F);

impl<F: Fn(Request<CountedBody<Body>>) -> Answer> Service<Request<CountedBody<Body>>> for Handler<F> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<CountedBody<Body>>) -> Answer {
        (self.0)(request)
    }
}

fn chain<F: Fn() -> Answer>(
    options: ServerOptions,
    load: &Arc<ServerLoad>,
    answer: F,
) -> LayerChain<Handler<impl Fn(Request<CountedBody<Body>>) -> Answer>> {
    LayerChain::new(Handler(move |_| answer()), connection(options, load))
}

fn connection(options: ServerOptions, load: &Arc<ServerLoad>) -> Arc<ConnectionContext> {
    Arc::new(ConnectionContext::new(Arc::new(options), Arc::clone(load), None))
}

fn request(path: &str, timeout: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().uri(format!("http://server{path}"));
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    request.body(Body::empty()).expect("a request")
}

fn status_of<B>(response: &Response<B>) -> Status {
    Status::from_header_map(response.headers()).expect("an answer without a body")
}

fn reason_of(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

const GET: &str = "/annals.v1.RecordService/GetEvent";
const WATCH: &str = "/annals.v1.RecordService/Watch";

#[tokio::test]
async fn a_panic_is_an_internal_error_with_a_log_id_and_gives_its_permit_back() {
    let load = Arc::default();
    let at_once = chain(ServerOptions::default(), &load, || panic!("before the first await"));
    let later = chain(ServerOptions::default(), &load, || {
        Box::pin(async {
            tokio::task::yield_now().await;
            panic!("after the first await")
        })
    });
    for response in [at_once.call(request(GET, None)).await, later.call(request(GET, None)).await] {
        let Ok(response) = response;
        let status = status_of(&response);
        assert_eq!((status.code(), reason_of(&status).as_str()), (Code::Internal, "INTERNAL"));
        let details = status.get_error_details();
        assert!(details.error_info().is_some_and(|info| info.metadata.contains_key("log_id")));
        assert!(!status.message().contains("await"), "the caller learns nothing of our code: {}", status.message());
    }
    assert_eq!(load.now(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_sooner_of_the_callers_and_the_servers_own() {
    let load = Arc::default();
    let stuck = chain(ServerOptions::default(), &load, || Box::pin(pending()));
    for (timeout, expected) in [(None, 30_000), (Some("250m"), 250), (Some("1S"), 1000), (Some("1H"), 30_000), (Some("0n"), 0)]
    {
        let began = tokio::time::Instant::now();
        let Ok(response) = stuck.call(request(GET, timeout)).await;
        let status = status_of(&response);
        assert_eq!((status.code(), reason_of(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE"), "{timeout:?}");
        assert_eq!(began.elapsed().as_millis(), expected, "{timeout:?}");
    }
    assert_eq!(load.now(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_no_deadline_but_the_callers_and_ends_with_it() {
    let load = Arc::default();
    let silent = chain(ServerOptions::default(), &load, || Box::pin(ready(Ok(Response::new(Body::new(PendingBody))))));
    let began = tokio::time::Instant::now();
    let Ok(mut response) = silent.call(request(WATCH, Some("100S"))).await;
    let frame = poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await;
    let trailers = frame.and_then(Result::ok).and_then(|frame| frame.into_trailers().ok()).expect("trailers");
    let status = Status::from_header_map(&trailers).expect("a status");
    assert_eq!((status.code(), began.elapsed().as_secs()), (Code::DeadlineExceeded, 100));
    assert!(response.body().is_end_stream());
    assert_eq!(load.now(), (1, 0), "until the body is gone");
    drop(response);
    assert_eq!(load.now(), (0, 0));
}

/// A body that never has a frame and never ends.
struct PendingBody;

impl HttpBody for PendingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Pending
    }
}

/// A body that panics.
struct PanickingBody;

impl HttpBody for PanickingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        panic!("in the middle of a stream")
    }
}

#[tokio::test]
async fn a_stream_that_panics_ends_with_an_internal_error() {
    let load = Arc::default();
    let broken = chain(ServerOptions::default(), &load, || Box::pin(ready(Ok(Response::new(Body::new(PanickingBody))))));
    let Ok(mut response) = broken.call(request(WATCH, None)).await;
    let frame = poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await;
    let trailers = frame.and_then(Result::ok).and_then(|frame| frame.into_trailers().ok()).expect("trailers");
    assert_eq!(Status::from_header_map(&trailers).map(|status| status.code()), Some(Code::Internal));
    assert!(poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await.is_none());
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_with_a_time_to_retry_and_health_checks_are_not() {
    let load = Arc::default();
    let options = ServerOptions { calls_max: 1, ..ServerOptions::default() };
    let stuck = chain(options.clone(), &load, || Box::pin(pending()));
    let quick = chain(options, &load, || Box::pin(ready(Ok(Response::new(Body::empty())))));
    let first = stuck.call(request(GET, None));
    let Ok(second) = quick.call(request(GET, None)).await;
    let status = status_of(&second);
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY_REQUESTS"));
    assert!(status.get_error_details().retry_info().is_some());
    let Ok(health) = quick.call(request("/grpc.health.v1.Health/Check", None)).await;
    assert!(Status::from_header_map(health.headers()).is_none());
    drop((first, second, health));
    let Ok(third) = quick.call(request(GET, None)).await;
    assert!(Status::from_header_map(third.headers()).is_none());
    drop(third);
    assert_eq!(load.now(), (0, 0));
}

#[tokio::test]
async fn the_memory_of_a_request_is_counted_as_it_arrives_and_released_with_the_call() {
    let load = Arc::default();
    let options = ServerOptions { bytes_per_connection_max: 100_000, ..ServerOptions::default() };
    let reading = Handler(|mut request: Request<CountedBody<Body>>| -> Answer {
        Box::pin(async move {
            let frame = poll_fn(|context| Pin::new(request.body_mut()).poll_frame(context)).await;
            assert_eq!(frame.is_some_and(|frame| frame.is_err()), request.headers().contains_key("too-long"));
            Ok(Response::new(Body::empty()))
        })
    });
    let chain = LayerChain::<_>::new(reading, connection(options, &load));
    for (length, counted) in [(4096, 0), (50_000, 50_000 - 4096), (200_000, 200_000 - 4096)] {
        let mut request = request(GET, None).map(|_| Body::new("x".repeat(length)));
        if length > 100_000 {
            request.headers_mut().insert("too-long", http::HeaderValue::from_static("yes"));
        }
        let Ok(response) = chain.call(request).await;
        assert_eq!(load.now(), (1, counted), "until the answer has been read");
        drop(response);
        assert_eq!(load.now(), (0, 0));
    }
}

mod identity {
    use super::*;

    layer!(IdentityLayer, Identity);

    /// A layer that identifies the caller by a header.
    impl<S: Service<Call<B>>, B> Service<Call<B>> for Identity<S> {
        type Response = S::Response;
        type Error = S::Error;
        type Future = S::Future;

        fn call(&self, mut call: Call<B>) -> Self::Future {
            let name = call.request.headers().get("x-caller").and_then(|name| name.to_str().ok());
            call.context.identity = name.map(Caller::named);
            self.0.call(call)
        }
    }
}

#[tokio::test]
async fn a_layer_more_is_a_line_and_the_handler_sees_what_it_has_found_out() {
    type Layers = (permits::PermitsLayer, identity::IdentityLayer, memory::MemoryLayer);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = Handler({
        let seen = Arc::clone(&seen);
        move |request: Request<CountedBody<Body>>| -> Answer {
            let context = CallContext::of(request.extensions());
            seen.lock().expect("not poisoned").push((context.caller().name().to_owned(), context.path().to_owned()));
            Box::pin(ready(Ok(Response::new(Body::empty()))))
        }
    });
    let chain = LayerChain::<_, Layers>::new(handler, connection(ServerOptions::default(), &Arc::default()));
    let mut named = request(GET, None);
    named.headers_mut().insert("x-caller", http::HeaderValue::from_static("a newsroom"));
    for request in [named, request(WATCH, None)] {
        let Ok(_response) = chain.call(request).await;
    }
    let seen = seen.lock().expect("not poisoned").clone();
    assert_eq!(seen, [("a newsroom".to_owned(), GET.to_owned()), ("anonymous".to_owned(), WATCH.to_owned())]);
}
