//! Every number of the server, in one place: what a connection, a request and the whole server may take.
//!
//! Set explicitly even where it equals a library's default, since most of tonic's and hyper's defaults are "unlimited" and all
//! of them move.
//!
//! Knows units and bounds. Must not know how a number is enforced.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::origins::WebOrigins;

/// How the server is run. The defaults suit a server that everyone on a network can reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerOptions {
    /// Longest time for one unary call. A shorter deadline of the caller's counts instead.
    #[serde(with = "duration")]
    pub call_time_max: Duration,
    /// Calls in progress on the whole server, health checks aside. One more is refused: `TOO_MANY_REQUESTS`.
    pub calls_max: usize,
    /// Calls in progress on one connection. One more waits at the client, as HTTP/2 has it.
    pub calls_per_connection_max: u32,
    /// Bytes of memory that the messages of all calls in progress take: requests, packed and unpacked, and answers that clients
    /// have not taken. A call that needs more is refused: `TOO_MANY_REQUESTS`.
    pub bytes_max: usize,
    /// The same for the calls of one connection.
    pub bytes_per_connection_max: usize,
    /// Threads that lists, batches and reads of history run on. 0: one a core.
    pub read_threads: usize,
    /// Such reads that wait for a thread. One more is refused: `TOO_MANY_REQUESTS`.
    pub reads_waiting_max: usize,
    /// Long commits that wait for a thread to be checked on. One more is refused: `TOO_MANY_REQUESTS`.
    pub commits_waiting_max: usize,
    /// Bytes of a message that are read at all, after decompression. Above the store's own `request_bytes`, so that the
    /// refusal can be one of ours.
    pub decode_bytes_max: usize,
    /// Origins whose web pages may call, such as `http://localhost:3000`; `*` is any. By default none.
    pub web_origins: WebOrigins,
    /// Open connections. One more is closed at once.
    pub connections_max: usize,
    /// A connection without a request is closed after this time, and one over HTTP/1.1 also when the headers of its next request
    /// are not complete so long after the answer before.
    #[serde(with = "duration")]
    pub first_request_time_max: Duration,
    /// A connection that had requests, but none for so long, is told to go.
    #[serde(with = "duration")]
    pub connection_idle_time_max: Duration,
    /// A connection of this age is told to go, so that clients spread anew over servers.
    #[serde(with = "duration")]
    pub connection_age_max: Duration,
    /// A connection that was told to go is closed after this time.
    #[serde(with = "duration")]
    pub connection_grace: Duration,
    /// A connection is closed when an answer to a unary call was not taken for between one and two of these times after the
    /// call began. Never below `call_time_max`.
    #[serde(with = "duration")]
    pub answer_time_max: Duration,
    /// A peer that sends nothing is pinged after this time.
    #[serde(with = "duration")]
    pub keepalive_interval: Duration,
    /// A peer that does not answer a ping in this time is closed.
    #[serde(with = "duration")]
    pub keepalive_timeout: Duration,
    /// Bytes of a request's headers.
    pub header_bytes_max: u32,
    /// Bytes of one HTTP/2 frame that are accepted.
    pub frame_bytes_max: u32,
    /// Bytes that a client may send on one call before we have read them.
    pub stream_window_bytes: u32,
    /// Bytes that a client may send on one connection before we have read them.
    pub connection_window_bytes: u32,
    /// Bytes of answers that are kept for one call while the client takes them.
    pub send_buffer_bytes: usize,
    /// Calls that a client cancelled before we looked at them; more closes the connection (CVE-2023-44487).
    pub pending_resets_max: usize,
    /// Calls of one connection that we reset for a fault of the client; more closes the connection (CVE-2025-8671).
    pub error_resets_max: usize,
    /// Time that calls in progress have to end when the server stops.
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

impl ServerOptions {
    /// Each limit that a caller can meet, by the name that errors and `GetServerInfo.limits` give.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("rpc.call_ms", u64::try_from(self.call_time_max.as_millis()).unwrap_or(u64::MAX)),
            ("rpc.calls", self.calls_max as u64),
            ("rpc.calls_per_connection", u64::from(self.calls_per_connection_max)),
            ("rpc.bytes", self.bytes_max as u64),
            ("rpc.bytes_per_connection", self.bytes_per_connection_max as u64),
            ("rpc.reads_waiting", self.reads_waiting_max as u64),
            ("rpc.commits_waiting", self.commits_waiting_max as u64),
            ("rpc.connections", self.connections_max as u64),
            ("rpc.header_bytes", u64::from(self.header_bytes_max)),
        ])
    }
}

/// Durations as people write them, "30s" or "2h", in files, flags and the environment.
pub mod duration {
    use std::time::Duration;

    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a duration.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let signed: SignedDuration = text.parse().map_err(|_| hint(text))?;
        Duration::try_from(signed).map_err(|_| hint(text))
    }

    /// Writes a duration so that it can be read again.
    pub fn format(duration: Duration) -> String {
        SignedDuration::try_from(duration).map_or_else(|_| format!("{}s", duration.as_secs()), |signed| format!("{signed:#}"))
    }

    /// For serde.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format(*duration))
    }

    /// For serde.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    fn hint(text: &str) -> String {
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
