//! What every call passes through: the limits of what is in progress, its deadline, a net for panics, the log.
//!
//! It is on the way of every Get, so it is cheap: a few atomic counts, one look at the clock, one small allocation, no timer
//! unless the call has to wait, no text unless the log wants it.
//!
//! Knows HTTP requests and gRPC's headers. Must not know messages, methods' meanings or the store.

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, uri::PathAndQuery};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::service::Service;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status, body::Body, codegen::StdError as BoxError};

use super::{
    load::{Held, Scope},
    status,
    traffic::Begun,
};

/// A service with everything around it, for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Guard<S> {
    inner: S,
    scope: Arc<Scope>,
}

impl<S> Guard<S> {
    /// Guards the calls of one connection.
    pub(crate) fn new(inner: S, scope: Arc<Scope>) -> Self {
        Self { inner, scope }
    }
}

impl<S, B> Service<Request<B>> for Guard<S>
where
    S: Service<Request<Counted<B>>, Response = Response<Body>, Error = Infallible, Future: Unpin>,
{
    type Response = Response<Guarded>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let started = Instant::now();
        let path = request.uri().path();
        let streaming = is_streaming(path);
        let call_time_max = self.scope.options.call_time_max;
        let limit = match timeout_of(request.headers()) {
            wanted if streaming => wanted,
            wanted => Some(wanted.map_or(call_time_max, |wanted| wanted.min(call_time_max))),
        };
        // Whether this process lives is answered under any load.
        let held =
            if path.starts_with("/grpc.health.v1.") { Ok(Held::uncounted(&self.scope)) } else { Held::take(&self.scope) };
        let path = request.uri().path_and_query().cloned();
        let (stage, call) = match held {
            Err(refused) => (Stage::Refused(refused), None),
            Ok(held) => {
                let held = Arc::new(held);
                let begun = self.scope.traffic.begin(streaming);
                let call = Call { path, started, code: Code::Cancelled, held: Arc::clone(&held), begun };
                let stage = if limit.is_some_and(|limit| limit.is_zero()) {
                    Stage::Refused(status::deadline(Duration::ZERO))
                } else {
                    // A service that panics before it has a future is caught with those that panic later.
                    match catch_unwind(AssertUnwindSafe(|| self.inner.call(prepared(request, held, streaming)))) {
                        Ok(answer) => Stage::Waiting(answer),
                        Err(panic) => Stage::Refused(panicked(&*panic, call.path())),
                    }
                };
                (stage, Some(call))
            }
        };
        Answering { stage, limit, streaming, timer: None, call, decode_bytes_max: self.scope.options.decode_bytes_max }
    }
}

/// The request as the service gets it.
fn prepared<B>(mut request: Request<B>, held: Arc<Held>, streaming: bool) -> Request<Counted<B>> {
    if streaming {
        request.extensions_mut().insert(held.scope().traffic.to_peer());
    }
    if request.headers().contains_key("grpc-encoding") {
        // What is unpacked counts, too: the handler will know how much it is.
        request.extensions_mut().insert(Arc::clone(&held));
    } else {
        // Answers are compressed for those who compress what they send. Most clients say of every call what they could read,
        // which is no wish: to compress each Get for them would cost more than the Get.
        request.headers_mut().remove("grpc-accept-encoding");
    }
    // What a stream has sent is gone once it was read; how much of it waits is bounded by flow control.
    let held = (!streaming).then_some(held);
    request.map(|body| Counted { body, held })
}

/// The body of a request, whose bytes are counted as they arrive.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    body: B,
    held: Option<Arc<Held>>,
}

