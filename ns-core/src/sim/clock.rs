//! Virtual time: it stands still while anybody works and jumps to the next deadline when everybody sleeps, so that a
//! failover of an hour runs in milliseconds and always in the same order.
//!
//! While anybody sleeps, one task watches. It lets all others run, many times over; when during that nobody began or ended a
//! sleep, everybody is taken to be waiting, and it moves the time to the next deadline. On a current-thread runtime the
//! result depends on nothing but the program. A sleep that nobody polls at the moment (a future in the back of a select)
//! does not stop the time. Work that tokio cannot see (a thread of SQLite, a child process) would be overtaken by the time:
//! whoever waits for such work [holds](SimClock::hold) the clock (a [`SimStore`](super::SimStore) does around every access of
//! a store), or the clock is made with a [real pause](SimClock::with_grace) before each jump. On a multi-thread runtime there always is one.

use crate::ports::Clock;
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How often all others get their turn before they are taken to be idle. A chain of tasks that wake one another may be
/// this long.
const TURNS: u32 = 64;
/// The real pause on a multi-thread runtime, where others may be running without a turn of ours.
const MULTI_THREAD_GRACE: Duration = Duration::from_millis(1);

/// A clock that moves by itself when everybody sleeps. Clones show the same time.
#[derive(Clone)]
pub struct SimClock {
    state: Arc<Mutex<State>>,
    grace: Option<Duration>,
}

