//! The outside, as small as it can be: two sites, replicated volumes, guests that write, things made on the target. It behaves as
//! the storage facts say: a copy follows whoever was promoted last, a demotion travels like a write, a promotion wants the
//! peer's demotion to have arrived, a forced one wants nothing and splits what it cannot follow. What is in use is not removed.

use crate::effect::{Effect, Found};

/// One side of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Copy {
    pub primary: bool,
    /// Which writes it holds: bit 0 was made on site 0, bit 1 on site 1.
    pub writes: u8,
    /// The last change of roles that it knows, and whether it was a demotion.
    pub role: (u8, bool),
    /// It has the name that it had before.
    pub named: bool,
}

/// A replicated volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume {
    pub copies: [Copy; 2],
    /// The side that was promoted last: the other follows it.
    pub leads: u8,
    /// The two sides cannot be brought together without throwing one away.
    pub split: bool,
    /// Writes that guests were told are safe.
    pub acked: u8,
    /// How often roles have changed.
    pub turns: u8,
}

/// What a mark stands for: these writes, and this change of roles.
pub type Mark = (u8, u8);

/// Things that a job makes on the target, as bits.
pub mod made {
    pub const TENANT: u16 = 1;
    pub const ACCESS: u16 = 1 << 1;
    pub const fn clone(volume: usize) -> u16 {
        1 << (2 + volume)
    }
    pub const fn volume(volume: usize) -> u16 {
        1 << (4 + volume)
    }
    pub const fn server(guest: usize) -> u16 {
        1 << (6 + guest)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    pub volumes: [Volume; 2],
    /// Whether a guest runs, by guest and site.
    pub guests: [[bool; 2]; 2],
    /// Which guest a volume belongs to.
    pub owner: [u8; 2],
    /// What the job made on the target; for a failback, what the failover had made on its source.
    pub things: u16,
    /// Nobody reaches the source, and it reaches nobody.
    pub cut_off: bool,
    /// The source came back and was made read only.
    pub fenced: bool,
    /// The source's hosts have no power; what ran there runs again when they get it back.
    pub dark: bool,
    /// A guest was told that a write is safe on a side that did not have an earlier one.
    pub lost_update: bool,
    /// A guest was started on a volume that it cannot write.
    pub read_only_start: bool,
    /// A task referred to what no task had made.
    pub broken: bool,
    /// Storage that checks nothing when it promotes (Ceph does not): then the graph alone must see to it.
    pub naive: bool,
    /// The source's servers are what a failover made: they may be removed.
    pub came_back: bool,
}

impl World {
    pub fn new(owner: [u8; 2], cut_off: bool) -> Self {
        let copy = |primary| Copy {
            primary,
            writes: 0,
            role: (0, false),
            named: true,
        };
        let volume = Volume {
            copies: [copy(true), copy(false)],
            leads: 0,
            split: false,
            acked: 0,
            turns: 0,
        };
        let mut guests = [[false; 2]; 2];
        for guest in owner {
            guests[usize::from(guest)][0] = true;
        }
        Self {
            volumes: [volume; 2],
            guests,
            owner,
            things: 0,
            cut_off,
            fenced: false,
            dark: false,
            lost_update: false,
            read_only_start: false,
            broken: false,
            naive: false,
            came_back: false,
        }
    }

    /// The same with the volumes, and the guests that own them, in each other's place.
    pub fn mirrored(&self) -> Self {
        let bits = |low: u16, other: u16| {
            let (a, b) = (self.things & low != 0, self.things & other != 0);
            u16::from(b) * low + u16::from(a) * other
        };
        let mut things = self.things & (made::TENANT | made::ACCESS);
        things |= bits(made::clone(0), made::clone(1)) | bits(made::volume(0), made::volume(1));
        let mut w = *self;
        w.volumes.swap(0, 1);
        if self.owner[0] == self.owner[1] {
            things |= self.things & (made::server(0) | made::server(1));
        } else {
            things |= bits(made::server(0), made::server(1));
            w.guests.swap(0, 1);
        }
        w.things = things;
        w
    }

    /// How many bits [`World::packed`] takes.
    pub const BITS: u32 = 72;

