//! The face: what a user of the library calls.
//!
//! A [`Session`] is the engine as one [`Actor`] sees it. Its capabilities — [`Session::clusters`],
//! [`Session::protection_groups`], [`Session::plans`], [`Session::points`], [`Session::jobs`], [`Session::reports`] — share
//! one style: `create`, `get`, `list` with a [`Page`], `delete`; input that breaks a rule is refused before anything is
//! touched, in one [`crate::Error`] that names field, rule and remedy.

mod clusters;
mod explain;
mod failback;
mod groups;
mod jobs;
mod plans;
mod points;
mod reports;
mod verify;

pub use clusters::{ClusterRequest, Clusters, ConnectionReport};
pub use explain::{Explanation, VolumeLoss};
pub use failback::{Failback, ReprotectRequest};
pub use groups::{GroupRequest, ProtectionGroups};
pub use jobs::{JobRequest, Jobs, OperationRequest};
pub use plans::{PlanRequest, Plans};
pub use points::Points;
pub use reports::Reports;
pub use verify::{Comparison, VerifyScope, VolumeVerification};

use crate::engine::Inner;
use std::sync::Arc;

/// Who acts. The host vouches for the name; it is kept with everything the actor causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Name for journals and reports.
    pub name: String,
}

impl Actor {
    /// An actor with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

/// A part of a list: at most `limit` after the id `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The id after which the page begins; none for the first page.
    pub after: Option<String>,
    /// How many at most: 1 to 1000.
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

impl Page {
    fn check(&self) -> crate::Result<()> {
        if (1..=1000).contains(&self.limit) {
            return Ok(());
        }
        Err(crate::Error::new(
            crate::ErrorKind::Invalid,
            "page.limit",
            "a page holds 1 to 1000 entries",
        )
        .with_field("limit")
        .with("value", self.limit)
        .with_remedy("ask for fewer at a time and go on after the last id"))
    }
}

/// The engine as one actor sees it.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
    actor: Actor,
}

impl Session {
    pub(crate) const fn new(inner: Arc<Inner>, actor: Actor) -> Self {
        Self { inner, actor }
    }

    /// Registered clusters and their inventories.
    #[must_use]
    pub const fn clusters(&self) -> Clusters<'_> {
        Clusters { session: self }
    }

    /// Protection groups.
    #[must_use]
    pub const fn protection_groups(&self) -> ProtectionGroups<'_> {
        ProtectionGroups { session: self }
    }

    /// Recovery plans.
    #[must_use]
    pub const fn plans(&self) -> Plans<'_> {
        Plans { session: self }
    }

    /// Recovery points.
    #[must_use]
    pub const fn points(&self) -> Points<'_> {
        Points { session: self }
    }

    /// Jobs: drills, failovers, and the work that prepares them.
    #[must_use]
    pub const fn jobs(&self) -> Jobs<'_> {
        Jobs { session: self }
    }

    /// Failback: protection in the other direction after a confirmed failover.
    #[must_use]
    pub const fn failback(&self) -> Failback<'_> {
        Failback { session: self }
    }

    /// Reports of finished jobs.
    #[must_use]
    pub const fn reports(&self) -> Reports<'_> {
        Reports { session: self }
    }
}
