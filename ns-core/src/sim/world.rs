//! The simulated world: sites with a cloud on a storage each, the links between them, and the disasters that befall them.

use super::access::Access;
use super::cloud::CloudState;
use super::faults::{FaultTable, Part};
use super::rbd::{Counter, Errno, Images, Link, Rbd};
use super::tracked::Tracked;
use super::tuning::Tuning;
use crate::ports::Clock;
use jiff::Timestamp;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Everything works.
    Up,
    /// Every process was killed; servers that ran will run again when it comes back.
    Dead,
    /// Every process stands still; connections are accepted and nothing answers.
    Frozen,
    /// Nobody outside reaches it, neither we nor the other site; inside everything runs on and servers write.
    Isolated,
}

pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) condition: Condition,
    /// Since when it is in this condition; for `Up`, when replication works again.
    pub(crate) since: Timestamp,
    /// Whether the mirror daemon runs.
    pub(crate) daemon: bool,
    pub(crate) peer: Option<usize>,
    /// Its hosts have no power.
    pub(crate) fenced: bool,
    /// Halves of the site that do not answer us, although the site is up.
    pub(crate) silent: Vec<Part>,
    pub(crate) access: Access,
    pub(crate) images: Tracked<Images>,
    pub(crate) cloud: CloudState,
}

pub(crate) struct World {
    pub(crate) sites: Vec<Site>,
    pub(crate) pools: Vec<String>,
    pub(crate) counter: Counter,
    pub(crate) tuning: Tuning,
    pub(crate) faults: FaultTable,
    random: u64,
    seen: Timestamp,
    rest: Option<Rest>,
}

/// Replication that has nothing to do and waits for nothing: until somebody changes an image or a link it is not looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    /// The changes of all images by then.
    changes: u64,
    /// Whether the mirror daemons have posted since; later posts differ in their time only.
    posted: bool,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({} sites, seen at {})", self.sites.len(), self.seen)
    }
}

impl World {
    /// Does everything that was due until now; once per moment, since what is done takes time to have an effect.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let period = i64::try_from(self.tuning.heartbeat.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let now_ms = now.as_millisecond();
        let beat = Timestamp::from_millisecond(now_ms - now_ms.rem_euclid(period)).unwrap_or(now);
        if beat > self.seen {
            self.replicate(beat, true);
        }
        if now > self.seen {
            self.progress(now);
            self.seen = now;
            self.replicate(now, false);
        }
    }

    fn replicate(&mut self, now: Timestamp, post: bool) {
        let changes = self.sites.iter().map(|s| s.images.changes()).sum();
        let rest = self.rest.filter(|r| r.changes == changes);
        if rest.is_some() && !post {
            return;
        }
        let mut rests = true;
        for here in 0..self.sites.len() {
            let Some(there) = self.sites[here].peer.filter(|_| self.linked(here)) else {
                continue;
            };
            let since = self.sites[here].since.max(self.sites[there].since);
            let Ok([here, there]) = self.sites.get_disjoint_mut([here, there]) else {
                continue;
            };
            let mut link = Link {
                there: &there.images,
                here: here.images.quietly(),
                since,
                tuning: &self.tuning,
                counter: &mut self.counter,
            };
            if since > now {
                rests = false;
                continue;
            }
            rests &= rest.is_some() || link.advance(now);
            match rest {
                _ if !post => {}
                Some(rest) if rest.posted => link.post_again(now),
                _ => link.post(now),
            }
        }
        self.rest = rests.then(|| Rest {
            changes,
            posted: post && rest.is_some(),
        });
    }

    /// What replication depends on besides images has changed.
    pub(crate) const fn relinked(&mut self) {
        self.rest = None;
    }

    /// Whether the mirror daemon of a site runs and reaches the peer.
    pub(crate) fn linked(&self, here: usize) -> bool {
        let up = |site: &Site| site.condition == Condition::Up;
        let site = &self.sites[here];
        site.daemon && up(site) && site.peer.is_some_and(|there| up(&self.sites[there]))
    }

    /// Whether the storage of a site answers.
    pub(crate) fn storage_up(&self, site: usize) -> Result<(), Errno> {
        match self.sites[site].condition {
            Condition::Up => Ok(()),
            _ => Err(Errno::new(110, "couldn't connect to the cluster!")),
        }
    }

    /// The next number of the world's own dice (splitmix64).
    pub(crate) const fn dice(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An identifier in the form services like.
    pub(crate) fn uuid(&mut self) -> String {
        let bits = (u128::from(self.dice()) << 64) | u128::from(self.dice());
        uuid::Builder::from_random_bytes(bits.to_be_bytes())
            .into_uuid()
            .to_string()
    }
}

