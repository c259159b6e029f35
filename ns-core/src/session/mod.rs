//! The face: what a user of the library calls.
//!
//! A [`Session`] is the engine as one [`Actor`] sees it: what their groups own, and of that what their role may change
//! (USR-02, USR-03). Its capabilities — [`Session::clusters`], [`Session::inventory`], [`Session::protection_groups`],
//! [`Session::plans`], [`Session::points`], [`Session::jobs`], [`Session::schedules`], [`Session::reports`],
//! [`Session::licence`], [`Session::settings`], [`Session::health`], [`Session::support`], [`Session::events`],
//! [`Session::subscriptions`] — share one style: `create`, `get`,
//! `list` with a [`Query`](crate::model::Query) that gives a [`Listing`](crate::model::Listing), `delete`; input that breaks
//! a rule is refused before anything is touched, in one [`crate::Error`] that names field, rule and remedy.

mod access;
mod clusters;
mod connections;
mod events;
mod explain;
mod failback;
mod groups;
mod health;
mod inventory;
mod jobs;
mod licence;
mod metadata;
mod plans;
mod points;
mod reports;
mod schedules;
mod settings;
mod subscriptions;
mod support;
mod verify;

pub use clusters::{ClusterRequest, ClusterUpdate, Clusters, ConnectionReport, LinkedRecovery};
pub use connections::{Connection, HalfConnection, Resealed};
pub use events::{EventPart, Events};
pub use explain::{Explanation, VolumeLoss};
pub use failback::{Failback, ReprotectRequest};
pub use groups::{GroupRequest, GroupUpdate, ProtectionGroups};
pub use health::Health;
pub use inventory::Inventories;
pub use jobs::{JobRequest, JobUpdate, Jobs, OperationRequest};
pub use licence::Licence;
pub use metadata::VolumeMetadataRequest;
pub use plans::{PlanRequest, PlanUpdate, Plans};
pub use points::Points;
pub use reports::{Reports, VerifiedReport};
pub use schedules::{ScheduleRequest, ScheduleUpdate, Schedules};
pub use settings::SettingsFace;
pub use subscriptions::{SubscriptionRequest, SubscriptionUpdate, Subscriptions};
pub use support::{BundleManifest, BundledFile, Support, SupportBundle};
pub use verify::{Comparison, VerifyScope, VolumeVerification};

use crate::engine::Inner;
use crate::model::Actor;
use std::sync::Arc;

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

    /// Registered clusters.
    #[must_use]
    pub const fn clusters(&self) -> Clusters<'_> {
        Clusters { session: self }
    }

    /// What clusters hold, and what happens to it.
    #[must_use]
    pub const fn inventory(&self) -> Inventories<'_> {
        Inventories { session: self }
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

    /// Schedules: drills that are made again and again.
    #[must_use]
    pub const fn schedules(&self) -> Schedules<'_> {
        Schedules { session: self }
    }

    /// The licence.
    #[must_use]
    pub const fn licence(&self) -> Licence<'_> {
        Licence { session: self }
    }

    /// Settings of the product.
    #[must_use]
    pub const fn settings(&self) -> SettingsFace<'_> {
        SettingsFace { session: self }
    }

    /// How well the product is.
    #[must_use]
    pub const fn health(&self) -> Health<'_> {
        Health { session: self }
    }

    /// What support needs to help.
    #[must_use]
    pub const fn support(&self) -> Support<'_> {
        Support { session: self }
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

    /// The notification centre: events of the product.
    #[must_use]
    pub const fn events(&self) -> Events<'_> {
        Events { session: self }
    }

    /// What the actor is told of outside the product, and how.
    #[must_use]
    pub const fn subscriptions(&self) -> Subscriptions<'_> {
        Subscriptions { session: self }
    }
}
