//! What a confirmed failover changes in the records, and the way back (OPEN-01): the facts for `planning::home`, and the
//! records that a failback puts back.

use super::phases::lost;
use super::records::{FailbackOffer, kinds, put, remove};
use super::retention::Lost;
use super::{Inner, group_inventory, read_cluster, retention, sync_cluster};
use crate::Result;
use crate::journal::{Frozen, JobView};
use crate::model::{
    CloudId, Home, InstanceRecoveryState, Inventory, JobSummary, PowerState, ProtectionGroup, RecoveryPlan, TaskKey,
    Work,
};
use crate::planning::{Action, Homecoming, Homeward, TaskGraph, plan_homecoming};
use crate::store::Write;
use std::collections::{BTreeMap, BTreeSet};

/// What is still there of the original instances: the Target is read once more for it.
pub(super) async fn originals(inner: &Inner, home: &Home, plan: &RecoveryPlan, dry_run: bool) -> Result<Inventory> {
    let all = read_cluster(inner, &plan.target_cluster, dry_run).await?;
    let ids: Vec<CloudId> = home.instances.values().cloned().collect();
    let mut originals = group_inventory(&all, &ids);
    // A volume may be there although its server is gone.
    let volumes = home.volumes.values().filter_map(|id| all.volumes.get(id));
    originals.volumes.extend(volumes.map(|v| (v.id.clone(), v.clone())));
    Ok(originals)
}

/// The way home of a plan that has one.
pub(crate) fn homeward<'a>(plan: &'a RecoveryPlan, originals: Option<&'a Inventory>) -> Option<Homeward<'a>> {
    Some(Homeward {
        home: plan.home.as_ref()?,
        originals: originals?,
    })
}

/// The instances that a confirm leaves where they were, with all that they write to.
pub(super) fn staying(view: &JobView, frozen: &Frozen) -> Inventory {
    let recovered = view.recovered();
    let done = view.done();
    let moved: BTreeSet<&CloudId> = (done.iter())
        .filter(|d| d.task.action.promotes() && !d.task.instances.is_disjoint(&recovered))
        .filter_map(|d| d.task.volume.as_ref())
        .collect();
    let mut stays = frozen.inventory.clone();
    stays
        .instances
        .retain(|id, i| !recovered.contains(id) && !i.volume_ids.iter().any(|v| moved.contains(v)));
    stays
}

/// Instances that were not recovered, and were stopped when the side that was left came back, only because they share volumes
/// that now come home.
async fn idle(inner: &Inner, home: &Home, failover: &JobView, volumes: &BTreeSet<&CloudId>) -> Result<Vec<CloudId>> {
    let Some(frozen) = &failover.frozen else {
        return Ok(Vec::new());
    };
    let away: BTreeSet<&CloudId> = home.volumes.values().filter(|id| !volumes.contains(id)).collect();
    let recovered: BTreeSet<&CloudId> = home.instances.values().collect();
    let fences = |j: &JobSummary| matches!(&j.work, Work::Fence { failover: f, .. } if f == &failover.id);
    let mut idle = Vec::new();
    for job in inner.records().all::<JobSummary>(kinds::JOB, fences).await? {
        for done in inner.view(&job.id).await?.done() {
            let Action::StopServer { server, .. } = &done.task.action else {
                continue;
            };
            let Some(instance) = (server.id().ok()).and_then(|id| frozen.inventory.instances.get(&CloudId::from(id)))
            else {
                continue;
            };
            let comes_back = !instance.volume_ids.iter().any(|v| away.contains(v));
            if instance.power != PowerState::Stopped && !recovered.contains(&instance.id) && comes_back {
                idle.push(instance.id.clone());
            }
        }
    }
    Ok(idle)
}

/// Plans what the confirm of a failback clears away on the side it came from.
pub(super) async fn plan(
    inner: &Inner,
    home: &Home,
    frozen: &Frozen,
    recovered: &BTreeSet<CloudId>,
    prefix: &str,
) -> Result<TaskGraph> {
    let failover = inner.view(&home.failover_job).await?;
    let mut points = retention::remains(&inner.records(), &frozen.plan.id).await?;
    let back: BTreeSet<CloudId> = recovered
        .iter()
        .filter_map(|id| home.instances.get(id))
        .cloned()
        .collect();
    let (_, part) = part(inner, frozen, &recovered.iter().collect());
    let volumes: Vec<_> = part.volumes.values().collect();
    let all = frozen.group.instances.iter().all(|id| recovered.contains(id));
    let mut released = Vec::new();
    if all {
        released.extend(frozen.plan.leaving.values().map(|l| &l.volume));
    } else {
        // What did not come home is recovered from its points as before.
        for point in &mut points {
            point.volumes.retain(|id, _| part.volumes.contains_key(id));
        }
    }
    let homes = part.volumes.keys().filter_map(|id| home.volumes.get(id)).collect();
    let idle = idle(inner, home, &failover, &homes).await?;
    let homecoming = Homecoming {
        home,
        failover: &failover.done(),
        back: &back,
        idle: &idle,
        volumes: &volumes,
        released: &released,
        points: &points,
    };
    plan_homecoming(homecoming, prefix)
}

