//! Faults, delays and lies that tests put between the engine and a simulated service, and the record of what was called.

use super::world::{SimWorld, World};
use crate::ErrorKind;
use crate::model::{Inventory, StorageRef};
use crate::provider::ReplicationStatus;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Which half of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The storage provider.
    Storage,
    /// The cloud provider.
    Cloud,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The call fails at once and does nothing.
    Error(ErrorKind),
    /// The service does what is asked; the answer is lost and the call ends in `Timeout`.
    TimeoutButDone,
    /// The service accepts and never acts. The provider, which reads back, gives up with `Timeout`.
    AcceptedNeverDone,
    /// The call never ends and nothing is done.
    Hang,
    /// The call never ends although the thing is done.
    DoneThenHang,
    /// The call takes this much longer.
    Delay(Duration),
    /// `status`, `get` and `inventory` answer what was true when the fault was injected.
    StaleStatus,
}

/// A fault that is injected into calls.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which site.
    pub site: String,
    /// Which half of it.
    pub part: Part,
    /// Which method of the port; none means any.
    pub verb: Option<String>,
    /// How many matching calls go well first.
    pub after: u32,
    /// How many matching calls it hits then.
    pub times: u32,
    /// What goes wrong.
    pub effect: Effect,
}

impl Fault {
    /// A fault of every call to one half of a site, for ever.
    pub fn new(site: impl Into<String>, part: Part, effect: Effect) -> Self {
        Self {
            site: site.into(),
            part,
            verb: None,
            after: 0,
            times: u32::MAX,
            effect,
        }
    }

    /// Only in this method.
    #[must_use]
    pub fn verb(mut self, verb: impl Into<String>) -> Self {
        self.verb = Some(verb.into());
        self
    }

    /// Only after this many good calls.
    #[must_use]
    pub const fn after(mut self, calls: u32) -> Self {
        self.after = calls;
        self
    }

    /// Only this often.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }
}

/// One call of a provider's method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub at: Timestamp,
    /// Name of the site.
    pub site: String,
    /// Which half of it.
    pub part: Part,
    /// The method of the port.
    pub verb: &'static str,
    /// What it was about: an image, a token, an id.
    pub target: String,
    /// How it ended; none while it runs, and for ever when it was dropped.
    pub outcome: Option<Result<(), ErrorKind>>,
}

/// Everything a stale answer is taken from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stale {
    pub(crate) inventory: Inventory,
    pub(crate) status: BTreeMap<StorageRef, ReplicationStatus>,
}

#[derive(Debug, Default)]
pub(crate) struct FaultTable {
    armed: Vec<Armed>,
    chaos: Option<(u32, Vec<Effect>)>,
    pub(crate) calls: Vec<Call>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    met: u32,
    stale: Option<Box<Stale>>,
}

/// What is to become of one call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) effect: Option<Effect>,
    pub(crate) stale: Option<Box<Stale>>,
}

impl World {
    pub(crate) fn judge(&mut self, site: usize, part: Part, verb: &str) -> Verdict {
        let name = self.sites[site].name.clone();
        for armed in &mut self.faults.armed {
            let fault = &armed.fault;
            if fault.site != name || fault.part != part || fault.verb.as_deref().is_some_and(|v| v != verb) {
                continue;
            }
            armed.met = armed.met.saturating_add(1);
            if armed.met > fault.after && armed.met - fault.after <= fault.times {
                return Verdict {
                    effect: Some(fault.effect.clone()),
                    stale: armed.stale.clone(),
                };
            }
        }
        let dice = self.dice();
        let chaos = self.faults.chaos.as_ref();
        let hit = chaos.filter(|(permille, effects)| dice % 1000 < u64::from(*permille) && !effects.is_empty());
        let effect = hit.map(|(_, effects)| {
            let index = usize::try_from(dice / 1000 % effects.len() as u64).unwrap_or_default();
            effects[index].clone()
        });
        Verdict { effect, stale: None }
    }
}

/// The faults of a world.
#[derive(Debug, Clone)]
pub struct Faults(SimWorld);

impl SimWorld {
    /// The faults of this world.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults(self.clone())
    }

    /// Every call of a provider so far, in the order in which they began.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().faults.calls.clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.lock().faults.calls.clear();
    }
}

impl Faults {
    /// Adds a fault. Of several that match a call the first one added that is due acts.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn inject(&self, fault: Fault) {
        let site = self.0.site(&fault.site);
        self.0.with(|world, now| {
            let stale = (fault.effect == Effect::StaleStatus).then(|| Box::new(world.stale(site, now)));
            world.faults.armed.push(Armed { fault, met: 0, stale });
        });
    }

    /// Lets every call suffer one of these effects with a probability of so many in a thousand, as the seed decides.
    pub fn chaos(&self, permille: u32, effects: Vec<Effect>) {
        self.0.lock().faults.chaos = Some((permille, effects));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        let table = &mut self.0.lock().faults;
        table.armed.clear();
        table.chaos = None;
    }
}