    /// All of it but the owners, which never change, as a number.
    pub fn packed(&self) -> u128 {
        let bit = u128::from;
        let mut key = 0u128;
        for volume in &self.volumes {
            assert!(volume.turns < 16, "roles go back and forth without end");
            for c in &volume.copies {
                key = key << 9 | bit(c.primary) << 8 | bit(c.role.1) << 7 | bit(c.named) << 6;
                key |= u128::from(c.writes) << 4 | u128::from(c.role.0);
            }
            key = key << 8 | u128::from(volume.leads) << 7 | bit(volume.split) << 6;
            key |= u128::from(volume.acked) << 4 | u128::from(volume.turns);
        }
        for guest in &self.guests {
            key = key << 2 | bit(guest[0]) << 1 | bit(guest[1]);
        }
        key = key << 8 | u128::from(self.things);
        let flags = [
            self.cut_off,
            self.dark,
            self.fenced,
            self.lost_update,
            self.read_only_start,
            self.broken,
        ];
        flags.iter().fold(key, |key, flag| key << 1 | bit(*flag))
    }

    /// The things that use a thing.
    fn users(&self, thing: u16) -> u16 {
        let of_volume = |v: usize| {
            let server = made::server(usize::from(self.owner[v]));
            [(made::volume(v), server), (made::clone(v), made::volume(v))]
        };
        let all = [of_volume(0), of_volume(1)];
        let found = all.iter().flatten().find(|(used, _)| *used == thing);
        match found {
            Some((_, user)) => *user,
            None if thing == made::TENANT => !(made::TENANT | made::ACCESS | made::clone(0) | made::clone(1)),
            None => 0,
        }
    }

    fn owns(&self, guest: usize) -> impl Iterator<Item = usize> + '_ {
        (0..2).filter(move |v| usize::from(self.owner[*v]) == guest)
    }

    /// A guest writes, if it can and has not.
    pub fn may_write(&self, v: usize, site: usize) -> bool {
        let volume = &self.volumes[v];
        self.guests[usize::from(self.owner[v])][site]
            && !(site == 0 && self.dark)
            && volume.copies[site].primary
            && volume.acked & (1 << site) == 0
    }

    pub fn write(&mut self, v: usize, site: usize, by_decision: bool) {
        let volume = &mut self.volumes[v];
        if volume.acked & !volume.copies[site].writes != 0 && !by_decision {
            self.lost_update = true;
        }
        volume.copies[site].writes |= 1 << site;
        volume.acked |= 1 << site;
    }

    /// Replication brings the following side up to date, if it can and there is anything to bring.
    pub fn may_sync(&self, v: usize) -> bool {
        let volume = &self.volumes[v];
        let leads = usize::from(volume.leads);
        let (from, to) = (volume.copies[leads], volume.copies[1 - leads]);
        !self.cut_off && !volume.split && !to.primary && (from.writes, from.role) != (to.writes, to.role)
    }

    pub fn sync(&mut self, v: usize) {
        let volume = &mut self.volumes[v];
        let from = volume.copies[usize::from(volume.leads)];
        let to = &mut volume.copies[1 - usize::from(volume.leads)];
        (to.writes, to.role) = (from.writes, from.role);
    }

