//! What keeps a user out although the site is well: a password that is not taken, rights that are missing, a clock that
//! is wrong, a pool that does not mirror. Tests of refused input use it.

use super::faults::Part;
use super::world::SimWorld;
use crate::provider::TenantQuota;
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, BTreeSet};

/// How a site looks upon us.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// Halves of the site that do not take our credentials.
    pub(crate) refused: Vec<Part>,
    /// What each half takes as a password; anything where nothing is said.
    pub(crate) passwords: Vec<(Part, String)>,
    /// Rights that we lack.
    pub(crate) missing: Vec<(Part, String)>,
    /// Seconds by which the site's clock is ahead.
    pub(crate) clock_skew_seconds: i64,
    /// Pools whose mirroring is off.
    pub(crate) unmirrored: BTreeSet<String>,
    /// How many more bytes pools take, where the site tells.
    pub(crate) free_bytes: BTreeMap<String, u64>,
    /// What the site says that a new tenant may hold.
    pub(crate) new_tenant: TenantQuota,
}

impl Access {
    /// Whether a half lets somebody in who has this password; who has none is trusted.
    pub(crate) fn lets_in(&self, part: Part, password: Option<&SecretString>) -> bool {
        let wanted = self.passwords.iter().find(|(p, _)| *p == part);
        let fits = match (password, wanted) {
            (Some(given), Some((_, wanted))) => given.expose_secret() == wanted,
            _ => true,
        };
        fits && !self.refused.contains(&part)
    }

    pub(crate) fn missing(&self, part: Part) -> Vec<String> {
        let ours = self.missing.iter().filter(|(p, _)| *p == part);
        ours.map(|(_, right)| right.clone()).collect()
    }
}

impl SimWorld {
    pub(super) fn access<T>(&self, site: &str, change: impl FnOnce(&mut Access) -> T) -> T {
        let site = self.site(site);
        self.with(|world, _| change(&mut world.sites[site].access))
    }

    /// Lets one half of a site take our credentials no more, as after a change of the password, or again.
    ///
    /// # Panics
    /// When there is no such site; so do all methods here.
    pub fn refuse_credentials(&self, site: &str, part: Part, refuse: bool) {
        self.access(site, |access| {
            access.refused.retain(|p| *p != part);
            access.refused.extend(refuse.then_some(part));
        });
    }

    /// Takes a right from our user; the connection check tells.
    pub fn take_right(&self, site: &str, part: Part, right: &str) {
        self.access(site, |access| access.missing.push((part, right.to_owned())));
    }

    /// Gives back all rights.
    pub fn give_rights(&self, site: &str) {
        self.access(site, |access| access.missing.clear());
    }

    /// Sets the clock of a site's cloud so many seconds ahead of ours, or behind.
    pub fn skew_clock(&self, site: &str, seconds: i64) {
        self.access(site, |access| access.clock_skew_seconds = seconds);
    }

    /// Switches mirroring of a pool off or on. Images that are mirrored already stay so.
    pub fn mirror_pool(&self, site: &str, pool: &str, on: bool) {
        self.access(site, |access| match on {
            true => drop(access.unmirrored.remove(pool)),
            false => drop(access.unmirrored.insert(pool.to_owned())),
        });
    }

    /// Lets a site tell what a new tenant may hold. Nothing is refused for it when it is made.
    pub fn tell_quota(&self, site: &str, new_tenant: TenantQuota) {
        self.access(site, |access| access.new_tenant = new_tenant);
    }

    /// Lets a site tell how many more bytes a pool takes. Nothing is refused for it when it is written.
    pub fn tell_free_bytes(&self, site: &str, pool: &str, bytes: u64) {
        self.access(site, |access| access.free_bytes.insert(pool.to_owned(), bytes));
    }
}
