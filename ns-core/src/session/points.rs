//! Recovery points: made by hand, listed.

use super::Session;
use super::audit::Act;
use crate::engine::kinds;
use crate::model::{GroupId, JobId, Listing, PointId, Query, RecoveryPlan, RecoveryPoint, Work};
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, Result};

/// See [`Session::points`].
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    pub(super) session: &'a Session,
}

impl Points<'_> {
    /// Makes a recovery point of a group (PG-23, REP-07): snapshots of all its volumes, shipped to the Target, proved there
    /// and put into the vault. Gives the job that does it; the point can be chosen once that has succeeded.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::GroupId) -> ns_core::Result<()> {
    /// let (point, job) = session.points().create(&group).await?;
    /// session.jobs().wait(&job).await?;
    /// println!("{}", session.points().get(&point).await?.taken_at);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused` without a plan whose volumes are replicated.
    pub async fn create(&self, group: &GroupId) -> Result<(PointId, JobId)> {
        let act = Act::new(Area::ProtectionGroups, Verb::Create, "points.create", group);
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let records = inner.records();
                let group = self.session.group(group).await?;
                let plans = records
                    .all::<RecoveryPlan>(kinds::PLAN, |p| p.group_id == group.id)
                    .await?;
                let plan = plans.into_iter().find(|p| !p.volumes.is_empty()).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Refused,
                        "point.plan",
                        "the group has no plan whose volumes are replicated",
                    )
                    .with_field("group_id")
                    .with("group", &group.id)
                    .with_remedy("create a plan and wait for its initial mirroring")
                })?;
                let point_id = PointId::new(inner.ids.next());
                let work = Work::Point {
                    group_id: group.id.clone(),
                    plan_id: plan.id,
                    point_id: point_id.clone(),
                };
                let job = self.session.jobs().launch(work, &group.owner_group_id, vec![]).await?;
                Ok((point_id, job))
            })
            .await
    }

    /// A part of the group's recovery points, oldest first unless the query says otherwise (REP-06).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::GroupId) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// let newest = Query::default().sort_descending("taken_at");
    /// for point in session.points().list(&group, &newest).await?.items {
    ///     println!("{} of {}", point.id, point.taken_at);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown group; `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, group: &GroupId, query: &Query) -> Result<Listing<RecoveryPoint>> {
        self.session.group(group).await?;
        let oldest_first = || query.clone().sort("taken_at");
        let query = if query.sort.is_empty() { &oldest_first() } else { query };
        self.session
            .listed(kinds::POINT, query, |p: &RecoveryPoint| &p.group_id == group)
            .await
    }

    /// One recovery point.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::PointId) -> ns_core::Result<()> {
    /// println!("{:?}", session.points().get(&id).await?.consistency);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &PointId) -> Result<RecoveryPoint> {
        self.session.point(id).await
    }
}
