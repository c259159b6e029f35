//! A recovery beside an earlier one (SM-67): instances are recovered again from another point. What the earlier one made that
//! both need is used; its servers are stopped and stay, with their volumes and ports.

use super::graph::{Action, Side, TaskGraph};
use super::undo::Done;
use crate::Result;
use crate::model::{CloudId, Inventory, JobId, TaskKey};
use crate::provider::Ref;
use std::collections::BTreeSet;

/// The inventory of a point as instances are recovered from it without network: their ports stay with what was recovered before,
/// for data safety, and so do their places in server groups, which an instance that is set aside still fills.
#[must_use]
pub fn without_network(inventory: &Inventory, instances: &BTreeSet<CloudId>) -> Inventory {
    let mut inventory = inventory.clone();
    for instance in inventory.instances.values_mut() {
        if instances.contains(&instance.id) {
            instance.port_ids.clear();
        }
    }
    for group in inventory.server_groups.values_mut() {
        group.members.retain(|id| !instances.contains(id));
    }
    inventory
}

/// Makes a recovery one beside another: `graph` as planned with a prefix of its own, `earlier` the server task of each instance that
/// was tried before, `is_done` what needs not be done again.
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_beside(
    mut graph: TaskGraph,
    job: &JobId,
    earlier: &[(&CloudId, Done<'_>)],
    is_done: impl Fn(&TaskKey) -> bool,
    prefix: &str,
) -> Result<TaskGraph> {
    graph.tasks.retain(|key, _| !is_done(key));
    for (instance, server) in earlier {
        let Action::Create { side, spec } = &server.task.action else {
            continue;
        };
        let action = match server.handle {
            Some(_) => Action::StopServer {
                side: Side::Target,
                server: Ref::OutputOf(server.task.key.clone()),
                was_running: false,
            },
            // Nobody knows whether it came to be: one that has its volumes and address must not run on unseen.
            None => Action::Remove {
                side: *side,
                kind: spec.kind(),
                tenant: spec.tenant().cloned(),
                handle: None,
                token: server.task.token(job),
            },
        };
        let aside = graph.add(format!("{prefix}aside/{instance}"), action, []);
        graph.needed_by(&aside, instance);
        if let Some(task) = graph.tasks.get_mut(&TaskKey::new(format!("{prefix}server/{instance}"))) {
            task.after.insert(aside);
        }
    }
    let left: BTreeSet<TaskKey> = graph.tasks.keys().cloned().collect();
    for task in graph.tasks.values_mut() {
        task.after.retain(|key| left.contains(key));
        task.order.retain(|key| left.contains(key));
    }
    graph.in_order()?;
    Ok(graph)
}
