//! What a job made, removed, started or stopped is read anew when a phase of it has ended, before anybody is told so: the next
//! job is judged by what is known, and would take a tenant that was cleared away for somebody else's, or a server that runs
//! again for one that was stopped. Of a cloud that does not answer that moment the job itself tells which servers it saw started
//! and stopped, and the rest is read once it answers.

use super::Inner;
use super::sync::{Hint, each, learn_power, mark_failed, relearn};
use crate::journal::{JobView, TaskStatus};
use crate::model::{CloudId, ClusterId, Happened, PowerState, ResourceKind, Work};
use crate::planning::{Action, Side};
use crate::ports::with_deadline;
use crate::provider::CreatedKind;
use std::collections::{BTreeMap, BTreeSet};

/// Reads anew what the phase of a job touched that has just ended.
pub(super) async fn relearn_touched(inner: &Inner, view: &JobView) {
    let (Some(frozen), Work::Recovery(_) | Work::Fence { .. }) = (&view.frozen, &view.work) else {
        return;
    };
    for (side, cluster) in [
        (Side::Source, &frozen.group.source_cluster),
        (Side::Target, &frozen.plan.target_cluster),
    ] {
        let hints = hints(view, side);
        if hints.is_empty() {
            continue;
        }
        let limit = inner.settings().reach_limit;
        if let Err(error) = with_deadline(&*inner.clock, limit, "the cloud", relearn(inner, cluster, &hints)).await {
            tracing::warn!(job = %view.id, %cluster, %error, "what the job touched is not read anew");
            if let Err(error) = keep_in_mind(inner, cluster, &seen(view, side), &error).await {
                tracing::warn!(job = %view.id, %cluster, %error, "nor kept as the job saw it");
            }
        }
    }
}

/// Keeps what the job itself saw, and that the rest is to be read.
async fn keep_in_mind(
    inner: &Inner,
    cluster: &ClusterId,
    seen: &BTreeMap<CloudId, PowerState>,
    why: &crate::Error,
) -> crate::Result<()> {
    mark_failed(inner, cluster, why).await?;
    learn_power(inner, cluster, seen).await
}

/// The servers that the phase saw started or stopped.
fn seen(view: &JobView, at: Side) -> BTreeMap<CloudId, PowerState> {
    let tasks = view.phase().into_iter().flat_map(|p| &p.graph.tasks);
    tasks
        .filter(|(key, _)| view.status(key) == TaskStatus::Done)
        .filter_map(|(_, task)| {
            let (server, power) = match &task.action {
                Action::StartServer { side, server } if *side == at => (server, PowerState::Running),
                Action::StopServer { side, server, .. } if *side == at => (server, PowerState::Stopped),
                _ => return None,
            };
            Some((CloudId::from(server.id().ok()?), power))
        })
        .collect()
}

fn hints(view: &JobView, at: Side) -> Vec<Hint> {
    let mut servers: BTreeSet<Option<CloudId>> = BTreeSet::new();
    let mut made = false;
    let Some(phase) = view.phase() else { return Vec::new() };
    for (key, task) in &phase.graph.tasks {
        let output = || view.output(key).and_then(|o| o.handle.as_ref()).map(|h| h.id.clone());
        match &task.action {
            Action::StartServer { side, server } | Action::StopServer { side, server, .. } if *side == at => {
                servers.insert(server.id().ok().map(CloudId::from).or_else(output));
            }
            Action::Create { side, spec } if *side == at => {
                made = true;
                if spec.kind() == CreatedKind::Server {
                    servers.extend(output().map(Some));
                }
            }
            Action::Remove { side, kind, handle, .. } if *side == at => {
                made = true;
                if *kind == CreatedKind::Server {
                    servers.insert(handle.as_ref().map(|h| h.id.clone()));
                }
            }
            _ => {}
        }
    }
    let mut hints = match servers.contains(&None) {
        true => vec![(ResourceKind::Instance, None, Happened::Changed)],
        false => each(ResourceKind::Instance, servers.iter().flatten()),
    };
    if made {
        let kinds = [ResourceKind::Tenant, ResourceKind::FloatingIp, ResourceKind::Hypervisor];
        hints.extend(kinds.map(|kind| (kind, None, Happened::Changed)));
    }
    hints
}
