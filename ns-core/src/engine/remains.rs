//! What is to be removed with a plan although its record does not tell: the parts of recovery points that never came to be,
//! because their jobs failed, and the replication that a mirroring had begun when it failed.

use super::Inner;
use super::records::kinds;
use crate::Result;
use crate::journal::Frozen;
use crate::model::{CloudId, JobState, JobSummary, RecoveryPlan, RecoveryPoint, ReplicatedVolume, Work};
use crate::planning::{Action, ImageRef, PointRemains};
use crate::planted::{self, Bug};
use std::collections::BTreeMap;

/// The volumes that the mirroring of a plan began to replicate before it failed. The plan holds none of them; the journals say
/// which were tried, and the storage what became of it. Nothing of a plan that leads back: what it would replicate belongs to
/// the failover it leads back from.
pub(super) async fn half_protected(inner: &Inner, frozen: &Frozen) -> Result<BTreeMap<CloudId, ReplicatedVolume>> {
    let mut volumes = BTreeMap::new();
    if frozen.plan.home.is_some() {
        return Ok(volumes);
    }
    let ours = |j: &JobSummary| matches!(&j.work, Work::Protect { plan_id, .. } if *plan_id == frozen.plan.id);
    for job in inner.records().all::<JobSummary>(kinds::JOB, ours).await? {
        let view = inner.view(&job.id).await?;
        for done in view.done() {
            let (
                Action::EnableReplication {
                    image: ImageRef::Known(image),
                    ..
                },
                Some(volume_id),
            ) = (&done.task.action, &done.task.volume)
            else {
                continue;
            };
            let storage = inner.providers(&frozen.group.source_cluster)?.storage;
            let replication = storage.image(image).await?.and_then(|state| state.replication);
            if let Some((replication_id, _)) = replication {
                let volume = ReplicatedVolume {
                    volume_id: volume_id.clone(),
                    source: image.clone(),
                    replication_id,
                    target: image.clone(),
                };
                volumes.insert(volume_id.clone(), volume);
            }
        }
    }
    Ok(volumes)
}

pub(super) async fn remains(inner: &Inner, plan: &RecoveryPlan) -> Result<Vec<PointRemains>> {
    let records = inner.records();
    let points = records
        .all::<RecoveryPoint>(kinds::POINT, |p| p.plan_id == plan.id)
        .await?;
    let failed = |j: &JobSummary| {
        j.state == JobState::Finished
            && matches!(&j.work, Work::Point { plan_id, point_id, .. }
                if *plan_id == plan.id && !points.iter().any(|p| p.id == *point_id))
    };
    let failed = |j: &JobSummary| failed(j) && !planted::is(Bug::PointsForgotten);
    let jobs = records.all::<JobSummary>(kinds::JOB, failed).await?;
    let mut all: Vec<PointRemains> = points.iter().map(PointRemains::from).collect();
    for job in jobs {
        if let Work::Point { point_id, .. } = job.work {
            let volumes = plan.volumes.values();
            all.push(PointRemains {
                id: point_id,
                job_id: job.id,
                volumes: volumes
                    .map(|v| (v.volume_id.clone(), v.replication_id.clone()))
                    .collect(),
            });
        }
    }
    Ok(all)
}