impl<B> HttpBody for Counted<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(Into::into)?;
            if let (Some(data), Some(held)) = (frame.data_ref(), &self.held) {
                held.charge(data.len())?;
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a call is a stream, to which the server's own deadline does not apply. A test compares this with the contract.
fn is_streaming(path: &str) -> bool {
    match path.rsplit_once('/') {
        Some(("/annals.v1.RecordService", method)) => matches!(method, "Watch" | "Ingest" | "Export"),
        Some(("/annals.v1.AdminService", method)) => matches!(method, "Backup" | "Verify"),
        Some(("/grpc.health.v1.Health", method)) => method == "Watch",
        Some((_, method)) => method == "ServerReflectionInfo",
        None => false,
    }
}

/// The deadline that the caller set: at most eight digits and a unit. What cannot be read is no deadline.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// One call in progress, from its first header until its last byte is handed to the connection. Dropping it gives its places
/// back and writes the log.
#[derive(Debug)]
struct Call {
    path: Option<PathAndQuery>,
    started: Instant,
    /// CANCELLED until something else is known: a call that is dropped before its end was cancelled.
    code: Code,
    held: Arc<Held>,
    begun: Begun,
}

impl Call {
    fn path(&self) -> &str {
        self.path.as_ref().map_or("", PathAndQuery::path)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let traffic = &self.held.scope().traffic;
        traffic.end(self.begun);
        match self.code {
            // A bug or a broken disk. What an overloaded or stopping server refuses is no line each.
            Code::Unknown | Code::Internal | Code::DataLoss => {
                let us = self.started.elapsed().as_micros();
                tracing::info!(method = self.path(), code = ?self.code, us, peer = traffic.peer(), "call failed");
            }
            code => {
                tracing::debug!(
                    method = self.path(),
                    ?code,
                    us = self.started.elapsed().as_micros(),
                    peer = traffic.peer(),
                    "call"
                );
            }
        }
    }
}

/// The answer to one call, when it comes.
#[derive(Debug)]
pub(crate) struct Answering<F> {
    stage: Stage<F>,
    limit: Option<Duration>,
    streaming: bool,
    /// Made only if the answer is not there at once: most are.
    timer: Option<Pin<Box<Sleep>>>,
    call: Option<Call>,
    decode_bytes_max: usize,
}

#[derive(Debug)]
enum Stage<F> {
    Waiting(F),
    Refused(Status),
    Done,
}

impl<F> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Guarded>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let response = match std::mem::replace(&mut this.stage, Stage::Done) {
            Stage::Refused(status) => status.into_http(),
            Stage::Done => return Poll::Pending,
            Stage::Waiting(mut answer) => match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut answer).poll(context))) {
                Ok(Poll::Ready(Ok(response))) => response,
                Ok(Poll::Pending) => {
                    let Poll::Ready(limit) = this.poll_deadline(context) else {
                        this.stage = Stage::Waiting(answer);
                        return Poll::Pending;
                    };
                    status::deadline(limit).into_http()
                }
                Err(panic) => {
                    let path = this.call.as_ref().map_or("", Call::path);
                    panicked(&*panic, path).into_http()
                }
            },
        };
        Poll::Ready(Ok(this.finish(response)))
    }
}

impl<F> Answering<F> {
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Duration> {
        let (Some(limit), Some(call)) = (self.limit, &self.call) else { return Poll::Pending };
        let at = call.started + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().poll(context).map(|()| limit)
    }

    /// Takes the status from an answer that is nothing else; of others it comes at the end of the body.
    fn finish(&mut self, response: Response<Body>) -> Response<Guarded> {
        let mut call = self.call.take();
        let response = match response.extensions().get::<Status>() {
            None => response,
            Some(status) => match status::from_tonic(status, self.decode_bytes_max) {
                Some(ours) => ours.into_http(),
                None => response,
            },
        };
        if let (Some(call), Some(status)) = (&mut call, response.extensions().get::<Status>()) {
            call.code = status.code();
        }
        // A stream may not outlive its caller's deadline either; of a unary call the body is there already.
        let timer = match (self.streaming, self.limit, &call) {
            (true, Some(limit), Some(call)) => {
                Some((limit, self.timer.take().unwrap_or_else(|| Box::pin(sleep_until(call.started + limit)))))
            }
            _ => None,
        };
        response.map(|body| Guarded { body: Some(body), call, timer })
    }
}

