//! What of the store an actor sees. Whatever is not theirs to see is as if it were not there (INV-01, USR-03): it is
//! `NotFound`, with the very words of something that does not exist.

use super::Session;
use crate::engine::{kinds, not_found};
use crate::model::{
    Answer, Cluster, ClusterId, GroupId, JobId, JobSummary, Listing, OwnerGroupId, PlanId, PointId, ProtectionGroup,
    Query, Queryable, RecoveryPlan, RecoveryPoint,
};
use crate::rules::{Area, Verb};
use crate::{Result, rules};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

impl Session {
    /// Refuses an actor whose role has not this right.
    pub(super) fn may(&self, area: Area, verb: Verb) -> Result<()> {
        rules::check(&self.actor, area, verb)
    }

    /// Passes a thing on, unless it is not this actor's to see. What nobody is known to own is an Admin's.
    pub(super) fn seen<T>(&self, owner: Option<&OwnerGroupId>, kind: &str, id: &str, thing: T) -> Result<T> {
        if self.sees(owner) {
            Ok(thing)
        } else {
            Err(not_found(kind, id))
        }
    }

    /// Whether what this group owns is this actor's to see.
    pub(super) fn sees(&self, owner: Option<&OwnerGroupId>) -> bool {
        owner.map_or_else(|| self.sees_everything(), |owner| self.actor.sees(owner))
    }

    pub(super) fn sees_everything(&self) -> bool {
        self.actor.role == crate::model::UserRole::Admin
    }

    pub(super) async fn cluster(&self, id: &ClusterId) -> Result<Cluster> {
        let cluster: Cluster = self.inner.records().get(kinds::CLUSTER, id.as_str()).await?;
        self.seen(
            Some(&cluster.owner_group_id.clone()),
            kinds::CLUSTER,
            id.as_str(),
            cluster,
        )
    }

    pub(super) async fn group(&self, id: &GroupId) -> Result<ProtectionGroup> {
        let group: ProtectionGroup = self.inner.records().get(kinds::GROUP, id.as_str()).await?;
        self.seen(Some(&group.owner_group_id.clone()), kinds::GROUP, id.as_str(), group)
    }

    async fn owner_of(&self, id: &GroupId) -> Result<Option<OwnerGroupId>> {
        let records = self.inner.records();
        let group = records.find::<ProtectionGroup>(kinds::GROUP, id.as_str()).await?;
        Ok(group.map(|(group, _)| group.owner_group_id))
    }

    pub(super) async fn plan(&self, id: &PlanId) -> Result<RecoveryPlan> {
        let plan: RecoveryPlan = self.inner.records().get(kinds::PLAN, id.as_str()).await?;
        let owner = self.owner_of(&plan.group_id).await?;
        self.seen(owner.as_ref(), kinds::PLAN, id.as_str(), plan)
    }

    pub(super) async fn point(&self, id: &PointId) -> Result<RecoveryPoint> {
        let point: RecoveryPoint = self.inner.records().get(kinds::POINT, id.as_str()).await?;
        let owner = self.owner_of(&point.group_id).await?;
        self.seen(owner.as_ref(), kinds::POINT, id.as_str(), point)
    }

    pub(super) async fn job(&self, id: &JobId) -> Result<JobSummary> {
        let job: JobSummary = self.inner.records().get(kinds::JOB, id.as_str()).await?;
        let owner = match &job.owner_group_id {
            Some(owner) => Some(owner.clone()),
            // Made before jobs kept their owner.
            None => self.owner_of(job.work.group_id()).await?,
        };
        self.seen(owner.as_ref(), kinds::JOB, id.as_str(), job)
    }

    /// The groups whose plans and points this actor sees.
    pub(super) async fn own_groups(&self) -> Result<BTreeSet<GroupId>> {
        let mine = |g: &ProtectionGroup| self.actor.sees(&g.owner_group_id);
        let groups = self.inner.records().all(kinds::GROUP, mine).await?;
        Ok(groups.into_iter().map(|g| g.id).collect())
    }

    /// A part of the records of a kind that this actor sees. All of them are read, for the total; no more are kept than are asked for.
    pub(super) async fn listed<T: Queryable + DeserializeOwned>(
        &self,
        kind: &str,
        query: &Query,
        mine: impl Fn(&T) -> bool,
    ) -> Result<Listing<T>> {
        let mut answer = Answer::<T>::new(query)?;
        let offer = |thing: T| {
            if mine(&thing) {
                answer.offer(thing);
            }
        };
        self.inner.records().each(kind, offer).await?;
        Ok(answer.end())
    }
}
