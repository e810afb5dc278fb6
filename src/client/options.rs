//! Every number of the client: how long it waits, and how often it tries.
//!
//! Knows units and bounds. Must not know calls.

use std::{fmt, sync::Arc, time::Duration};

use super::ClientError;

/// How a client connects and how patient it is. The defaults suit a service that is restarted now and then.
///
/// ```no_run
/// use std::time::Duration;
///
/// use annals::client::ClientOptions;
///
/// # async fn connect() -> annals::client::Result<()> {
/// let options = ClientOptions { user_agent: "newsroom/2.1".into(), call_time_max: Duration::from_secs(5), ..Default::default() };
/// let client = options.connect("http://127.0.0.1:50051").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Longest time for a connection to be made. 5 seconds.
    pub connect_time_max: Duration,
    /// Longest time for one unary call, all its tries and the waits between them. 1 minute.
    pub call_time_max: Duration,
    /// Longest time for one try, and for a stream to be opened. 35 seconds: longer than the server's own limit, so that the server is
    /// heard.
    pub try_time_max: Duration,
    /// How long a stream without progress is tried again. 5 minutes; `None`: for ever, as whoever follows a record may want.
    pub outage_time_max: Option<Duration>,
    /// Wait before the first repetition; every further one is twice as long. To each as much again is added at random, so that clients
    /// that were cut together do not come back together. 100 milliseconds.
    pub retry_delay_min: Duration,
    /// Longest such wait, before the random part. Where the server names a longer one, that counts. 5 seconds.
    pub retry_delay_max: Duration,
    /// A watch that says nothing for so many heartbeats is taken for dead and opened again. 3.
    pub heartbeats_missed_max: u32,
    /// A connection in use on which nothing comes in is pinged after this time. 10 seconds.
    pub keepalive_interval: Duration,
    /// A connection on which a ping has no answer in this time is lost. 10 seconds.
    pub keepalive_timeout: Duration,
    /// Bytes of an answer that are read. 16 MiB: the server's own limit is 4 MiB.
    pub answer_bytes_max: usize,
    /// Who is calling, as the server's log may show it: `newsroom/2.1`. The client's own name is added.
    pub user_agent: String,
    /// Told of every repetition, before the wait.
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

/// Told of an error that is about to be tried again, and of the wait before.
#[derive(Clone)]
pub struct RetryHook(Arc<Told>);

type Told = dyn Fn(&ClientError, Duration) + Send + Sync;

impl RetryHook {
    /// A hook that calls a function. It is called on the task that waits, and must not block it.
    pub fn new(told: impl Fn(&ClientError, Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    /// Tells it.
    pub(super) fn tell(&self, error: &ClientError, delay: Duration) {
        (self.0)(error, delay);
    }
}

impl fmt::Debug for RetryHook {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("RetryHook")
    }
}
