//! What a task's success changes beside the journal.

use super::Inner;
use super::records::{FenceRecord, kinds, put};
use crate::Result;
use crate::journal::JobView;
use crate::model::TaskKey;
use crate::planning::{Action, ImageRef, Side};
use crate::store::Write;

/// The writes that go with a task's success, in the same transaction.
pub(super) async fn writes(inner: &Inner, view: &JobView, key: &TaskKey) -> Result<Vec<Write>> {
    let (Some(task), Some(frozen)) = (view.phase().and_then(|p| p.graph.tasks.get(key)), &view.frozen) else {
        return Ok(Vec::new());
    };
    let record = |id: &crate::model::ReplicationId, side: Side, epoch: u64| FenceRecord {
        replication_id: id.clone(),
        epoch,
        winner: match side {
            Side::Source => frozen.group.source_cluster.clone(),
            Side::Target => frozen.plan.target_cluster.clone(),
        },
        fenced: match side {
            Side::Source => frozen.plan.target_cluster.clone(),
            Side::Target => frozen.group.source_cluster.clone(),
        },
        job_id: view.id.clone(),
        since: inner.clock.now(),
    };
    Ok(match &task.action {
        Action::ForcePromote {
            side,
            image: ImageRef::Replica(id),
            epoch,
            ..
        } => {
            vec![put(kinds::FENCE, id.as_str(), None, &record(id, *side, *epoch))?]
        }
        // The copy is thrown away and made again from the other side: nobody is fenced any more.
        Action::Resync {
            image: ImageRef::Replica(id),
            ..
        } => {
            vec![super::records::remove(kinds::FENCE, id.as_str())]
        }
        _ => Vec::new(),
    })
}
