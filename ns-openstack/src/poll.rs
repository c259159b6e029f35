//! Looking again until something is so. No deadline of its own: the engine's drops the future.

use crate::config::Timing;
use std::time::{Duration, Instant};

/// Pauses that grow from the first to the longest.
#[derive(Debug)]
pub(crate) struct Poll {
    pause: Duration,
    max: Duration,
    since: Instant,
}

impl Poll {
    pub(crate) fn new(timing: &Timing) -> Self {
        Self {
            pause: timing.poll_first,
            max: timing.poll_max,
            since: Instant::now(),
        }
    }

    /// Pauses before the next look.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 3 / 2).min(self.max);
    }

    /// How long it has been looked for.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}
