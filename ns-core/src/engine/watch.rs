//! What the engine looks at by itself, again and again: whether a fenced source came back and may write, whether any volume has
//! two writers, whether plans follow their Sources, which recovery points and drills are due, what is left of old logins and events,
//! and what other engines changed of the settings. Storage does not tell of two writers: both sides primary reads as healthy
//! (Ceph facts §0.5), so the roles of both sides are read.

use super::drills;
use super::follow::follow_sources;
use super::journal_writer::first_writes;
use super::logins::forget_old_logins;
use super::records::{VolumeEpoch, kinds, put, remove};
use super::runner::{Ask, Command};
use super::schedule;
use super::{Inner, deliveries, measure, standing, telling};
use crate::journal::Event;
use crate::model::{
    About, ClusterId, JobId, JobState, JobSummary, ProtectionGroup, RecoveryPlan, ReplicationId, Told, Work,
};
use crate::planted::{self, Bug};
use crate::ports::with_deadline;
use crate::provider::{Role, Storage};
use crate::store::Write;
use crate::{ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A volume that both sides may write to, found by the watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TwoWriters {
    pub(crate) replication_id: ReplicationId,
    pub(crate) since: Timestamp,
}

/// Looks until the engine shuts down.
pub(super) async fn watch(inner: Arc<Inner>) {
    let mut stop = inner.stop.subscribe();
    loop {
        if *stop.borrow() {
            return;
        }
        if let Err(error) = inner.reload_settings().await {
            tracing::warn!(%error, "the store cannot be asked for settings");
        }
        if let Err(error) = measure::tell(&inner).await {
            tracing::warn!(%error, "the store cannot be asked for what is measured");
        }
        if let Err(error) = look(&inner).await {
            tracing::warn!(%error, "the watch could not look");
        }
        if let Err(error) = follow_sources(&inner, None).await {
            tracing::warn!(%error, "plans could not follow their Sources");
        }
        if let Err(error) = schedule::make_due_points(&inner).await {
            tracing::warn!(%error, "recovery points that are due could not be begun");
        }
        if let Err(error) = drills::make_due_drills(&inner).await {
            tracing::warn!(%error, "drills that are due could not be made");
        }
        if let Err(error) = standing::look(&inner).await {
            tracing::warn!(%error, "how plans stand could not be looked at");
        }
        if let Err(error) = deliveries::give_up_unserved(&inner).await {
            tracing::warn!(%error, "messages that nobody delivers could not be given up");
        }
        if let Err(error) = telling::settle(&inner).await {
            tracing::warn!(%error, "events could not be given their places");
        }
        if let Err(error) = telling::forget_old(&inner).await {
            tracing::warn!(%error, "old events could not be forgotten");
        }
        if let Err(error) = forget_old_logins(&inner).await {
            tracing::warn!(%error, "what is left of old logins could not be taken away");
        }
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = inner.clock.sleep(inner.settings().watch_interval) => {}
        }
    }
}

async fn look(inner: &Arc<Inner>) -> Result<()> {
    if planted::is(Bug::BlindWatch) {
        return Ok(());
    }
    let records = inner.records();
    let mut roles = Roles {
        inner,
        away: BTreeSet::new(),
    };
    let mut returned: BTreeSet<JobId> = BTreeSet::new();
    for epoch in records.all::<VolumeEpoch>(kinds::EPOCH, |e| e.fenced.is_some()).await? {
        let fenced = epoch.fenced.iter().next();
        if let Some(cluster) = fenced
            && roles.of(cluster, &epoch.replication_id).await == Some(Role::Primary)
            // It may have come home, and be the rightful writer again, while its storage was asked.
            && still_fenced(inner, &epoch.replication_id, cluster).await?
        {
            returned.insert(epoch.job_id);
        }
    }
    for failover in returned {
        let Some((job, _)) = records.find::<JobSummary>(kinds::JOB, failover.as_str()).await? else {
            continue;
        };
        if job.state == JobState::Finished {
            inner.fence(&job).await?;
            continue;
        }
        // Its runner decides: while it rolls back, the source is to write again. Another engine's runner has its own watch.
        if let Some(commands) = inner.commands(&failover) {
            let (reply, answer) = oneshot::channel();
            let command = Command {
                ask: Ask::Fence,
                actor: "engine".to_owned(),
                reply,
                order: None,
            };
            if commands.send(command).await.is_ok()
                && let Ok(Err(error)) = answer.await
            {
                tracing::warn!(job = %failover, %error, "the source that came back is not fenced");
            }
        }
    }
    for plan in records.all::<RecoveryPlan>(kinds::PLAN, |_| true).await? {
        let group = records
            .find::<ProtectionGroup>(kinds::GROUP, plan.group_id.as_str())
            .await?;
        if let Some((group, _)) = group {
            two_writers(&mut roles, &plan, &group).await?;
        }
    }
    Ok(())
}

/// Whether a side must not write to a volume, as of now.
pub(super) async fn still_fenced(inner: &Inner, id: &ReplicationId, cluster: &ClusterId) -> Result<bool> {
    if planted::is(Bug::FenceOnStale) {
        return Ok(true);
    }
    let now = inner.records().find::<VolumeEpoch>(kinds::EPOCH, id.as_str()).await?;
    Ok(now.is_some_and(|(epoch, _)| epoch.fenced.as_ref() == Some(cluster)))
}

