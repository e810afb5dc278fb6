//! The clock, the timestamps of the contract, and new ids, which begin with a time. The clock is an argument, so that tests can
//! set it.
//!
//! Knows microseconds and ULIDs. Must not know commits.

use std::{
    fmt::Debug,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ulid::Ulid;

/// A source of the current time.
pub trait Clock: Send + Sync + Debug {
    /// Microseconds since the Unix epoch. May step back.
    fn now_us(&self) -> i64;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Microseconds since the epoch as the contract's timestamp.
pub(crate) fn timestamp(time_us: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time_us.div_euclid(1_000_000),
        nanos: i32::try_from(time_us.rem_euclid(1_000_000) * 1000).expect("less than a second"),
    }
}

/// The contract's timestamp in whole microseconds since the epoch, rounded down.
pub(crate) fn micros(time: &prost_types::Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos.clamp(0, 999_999_999)) / 1000)
}

/// A new id: a ULID in lower case, greater than the one before.
pub(super) fn new_id(ids: &mut ulid::Generator, now_ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(now_ms);
    // The generator fails if the random part overflows within one millisecond. A random id is still unique.
    let id = ids.generate_from_datetime(time).unwrap_or_else(|_| Ulid::from_datetime(time));
    id.to_string().to_lowercase()
}
