//! What a task's success changes beside the journal, and what a failed clean-up leaves behind.

use super::Inner;
use super::records::{FenceRecord, kinds, put};
use crate::Result;
use crate::journal::{JobView, PhaseKind, TaskStatus};
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

/// What a rollback could not remove, one line each (LIM-07, SM-68).
pub(super) fn leftovers(view: &JobView) -> Vec<String> {
    view.phases
        .iter()
        .filter(|p| p.kind == PhaseKind::Rollback)
        .flat_map(|p| p.graph.tasks.values())
        .filter(|t| matches!(view.status(&t.key), TaskStatus::Failed | TaskStatus::Skipped))
        .filter_map(|t| match &t.action {
            Action::Remove {
                side,
                kind,
                handle,
                token,
                ..
            } => {
                let id = handle.as_ref().map_or("unknown id", |h| h.id.as_str());
                Some(format!("{side:?} cloud: {kind:?} {id} (token {token})"))
            }
            Action::Release { side, handle, token } => {
                let id = handle.as_ref().map_or("unknown id", |h| h.id.as_str());
                Some(format!("{side:?} cloud: volume {id} (token {token})"))
            }
            Action::RemoveImage { side, token } => Some(format!("{side:?} storage: image with token {token}")),
            Action::Demote { side, image, .. } => Some(format!("{side:?} storage: {image:?} is still primary")),
            Action::StartServer { side, server } => Some(format!("{side:?} cloud: server {server:?} is not started")),
            _ => None,
        })
        .collect()
}
