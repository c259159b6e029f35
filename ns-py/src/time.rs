//! The time of a simulated world beside Python's: it must not run on while a provider written in Python works, which the clock cannot
//! see, and it must run on while such a provider waits for something of the world itself.

use ns_core::sim::{Hold, SimClock};
use std::sync::{Arc, Mutex, PoisonError};

/// Holds a clock while more calls go on in Python than wait for the world within.
#[derive(Debug, Clone)]
pub(crate) struct WorldTime(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    clock: SimClock,
    python: usize,
    world: usize,
    hold: Option<Hold>,
}

impl WorldTime {
    pub(crate) fn new(clock: SimClock) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            clock,
            python: 0,
            world: 0,
            hold: None,
        })))
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

    fn with(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut kept);
        match (kept.python > kept.world, &kept.hold) {
            (true, None) => kept.hold = Some(kept.clock.hold()),
            (false, Some(_)) => kept.hold = None,
            _ => {}
        }
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