/// Keeps note of every volume of a plan that is primary on both sides.
async fn two_writers(roles: &mut Roles<'_>, plan: &RecoveryPlan, group: &ProtectionGroup) -> Result<()> {
    let inner = roles.inner;
    let records = inner.records();
    for v in plan.volumes.values() {
        let id = &v.replication_id;
        let here = roles.of(&group.source_cluster, id).await;
        let there = roles.of(&plan.target_cluster, id).await;
        let known = records.find::<TwoWriters>(kinds::TWO_WRITERS, id.as_str()).await?;
        let both = (here, there) == (Some(Role::Primary), Some(Role::Primary));
        let (volume, group_name) = (v.volume_id.to_string(), group.name.clone());
        let owner = Some(&group.owner_group_id);
        let writes = if both && known.is_none() {
            tracing::error!(plan = %plan.id, volume = %v.volume_id, "the volume is primary on both sides");
            let found = TwoWriters {
                replication_id: id.clone(),
                since: inner.clock.now(),
            };
            let told = Told::TwoWriters {
                volume,
                group: group_name,
            };
            vec![
                put(kinds::TWO_WRITERS, id.as_str(), Some(0), &found)?,
                inner.tell(told, owner, About::of_plan(plan))?,
            ]
        } else if let Some((found, version)) = known
            && !both
            // A side that does not answer does not prove that it stopped.
            && here.is_some()
            && there.is_some()
        {
            let told = Told::OneWriter {
                volume,
                group: group_name,
            };
            vec![
                put(kinds::TWO_WRITERS, id.as_str(), Some(version), &found)?,
                remove(kinds::TWO_WRITERS, id.as_str()),
                inner.tell(told, owner, About::of_plan(plan))?,
            ]
        } else {
            continue;
        };
        match records.commit(writes).await {
            // Another engine saw it, too.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            result => result?,
        }
    }
    Ok(())
}

/// The roles of volumes in one look.
struct Roles<'a> {
    inner: &'a Inner,
    /// Those that did not answer in this look: they are not waited for again, volume by volume.
    away: BTreeSet<ClusterId>,
}

impl Roles<'_> {
    /// The role of a volume on a side; none when it cannot be learned now.
    async fn of(&mut self, cluster: &ClusterId, id: &ReplicationId) -> Option<Role> {
        if self.away.contains(cluster) {
            return None;
        }
        let inner = self.inner;
        let storage = inner.providers(cluster).ok()?.storage;
        let look = role_of(&storage, id);
        match with_deadline(&*inner.clock, inner.settings().reach_limit, "the storage", look).await {
            Ok(role) => role,
            Err(error) => {
                tracing::debug!(%cluster, %error, "the watch cannot see it");
                if error.kind().is_transient() {
                    self.away.insert(cluster.clone());
                }
                None
            }
        }
    }
}

/// The role of a volume's image on the side of a storage; none when it has no image there.
pub(crate) async fn role_of(storage: &Storage, id: &ReplicationId) -> Result<Option<Role>> {
    match storage.find_replica(id).await? {
        Some(image) => Ok(storage.image(&image).await?.map(|s| s.role)),
        None => Ok(None),
    }
}

impl Inner {
    /// Fencing jobs of a failover that have not finished, and how many there were.
    pub(crate) async fn fencing(&self, failover: &JobId) -> Result<(Option<JobId>, usize)> {
        let ours = |j: &JobSummary| matches!(&j.work, Work::Fence { failover: f, .. } if f == failover);
        let jobs = self.records().all::<JobSummary>(kinds::JOB, ours).await?;
        let running = jobs.iter().find(|j| j.state != JobState::Finished);
        Ok((running.map(|j| j.id.clone()), jobs.len()))
    }

    /// Makes the job that fences the source of a forced failover, unless there is one.
    pub(crate) async fn fence(self: &Arc<Self>, failover: &JobSummary) -> Result<()> {
        let (None, earlier) = self.fencing(&failover.id).await? else {
            return Ok(());
        };
        // The same name from every engine that sees it: one of them makes it.
        let job = JobId::new(format!("{}-fence-{}", failover.id, earlier + 1));
        let work = Work::Fence {
            group_id: failover.work.group_id().clone(),
            plan_id: failover.work.plan_id().clone(),
            failover: failover.id.clone(),
        };
        let created = Event::Created {
            work,
            actor: "engine".to_owned(),
            owner_group_id: failover.owner_group_id.clone(),
        };
        tracing::warn!(%job, "a fenced source came back and may write: it is made read only");
        let mut writes = first_writes(self, &job, created, vec![])?;
        writes.push(self.source_returned(failover, &job).await?);
        match self.records().commit(writes).await {
            Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
            result => {
                result?;
                Self::run(self, job).await.map(drop)
            }
        }
    }

    /// The write that tells that the source of a failover came back and is about to be fenced by a job.
    async fn source_returned(&self, failover: &JobSummary, job: &JobId) -> Result<Write> {
        let id = failover.work.group_id();
        let group = self
            .records()
            .find::<ProtectionGroup>(kinds::GROUP, id.as_str())
            .await?;
        let told = Told::SourceReturned {
            failover: failover.id.to_string(),
            group: group.map_or_else(|| id.to_string(), |(group, _)| group.name),
        };
        let about = About {
            group: Some(id.clone()),
            plan: Some(failover.work.plan_id().clone()),
            job: Some(job.clone()),
            ..About::default()
        };
        self.tell(told, failover.owner_group_id.as_ref(), about)
    }
}