/// A simulated world. Clones are the same world.
///
/// Its sites `a` and `b` are paired from the beginning; further ones stand alone. Everything in it is a function of the
/// clock, the seed and the calls made.
#[derive(Clone)]
pub struct SimWorld {
    pub(crate) state: Arc<Mutex<World>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimWorld({:?})", self.lock())
    }
}

impl SimWorld {
    /// Two sites, `a` and `b`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self::with_sites(clock, seed, &["a", "b"])
    }

    /// Sites of these names; the first two are paired.
    #[must_use]
    pub fn with_sites(clock: Arc<dyn Clock>, seed: u64, names: &[&str]) -> Self {
        let now = clock.now();
        let mut world = World {
            sites: vec![],
            pools: vec!["volumes".to_owned(), "images".to_owned()],
            counter: Counter::default(),
            tuning: Tuning::default(),
            faults: FaultTable::default(),
            random: seed,
            seen: now,
            rest: None,
        };
        for (index, name) in names.iter().enumerate() {
            world.sites.push(Site {
                name: (*name).to_owned(),
                condition: Condition::Up,
                since: now,
                daemon: true,
                fenced: false,
                peer: (index < 2 && names.len() > 1).then_some(1 - index.min(1)),
                silent: vec![],
                access: Access::default(),
                images: Tracked::default(),
                cloud: CloudState::new(name),
            });
        }
        Self {
            state: Arc::new(Mutex::new(world)),
            clock,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the world as it is now.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut World, Timestamp) -> T) -> T {
        let mut world = self.lock();
        let now = self.clock.now();
        world.advance(now);
        work(&mut world, now)
    }

    /// Number of a site.
    ///
    /// # Panics
    /// When there is no such site: a test has a slip of the pen.
    pub(crate) fn site(&self, name: &str) -> usize {
        let index = self.lock().sites.iter().position(|s| s.name == name);
        match index {
            Some(index) => index,
            None => panic!("the simulated world has no site {name}"),
        }
    }

    /// Changes how long things take.
    pub fn tune(&self, change: impl FnOnce(&mut Tuning)) {
        self.with(|world, _| {
            world.relinked();
            change(&mut world.tuning);
        });
    }

    /// Uses the storage service of a site directly, as an operator with a command line does.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn rbd<T>(&self, site: &str, work: impl FnOnce(&mut Rbd<'_>) -> T) -> T {
        let site = self.site(site);
        self.with(|world, now| work(&mut Rbd { world, site, now }))
    }

    /// How a site is.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn condition(&self, site: &str) -> Condition {
        let site = self.site(site);
        self.with(|world, _| world.sites[site].condition)
    }

    /// Kills every process of a site at once.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn kill(&self, site: &str) {
        self.befall(site, Condition::Dead);
    }

    /// Lets every process of a site stand still.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn freeze(&self, site: &str) {
        self.befall(site, Condition::Frozen);
    }

    /// Cuts a site off from us and from its peer. Its servers run on.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn isolate(&self, site: &str) {
        self.befall(site, Condition::Isolated);
    }

    /// Ends whatever befell a site. Replication goes on some seconds later.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn revive(&self, site: &str) {
        self.befall(site, Condition::Up);
    }

    fn befall(&self, site: &str, condition: Condition) {
        let site = self.site(site);
        self.with(|world, now| {
            let before = world.sites[site].condition;
            // What is dead neither stands still nor runs on.
            if before == condition || (before == Condition::Dead && condition != Condition::Up) {
                return;
            }
            let returns = condition == Condition::Up;
            world.relinked();
            world.sites[site].condition = condition;
            match (before, condition) {
                (_, Condition::Dead) => world.crash_servers(site),
                (Condition::Dead, _) => world.resume_servers(site, now),
                _ => {}
            }
            world.sites[site].since = if returns { now + world.tuning.daemon_return } else { now };
        });
    }

    /// Lets one half of a site fall silent towards us, or answer again. Replication and servers do not notice.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn silence(&self, site: &str, part: Part, silent: bool) {
        let site = self.site(site);
        self.with(|world, _| {
            let parts = &mut world.sites[site].silent;
            parts.retain(|p| *p != part);
            parts.extend(silent.then_some(part));
        });
    }

    /// Stops or starts the mirror daemon of a site.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn mirror_daemon(&self, site: &str, runs: bool) {
        let site = self.site(site);
        self.with(|world, now| {
            world.relinked();
            if runs && !world.sites[site].daemon {
                world.sites[site].since = now;
            }
            world.sites[site].daemon = runs;
        });
    }
}
