//! What a job made, removed, started or stopped is read anew when a phase of it has ended, before anybody is told so: the next
//! job is judged by what is known, and would take a tenant that was cleared away for somebody else's, or a server that runs
//! again for one that was stopped. A cloud that does not answer is judged by what was known.

use super::Inner;
use super::sync::{Hint, relearn};
use crate::journal::JobView;
use crate::model::{CloudId, Happened, ResourceKind, Work};
use crate::planning::{Action, Side};
use crate::ports::with_deadline;
use crate::provider::CreatedKind;
use std::collections::BTreeSet;

/// More servers than this are read by reading all.
const ONE_BY_ONE: usize = 200;

/// Reads anew what the phase of a job touched that has just ended.
pub(super) async fn relearn_touched(inner: &Inner, view: &JobView) {
    let (Some(frozen), Work::Recovery(_)) = (&view.frozen, &view.work) else {
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
        let limit = inner.settings.reach_limit;
        if let Err(error) = with_deadline(&*inner.clock, limit, "the cloud", relearn(inner, cluster, &hints)).await {
            tracing::warn!(job = %view.id, %cluster, %error, "what the job touched is not read anew");
        }
    }
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
    if servers.len() > ONE_BY_ONE {
        servers = BTreeSet::from([None]);
    }
    let mut hints: Vec<Hint> = (servers.into_iter())
        .map(|id| (ResourceKind::Instance, id, Happened::Changed))
        .collect();
    if made {
        let kinds = [ResourceKind::Tenant, ResourceKind::FloatingIp, ResourceKind::Hypervisor];
        hints.extend(kinds.map(|kind| (kind, None, Happened::Changed)));
    }
    hints
}
