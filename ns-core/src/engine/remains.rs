//! What is to be removed with a plan although its record does not tell: the replication that a mirroring had begun when it
//! failed.

use super::Inner;
use super::records::kinds;
use crate::Result;
use crate::journal::Frozen;
use crate::model::{CloudId, JobSummary, ReplicatedVolume, Work};
use crate::planning::{Action, ImageRef};
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
