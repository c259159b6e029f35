//! How many recovery points a plan keeps (PLAN-17, OPEN-08). A point over the count can be chosen no more from the moment
//! the newer one exists, in the same transaction; a job then removes it from both sides. One that a job uses stays until
//! that job has finished, and the newest always stays. What a job left that failed to make a point is removed likewise.

use super::records::{Records, kinds, put, remove};
use super::{Inner, group_inventory, manifest};
use crate::Result;
use crate::model::{
    CloudId, DataPoint, GroupId, JobId, JobState, JobSummary, LeavingVolume, PlanId, PointId, RecoveryPlan,
    RecoveryPoint,
};
use crate::planning::PointRemains;
use crate::store::Write;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be removed of a plan's points: those over its count, and those that never came to be.
pub(super) async fn expired(records: &Records, plan: &PlanId) -> Result<Vec<PointRemains>> {
    records.all(kinds::EXPIRED, |p: &PointRemains| &p.plan_id == plan).await
}

/// Everything that the points of a plan hold on both sides.
pub(super) async fn remains(records: &Records, plan: &PlanId) -> Result<Vec<PointRemains>> {
    let points = records
        .all(kinds::POINT, |p: &RecoveryPoint| &p.plan_id == plan)
        .await?;
    let mut all: Vec<PointRemains> = points.iter().map(PointRemains::from).collect();
    all.extend(expired(records, plan).await?);
    Ok(all)
}

/// The write that keeps in mind what the job of a point left that never came to be.
pub(super) fn failed(job: &JobId, point: &PointId, plan: &RecoveryPlan) -> Result<Write> {
    let volumes = plan.volumes.values();
    let remains = PointRemains {
        id: point.clone(),
        plan_id: plan.id.clone(),
        job_id: job.clone(),
        volumes: volumes
            .map(|v| (v.volume_id.clone(), v.replication_id.clone()))
            .collect(),
    };
    put(kinds::EXPIRED, point.as_str(), None, &remains)
}

/// The writes that forget a point whose parts are gone.
pub(super) fn forget(point: &PointId) -> [Write; 2] {
    [kinds::POINT, kinds::EXPIRED].map(|kind| remove(kind, point.as_str()))
}

/// What happens to the parts that the points of a plan lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// They are about to be removed, and kept in mind until they are.
    Expire,
    /// They are removed.
    Gone,
}

/// The writes after which the points of a plan hold only what these instances need: a point of which nothing is left can be
/// chosen no more. They fail with `store.version` when a point changes meanwhile.
pub(super) async fn narrow(
    records: &Records,
    plan: &PlanId,
    volumes: &BTreeSet<CloudId>,
    instances: &[CloudId],
    lost: Lost,
) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    let mut left: BTreeMap<PointId, PointRemains> = (expired(records, plan).await?.into_iter())
        .map(|remains| (remains.id.clone(), remains))
        .collect();
    for point in records
        .all(kinds::POINT, |p: &RecoveryPoint| &p.plan_id == plan)
        .await?
    {
        let id = point.id.as_str();
        let Some((mut point, version)) = records.find::<RecoveryPoint>(kinds::POINT, id).await? else {
            continue;
        };
        let mut lost = PointRemains::from(&point);
        lost.volumes.retain(|id, _| !volumes.contains(id));
        if !lost.volumes.is_empty() {
            let known = left.entry(point.id.clone()).or_insert_with(|| lost.clone());
            known.volumes.extend(lost.volumes);
        }
        let intact = manifest::check(&point).is_ok();
        point.volumes.retain(|id, _| volumes.contains(id));
        point.contents.retain(|id, _| volumes.contains(id));
        point.plan.volumes.retain(|id, _| volumes.contains(id));
        point.plan.mapping.instances.retain(|id, _| instances.contains(id));
        point.inventory = group_inventory(&point.inventory, instances);
        // One that was changed by hand stays recognisable as such.
        if intact {
            point.manifest = manifest::of(&point)?;
        }
        writes.push(put(kinds::POINT, id, Some(version), &point)?);
        if point.volumes.is_empty() {
            writes.push(remove(kinds::POINT, id));
        }
    }
    for (id, mut remains) in left {
        if lost == Lost::Gone {
            remains.volumes.retain(|id, _| volumes.contains(id));
        }
        writes.push(match remains.volumes.is_empty() {
            true => remove(kinds::EXPIRED, id.as_str()),
            false => put(kinds::EXPIRED, id.as_str(), None, &remains)?,
        });
    }
    Ok(writes)
}

