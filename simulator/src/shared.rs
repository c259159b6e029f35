//! Everything that outlives an engine process: the two sites, the time, the store, the faults that are armed, and the
//! auditor who sees every commit and every call.

use crate::audit::{Audit, Request};
use crate::faults::Board;
use crate::store::Damage;
use jiff::Timestamp;
use ns_core::sim::{SimClock, SimWorld};
use ns_core::store::{MemoryStore, Write};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub struct Shared {
    /// The sites.
    pub sim: SimWorld,
    /// True time.
    pub clock: SimClock,
    /// What is stored.
    pub store: MemoryStore,
    board: Mutex<Board>,
    audit: Mutex<Audit>,
    away_until: Mutex<Option<Timestamp>>,
    damages: Mutex<Vec<Damage>>,
    leases: Mutex<BTreeMap<String, (String, Timestamp)>>,
}

impl Shared {
    /// A new world.
    #[must_use]
    pub fn new(sim: SimWorld, clock: SimClock, trace: bool) -> Self {
        let audit = Mutex::new(Audit::new(sim.clone(), trace));
        Self {
            sim,
            clock,
            store: MemoryStore::new(),
            board: Mutex::default(),
            audit,
            away_until: Mutex::default(),
            damages: Mutex::default(),
            leases: Mutex::default(),
        }
    }

    /// The faults.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }

    /// The auditor.
    pub fn audit(&self) -> MutexGuard<'_, Audit> {
        self.audit.lock().unwrap()
    }

    /// Whether the store does not answer now.
    pub fn store_away(&self) -> bool {
        use ns_core::ports::Clock;
        self.away_until
            .lock()
            .unwrap()
            .is_some_and(|until| until > self.clock.now())
    }

    /// The store does not answer for a while.
    pub fn take_store_away(&self, time: Duration) {
        use ns_core::ports::Clock;
        *self.away_until.lock().unwrap() = Some(self.clock.now() + time);
    }

    /// The store answers again.
    pub fn bring_store_back(&self) {
        *self.away_until.lock().unwrap() = None;
    }

    /// Somebody's journal is damaged.
    pub fn damaged(&self, damage: Damage) {
        self.damages.lock().unwrap().push(damage);
    }

    /// The damages that nobody has mended.
    #[must_use]
    pub fn damages(&self) -> Vec<Damage> {
        self.damages.lock().unwrap().clone()
    }

    /// Restores what was damaged, as the remedy says.
    pub fn mend(&self) {
        for damage in self.damages.lock().unwrap().drain(..).rev() {
            self.store.edit_journal(&damage.job, |lines| *lines = damage.before);
        }
    }

    /// A lease was asked for.
    pub fn leased(&self, name: &str, owner: &str, held: bool, until: Timestamp) {
        if held {
            let lease = (owner.to_owned(), until);
            self.leases.lock().unwrap().insert(name.to_owned(), lease);
        }
    }

    /// A lease is given back.
    pub fn released(&self, name: &str, owner: &str) {
        let mut leases = self.leases.lock().unwrap();
        if leases.get(name).is_some_and(|(holder, _)| holder == owner) {
            leases.remove(name);
        }
    }

    /// Writes are durable.
    pub fn committed(&self, node: &str, writes: &[Write]) {
        use ns_core::ports::Clock;
        let now = self.clock.now();
        let mut audit = self.audit();
        for write in writes {
            match write {
                Write::Append { job, lines } => {
                    let lease = self.leases.lock().unwrap().get(&format!("job/{job}")).cloned();
                    if let Some((holder, until)) = lease
                        && holder != node
                        && until > now
                    {
                        audit.violation(
                            "I11",
                            format!("{node} wrote to the journal of {job}, which {holder} holds"),
                        );
                    }
                    audit.appended(job, lines);
                }
                Write::Put { kind, id, body, .. } => audit.put(kind, id, body),
                Write::Remove { kind, id } => audit.remove(kind, id),
                Write::Held { .. } => {}
            }
        }
    }

    /// A call that changes something is about to be made.
    pub fn asks(&self, request: &Request<'_>) {
        self.audit().asks(request);
    }

    /// It was made.
    pub fn asked(&self, request: &Request<'_>, done: bool) {
        self.audit().asked(request, done);
    }
}
