//! Retries. This is the only file that decides whether a call is retried, when, and for how long.
//!
//! Knows errors and time. Must not know what a call requests.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Response, Status, transport::Channel};

use super::{
    Client,
    error::{ClientError, Result},
    options::ClientOptions,
};
use crate::proto::record_service_client::RecordServiceClient;

/// The longest deadline that is sent. gRPC's header has eight digits.
const SENT_DEADLINE_MAX: Duration = Duration::from_hours(1);

/// The retries of one call or stream.
#[derive(Debug)]
pub(super) struct Retries {
    options: Arc<ClientOptions>,
    delays: ExponentialBackoff,
    /// When to give up. `None` means never.
    until: Option<Instant>,
    /// How long a stream without progress is retried, from its first error.
    outage_time_max: Option<Duration>,
}

impl Retries {
    /// For a call, which must succeed within a time from now.
    fn of_call(options: &Arc<ClientOptions>) -> Self {
        let until = Instant::now().checked_add(options.call_time_max);
        Self { options: Arc::clone(options), delays: delays(options), until, outage_time_max: None }
    }

    /// For a stream, which may never end.
    pub(super) fn of_stream(options: &Arc<ClientOptions>) -> Self {
        let outage_time_max = options.outage_time_max;
        Self { options: Arc::clone(options), delays: delays(options), until: None, outage_time_max }
    }

    /// The server was reached, so the outage is over.
    pub(super) fn reached(&mut self) {
        if self.outage_time_max.is_some() {
            self.until = None;
        }
    }

    /// The stream made progress, so the outage is over. The next outage begins with short waits.
    pub(super) fn progressed(&mut self) {
        self.reached();
        self.delays = delays(&self.options);
    }

    /// Waits until the next attempt. Returns the error if it is not transient, or if not enough time is left.
    pub(super) async fn wait(&mut self, error: ClientError) -> Result<()> {
        if !error.is_transient() {
            return Err(error);
        }
        let now = Instant::now();
        if self.until.is_none() {
            self.until = self.outage_time_max.and_then(|limit| now.checked_add(limit));
        }
        // The random part spreads clients that got the same retry delay from the server.
        let delay = self.delays.next().unwrap_or_default() + error.retry_delay().unwrap_or_default();
        if self.until.is_some_and(|until| now.checked_add(delay).is_none_or(|then| then >= until)) {
            return Err(error);
        }
        tracing::debug!(%error, ?delay, "retrying");
        if let Some(hook) = &self.options.on_retry {
            hook.call(&error, delay);
        }
        sleep(delay).await;
        Ok(())
    }

    /// Longest time for the next attempt.
    fn try_time_max(&self) -> Duration {
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        self.options.try_time_max.min(left)
    }
}

fn delays(options: &ClientOptions) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(options.retry_delay_min)
        .with_max_delay(options.retry_delay_max)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Client {
    /// Makes a unary call. Retries it until it succeeds, fails with an error that is not transient, or runs out of time.
    pub(super) async fn call<Q, A, F>(
        &self,
        request: &Q,
        send: impl Fn(RecordServiceClient<Channel>, Request<Q>) -> F + Send,
    ) -> Result<A>
    where
        Q: Clone + Sync,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let mut retries = Retries::of_call(&self.options);
        loop {
            let limit = retries.try_time_max();
            let mut message = Request::new(request.clone());
            message.set_timeout(limit.min(SENT_DEADLINE_MAX));
            let began = Instant::now();
            let error = match timeout(limit, send(self.grpc.clone(), message)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                // tonic ends a call by the same deadline, with CANCELLED.
                Ok(Err(status)) if status.code() != Code::Cancelled || began.elapsed() < limit => status.into(),
                _ => ClientError::no_answer(limit),
            };
            retries.wait(error).await?;
        }
    }

    /// Opens a stream, without retries.
    pub(super) async fn open<A>(&self, call: impl Future<Output = Result<Response<A>, Status>> + Send) -> Result<A> {
        let limit = self.options.try_time_max;
        match timeout(limit, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(ClientError::no_answer(limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn options() -> Arc<ClientOptions> {
        Arc::new(ClientOptions {
            call_time_max: Duration::from_secs(20),
            outage_time_max: Some(Duration::from_secs(20)),
            ..ClientOptions::default()
        })
    }

    /// How long it was retried, and how often.
    async fn tries(mut retries: Retries, error: &ClientError) -> (Duration, usize) {
        let began = Instant::now();
        let mut count = 0;
        while retries.wait(error.clone()).await.is_ok() {
            count += 1;
        }
        (began.elapsed(), count)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_their_limit_and_end_before_the_time_is_over() {
        let lost = ClientError::from(Status::unavailable("lost"));
        for retries in [Retries::of_call(&options()), Retries::of_stream(&options())] {
            let (took, count) = tries(retries, &lost).await;
            // Waits of 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5 s. With the random part, each is one to two times as long.
            assert!(took <= Duration::from_secs(20) && took >= Duration::from_secs(10), "{took:?}");
            assert!((5..=9).contains(&count), "{count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_not_transient_is_returned_at_once() {
        let refused = ClientError::from(Status::invalid_argument("no"));
        assert_eq!(tries(Retries::of_stream(&options()), &refused).await, (Duration::ZERO, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_made_progress_is_retried_as_long_as_at_first() {
        let lost = ClientError::from(Status::unavailable("lost"));
        let mut retries = Retries::of_stream(&options());
        for _ in 0..1000 {
            retries.wait(lost.clone()).await.expect("worth it");
            retries.progressed();
        }
        let began = Instant::now();
        retries.wait(lost.clone()).await.expect("worth it");
        assert!(began.elapsed() <= Duration::from_millis(201), "{:?}", began.elapsed());
        assert!(tries(retries, &lost).await.1 > 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_delay_is_waited_for_where_the_time_suffices() {
        let delayed = |seconds| {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(seconds)));
            ClientError::from(Status::with_error_details(Code::Unavailable, "full", details))
        };
        let began = Instant::now();
        Retries::of_call(&options()).wait(delayed(10)).await.expect("worth it");
        assert!(began.elapsed() >= Duration::from_secs(10));
        assert!(Retries::of_call(&options()).wait(delayed(30)).await.is_err());
    }
}
