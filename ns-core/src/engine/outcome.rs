//! What a task's success changes beside the journal: who writes to a volume.

use super::Inner;
use super::records::{Evidence, VolumeEpoch, kinds, put};
use crate::Result;
use crate::journal::{Frozen, JobView, TaskOutput, TaskStatus};
use crate::model::{CloudId, ClusterId, ReplicationId, TaskKey};
use crate::planning::{Action, FENCE, ImageRef, Side};
use crate::planted::{self, Bug};
use crate::store::Write;

/// What backs a promotion by force beside the decision: the best of what was seen before it.
fn evidence(view: &JobView, frozen: &Frozen, volume: Option<&CloudId>, decision: String) -> Evidence {
    let done = |key: &TaskKey| view.status(key) == TaskStatus::Done;
    if let Some(proof) = view.output(&TaskKey::new(FENCE)).and_then(|o| o.proof.clone()) {
        return Evidence::Fenced { decision, proof };
    }
    let mut writers = (frozen.inventory.instances.values())
        .filter(|i| volume.is_some_and(|v| i.volume_ids.contains(v)))
        .peekable();
    let stopped = writers.peek().is_some() && writers.all(|i| done(&TaskKey::new(format!("stop/{}", i.id))));
    match stopped {
        true => Evidence::Stopped { decision },
        false => Evidence::Decided { decision },
    }
}

/// The epoch that the next promotion of a volume begins.
pub(super) async fn next_epoch(inner: &Inner, id: &ReplicationId) -> Result<u64> {
    let now = inner.records().find::<VolumeEpoch>(kinds::EPOCH, id.as_str()).await?;
    Ok(now.map_or(0, |(e, _)| e.epoch) + 1)
}

/// The writes that go with a task's success, in the same transaction.
pub(super) async fn writes(inner: &Inner, view: &JobView, key: &TaskKey, output: &TaskOutput) -> Result<Vec<Write>> {
    let (Some(task), Some(frozen)) = (view.phase().and_then(|p| p.graph.tasks.get(key)), &view.frozen) else {
        return Ok(Vec::new());
    };
    let cluster = |side: Side| match side {
        Side::Source => &frozen.group.source_cluster,
        Side::Target => &frozen.plan.target_cluster,
    };
    let record = |id: &ReplicationId, writer: Side, epoch: u64, fenced: Option<&ClusterId>, evidence: Evidence| {
        let record = VolumeEpoch {
            replication_id: id.clone(),
            epoch,
            writer: cluster(writer).clone(),
            fenced: fenced.cloned(),
            evidence,
            job_id: view.id.clone(),
            since: inner.clock.now(),
        };
        put(kinds::EPOCH, id.as_str(), None, &record)
    };
    let now = |id: &ReplicationId| {
        let (records, id) = (inner.records(), id.to_string());
        async move { records.find::<VolumeEpoch>(kinds::EPOCH, &id).await }
    };
    Ok(match &task.action {
        Action::EnableReplication { .. } => {
            let Some(id) = &output.replication_id else {
                return Ok(Vec::new());
            };
            // Protected again after a failover: it has a writer already.
            match now(id).await? {
                Some(_) => Vec::new(),
                None => vec![record(id, Side::Source, 1, None, Evidence::Began)?],
            }
        }
        Action::Promote {
            side,
            image: ImageRef::Replica(id),
            ..
        } => {
            let epoch = next_epoch(inner, id).await?;
            vec![record(id, *side, epoch, None, Evidence::HandedOver)?]
        }
        Action::ForcePromote {
            side,
            image: ImageRef::Replica(id),
            epoch,
            decision,
        } => {
            let evidence = evidence(view, frozen, task.volume.as_ref(), decision.clone());
            let fenced = Some(cluster(side.other())).filter(|_| !planted::is(Bug::NoFence));
            vec![record(id, *side, *epoch, fenced, evidence)?]
        }
        // This copy was thrown away, or follows the writer: nobody is fenced any more.
        Action::Resync {
            image: ImageRef::Replica(id),
            ..
        }
        | Action::Rejoin { replication_id: id, .. } => match now(id).await? {
            Some((epoch, _)) => {
                let free = VolumeEpoch { fenced: None, ..epoch };
                vec![put(kinds::EPOCH, id.as_str(), None, &free)?]
            }
            None => Vec::new(),
        },
        // The volume is not protected any more.
        Action::DisableReplication { replication_id, .. } => {
            vec![super::records::remove(kinds::EPOCH, replication_id.as_str())]
        }
        _ => Vec::new(),
    })
}
