//! Confirm: the recovered instances become what runs from now on.
//!
//! Volumes that are clones of a recovery point are made independent of it (OPEN-21). Promoted replicas are independent
//! already and keep replicating towards the old Source as soon as that is demoted: failback needs it. The Source side is
//! left untouched.

use super::graph::{Action, ImageRef, Side, TaskGraph};
use super::undo::Done;
use crate::Result;
use crate::model::{CloudId, JobId};
use std::collections::BTreeSet;

/// Plans the confirm of what was `done` for the recovered instances. What only failed instances need is not touched here:
/// it is undone by [`super::plan_undo`] (SM-66).
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_confirm(job: &JobId, done: &[Done<'_>], recovered: &BTreeSet<CloudId>, prefix: &str) -> Result<TaskGraph> {
    let mut graph = TaskGraph::default();
    for d in done.iter().filter(|d| !d.task.instances.is_disjoint(recovered)) {
        if let (
            Action::Adopt {
                side: Side::Target,
                image: ImageRef::OutputOf(clone),
                ..
            },
            Some(handle),
        ) = (&d.task.action, d.handle)
        {
            let image = match &handle.storage {
                Some(storage) => ImageRef::Known(storage.clone()),
                None => ImageRef::OutputOf(clone.clone()),
            };
            let key = graph.add(
                format!("{prefix}/flatten/{}", d.task.key),
                Action::Flatten {
                    side: Side::Target,
                    image,
                },
                [],
            );
            if let Some(task) = graph.tasks.get_mut(&key) {
                task.instances.clone_from(&d.task.instances);
                task.volume.clone_from(&d.task.volume);
            }
        }
    }
    tracing::debug!(%job, tasks = graph.tasks.len(), "confirm planned");
    graph.in_order()?;
    Ok(graph)
}
