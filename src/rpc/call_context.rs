//! The call context: what the server knows of one call. It goes through the layers beside the request, and reaches the handlers
//! in the extensions of the request.
//!
//! It is made for every Get, so it is cheap: one allocation, one read of the clock, and no text.
//!
//! Knows HTTP requests, gRPC's headers and the descriptors of the services. Must not know messages, what a method does, or the
//! store beyond its [`Caller`].

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, uri::PathAndQuery};
use prost::Message;
use prost_types::FileDescriptorSet;
use tokio::time::Instant;
use tonic::Status;

use super::connection_context::{CallPermit, ConnectionContext};
use crate::{proto, store::Caller};

static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The descriptors of every service that the server answers, as encoded `FileDescriptorSet`s.
pub(super) const DESCRIPTORS: [&[u8]; 4] = [
    proto::DESCRIPTORS,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// One call, as the layers and the handlers know it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct CallContext {
    /// The caller, if a layer has identified it. The layer sets this for the layers and handlers behind it.
    pub(super) identity: Option<Caller>,
    call: Arc<Facts>,
}

#[derive(Debug)]
struct Facts {
    /// The permit and memory of the call. They are given back when the last clone of the context is dropped.
    permit: CallPermit,
    path: Option<PathAndQuery>,
    started: Instant,
    time_max: Option<Duration>,
    is_streaming: bool,
    is_compressed: bool,
    traceparent: Option<HeaderValue>,
}

impl CallContext {
    /// The context of a call that begins now.
    pub(super) fn new<B>(connection: &Arc<ConnectionContext>, request: &Request<B>) -> Self {
        let headers = request.headers();
        let is_streaming = is_streaming(request.uri().path());
        let call_time_max = connection.options.call_time_max;
        let time_max = match timeout_of(headers) {
            wanted if is_streaming => wanted,
            wanted => Some(wanted.map_or(call_time_max, |wanted| wanted.min(call_time_max))),
        };
        let call = Facts {
            permit: CallPermit::new(Arc::clone(connection)),
            path: request.uri().path_and_query().cloned(),
            started: Instant::now(),
            time_max,
            is_streaming,
            is_compressed: headers.contains_key(&GRPC_ENCODING),
            traceparent: headers.get(&TRACEPARENT).cloned(),
        };
        Self { identity: None, call: Arc::new(call) }
    }

    /// The context of a request, for handlers.
    ///
    /// # Panics
    ///
    /// If the request did not pass through the [`LayerChain`](super::layers::LayerChain).
    pub(super) fn of(extensions: &Extensions) -> &Self {
        extensions.get().expect("the end of the layers puts a context into every request")
    }

    /// The caller: the scope of request ids, and the author of commits.
    pub(super) fn caller(&self) -> &Caller {
        self.identity.as_ref().unwrap_or(&self.connection().caller)
    }

    /// The connection of the call.
    pub(super) fn connection(&self) -> &ConnectionContext {
        self.call.permit.connection()
    }

    /// The permit and memory of the call.
    pub(super) fn permit(&self) -> &CallPermit {
        &self.call.permit
    }

    /// The path of the method, such as `/annals.v1.RecordService/GetEvent`.
    pub(super) fn path(&self) -> &str {
        self.call.path.as_ref().map_or("", PathAndQuery::path)
    }

    /// When the call began.
    pub(super) fn started(&self) -> Instant {
        self.call.started
    }

    /// The time limit of the call, counted from [`Self::started`]: the caller's deadline or the server's own, whichever is
    /// sooner. A stream has the caller's deadline only.
    pub(super) fn time_max(&self) -> Option<Duration> {
        self.call.time_max
    }

    /// Whether the request or the answer is a stream.
    pub(super) fn is_streaming(&self) -> bool {
        self.call.is_streaming
    }

