//! Protection groups: which instances are recovered together.

use super::Session;
use crate::engine::{kinds, put, remove};
use crate::model::{
    CloudId, ClusterId, GroupId, Instance, Listing, OwnerGroupId, ProtectionGroup, Query, RecoveryPlan, answer,
};
use crate::rules::Area;
use crate::{Result, rules};
use std::collections::BTreeSet;

/// What to protect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRequest {
    /// Name, unique within the owner group (PG-06, OPEN-06).
    pub name: String,
    /// Free text.
    pub description: String,
    /// Who owns it.
    pub owner_group_id: OwnerGroupId,
    /// Where the instances run.
    pub source_cluster: ClusterId,
    /// The members.
    pub instances: Vec<CloudId>,
    /// Recovery point objective in minutes.
    pub rpo_minutes: u32,
    /// Recovery time objective in minutes.
    pub rto_minutes: u32,
    /// How often a recovery point is made, in minutes; none means by hand only.
    pub snapshot_interval_minutes: Option<u32>,
}

/// See [`Session::protection_groups`].
#[derive(Debug, Clone, Copy)]
pub struct ProtectionGroups<'a> {
    pub(super) session: &'a Session,
}

impl ProtectionGroups<'_> {
    /// Puts instances into a new group (PG-05). Nothing is replicated before it has a plan.
    ///
    /// # Errors
    /// `Invalid` or `Refused` with the field and the rule: name, unknown instance, another group's member (PG-08), several
    /// projects (PG-09), a shared volume whose other instance is missing (PG-07), a volume that cannot be recovered (LIM-01,
    /// LIM-02), an inventory that is not complete (PG-12), more instances than the licence allows, or
    /// one that has ended (PG-10, PG-11); `Denied` for an owner that is no group of the actor's (PG-14).
    pub async fn create(&self, request: GroupRequest) -> Result<ProtectionGroup> {
        let inner = &self.session.inner;
        let records = inner.records();
        self.session.may_change(Area::ProtectionGroups)?;
        rules::check_owner(&self.session.actor, &request.owner_group_id)?;
        let cluster = self.session.cluster(&request.source_cluster).await?;
        let inventory = inner.inventory(&request.source_cluster).await?;
        let others = records.all::<ProtectionGroup>(kinds::GROUP, |_| true).await?;
        let now = inner.clock.now();
        let group = ProtectionGroup {
            id: GroupId::new(inner.ids.next()),
            name: rules::normal_name(&request.name),
            description: request.description,
            owner_group_id: request.owner_group_id,
            source_cluster: request.source_cluster,
            instances: request.instances,
            rpo_minutes: request.rpo_minutes,
            rto_minutes: request.rto_minutes,
            snapshot_interval_minutes: request.snapshot_interval_minutes,
            registered_at: now,
            modified_at: now,
        };
        let facts = rules::GroupFacts {
            source: &cluster,
            inventory: &inventory,
            groups: &others,
            own_volume_groups: &BTreeSet::new(),
            jobs: &[],
        };
        rules::check_group(&group, &facts)?;
        let protected = others.iter().map(|g| g.instances.len()).sum::<usize>() + group.instances.len();
        rules::check_protected(inner.license.as_ref(), protected, now)?;
        records
            .commit(vec![put(kinds::GROUP, group.id.as_str(), Some(0), &group)?])
            .await?;
        Ok(group)
    }

    /// One group.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &GroupId) -> Result<ProtectionGroup> {
        self.session.group(id).await
    }

    /// A part of the groups that the actor sees (PG-03, UI-11).
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<ProtectionGroup>> {
        let mine = |g: &ProtectionGroup| self.session.actor.sees(&g.owner_group_id);
        self.session.listed(kinds::GROUP, query, mine).await
    }

    /// A part of the instances of a cluster that are in no group (PG-02, CON-09).
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster, or one that was never synchronised; `Invalid` for a query that cannot be answered.
    pub async fn unprotected(&self, cluster: &ClusterId, query: &Query) -> Result<Listing<Instance>> {
        let inventory = self.session.inventory().whole(cluster).await?;
        let groups = (self.session.inner.records())
            .all::<ProtectionGroup>(kinds::GROUP, |g| &g.source_cluster == cluster)
            .await?;
        answer(rules::unprotected(cluster, &inventory, &groups), query)
    }

    /// Deletes a group that has no plan (PG-21).
    ///
    /// # Errors
    /// `Refused` while a plan exists (PG-22).
    pub async fn delete(&self, id: &GroupId) -> Result<()> {
        let records = self.session.inner.records();
        self.get(id).await?;
        self.session.may_change(Area::ProtectionGroups)?;
        let plans = records.all::<RecoveryPlan>(kinds::PLAN, |p| &p.group_id == id).await?;
        let plans: Vec<_> = plans.into_iter().map(|p| p.id).collect();
        rules::check_group_delete(&plans)?;
        let gone = [kinds::GROUP, kinds::POINT_SCHEDULE].map(|kind| remove(kind, id.as_str()));
        records.commit(gone.into()).await
    }
}