    /// Lets an effect take place, and says what its task finds. Each does as `engine::effect` on a provider that keeps its word.
    pub fn take(&mut self, effect: Effect) -> Found {
        let done = |ok: bool| if ok { Found::done() } else { Found::Never };
        let wait = |ready: bool| if ready { Found::done() } else { Found::NotYet };
        match effect {
            Effect::Broken => {
                self.broken = true;
                Found::Never
            }
            Effect::Nothing => Found::done(),
            Effect::Power { on } => {
                self.dark = !on;
                Found::done()
            }
            // Nobody there does anything.
            Effect::Stop { site: 0, .. } | Effect::Start { site: 0, .. } if self.dark => Found::Never,
            Effect::Make { thing, needs } => {
                if self.things & needs != needs {
                    return Found::Never;
                }
                self.things |= thing;
                Found::done()
            }
            // A volume of the cloud that nobody could write is none.
            Effect::Adopt { volume, needs, replica } => {
                if self.things & needs != needs || replica && !self.volumes[volume].copies[1].primary {
                    return Found::Never;
                }
                self.things |= made::volume(volume);
                self.volumes[volume].copies[1].named &= !replica;
                Found::done()
            }
            Effect::Boot { guest } => {
                let needs = self.owns(guest).fold(made::TENANT, |n, v| n | made::volume(v));
                if self.things & needs != needs {
                    return Found::Never;
                }
                self.things |= made::server(guest);
                self.guests[guest][1] = true;
                Found::done()
            }
            Effect::Unmake { thing, site } => {
                if self.things & thing == 0 {
                    return Found::done();
                }
                if self.things & self.users(thing) != 0 {
                    return Found::NotYet;
                }
                self.things &= !thing;
                if thing == made::TENANT {
                    self.things &= !made::ACCESS;
                }
                for guest in 0..2 {
                    self.guests[guest][site] &= thing != made::server(guest);
                }
                Found::done()
            }
            Effect::Stop { guest, site } => {
                self.guests[guest][site] = false;
                Found::done()
            }
            Effect::Start { guest, site } => {
                if self.came_back && site == 0 && self.things & made::server(guest) == 0 {
                    return Found::Never;
                }
                let writable = self.owns(guest).all(|v| self.volumes[v].copies[site].primary);
                self.read_only_start |= !writable && !self.guests[guest][site];
                self.guests[guest][site] = true;
                Found::done()
            }
            Effect::Ship { volume, site } => match self.ship(volume, site) {
                Some(mark) => Found::mark(mark),
                None => Found::Never,
            },
            Effect::Await { mark: None, .. } => Found::done(),
            Effect::Await {
                volume,
                site,
                mark: Some(mark),
            } => wait(self.arrived(volume, site, mark)),
            Effect::Demote {
                volume,
                site,
                only_if_primary,
            } => match self.demote(volume, site) {
                Some(mark) => Found::mark(mark),
                // It was never promoted.
                None => done(only_if_primary),
            },
            Effect::Promote { volume, site, mark } => {
                let copies = self.volumes[volume].copies;
                if copies[site].primary {
                    return Found::done();
                }
                if copies[1 - site].primary && !self.naive {
                    return Found::Never;
                }
                match mark.or_else(|| self.demote(volume, site)) {
                    Some(mark) => done(self.promote(volume, site, mark)),
                    None => Found::Never,
                }
            }
            Effect::Force { volume, site } => {
                self.force_promote(volume, site);
                Found::done()
            }
            Effect::Resync { volume, site } => done(self.resync(volume, site)),
            Effect::Rename { volume, site } => {
                let copy = &mut self.volumes[volume].copies[site];
                copy.named |= copy.primary;
                Found::done()
            }
        }
    }

    fn arrived(&self, v: usize, site: usize, (writes, turn): Mark) -> bool {
        let copy = self.volumes[v].copies[site];
        writes & !copy.writes == 0 && copy.role.0 >= turn
    }

    fn ship(&self, v: usize, site: usize) -> Option<Mark> {
        let copy = self.volumes[v].copies[site];
        copy.primary.then_some((copy.writes, copy.role.0))
    }

    fn demote(&mut self, v: usize, site: usize) -> Option<Mark> {
        let volume = &mut self.volumes[v];
        let copy = &mut volume.copies[site];
        if copy.primary {
            volume.turns += 1;
            copy.primary = false;
            copy.role = (volume.turns, true);
        }
        copy.role.1.then_some((copy.writes, copy.role.0))
    }

    /// Whether the peer's demotion that the mark stands for is the last that this side knows.
    fn promote(&mut self, v: usize, site: usize, mark: Mark) -> bool {
        let volume = &mut self.volumes[v];
        let copy = &mut volume.copies[site];
        if copy.role != (mark.1, true) && !self.naive {
            return false;
        }
        volume.turns += 1;
        copy.primary = true;
        copy.role = (volume.turns, false);
        volume.leads = u8::from(site == 1);
        true
    }

    fn force_promote(&mut self, v: usize, site: usize) {
        let volume = &mut self.volumes[v];
        if volume.copies[site].primary {
            return;
        }
        let (here, there) = (volume.copies[site], volume.copies[1 - site]);
        volume.split |= there.primary || there.writes & !here.writes != 0 || there.role != here.role;
        volume.turns += 1;
        volume.copies[site].primary = true;
        volume.copies[site].role = (volume.turns, false);
        volume.leads = u8::from(site == 1);
    }

    /// Throws a copy away and copies the peer, which must be primary.
    fn resync(&mut self, v: usize, site: usize) -> bool {
        let volume = &mut self.volumes[v];
        let peer = volume.copies[1 - site];
        if !peer.primary || volume.copies[site].primary {
            return false;
        }
        volume.copies[site] = Copy {
            primary: false,
            named: volume.copies[site].named,
            ..peer
        };
        volume.leads = u8::from(site == 0);
        volume.split = false;
        true
    }
}