/// The body of an answer, while the client takes it.
#[derive(Debug)]
pub(crate) struct Guarded {
    body: Option<Body>,
    call: Option<Call>,
    timer: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(context))) {
            Ok(Poll::Ready(frame)) => {
                if let (Some(call), Some(Ok(frame))) = (&mut this.call, &frame)
                    && let Some(trailers) = frame.trailers_ref()
                {
                    call.code =
                        trailers.get(Status::GRPC_STATUS).map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
                }
                Poll::Ready(frame)
            }
            Ok(Poll::Pending) => {
                let Some((limit, timer)) = &mut this.timer else { return Poll::Pending };
                let limit = *limit;
                ready!(timer.as_mut().poll(context));
                this.end(&status::deadline(limit))
            }
            Err(panic) => {
                let path = this.call.as_ref().map_or("", Call::path);
                let status = panicked(&*panic, path);
                this.end(&status)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Guarded {
    /// Ends a stream with a status of our own.
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body = None;
        if let Some(call) = &mut self.call {
            call.code = status.code();
        }
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

fn panicked(panic: &(dyn Any + Send), path: &str) -> Status {
    let what = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "something that is no text".to_owned());
    status::internal(format_args!("{path} panicked: {what}"))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tonic::codegen::BoxFuture;
    use tonic_types::StatusExt;

    use super::*;
    use crate::{
        proto,
        rpc::{ServerOptions, load::Load, traffic::Traffic},
    };

    type Answer = BoxFuture<Response<Body>, Infallible>;

    fn guard<F: Fn() -> Answer>(
        options: ServerOptions,
        load: &Arc<Load>,
        answer: F,
    ) -> Guard<impl Service<Request<Counted<Body>>, Response = Response<Body>, Error = Infallible, Future = Answer>> {
        let service = hyper::service::service_fn(move |_| answer());
        Guard::new(service, Arc::new(Scope::new(Arc::new(options), Arc::clone(load), Traffic::new(None))))
    }

    fn request(path: &str, timeout: Option<&str>) -> Request<Body> {
        let mut request = Request::builder().uri(format!("http://server{path}"));
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        request.body(Body::empty()).expect("a request")
    }

    fn status_of(response: &Response<Guarded>) -> Status {
        Status::from_header_map(response.headers()).expect("an answer without a body")
    }

    fn reason_of(status: &Status) -> String {
        status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
    }

    const GET: &str = "/annals.v1.RecordService/GetEvent";
    const WATCH: &str = "/annals.v1.RecordService/Watch";

    #[tokio::test]
    async fn a_panic_is_an_internal_error_with_a_log_id_and_gives_its_place_back() {
        let load = Arc::default();
        let at_once = guard(ServerOptions::default(), &load, || panic!("before the first await"));
        let later = guard(ServerOptions::default(), &load, || {
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
        let stuck = guard(ServerOptions::default(), &load, || Box::pin(pending()));
        for (timeout, expected) in
            [(None, 30_000), (Some("250m"), 250), (Some("1S"), 1000), (Some("1H"), 30_000), (Some("0n"), 0)]
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
        let silent = guard(ServerOptions::default(), &load, || {
            let body = silent_body();
            Box::pin(ready(Ok(Response::new(body))))
        });
        let began = tokio::time::Instant::now();
        let Ok(mut response) = silent.call(request(WATCH, Some("100S"))).await;
        let frame = std::future::poll_fn(|context| Pin::new(response.body_mut()).poll_frame(context)).await;
        let trailers = frame.and_then(Result::ok).and_then(|frame| frame.into_trailers().ok()).expect("trailers");
        let status = Status::from_header_map(&trailers).expect("a status");
        assert_eq!((status.code(), began.elapsed().as_secs()), (Code::DeadlineExceeded, 100));
        assert!(response.body().is_end_stream());
        assert_eq!(load.now(), (1, 0), "until the body is gone");
        drop(response);
        assert_eq!(load.now(), (0, 0));
    }

    /// A body that never has anything to say.
    fn silent_body() -> Body {
        struct Silent;
        impl HttpBody for Silent {
            type Data = Bytes;
            type Error = Status;
            fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
                Poll::Pending
            }
        }
        Body::new(Silent)
    }

    #[tokio::test]
    async fn calls_beyond_the_limit_are_refused_with_a_time_to_retry_and_health_checks_are_not() {
        let load = Arc::default();
        let options = ServerOptions { calls_max: 1, ..ServerOptions::default() };
        let stuck = guard(options.clone(), &load, || Box::pin(pending()));
        let quick = guard(options, &load, || Box::pin(ready(Ok(Response::new(Body::empty())))));
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

    #[test]
    fn the_deadline_header_is_read_as_the_protocol_says_and_nonsense_is_none() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(timeout_of(request("/", Some(text)).headers()), expected, "{text}");
        };
        check("1H", Some(Duration::from_hours(1)));
        check("2M", Some(Duration::from_mins(2)));
        check("3S", Some(Duration::from_secs(3)));
        check("4m", Some(Duration::from_millis(4)));
        check("5u", Some(Duration::from_micros(5)));
        check("6n", Some(Duration::from_nanos(6)));
        check("99999999H", Some(Duration::from_hours(99_999_999)));
        for nonsense in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S"] {
            check(nonsense, None);
        }
    }

    #[test]
    fn streams_are_those_methods_that_the_contract_calls_so() {
        for service in proto::descriptors().services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                assert_eq!(is_streaming(&path), method.is_server_streaming() || method.is_client_streaming(), "{path}");
            }
        }
        assert!(is_streaming("/grpc.health.v1.Health/Watch"));
        assert!(is_streaming("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
        assert!(is_streaming("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
        assert!(!is_streaming("/grpc.health.v1.Health/Check"));
    }
}
