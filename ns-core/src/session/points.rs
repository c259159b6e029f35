//! Recovery points: made by hand, listed.

use super::Session;
use crate::engine::kinds;
use crate::model::{GroupId, JobId, PointId, ProtectionGroup, RecoveryPlan, RecoveryPoint, Work};
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
    /// # Errors
    /// `Refused` without a plan whose volumes are replicated.
    pub async fn create(&self, group: &GroupId) -> Result<(PointId, JobId)> {
        let inner = &self.session.inner;
        let records = inner.records();
        let group: ProtectionGroup = records.get(kinds::GROUP, group.as_str()).await?;
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
            group_id: group.id,
            plan_id: plan.id,
            point_id: point_id.clone(),
        };
        let job = self.session.jobs().launch(work, vec![]).await?;
        Ok((point_id, job))
    }

    /// The group's recovery points, oldest first (REP-06).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, group: &GroupId) -> Result<Vec<RecoveryPoint>> {
        let records = self.session.inner.records();
        let mut points = records
            .all::<RecoveryPoint>(kinds::POINT, |p| &p.group_id == group)
            .await?;
        points.sort_by_key(|p| p.taken_at);
        Ok(points)
    }

    /// One recovery point.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &PointId) -> Result<RecoveryPoint> {
        self.session.inner.records().get(kinds::POINT, id.as_str()).await
    }
}