/// The writes after which nobody can choose what [`plan`] clears away, as it may be half gone from now on.
pub(super) async fn given_up(inner: &Inner, frozen: &Frozen, recovered: &BTreeSet<CloudId>) -> Result<Vec<Write>> {
    let left: Vec<CloudId> = (frozen.group.instances.iter())
        .filter(|id| !recovered.contains(*id))
        .cloned()
        .collect();
    let (_, back) = part(inner, frozen, &recovered.iter().collect());
    let (_, stays) = part(inner, frozen, &left.iter().collect());
    let kept = (stays.volumes.into_keys())
        .filter(|id| !back.volumes.contains_key(id))
        .collect();
    retention::narrow(&inner.records(), &frozen.plan.id, &kept, &left, Lost::Expire).await
}

/// The writes of a confirmed failover. Plan and group end on the side that was left, and failed instances keep them (SM-56,
/// SM-66); then the way back is offered, or, after a failback, the first group and plan are put back.
pub(super) async fn confirmed(inner: &Inner, view: &JobView, home: Option<&Home>) -> Result<Vec<Write>> {
    let frozen = view.frozen.as_deref().ok_or_else(lost)?;
    let states = view.instances();
    let recovered = |state: &InstanceRecoveryState| *state == InstanceRecoveryState::Success;
    let back: BTreeSet<&CloudId> = states.iter().filter(|(_, s)| recovered(s)).map(|(id, _)| id).collect();
    let left: Vec<CloudId> = states
        .iter()
        .filter(|(_, s)| !recovered(s))
        .map(|(id, _)| id.clone())
        .collect();
    for cluster in [&frozen.group.source_cluster, &frozen.plan.target_cluster] {
        // Plans are judged by what is known of the clouds. One that does not answer is judged by what was known.
        let read = sync_cluster(inner, cluster);
        let limit = inner.settings().call_limit;
        if let Err(error) = crate::ports::with_deadline(&*inner.clock, limit, "the cluster", read).await {
            tracing::warn!(job = %view.id, %error, "the inventory is not read anew");
        }
    }
    let mut writes = match home {
        Some(home) => restore(inner, frozen, home, &back).await?,
        None => vec![put(
            kinds::FAILBACK,
            view.id.as_str(),
            None,
            &offer(inner, view, frozen, &back),
        )?],
    };
    let (group, mut kept) = part(inner, frozen, &left.iter().collect());
    // What they share with instances that were recovered is on the other side now; the plan's state says that it is missing.
    let (shared, moved) = (part(inner, frozen, &back).1.volumes, handed_over(view));
    kept.volumes
        .retain(|id, _| !(shared.contains_key(id) && moved.contains(id)));
    if left.is_empty() {
        writes.push(remove(kinds::PLAN, frozen.plan.id.as_str()));
        writes.extend(super::follow::forget(&inner.records(), &frozen.plan.id).await?);
        writes.extend(super::drills::forget(&inner.records(), &frozen.plan.id).await?);
        writes.push(remove(kinds::GROUP, frozen.group.id.as_str()));
        writes.push(remove(kinds::POINT_SCHEDULE, frozen.group.id.as_str()));
    } else {
        // The same records become those of the instances that were not recovered: their volumes stay replicated.
        writes.push(put(kinds::PLAN, kept.id.as_str(), None, &kept)?);
        writes.push(put(kinds::GROUP, group.id.as_str(), None, &group)?);
    }
    if home.is_some() {
        let volumes = kept.volumes.into_keys().collect();
        writes.extend(retention::narrow(&inner.records(), &frozen.plan.id, &volumes, &left, Lost::Gone).await?);
    }
    Ok(writes)
}

