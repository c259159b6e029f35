//! The face: what a user of the library calls.
//!
//! A [`Session`] is the engine as one [`Actor`] sees it: what their groups own, and of that what their role may change
//! (USR-02, USR-03). Its capabilities — [`Session::clusters`], [`Session::inventory`], [`Session::protection_groups`],
//! [`Session::plans`], [`Session::points`], [`Session::jobs`], [`Session::schedules`], [`Session::reports`],
//! [`Session::licence`], [`Session::settings`], [`Session::health`], [`Session::support`], [`Session::events`],
//! [`Session::subscriptions`], [`Session::users`], [`Session::user_groups`], [`Session::account`], [`Session::approvals`],
//! [`Session::audit`] — share one style: `create`, `get`,
//! `list` with a [`Query`](crate::model::Query) that gives a [`Listing`](crate::model::Listing), `delete`; input that breaks
//! a rule is refused before anything is touched, in one [`crate::Error`] that names field, rule and remedy.

mod access;
mod account;
mod approvals;
mod audit;
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
mod user_groups;
mod users;
mod verify;

pub use account::{Account, AccountUpdate};
pub use approvals::Approvals;
pub use audit::AuditTrail;
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
pub use user_groups::{UserGroupRequest, UserGroupUpdate, UserGroups};
pub use users::{UserRequest, UserUpdate, Users};
pub use verify::{Comparison, VerifyScope, VolumeVerification};

use crate::engine::Inner;
use crate::model::{Actor, UserId};
use std::fmt;
use std::sync::Arc;

/// The engine as one actor sees it.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
    actor: Actor,
    /// None for an actor that the host vouches for.
    login: Option<LoggedIn>,
}

/// The login that a session was made of.
#[derive(Clone)]
pub(crate) struct LoggedIn {
    pub(crate) user: UserId,
    pub(crate) digest: String,
    pub(crate) origin: String,
    pub(crate) must_change_password: bool,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LoggedIn");
        shown
            .field("user", &self.user)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) const fn new(inner: Arc<Inner>, actor: Actor) -> Self {
        Self {
            inner,
            actor,
            login: None,
        }
    }

    pub(crate) const fn of_login(inner: Arc<Inner>, actor: Actor, login: LoggedIn) -> Self {
        Self {
            inner,
            actor,
            login: Some(login),
        }
    }

    /// Who acts.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
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

    /// Accounts (USR-04 … USR-18).
    #[must_use]
    pub const fn users(&self) -> Users<'_> {
        Users { session: self }
    }

    /// Groups of users (USR-19 … USR-25).
    #[must_use]
    pub const fn user_groups(&self) -> UserGroups<'_> {
        UserGroups { session: self }
    }

    /// One's own account, for whoever logged in (USR-11, USR-13, USR-29).
    #[must_use]
    pub const fn account(&self) -> Account<'_> {
        Account { session: self }
    }

    /// What waits for a second person, where the settings ask for one (SEC-25).
    #[must_use]
    pub const fn approvals(&self) -> Approvals<'_> {
        Approvals { session: self }
    }

    /// Who did what, and who was refused (SEC-20).
    #[must_use]
    pub const fn audit(&self) -> AuditTrail<'_> {
        AuditTrail::of(self)
    }
}
