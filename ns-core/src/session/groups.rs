//! Protection groups: which instances are recovered together.

use super::Session;
use super::audit::{Act, Notes};
use crate::engine::{blocking, change, kinds, plan_of, put, remove, rpo_breach};
use crate::model::{
    CloudId, ClusterId, GroupId, Instance, JobId, Listing, OwnerGroupId, ProtectionGroup, Query, RecoveryPlan,
    RpoBreach, SnapshotInterval, Work, answer,
};
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, Result, rules};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;

/// What to protect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRequest {
    /// Name, unique within the owner group (PG-06, OPEN-06).
    pub name: String,
    /// Free text.
    #[serde(default)]
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
    /// How often a recovery point is made (REP-12, OPEN-08); none means by hand only.
    #[serde(default)]
    pub snapshot_interval: Option<SnapshotInterval>,
}

/// What is to be changed of a group (PG-15); none leaves it. Source and owner cannot be changed: make another group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another text.
    pub description: Option<String>,
    /// All members from now on.
    pub instances: Option<Vec<CloudId>>,
    /// Another recovery point objective in minutes.
    pub rpo_minutes: Option<u32>,
    /// Another recovery time objective in minutes.
    pub rto_minutes: Option<u32>,
    /// Another interval of recovery points; none inside means by hand only.
    #[serde(deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub snapshot_interval: Option<Option<SnapshotInterval>>,
    /// With no members left the plan is deleted, and all its recovery points with it (PLAN-32): has to be said.
    pub end_protection: bool,
}

/// A value that is there is meant, also when it is null: by hand only. Left out, the interval stays.
fn said<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<SnapshotInterval>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// See [`Session::protection_groups`].
#[derive(Debug, Clone, Copy)]
pub struct ProtectionGroups<'a> {
    pub(super) session: &'a Session,
}