    /// Whether the messages of the request may be compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.call.is_compressed
    }

    /// The header `traceparent` of W3C Trace Context, unchecked. It says to which trace the call belongs.
    #[cfg_attr(not(test), expect(dead_code, reason = "for a layer that writes traces"))]
    pub(super) fn traceparent(&self) -> Option<&str> {
        self.call.traceparent.as_ref()?.to_str().ok()
    }

    /// Counts the bytes of a decompressed message. Does nothing for an uncompressed message, whose bytes were counted as they
    /// arrived.
    pub(super) fn charge_message(&self, bytes: usize) -> Result<(), Status> {
        if self.call.is_compressed { self.call.permit.charge(bytes) } else { Ok(()) }
    }
}

/// The paths of all methods with a stream of requests or of answers, from the descriptors. They are few, and most differ in
/// length. So comparing with each path costs less than hashing one.
static STREAMING: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut paths = Vec::new();
    for encoded in DESCRIPTORS {
        let files = FileDescriptorSet::decode(encoded).expect("descriptors that were compiled in").file;
        for (file, service) in files.iter().flat_map(|file| file.service.iter().map(move |service| (file, service))) {
            for method in service.method.iter().filter(|method| method.client_streaming() || method.server_streaming()) {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
});

/// Whether the method at a path has a stream of requests or of answers. The server's own deadline does not apply to such
/// methods.
fn is_streaming(path: &str) -> bool {
    STREAMING.iter().any(|streaming| streaming == path)
}

/// The deadline that the caller has set: at most eight digits and a unit. An invalid header is ignored.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::ServerOptions;

    fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        builder.uri(format!("http://server{path}")).body(()).expect("a request")
    }

    fn context(path: &str, headers: &[(&str, &str)]) -> CallContext {
        let connection = ConnectionContext::new(Arc::new(ServerOptions::default()), Arc::default(), None);
        CallContext::new(&Arc::new(connection), &request(path, headers))
    }

    #[test]
    fn a_context_says_what_the_request_says() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut plain = context("/annals.v1.RecordService/GetEvent", &[]);
        assert_eq!((plain.path(), plain.traceparent()), ("/annals.v1.RecordService/GetEvent", None));
        assert_eq!(
            (plain.is_compressed(), plain.caller().name(), &*plain.connection().peer),
            (false, "anonymous", "in process")
        );
        plain.identity = Some(Caller::named("a newsroom"));
        assert_eq!(plain.caller().name(), "a newsroom");
        let full = context("/x", &[("traceparent", trace), ("grpc-encoding", "gzip")]);
        assert_eq!((full.traceparent(), full.is_compressed()), (Some(trace), true));
    }

    #[test]
    fn a_call_has_the_sooner_deadline_and_a_stream_the_callers_only() {
        for (path, timeout, expected) in [
            ("/annals.v1.RecordService/GetEvent", None, Some(30)),
            ("/annals.v1.RecordService/GetEvent", Some("1S"), Some(1)),
            ("/annals.v1.RecordService/GetEvent", Some("1H"), Some(30)),
            ("/annals.v1.RecordService/Watch", None, None),
            ("/annals.v1.RecordService/Watch", Some("1H"), Some(3600)),
        ] {
            let headers: Vec<_> = timeout.iter().map(|timeout| ("grpc-timeout", *timeout)).collect();
            assert_eq!(context(path, &headers).time_max(), expected.map(Duration::from_secs), "{path} {timeout:?}");
        }
    }

    #[test]
    fn the_deadline_header_is_read_as_the_protocol_says_and_nonsense_is_none() {
        let check = |text: &str, expected: Option<Duration>| {
            assert_eq!(timeout_of(request("/", &[("grpc-timeout", text)]).headers()), expected, "{text}");
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
    fn streams_are_those_methods_that_the_descriptors_call_so() {
        for service in proto::descriptors().services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                assert_eq!(is_streaming(&path), method.is_server_streaming() || method.is_client_streaming(), "{path}");
            }
        }
        assert!(is_streaming("/annals.v1.RecordService/Ingest"));
        assert!(is_streaming("/grpc.health.v1.Health/Watch"));
        assert!(is_streaming("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
        assert!(is_streaming("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
        assert!(!is_streaming("/annals.v1.RecordService/GetEvent"));
        assert!(!is_streaming("/grpc.health.v1.Health/Check"));
    }
}
