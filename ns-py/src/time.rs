//! The time of a simulated world beside Python's: it must not run on while a provider written in Python works, which the clock cannot
//! see, and it must run on while such a provider waits for something of the world itself. Where it is to stand still while nobody waits
//! for the engine, it is held then too.

use ns_core::sim::{Hold, SimClock};
use std::sync::{Arc, Mutex, PoisonError};

/// How often all others get their turn after something was done, before it is answered.
const TURNS: u32 = 256;

/// Holds a clock while more calls go on in Python than wait for the world within.
#[derive(Debug, Clone)]
pub(crate) struct WorldTime(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    clock: SimClock,
    python: usize,
    world: usize,
    /// Calls of the engine's face; counted where the time stands still without one.
    face: Option<usize>,
    hold: Option<Hold>,
}

impl WorldTime {
    pub(crate) fn new(clock: SimClock, still: bool) -> Self {
        let time = Self(Arc::new(Mutex::new(Kept {
            clock,
            python: 0,
            world: 0,
            face: still.then_some(0),
            hold: None,
        })));
        time.with(|_| {});
        time
    }

    /// Does what the face of the engine was asked for. Where the time stands still otherwise, all that follows at once is done by the
    /// end, so that it does not matter when whoever asked goes on.
    pub(crate) async fn asked<T>(&self, work: impl Future<Output = T>) -> T {
        let turn = self.face();
        let done = work.await;
        let settles = turn.is_some();
        drop(turn);
        for _ in 0..if settles { TURNS } else { 0 } {
            tokio::task::yield_now().await;
        }
        done
    }

    fn face(&self) -> Option<Turn> {
        let counted = self.with(|kept| kept.face.as_mut().map(|count| *count += 1).is_some());
        counted.then(|| Turn(self.clone(), |kept| kept.face = kept.face.map(|count| count - 1)))
    }

    /// A call goes on in Python until this is dropped.
    pub(crate) fn python(&self) -> Turn {
        self.with(|kept| kept.python += 1);
        Turn(self.clone(), |kept| kept.python -= 1)
    }

    /// Something waits for the world until this is dropped.
    pub(crate) fn world(&self) -> Turn {
        self.with(|kept| kept.world += 1);
        Turn(self.clone(), |kept| kept.world -= 1)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut kept);
        let unasked = kept.face == Some(0) && kept.world == 0;
        match (unasked || kept.python > kept.world, &kept.hold) {
            (true, None) => kept.hold = Some(kept.clock.hold()),
            (false, Some(_)) => kept.hold = None,
            _ => {}
        }
        changed
    }
}

/// See [`WorldTime`].
#[derive(Debug)]
pub(crate) struct Turn(WorldTime, fn(&mut Kept));

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.with(self.1);
    }
}
