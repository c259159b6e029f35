//! Time: what it is, and waiting for it.

use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::future::{Either, select};
use jiff::Timestamp;
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// A source of time.
///
/// **Guarantees**: `sleep` ends no earlier than `duration` after it was called, as `now` counts.
/// **Cancellation**: dropping the future of `sleep` ends the wait and does nothing else.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The time now (UTC).
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Runs `work`, for at most `limit`. After that it is dropped and the answer is [`ErrorKind::Timeout`]: whether the
/// effect took place is unknown.
///
/// # Errors
/// Those of `work`, or `deadline` when the time is up.
pub async fn with_deadline<T>(
    clock: &dyn Clock,
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match select(pin!(work), clock.sleep(limit)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), _)) => Err(Error::new(
            ErrorKind::Timeout,
            "deadline",
            format!("{what} did not answer within {limit:?}"),
        )),
    }
}
