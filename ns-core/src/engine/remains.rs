//! What the recovery points of a plan hold on both sides, to be removed with the plan: also the parts of points that
//! never came to be, because their jobs failed.

use super::Inner;
use super::records::kinds;
use crate::Result;
use crate::model::{JobState, JobSummary, RecoveryPlan, RecoveryPoint, Work};
use crate::planning::PointRemains;

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
