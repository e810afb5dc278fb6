//! The options of the server: the limits and times of a request, of a connection, and of the whole server.
//!
//! The server sets an option explicitly even if it equals the default of a library. Most defaults of tonic and hyper are
//! "unlimited", and all of them may change.
//!
//! Knows names and defaults. Must not know how an option is enforced.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::origins::WebOrigins;
use crate::limits::Limit;

/// Limits and times of the server. The defaults suit a server that everyone on a network can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// Longest time for one unary call. A shorter deadline of the caller wins.
    #[serde(with = "duration")]
    pub call_time_max: Duration,
    /// Calls in progress on the whole server, without health checks. One more is refused: `TOO_MANY_REQUESTS`.
    pub calls_max: usize,
    /// Calls in progress on one connection. One more waits in the client, by a setting of HTTP/2.
    pub calls_per_connection_max: u32,
    /// Memory in bytes for the messages of all calls in progress: requests, compressed and decompressed, and answers that
    /// clients have not read yet. A call that needs more is refused: `TOO_MANY_REQUESTS`.
    pub bytes_max: usize,
    /// The same for the calls of one connection.
    pub bytes_per_connection_max: usize,
    /// Threads for lists, batches and reads of history. 0 means one per core.
    pub read_threads: usize,
    /// Such reads that wait for a thread. One more is refused: `TOO_MANY_REQUESTS`.
    pub reads_waiting_max: usize,
    /// Long commits that wait for a thread to check them. One more is refused: `TOO_MANY_REQUESTS`.
    pub commits_waiting_max: usize,
    /// Longest message that is decoded, in bytes after decompression. It is above the store's `request_bytes`, so that the
    /// store refuses a long request and names its limit.
    pub decode_bytes_max: usize,
    /// Origins whose web pages may call the server, such as `http://localhost:3000`; `*` allows all.
    pub web_origins: WebOrigins,
    /// Open connections. One more is closed at once.
    pub connections_max: usize,
    /// A connection is closed after this time without a first request. Over HTTP/1.1 it is also closed when the headers of the
    /// next request are not complete this long after the last answer.
    #[serde(with = "duration")]
    pub first_request_time_max: Duration,
    /// A connection that has had no request for this time is asked to close (GOAWAY).
    #[serde(with = "duration")]
    pub connection_idle_time_max: Duration,
    /// A connection of this age is asked to close (GOAWAY), so that clients spread over servers again.
    #[serde(with = "duration")]
    pub connection_age_max: Duration,
    /// A connection that was asked to close is closed after this time.
    #[serde(with = "duration")]
    pub connection_grace: Duration,
    /// A connection is closed when the client does not read the answer to a unary call within one to two times this time after
    /// the call began. At least `call_time_max`.
    #[serde(with = "duration")]
    pub answer_time_max: Duration,
    /// A peer that sends nothing is pinged after this time.
    #[serde(with = "duration")]
    pub keepalive_interval: Duration,
    /// A peer that does not answer a ping in this time is closed.
    #[serde(with = "duration")]
    pub keepalive_timeout: Duration,
    /// Longest headers of a request, in bytes.
    pub header_bytes_max: u32,
    /// Longest HTTP/2 frame that is accepted, in bytes.
    pub frame_bytes_max: u32,
    /// Bytes that a client may send on one call before the server has read them.
    pub stream_window_bytes: u32,
    /// Bytes that a client may send on one connection before the server has read them.
    pub connection_window_bytes: u32,
    /// Bytes of answers that are buffered for one call while the client reads them.
    pub send_buffer_bytes: usize,
    /// Calls that a client cancelled before the server looked at them. One more closes the connection (CVE-2023-44487).
    pub pending_resets_max: usize,
    /// Calls of one connection that the server reset because of an error of the client. One more closes the connection (CVE-2025-8671).
    pub error_resets_max: usize,
    /// How long calls in progress may take to finish at a graceful shutdown.
    #[serde(with = "duration")]
    pub drain_time_max: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            call_time_max: Duration::from_secs(30),
            calls_max: 2048,
            calls_per_connection_max: 512,
            bytes_max: 512 << 20,
            bytes_per_connection_max: 128 << 20,
            read_threads: 0,
            reads_waiting_max: 256,
            commits_waiting_max: 256,
            decode_bytes_max: 16 << 20,
            web_origins: WebOrigins::default(),
            connections_max: 1024,
            first_request_time_max: Duration::from_secs(30),
            connection_idle_time_max: Duration::from_mins(15),
            connection_age_max: Duration::from_hours(2),
            connection_grace: Duration::from_mins(1),
            answer_time_max: Duration::from_mins(1),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            header_bytes_max: 16 << 10,
            frame_bytes_max: 16 << 10,
            stream_window_bytes: 512 << 10,
            connection_window_bytes: 1 << 20,
            send_buffer_bytes: 256 << 10,
            pending_resets_max: 20,
            error_resets_max: 256,
            drain_time_max: Duration::from_secs(10),
        }
    }
}

