//! The life of one engine process: it runs, it is stopped and goes on later (`SIGSTOP`), it dies. Whatever reaches out of a
//! process (store, providers, clock) asks its [`Life`] first; a dead one never gets an answer and never does anything
//! again, exactly as a process that was killed.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use ns_core::ports::Clock;
use ns_core::sim::SimClock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// How a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Alive,
    /// It stands still and knows nothing of it.
    Frozen,
    /// It is gone.
    Dead,
}

/// The life of one process.
#[derive(Debug, Clone)]
pub struct Life {
    state: Arc<watch::Sender<Condition>>,
    /// Requests that are under way when it dies are carried out by the service all the same.
    orphans: Arc<Mutex<bool>>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            state: Arc::new(watch::channel(Condition::Alive).0),
            orphans: Arc::default(),
        }
    }
}

impl Life {
    /// How it is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        *self.state.borrow()
    }

    /// It dies. `orphans`: what it had asked of services is still done.
    pub fn die(&self, orphans: bool) {
        *self.orphans.lock().unwrap() = orphans;
        self.state.send_replace(Condition::Dead);
    }

    /// It stands still.
    pub fn freeze(&self) {
        self.state.send_if_modified(|c| match c {
            Condition::Alive => {
                *c = Condition::Frozen;
                true
            }
            _ => false,
        });
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.state.send_if_modified(|c| match c {
            Condition::Frozen => {
                *c = Condition::Alive;
                true
            }
            _ => false,
        });
    }

    /// Waits while it stands still; for ever once it is dead.
    pub async fn runs(&self) {
        let mut state = self.state.subscribe();
        loop {
            match *state.borrow_and_update() {
                Condition::Alive => return,
                Condition::Dead => break,
                Condition::Frozen => {}
            }
            if state.changed().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    }

    async fn dead(&self) {
        let mut state = self.state.subscribe();
        while *state.borrow_and_update() != Condition::Dead {
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// A request of this process to a service: its answer reaches nobody when the process has died meanwhile.
    pub async fn request<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let dead = std::pin::pin!(self.dead());
        match futures::future::select(dead, &mut work).await {
            futures::future::Either::Left(_) => {
                if *self.orphans.lock().unwrap() {
                    work.await;
                }
                std::future::pending().await
            }
            futures::future::Either::Right((answer, _)) => {
                self.runs().await;
                answer
            }
        }
    }
}

/// The clock of the machine that a process runs on: it may be wrong, and be set right.
#[derive(Debug, Clone)]
pub struct NodeClock {
    clock: SimClock,
    life: Life,
    ahead: Arc<AtomicI64>,
}

impl NodeClock {
    /// A clock of a process; `ahead` are the seconds by which its machine is ahead.
    #[must_use]
    pub const fn new(clock: SimClock, life: Life, ahead: Arc<AtomicI64>) -> Self {
        Self { clock, life, ahead }
    }
}

#[async_trait]
impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        self.clock.now() + SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
        self.life.runs().await;
    }
}
