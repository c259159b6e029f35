//! A source that came back although its volumes were promoted by force elsewhere: it is made read only.

use super::graph::{Action, ImageRef, Side, TaskGraph};
use super::recovery::FENCE;
use crate::Result;
use crate::model::{ClusterId, Inventory, JobId, PowerState, RecoveryPlan, ReplicationId, TaskKey};
use crate::provider::{Ref, Token};

/// Plans the fencing: every image is demoted at once, which ends the writes also of a server that cannot be stopped (Ceph
/// facts §2), and the servers are stopped beside it. Nothing is lost by it: which side wins is decided later, by an operator.
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_fence(plan: &RecoveryPlan, inventory: &Inventory) -> Result<TaskGraph> {
    let mut graph = TaskGraph::default();
    for v in plan.volumes.values() {
        let writers = inventory
            .instances
            .values()
            .filter(|i| i.volume_ids.contains(&v.volume_id));
        for instance in writers {
            let stop = Action::StopServer {
                side: Side::Source,
                server: Ref::Known(instance.id.clone()),
                was_running: true,
            };
            graph.add(format!("stop/{}", instance.id), stop, []);
        }
        let demote = Action::Demote {
            side: Side::Source,
            image: ImageRef::Replica(v.replication_id.clone()),
            only_if_primary: true,
        };
        let key = graph.add(format!("fence/{}", v.volume_id), demote, []);
        graph.about_volume(&key, &v.volume_id);
    }
    graph.in_order()?;
    Ok(graph)
}

/// Adds to the rollback of a forced failover what ends the fencing: instances that ran before it start as soon as their
/// volumes belong to the source again.
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_unfence(graph: &mut TaskGraph, inventory: &Inventory, prefix: &str) -> Result<()> {
    for instance in inventory.instances.values().filter(|i| i.power != PowerState::Stopped) {
        let reclaimed: Vec<TaskKey> = instance
            .volume_ids
            .iter()
            .flat_map(|id| ["reclaim", "name"].map(|step| TaskKey::new(format!("{prefix}/{step}/promote/{id}"))))
            .chain([TaskKey::new(format!("{prefix}/unfence/{FENCE}"))])
            .filter(|key| graph.tasks.contains_key(key))
            .collect();
        let start = Action::StartServer {
            side: Side::Source,
            server: Ref::Known(instance.id.clone()),
        };
        graph.add(format!("{prefix}/unfence/{}", instance.id), start, &reclaimed);
    }
    graph.in_order()?;
    Ok(())
}

/// Adds to a graph that turns replication round what lets a cut off side back: once none of its images can be written, and before
/// anything is asked of its servers. `failover` is the job that cut it off.
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_open<'a>(
    graph: &mut TaskGraph,
    cluster: &ClusterId,
    failover: &JobId,
    replications: impl IntoIterator<Item = &'a ReplicationId>,
) -> Result<()> {
    let side = Side::Target;
    let demoted: Vec<TaskKey> = (replications.into_iter())
        .map(|id| {
            let demote = Action::Demote {
                side,
                image: ImageRef::Replica(id.clone()),
                only_if_primary: true,
            };
            graph.add(format!("still/{id}"), demote, [])
        })
        .collect();
    let unfence = Action::Unfence {
        side,
        cluster: cluster.clone(),
        token: Token::of(failover, &TaskKey::new(FENCE)),
    };
    let unfence = graph.add("unfence", unfence, &demoted);
    for task in graph.tasks.values_mut() {
        if matches!(&task.action, Action::StopServer { side: s, .. } if *s == side) {
            task.after.insert(unfence.clone());
        }
    }
    graph.in_order().map(drop)
}