/// Most headers of a request over HTTP/1.1. HTTP/2 limits only their bytes.
pub(super) const HTTP1_HEADERS_MAX: usize = 100;

macro_rules! server_limits {
    ($($method:ident: |$options:pat_param| $maximum:expr, $name:literal, $bounds:literal;)*) => {
        impl ServerOptions {
            $(
                #[doc = concat!("The limit `", $name, "`.")]
                pub(super) fn $method(&self) -> Limit {
                    let $options = self;
                    Limit { name: $name, maximum: $maximum, bounds: $bounds }
                }
            )*

            /// Each limit of the server that a call can reach. [`StoreLimits::list`](crate::store::StoreLimits::list) has those
            /// of the store.
            pub fn limits(&self) -> impl Iterator<Item = Limit> + use<> {
                [$(self.$method()),*].into_iter()
            }
        }
    };
}

server_limits! {
    call_ms_limit: |options| u64::try_from(options.call_time_max.as_millis()).unwrap_or(u64::MAX), "rpc.call_ms",
        "one unary call. A shorter deadline of the client takes precedence. `DEADLINE`";
    calls_limit: |options| options.calls_max as u64, "rpc.calls", "calls in progress. `TOO_MANY_REQUESTS`";
    calls_per_connection_limit: |options| u64::from(options.calls_per_connection_max), "rpc.calls_per_connection",
        "calls in progress on a connection; 1 over HTTP/1.1. The next call waits at the client";
    bytes_limit: |options| options.bytes_max as u64, "rpc.bytes",
        "memory for the messages of calls in progress. `TOO_MANY_REQUESTS`";
    bytes_per_connection_limit: |options| options.bytes_per_connection_max as u64, "rpc.bytes_per_connection",
        "the same for one connection";
    reads_waiting_limit: |options| options.reads_waiting_max as u64, "rpc.reads_waiting",
        "reads that wait for a thread. `TOO_MANY_REQUESTS`";
    commits_waiting_limit: |options| options.commits_waiting_max as u64, "rpc.commits_waiting",
        "long commits that wait. `TOO_MANY_REQUESTS`";
    connections_limit: |options| options.connections_max as u64, "rpc.connections", "connections. The next one is closed";
    header_bytes_limit: |options| u64::from(options.header_bytes_max), "rpc.header_bytes",
        "the headers of a request. The transport refuses the call. Over HTTP/1.1 the status is 431";
    http1_headers_limit: |_| HTTP1_HEADERS_MAX as u64, "rpc.http1_headers",
        "headers of a request over HTTP/1.1. The status is 431. HTTP/2 limits only their bytes";
}

/// Durations as text, such as "30s" or "2h", in files, arguments and the environment.
pub mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Parses a duration, such as "30s".
    pub fn parse(text: &str) -> Result<Duration, String> {
        let signed: SignedDuration = text.parse().map_err(|_| not_a_duration(text))?;
        Duration::try_from(signed).map_err(|_| not_a_duration(text))
    }

    /// Formats a duration so that [`parse`] can read it.
    pub fn format(duration: Duration) -> String {
        SignedDuration::try_from(duration).map_or_else(|_| format!("{}s", duration.as_secs()), |signed| format!("{signed:#}"))
    }

    /// Writes a duration as a text with a unit.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format(*duration))
    }

    /// Reads a duration from a text with a unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    fn not_a_duration(text: &str) -> String {
        format!("\"{text}\" is not a duration: write a number with a unit, such as 500ms, 30s or 2h")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_written_is_read_again() {
            for duration in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(90), Duration::from_hours(2)] {
                assert_eq!(parse(&format(duration)), Ok(duration), "{}", format(duration));
            }
        }

        #[test]
        fn numbers_without_a_unit_and_negative_ones_are_refused_with_an_example() {
            for text in ["", "30", "-5s", "soon"] {
                assert!(parse(text).is_err_and(|error| error.contains("500ms")), "{text}");
            }
        }
    }
}
