//! The options of a client: how long it waits, and how often it retries.
//!
//! Knows units and bounds. Must not know calls.

use std::{fmt, sync::Arc, time::Duration};

use super::error::ClientError;

/// How a client connects, and how long it retries. The defaults suit a service that is restarted occasionally.
///
/// ```no_run
/// use std::time::Duration;
///
/// use annals::client::ClientOptions;
///
/// # async fn connect() -> annals::client::Result<()> {
/// let call_time_max = Duration::from_secs(5);
/// let options = ClientOptions { user_agent: "newsroom/2.1".into(), call_time_max, ..Default::default() };
/// let client = options.connect("http://127.0.0.1:50051").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Longest time to connect. 5 seconds.
    pub connect_time_max: Duration,
    /// Longest time for one unary call, including all retries and the waits between them. 1 minute.
    pub call_time_max: Duration,
    /// Longest time for one attempt, and to open a stream. 35 seconds, which is longer than the server's own limit, so that the
    /// server's error arrives.
    pub try_time_max: Duration,
    /// How long a stream without progress is retried. 5 minutes. `None` means without limit, which suits a program that follows
    /// a store.
    pub outage_time_max: Option<Duration>,
    /// Wait before the first retry. Each further wait is twice as long. A random time of up to the same length is added, so
    /// that clients that lost their connections together do not return together. 100 milliseconds.
    pub retry_delay_min: Duration,
    /// Longest wait before a retry, without the random part. The server's retry delay is added. 5 seconds.
    pub retry_delay_max: Duration,
    /// A watch that receives nothing for this many heartbeats is considered dead and opened again. 3.
    pub heartbeats_missed_max: u32,
    /// A connection in use is pinged after it received nothing for this time. 10 seconds.
    pub keepalive_interval: Duration,
    /// A connection is closed if a ping has no answer for this time. 10 seconds.
    pub keepalive_timeout: Duration,
    /// Largest answer, in bytes. 16 MiB, which is above the server's own limit of 4 MiB.
    pub answer_bytes_max: usize,
    /// The name of the calling program, such as `newsroom/2.1`. The client's own name is added.
    pub user_agent: String,
    /// Called before the wait of each retry.
    pub on_retry: Option<RetryHook>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_time_max: Duration::from_secs(5),
            call_time_max: Duration::from_mins(1),
            try_time_max: Duration::from_secs(35),
            outage_time_max: Some(Duration::from_mins(5)),
            retry_delay_min: Duration::from_millis(100),
            retry_delay_max: Duration::from_secs(5),
            heartbeats_missed_max: 3,
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(10),
            answer_bytes_max: 16 << 20,
            user_agent: String::new(),
            on_retry: None,
        }
    }
}

/// A function that is called before each retry, with the error and the wait.
#[derive(Clone)]
pub struct RetryHook(Arc<RetryCallback>);

type RetryCallback = dyn Fn(&ClientError, Duration) + Send + Sync;

impl RetryHook {
    /// A hook that calls a function. It runs on the task that waits, and must not block it.
    pub fn new(callback: impl Fn(&ClientError, Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    /// Reports that a call failed and is repeated after this delay.
    pub(super) fn call(&self, error: &ClientError, delay: Duration) {
        (self.0)(error, delay);
    }
}

impl fmt::Debug for RetryHook {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("RetryHook")
    }
}