/// The writes by which the oldest points of a plan make room for one more. They fail with `store.version` when a job chooses
/// one of them meanwhile.
pub(super) async fn expire(inner: &Inner, group: &GroupId, plan: &RecoveryPlan) -> Result<Vec<Write>> {
    let records = inner.records();
    let (leaving, keep, plan) = (&plan.leaving, plan.snapshot_retention, &plan.id);
    let mut points = records
        .all(kinds::POINT, |p: &RecoveryPoint| &p.plan_id == plan)
        .await?;
    points.sort_by_key(|p| p.taken_at);
    let room = usize::try_from(keep.max(1)).unwrap_or(usize::MAX) - 1;
    let over = points.len().saturating_sub(room);
    if over == 0 {
        return Ok(Vec::new());
    }
    let mut kept = in_use(inner, group).await?;
    kept.extend(last_with_vanished(leaving, &points));
    let mut writes = Vec::new();
    for point in points.iter().take(over).filter(|p| !kept.contains(&p.id)) {
        let Some((point, version)) = records.find::<RecoveryPoint>(kinds::POINT, point.id.as_str()).await? else {
            continue;
        };
        let id = point.id.as_str();
        tracing::info!(%plan, point = id, "over the retention count");
        writes.push(put(kinds::EXPIRED, id, None, &PointRemains::from(&point))?);
        // Nobody chose it since it was looked at.
        writes.push(put(kinds::POINT, id, Some(version), &point)?);
        writes.push(remove(kinds::POINT, id));
    }
    Ok(writes)
}

/// The newest points that hold what vanished from the Source and nobody gave up; `points` are in the order of time.
fn last_with_vanished<'a>(
    leaving: &'a BTreeMap<CloudId, LeavingVolume>,
    points: &'a [RecoveryPoint],
) -> impl Iterator<Item = PointId> + use<'a> {
    let vanished = leaving.iter().filter(|(_, l)| l.vanished).map(|(id, _)| id);
    vanished.filter_map(|id| Some(points.iter().rev().find(|p| p.volumes.contains_key(id))?.id.clone()))
}

/// Marks what left a plan and no point needs any more, when these points are about to expire and `new` is about to exist: its
/// replica is removed by the next [`Work::Prune`](crate::model::Work::Prune). Gives whether there is such.
pub(super) async fn release(
    records: &Records,
    plan: &mut RecoveryPlan,
    expired: &[Write],
    new: &BTreeSet<CloudId>,
) -> Result<bool> {
    let goes = |id: &str| {
        expired
            .iter()
            .any(|w| matches!(w, Write::Remove { kind, id: gone } if kind == kinds::POINT && gone == id))
    };
    let kept = |p: &RecoveryPoint| p.plan_id == plan.id && !goes(p.id.as_str());
    let mut needed: BTreeSet<CloudId> = new.clone();
    for point in records.all::<RecoveryPoint>(kinds::POINT, kept).await? {
        needed.extend(point.volumes.into_keys());
    }
    let mut any = false;
    for (id, leaving) in &mut plan.leaving {
        leaving.releasing |= !needed.contains(id);
        any |= leaving.releasing;
    }
    Ok(any)
}

/// The points that unfinished jobs of a group have chosen.
async fn in_use(inner: &Inner, group: &GroupId) -> Result<BTreeSet<PointId>> {
    let open = |j: &JobSummary| j.work.group_id() == group && j.state != JobState::Finished;
    let mut used = BTreeSet::new();
    for job in inner.records().all::<JobSummary>(kinds::JOB, open).await? {
        if let Some(DataPoint::SpecificSnapshot { point_id }) = job.work.recovery().map(|d| &d.data_point) {
            used.insert(point_id.clone());
        }
        let view = inner.view(&job.id).await?;
        used.extend(view.frozen.and_then(|f| f.point.as_ref().map(|p| p.id.clone())));
        used.extend(
            view.phases
                .iter()
                .filter_map(|p| Some(p.other.as_ref()?.point_id.clone())),
        );
    }
    Ok(used)
}
