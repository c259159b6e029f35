//! How many recovery points a plan keeps (PLAN-17, OPEN-08). A point over the count can be chosen no more from the moment
//! the newer one exists, in the same transaction; a job then removes it from both sides. One that a job uses stays until
//! that job has finished, and the newest always stays. What a job left that failed to make a point is removed likewise.

use super::records::{Records, kinds, put, remove};
use super::{Inner, group_inventory, manifest};
use crate::Result;
use crate::model::{
    CloudId, DataPoint, GroupId, JobId, JobState, JobSummary, PlanId, PointId, RecoveryPlan, RecoveryPoint,
};
use crate::planning::PointRemains;
use crate::store::Write;
use std::collections::BTreeSet;

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

/// The writes after which the points of a plan hold only what these instances need. The parts of others are gone.
pub(super) async fn narrow(
    records: &Records,
    plan: &PlanId,
    volumes: &BTreeSet<CloudId>,
    instances: &[CloudId],
) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    for mut remains in expired(records, plan).await? {
        remains.volumes.retain(|id, _| volumes.contains(id));
        match remains.volumes.is_empty() {
            true => writes.push(remove(kinds::EXPIRED, remains.id.as_str())),
            false => writes.push(put(kinds::EXPIRED, remains.id.as_str(), None, &remains)?),
        }
    }
    for mut point in records
        .all(kinds::POINT, |p: &RecoveryPoint| &p.plan_id == plan)
        .await?
    {
        let intact = manifest::check(&point).is_ok();
        point.volumes.retain(|id, _| volumes.contains(id));
        point.contents.retain(|id, _| volumes.contains(id));
        point.plan.volumes.retain(|id, _| volumes.contains(id));
        point.plan.mapping.instances.retain(|id, _| instances.contains(id));
        point.inventory = group_inventory(&point.inventory, instances);
        if point.volumes.is_empty() {
            writes.push(remove(kinds::POINT, point.id.as_str()));
            continue;
        }
        // One that was changed by hand stays recognisable as such.
        if intact {
            point.manifest = manifest::of(&point)?;
        }
        writes.push(put(kinds::POINT, point.id.as_str(), None, &point)?);
    }
    Ok(writes)
}

/// The writes by which the oldest points make room for one more, when `keep` of a plan are kept. They fail with
/// `store.version` when a job chooses one of them meanwhile.
pub(super) async fn expire(inner: &Inner, group: &GroupId, plan: &PlanId, keep: u32) -> Result<Vec<Write>> {
    let records = inner.records();
    let mut points = records
        .all(kinds::POINT, |p: &RecoveryPoint| &p.plan_id == plan)
        .await?;
    points.sort_by_key(|p| p.taken_at);
    let kept = usize::try_from(keep.max(1)).unwrap_or(usize::MAX) - 1;
    let over = points.len().saturating_sub(kept);
    if over == 0 {
        return Ok(Vec::new());
    }
    let used = in_use(inner, group).await?;
    let mut writes = Vec::new();
    for point in points.iter().take(over).filter(|p| !used.contains(&p.id)) {
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

/// The points that unfinished jobs of a group have chosen.
async fn in_use(inner: &Inner, group: &GroupId) -> Result<BTreeSet<PointId>> {
    let open = |j: &JobSummary| j.work.group_id() == group && j.state != JobState::Finished;
    let mut used = BTreeSet::new();
    for job in inner.records().all::<JobSummary>(kinds::JOB, open).await? {
        if let Some(DataPoint::SpecificSnapshot { point_id }) = job.work.recovery().map(|d| &d.data_point) {
            used.insert(point_id.clone());
        }
        let frozen = inner.view(&job.id).await?.frozen;
        used.extend(frozen.and_then(|f| f.point.as_ref().map(|p| p.id.clone())));
    }
    Ok(used)
}