impl ProtectionGroups<'_> {
    /// Puts instances into a new group (PG-05). Nothing is replicated before it has a plan.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId, instances: Vec<ns_core::model::CloudId>) -> ns_core::Result<()> {
    /// use ns_core::model::SnapshotInterval;
    /// use ns_core::session::GroupRequest;
    ///
    /// let request = GroupRequest {
    ///     name: "shop".to_owned(),
    ///     description: String::new(),
    ///     owner_group_id: "ops".into(),
    ///     source_cluster: cluster,
    ///     instances,
    ///     rpo_minutes: 15,
    ///     rto_minutes: 30,
    ///     snapshot_interval: Some(SnapshotInterval::minutes(10)),
    /// };
    /// let group = session.protection_groups().create(request).await?;
    /// println!("{}", group.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` or `Refused` with the field and the rule: name, unknown instance, another group's member (PG-08), several
    /// projects (PG-09), a shared volume whose other instance is missing (PG-07), a volume that cannot be recovered (LIM-01,
    /// LIM-02), an inventory that is not complete (PG-12), more instances than the licence allows, or
    /// one that has ended (PG-10, PG-11); `Denied` for an owner that is no group of the actor's (PG-14).
    pub async fn create(&self, request: GroupRequest) -> Result<ProtectionGroup> {
        let act = Act::new(
            Area::ProtectionGroups,
            Verb::Create,
            "protection_groups.create",
            &request.name,
        );
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let records = inner.records();
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
                    snapshot_interval: request.snapshot_interval,
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
                rules::check_protected(inner.license().await?.as_ref(), protected, now)?;
                records
                    .commit(vec![put(kinds::GROUP, group.id.as_str(), Some(0), &group)?])
                    .await?;
                Ok(group)
            })
            .await
    }

    /// Changes a group (PG-15). Its plan follows in the same moment where an instance is taken out (PG-17); an instance that is
    /// added has to be mapped by an update of the plan, whose state is `Warning` until then (PG-16). With no members left
    /// the plan is deleted (PLAN-32): the job that does it is given.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::GroupId, instances: Vec<ns_core::model::CloudId>) -> ns_core::Result<()> {
    /// use ns_core::session::GroupUpdate;
    ///
    /// let update = GroupUpdate { instances: Some(instances), ..Default::default() };
    /// let (group, job) = session.protection_groups().update(&id, update).await?;
    /// if let Some(job) = job {
    ///     session.jobs().wait(&job).await?;
    /// }
    /// println!("{} has {} members", group.name, group.instances.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`ProtectionGroups::create`] for the group as it is to be (PG-19, PG-20); `Refused`, `group.jobs`, while a job
    /// of the group exists, naming it (PG-18); `Refused`, `group.end_protection`, when the last member is taken out without
    /// `end_protection`, and then what [`Plans::delete`](super::Plans::delete) refuses. Nothing is changed then.
    pub async fn update(&self, id: &GroupId, update: GroupUpdate) -> Result<(ProtectionGroup, Option<JobId>)> {
        let notes = Notes::default();
        let act = Act::new(Area::ProtectionGroups, Verb::Update, "protection_groups.update", id);
        self.session
            .change_noted(act, &notes, async {
                let inner = &self.session.inner;
                let records = inner.records();
                self.get(id).await?;
                let (was, version) = records.existing::<ProtectionGroup>(kinds::GROUP, id.as_str()).await?;
                let mut group = was.clone();
                if let Some(name) = &update.name {
                    group.name = rules::normal_name(name);
                }
                group.description = update.description.unwrap_or(group.description);
                group.instances = update.instances.unwrap_or(group.instances);
                group.rpo_minutes = update.rpo_minutes.unwrap_or(group.rpo_minutes);
                group.rto_minutes = update.rto_minutes.unwrap_or(group.rto_minutes);
                group.snapshot_interval = update.snapshot_interval.unwrap_or(group.snapshot_interval);
                let now = inner.clock.now();
                group.modified_at = now;
                notes.fields(&was, &group)?;
                let cluster = self.session.cluster(&group.source_cluster).await?;
                let inventory = inner.inventory(&group.source_cluster).await?;
                let others = records.all::<ProtectionGroup>(kinds::GROUP, |_| true).await?;
                let jobs = blocking(&records, id, |_| false).await?;
                let plan = plan_of(&records, id).await?;
                if group.instances.is_empty()
                    && !was.instances.is_empty()
                    && let Some((plan, _)) = &plan
                {
                    return self
                        .end_protection(&notes, plan, group, version, update.end_protection)
                        .await;
                }
                let facts = rules::GroupFacts {
                    source: &cluster,
                    inventory: &inventory,
                    groups: &others,
                    own_volume_groups: &BTreeSet::new(),
                    jobs: &jobs,
                };
                rules::check_group(&group, &facts)?;
                if group.instances.len() > was.instances.len() {
                    let elsewhere = others.iter().filter(|g| g.id != group.id);
                    let protected = elsewhere.map(|g| g.instances.len()).sum::<usize>() + group.instances.len();
                    rules::check_protected(inner.license().await?.as_ref(), protected, now)?;
                }
                let mut writes = vec![put(kinds::GROUP, id.as_str(), Some(version), &group)?];
                if let Some((mut plan, version)) = plan {
                    let parts = rules::follow(&mut plan, &group, &inventory, true);
                    if !parts.is_empty() {
                        writes.extend(change(
                            inner,
                            &mut plan,
                            Some(version),
                            &self.session.actor.name,
                            parts,
                        )?);
                    }
                }
                records.commit(writes).await?;
                Ok((group, None))
            })
            .await
    }

    /// The last member is taken out: the plan goes (PLAN-32).
    async fn end_protection(
        &self,
        notes: &Notes,
        plan: &RecoveryPlan,
        group: ProtectionGroup,
        version: u64,
        said: bool,
    ) -> Result<(ProtectionGroup, Option<JobId>)> {
        if !said {
            let message = "without members the group's plan is deleted, and all its recovery points with it";
            return Err(Error::new(ErrorKind::Refused, "group.end_protection", message)
                .with_field("end_protection")
                .with("plan", &plan.id)
                .with_remedy("set it if nothing of this group is to be recovered any more, or leave a member in"));
        }
        self.session.may(Area::Plans, Verb::Update)?;
        self.session.plans().check_delete(plan).await?;
        let approved = (self.session.plans())
            .end_approved(notes, plan, &group.owner_group_id)
            .await?;
        let work = Work::Unprotect {
            group_id: group.id.clone(),
            plan_id: plan.id.clone(),
        };
        let record = put(kinds::GROUP, group.id.as_str(), Some(version), &group)?;
        let job = (self.session.jobs())
            .launch_approved(work, &group.owner_group_id, vec![record], approved)
            .await?;
        Ok((group, Some(job)))
    }

    /// One group.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::GroupId) -> ns_core::Result<()> {
    /// println!("{}", session.protection_groups().get(&id).await?.name);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &GroupId) -> Result<ProtectionGroup> {
        self.session.group(id).await
    }

    /// Since when a group misses its recovery point objective; none when it meets it, or nobody has looked (OPEN-07). A started
    /// engine looks every [`watch_interval`](crate::Settings::watch_interval), and tells of it with an event.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::GroupId) -> ns_core::Result<()> {
    /// if let Some(breach) = session.protection_groups().rpo_breach(&id).await? {
    ///     println!("what was written since {} is not safe", breach.kept_to);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn rpo_breach(&self, id: &GroupId) -> Result<Option<RpoBreach>> {
        self.get(id).await?;
        rpo_breach(&self.session.inner, id).await
    }

    /// A part of the groups that the actor sees (PG-03, UI-11).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for group in session.protection_groups().list(&Query::default().sort("name")).await?.items {
    ///     println!("{}: {} instances", group.name, group.instances.len());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<ProtectionGroup>> {
        let mine = |g: &ProtectionGroup| self.session.actor.sees(&g.owner_group_id);
        self.session.listed(kinds::GROUP, query, mine).await
    }

    /// A part of the instances of a cluster that are in no group (PG-02, CON-09).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// let part = session.protection_groups().unprotected(&cluster, &Query::default()).await?;
    /// println!("{} instances are in no group", part.total);
    /// # Ok(()) }
    /// ```
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
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::GroupId) -> ns_core::Result<()> {
    /// session.protection_groups().delete(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused` while a plan exists (PG-22).
    pub async fn delete(&self, id: &GroupId) -> Result<()> {
        let act = Act::new(Area::ProtectionGroups, Verb::Delete, "protection_groups.delete", id);
        self.session
            .change(act, async {
                let records = self.session.inner.records();
                self.get(id).await?;
                let plans = records.all::<RecoveryPlan>(kinds::PLAN, |p| &p.group_id == id).await?;
                let plans: Vec<_> = plans.into_iter().map(|p| p.id).collect();
                rules::check_group_delete(&plans)?;
                let gone = [kinds::GROUP, kinds::POINT_SCHEDULE].map(|kind| remove(kind, id.as_str()));
                records.commit(gone.into()).await
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PG-15: as JSON, what is left out stays, and null is said.
    #[test]
    fn pg_15_an_interval_that_is_null_is_meant() {
        let read = |json: &str| serde_json::from_str::<GroupUpdate>(json).unwrap().snapshot_interval;
        for (json, said) in [
            ("{}", None),
            (r#"{"snapshot_interval":null}"#, Some(None)),
            (
                r#"{"snapshot_interval":{"every":10,"unit":"minutes"}}"#,
                Some(Some(SnapshotInterval::minutes(10))),
            ),
        ] {
            assert_eq!(read(json), said, "{json}");
            let update = GroupUpdate {
                snapshot_interval: said,
                ..GroupUpdate::default()
            };
            assert_eq!(read(&serde_json::to_string(&update).unwrap()), said, "{json}");
        }
    }

    #[test]
    fn a_field_that_there_is_not_is_refused() {
        let error = serde_json::from_str::<GroupUpdate>(r#"{"colour":"red"}"#).unwrap_err();
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