struct State {
    now: Timestamp,
    next: u64,
    /// Whether somebody watches.
    watched: bool,
    /// Counts every beginning and end of a sleep or a hold.
    activity: u64,
    held: u32,
    sleepers: BTreeMap<(Timestamp, u64), Option<Waker>>,
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "SimClock({}, {} asleep)", state.now, state.sleepers.len())
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SimClock {
    /// A clock that shows 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                now: Timestamp::constant(1_767_225_600, 0),
                next: 0,
                watched: false,
                activity: 0,
                held: 0,
                sleepers: BTreeMap::new(),
            })),
            grace: None,
        }
    }

    /// Waits this long in real time before each jump, for work that tokio cannot see.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Moves the time forward, whoever sleeps.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        let to = state.now + by;
        state.move_to(to);
    }

    /// Stops the time until the guard is dropped: taken around real work that must not look as if it took hours.
    #[must_use]
    pub fn hold(&self) -> Hold {
        let mut state = self.lock();
        state.held += 1;
        state.activity += 1;
        Hold(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch, unless somebody does. Without a runtime nobody can; then the time only moves by
    /// [`SimClock::advance`].
    fn watch(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if !std::mem::replace(&mut self.lock().watched, true) {
            let watch = Watch(self.clone());
            runtime.spawn(async move { watch.run().await });
        }
    }

    fn grace(&self) -> Option<Duration> {
        self.grace.or_else(|| {
            let flavor = tokio::runtime::Handle::try_current().ok()?.runtime_flavor();
            (flavor != tokio::runtime::RuntimeFlavor::CurrentThread).then_some(MULTI_THREAD_GRACE)
        })
    }
}

impl State {
    fn move_to(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        self.activity += 1;
        let now = self.now;
        for (_, waker) in self.sleepers.iter_mut().take_while(|((at, _), _)| *at <= now) {
            waker.take().inspect(Waker::wake_by_ref);
        }
    }

    /// The deadline that comes next. Those that have passed belong to sleeps that nobody has polled since.
    fn next_deadline(&self) -> Option<Timestamp> {
        let later = (Bound::Excluded((self.now, u64::MAX)), Bound::Unbounded);
        self.sleepers.range(later).next().map(|((at, _), _)| *at)
    }
}

/// Moves the time until nobody sleeps any more.
struct Watch(SimClock);

impl Watch {
    async fn run(&self) {
        loop {
            let seen = {
                let mut state = self.0.lock();
                if state.next_deadline().is_none() {
                    // Under the same lock, so that whoever falls asleep now finds nobody watching.
                    state.watched = false;
                    return;
                }
                state.activity
            };
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
                if self.0.lock().activity != seen {
                    break;
                }
            }
            if let Some(grace) = self.0.grace()
                && self.0.lock().activity == seen
            {
                tokio::time::sleep(grace).await;
            }
            if self.0.lock().held > 0 {
                // Real work is going on: no need to run hot beside it.
                tokio::time::sleep(Duration::from_micros(100)).await;
                continue;
            }
            let mut state = self.0.lock();
            if state.activity == seen
                && state.held == 0
                && let Some(next) = state.next_deadline()
            {
                state.move_to(next);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Also when its runtime ends: the clock may be used in another.
        self.0.lock().watched = false;
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        let asleep = Asleep::begin(self, duration);
        self.watch();
        poll_fn(|context| {
            let mut state = self.lock();
            if state.now >= asleep.key.0 {
                return Poll::Ready(());
            }
            state.sleepers.insert(asleep.key, Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// A registered sleep; ends when dropped, however that comes.
struct Asleep<'c> {
    clock: &'c SimClock,
    key: (Timestamp, u64),
}

impl<'c> Asleep<'c> {
    fn begin(clock: &'c SimClock, duration: Duration) -> Self {
        let mut state = clock.lock();
        let at = state.now.checked_add(duration).unwrap_or(Timestamp::MAX);
        let key = (at, state.next);
        state.next += 1;
        state.activity += 1;
        state.sleepers.insert(key, None);
        Self { clock, key }
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        state.sleepers.remove(&self.key);
        state.activity += 1;
    }
}

/// While it lives, a [`SimClock`] does not move by itself.
#[derive(Debug)]
pub struct Hold(SimClock);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.held = state.held.saturating_sub(1);
        state.activity += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::ports::with_deadline;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn race(clock: &SimClock) -> Vec<(usize, i64)> {
        let start = clock.now();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for (task, hours) in [3, 1, 2, 1].into_iter().enumerate() {
            let (clock, sender) = (clock.clone(), sender.clone());
            tokio::spawn(async move {
                clock.sleep(HOUR * hours).await;
                sender.send((task, (clock.now() - start).get_seconds() / 3600)).unwrap();
                clock.sleep(HOUR * hours * 10).await;
                sender.send((task, (clock.now() - start).get_seconds() / 3600)).unwrap();
            });
        }
        drop(sender);
        let mut order = vec![];
        while let Some(end) = receiver.recv().await {
            order.push(end);
        }
        order
    }

    #[tokio::test]
    async fn time_jumps_from_deadline_to_deadline_in_order() {
        let clock = SimClock::new();
        let order = race(&clock).await;
        assert_eq!(
            order,
            [(1, 1), (3, 1), (2, 2), (0, 3), (1, 11), (3, 11), (2, 22), (0, 33)]
        );
        assert!(clock.lock().sleepers.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn deadlines_hold_on_several_threads() {
        let clock = SimClock::new();
        let mut order = race(&clock).await;
        order.sort_unstable();
        let due = [(0, 3), (0, 33), (1, 1), (1, 11), (2, 2), (2, 22), (3, 1), (3, 11)];
        // A task that was slow to fall asleep again sleeps later, never earlier.
        assert!(
            order
                .iter()
                .zip(due)
                .all(|(seen, due)| seen.0 == due.0 && seen.1 >= due.1),
            "{order:?}"
        );
    }

    #[tokio::test]
    async fn a_dropped_sleep_is_forgotten_and_wakes_the_next() {
        let clock = SimClock::new();
        let start = clock.now();
        let endless = std::future::pending::<crate::Result<()>>();
        let result = with_deadline(&clock, HOUR, "nothing", endless).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
        let quick = async {
            clock.sleep(Duration::from_secs(1)).await;
            Ok(())
        };
        with_deadline(&clock, HOUR, "something", quick).await.unwrap();
        assert_eq!(clock.now(), start + HOUR + Duration::from_secs(1));
        assert!(clock.lock().sleepers.is_empty());
    }

    #[tokio::test]
    async fn held_time_waits_for_real_work() {
        let clock = SimClock::new();
        let start = clock.now();
        let hold = clock.hold();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(HOUR).await }
        });
        let real = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(20)));
        real.await.unwrap();
        assert_eq!(clock.now(), start);
        assert!(!sleeper.is_finished());
        drop(hold);
        sleeper.await.unwrap();
        assert_eq!(clock.now(), start + HOUR);
    }

    #[tokio::test]
    async fn a_sleep_that_nobody_polls_does_not_stop_the_time() {
        let clock = SimClock::new();
        let mut idle = clock.sleep(HOUR);
        assert!(futures::poll!(idle.as_mut()).is_pending());
        clock.sleep(HOUR * 3).await;
        idle.await;
    }

    #[test]
    fn a_clock_outlives_its_runtime() {
        let clock = SimClock::new();
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let sleeper = clock.clone();
            runtime.spawn(async move { sleeper.sleep(HOUR * 1000).await });
            runtime.block_on(clock.sleep(HOUR));
        }
    }

    #[tokio::test]
    async fn grace_lets_unseen_work_finish_first() {
        let clock = SimClock::new().with_grace(Duration::from_millis(50));
        let start = clock.now();
        let work = async {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5)))
                .await
                .unwrap();
            Ok(clock.now())
        };
        let seen = with_deadline(&clock, HOUR, "work", work).await.unwrap();
        assert_eq!(seen, start);
    }
}