/// Group and plan of some of the instances.
fn part(inner: &Inner, frozen: &Frozen, instances: &BTreeSet<&CloudId>) -> (ProtectionGroup, RecoveryPlan) {
    let (mut group, mut plan) = (frozen.group.clone(), frozen.plan.clone());
    group.instances.retain(|id| instances.contains(id));
    group.modified_at = inner.clock.now();
    plan.mapping.instances.retain(|id, _| instances.contains(id));
    let volumes: BTreeSet<&CloudId> = instances
        .iter()
        .filter_map(|id| frozen.inventory.instances.get(*id))
        .flat_map(|i| &i.volume_ids)
        .collect();
    plan.volumes.retain(|id, _| volumes.contains(id));
    plan.version += 1;
    plan.modified_at = inner.clock.now();
    (group, plan)
}

/// The volumes that a failover promoted.
fn handed_over(view: &JobView) -> BTreeSet<CloudId> {
    view.done()
        .iter()
        .filter(|d| d.task.action.promotes())
        .filter_map(|d| d.task.volume.clone())
        .collect()
}

/// The offer to protect the recovered instances in the other direction.
fn offer(inner: &Inner, view: &JobView, frozen: &Frozen, recovered: &BTreeSet<&CloudId>) -> FailbackOffer {
    let made = |key: String| Some(view.output(&TaskKey::new(key))?.handle.as_ref()?.id.clone());
    let others = view.from_other_points();
    // What runs from a point is a clone: nothing of it replicates.
    let replicated = recovered
        .iter()
        .copied()
        .filter(|id| !others.contains_key(id))
        .collect();
    let (group, mut plan) = part(inner, frozen, &replicated);
    let moved = handed_over(view);
    plan.volumes.retain(|id, _| moved.contains(id));
    if recovered.len() < frozen.group.instances.len() {
        // They stay with the plan of those that were not recovered.
        plan.leaving.clear();
    }
    // One way back at a time: what led here is known to the journal.
    plan.home = None;
    let known = frozen.plan.home.as_ref();
    let instances: BTreeMap<CloudId, CloudId> = group
        .instances
        .iter()
        .filter_map(|id| Some((made(format!("server/{id}"))?, id.clone())))
        .collect();
    let volumes = plan
        .volumes
        .keys()
        .filter_map(|id| {
            // A volume that came home was not adopted anew.
            let at_home = known.and_then(|home| home.volumes.get(id)).cloned();
            Some((made(format!("volume/{id}")).or(at_home)?, id.clone()))
        })
        .collect();
    FailbackOffer {
        job_id: view.id.clone(),
        source_cluster: plan.target_cluster.clone(),
        target_cluster: group.source_cluster.clone(),
        home: Home {
            failover_job: view.id.clone(),
            group,
            plan: Box::new(plan),
            instances,
            volumes,
        },
        confirmed_at: inner.clock.now(),
        plan_id: None,
    }
}

/// Group and plan as they were before the failover, for those that came home; beside those that had stayed.
async fn restore(inner: &Inner, frozen: &Frozen, home: &Home, back: &BTreeSet<&CloudId>) -> Result<Vec<Write>> {
    let records = inner.records();
    let volumes: BTreeSet<&CloudId> = back
        .iter()
        .filter_map(|id| frozen.inventory.instances.get(*id))
        .flat_map(|i| &i.volume_ids)
        .filter_map(|id| home.volumes.get(id))
        .collect();
    let back: BTreeSet<&CloudId> = back.iter().filter_map(|id| home.instances.get(*id)).collect();
    let (mut group, mut plan) = (home.group.clone(), (*home.plan).clone());
    plan.volumes.retain(|id, _| volumes.contains(id));
    group.instances.retain(|id| back.contains(id));
    plan.mapping.instances.retain(|id, _| back.contains(id));
    if let Some((stayed, _)) = records.find::<ProtectionGroup>(kinds::GROUP, group.id.as_str()).await? {
        group.instances.extend(stayed.instances);
    }
    if let Some((stayed, _)) = records.find::<RecoveryPlan>(kinds::PLAN, plan.id.as_str()).await? {
        plan.mapping.instances.extend(stayed.mapping.instances);
        plan.volumes.extend(stayed.volumes);
        plan.leaving.extend(stayed.leaving);
        plan.version = plan.version.max(stayed.version);
    }
    plan.version += 1;
    plan.modified_at = inner.clock.now();
    group.modified_at = inner.clock.now();
    Ok(vec![
        put(kinds::GROUP, group.id.as_str(), None, &group)?,
        put(kinds::PLAN, plan.id.as_str(), None, &plan)?,
        remove(kinds::FAILBACK, home.failover_job.as_str()),
    ])
}
