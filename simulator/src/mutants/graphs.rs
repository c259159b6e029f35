//! Bugs in graphs: each function does to a graph what a wrong plan would look like.

use ns_core::journal::{DecisionKind, JobView, PhaseKind};
use ns_core::model::{JobType, TaskKey, Work};
use ns_core::planning::{Action, ImageRef, MarkRef, Side, Task, TaskGraph};
use ns_core::provider::{CreatedKind, Ref, Spec};
use std::collections::BTreeSet;

/// Leaves tasks out. Whoever waited for one waits for what it waited for.
fn without(graph: &mut TaskGraph, gone: impl Fn(&Task) -> bool) {
    let out: Vec<Task> = graph.tasks.values().filter(|t| gone(t)).cloned().collect();
    for task in out {
        graph.tasks.remove(&task.key);
        for other in graph.tasks.values_mut() {
            for edges in [&mut other.after, &mut other.order] {
                if edges.remove(&task.key) {
                    edges.extend(task.after.iter().cloned());
                }
            }
        }
    }
    let left: BTreeSet<TaskKey> = graph.tasks.keys().cloned().collect();
    for task in graph.tasks.values_mut() {
        task.after.retain(|k| left.contains(k));
        task.order.retain(|k| left.contains(k));
    }
}

fn kind_of(view: &JobView) -> Option<JobType> {
    view.work.recovery().map(|d| d.job_type)
}

fn drill_runs(view: &JobView, kind: PhaseKind) -> bool {
    kind == PhaseKind::Run && kind_of(view) == Some(JobType::Drill)
}

fn failover_runs(view: &JobView, kind: PhaseKind) -> bool {
    kind == PhaseKind::Run && kind_of(view) == Some(JobType::Failover)
}

const fn rolls_back(kind: PhaseKind) -> bool {
    matches!(kind, PhaseKind::Rollback)
}

pub(super) fn forces(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if !failover_runs(view, kind) {
        return;
    }
    for task in graph.tasks.values_mut() {
        if let Action::Promote { side, image, .. } = &task.action {
            task.action = Action::ForcePromote {
                side: *side,
                image: image.clone(),
                decision: String::new(),
                epoch: 9,
            };
        }
    }
}

fn on_replicas(view: &JobView, graph: &mut TaskGraph, make: impl Fn(ImageRef) -> Action) {
    let Some(frozen) = &view.frozen else { return };
    for v in frozen.plan.volumes.values() {
        let action = make(ImageRef::Replica(v.replication_id.clone()));
        graph.add(format!("planted/{}", v.volume_id), action, []);
    }
}

pub(super) fn drill_promotes(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if drill_runs(view, kind) {
        on_replicas(view, graph, |image| Action::Promote {
            side: Side::Target,
            image,
            demotion: None,
        });
    }
}

pub(super) fn drill_demotes(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if drill_runs(view, kind) {
        on_replicas(view, graph, |image| Action::Demote {
            side: Side::Source,
            image,
            only_if_primary: true,
        });
    }
}

pub(super) fn drill_adopts_replica(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    let Some(frozen) = view.frozen.as_ref().filter(|_| drill_runs(view, kind)) else {
        return;
    };
    for task in graph.tasks.values_mut() {
        let id = task.volume.clone();
        let replica = id.and_then(|id| frozen.plan.volumes.get(&id));
        if let (Action::Adopt { image, .. }, Some(replica)) = (&mut task.action, replica) {
            *image = ImageRef::Replica(replica.replication_id.clone());
        }
    }
}

pub(super) fn drill_way_out(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if !drill_runs(view, kind) {
        return;
    }
    let port = graph.tasks.keys().find(|k| k.as_str().starts_with("port/")).cloned();
    if let Some(port) = port {
        let spec = Spec::FloatingIp {
            tenant: Ref::OutputOf("tenant".into()),
            external_network: Ref::Known("b-external".into()),
            address: None,
            port: Ref::OutputOf(port.clone()),
        };
        let side = Side::Target;
        graph.add("planted/way-out", Action::Create { side, spec }, [&port]);
    }
}

pub(super) fn source_not_stopped(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if failover_runs(view, kind) {
        without(graph, |t| {
            matches!(t.action, Action::StopServer { side: Side::Source, .. })
        });
    }
}

pub(super) fn reads_lost_site(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    let forced = graph
        .tasks
        .values()
        .any(|t| matches!(t.action, Action::ForcePromote { .. }));
    if failover_runs(view, kind) && forced {
        on_replicas(view, graph, |image| Action::Ship {
            side: Side::Source,
            image,
            snapshot: None,
        });
    }
}

pub(super) fn not_waiting_for_demotion(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if !failover_runs(view, kind) {
        return;
    }
    without(graph, |t| t.key.as_str().starts_with("demoted/"));
    for task in graph.tasks.values_mut() {
        if let Action::Promote { demotion, .. } = &mut task.action {
            *demotion = None;
        }
    }
}

pub(super) fn promotes_before_demotion(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if failover_runs(view, kind) {
        for task in graph.tasks.values_mut() {
            if matches!(task.action, Action::Promote { .. }) {
                task.after.clear();
            }
        }
    }
}

pub(super) fn not_demoted(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if failover_runs(view, kind) {
        without(graph, |t| {
            matches!(t.action, Action::Demote { .. }) || t.key.as_str().starts_with("demoted/")
        });
        for task in graph.tasks.values_mut() {
            if let Action::Promote { demotion, .. } = &mut task.action {
                *demotion = None;
            }
        }
    }
}

pub(super) fn rollback_starts_nothing(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        without(graph, |t| matches!(t.action, Action::StartServer { .. }));
    }
}

pub(super) fn rollback_forgets_network(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        let network = |t: &Task| {
            matches!(
                t.action,
                Action::Remove {
                    kind: CreatedKind::Network,
                    ..
                }
            )
        };
        without(graph, network);
    }
}

pub(super) fn rollback_forgets_keypair(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        let keypair = |t: &Task| {
            matches!(
                t.action,
                Action::Remove {
                    kind: CreatedKind::Keypair,
                    ..
                }
            )
        };
        without(graph, keypair);
    }
}

pub(super) fn rollback_forgets_clones(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        without(graph, |t| matches!(t.action, Action::RemoveImage { .. }));
    }
}

pub(super) fn rollback_forgets_all(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        graph.tasks.clear();
    }
}

pub(super) fn rollback_keeps_demotion(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        without(graph, |t| {
            matches!(t.action, Action::Promote { side: Side::Source, .. })
        });
    }
}

pub(super) fn rollback_does_not_resync(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        without(graph, |t| matches!(t.action, Action::Resync { .. }));
    }
}

pub(super) fn resyncs_the_wrong_side(_: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    for task in graph.tasks.values_mut() {
        if let Action::Resync { side, .. } = &mut task.action {
            *side = Side::Source;
        }
    }
}

pub(super) fn rollback_keeps_names(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        without(graph, |t| matches!(t.action, Action::Rename { .. }));
    }
}

pub(super) fn rollback_keeps_both_writing(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if rolls_back(kind) {
        without(graph, |t| {
            matches!(t.action, Action::Demote { .. } | Action::Resync { .. })
        });
    }
}

fn is_unprotect(view: &JobView) -> bool {
    matches!(view.work, Work::Unprotect { .. })
}

pub(super) fn unprotect_leaves_mirroring(view: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    if is_unprotect(view) {
        without(graph, |t| matches!(t.action, Action::DisableReplication { .. }));
    }
}

pub(super) fn unprotect_leaves_vaults(view: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    if is_unprotect(view) {
        without(graph, |t| matches!(t.action, Action::RemoveImage { .. }));
    }
}

pub(super) fn protects_without_copy(view: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    if matches!(view.work, Work::Protect { .. }) {
        without(graph, |t| matches!(t.action, Action::AwaitReplica { .. }));
    }
}

pub(super) fn point_lacks_a_volume(view: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    if matches!(view.work, Work::Point { .. }) {
        let first = graph.tasks.values().find_map(|t| t.volume.clone());
        without(graph, |t| {
            t.volume == first
                && matches!(
                    t.action,
                    Action::Clone { .. } | Action::Snapshot { side: Side::Target, .. }
                )
        });
    }
}

pub(super) fn point_ships_nothing(view: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    if matches!(view.work, Work::Point { .. }) {
        without(graph, |t| {
            matches!(
                t.action,
                Action::Ship { .. }
                    | Action::AwaitArrival {
                        mark: MarkRef::OutputOf(_),
                        ..
                    }
            )
        });
    }
}

pub(super) fn mixes_volumes_up(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if kind != PhaseKind::Run || kind_of(view).is_none() {
        return;
    }
    let adopts: Vec<TaskKey> = (graph.tasks.values())
        .filter(|t| matches!(t.action, Action::Adopt { .. }))
        .map(|t| t.key.clone())
        .collect();
    let [one, two, ..] = &adopts[..] else { return };
    let picture = |graph: &TaskGraph, key: &TaskKey| match &graph.tasks[key].action {
        Action::Adopt { image, .. } => Some((image.clone(), graph.tasks[key].after.clone())),
        _ => None,
    };
    let (first, second) = (picture(graph, one), picture(graph, two));
    for (key, from) in [(one, second), (two, first)] {
        if let (Some(task), Some((other, after))) = (graph.tasks.get_mut(key), from)
            && let Action::Adopt { image, .. } = &mut task.action
        {
            *image = other;
            task.after.extend(after);
        }
    }
}

pub(super) fn fence_demotes_nothing(view: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    if matches!(view.work, Work::Fence { .. }) {
        graph.tasks.clear();
    }
}

pub(super) fn fence_overwrites(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if matches!(view.work, Work::Fence { .. }) && kind == PhaseKind::Run {
        let demoted: Vec<TaskKey> = graph.tasks.keys().cloned().collect();
        on_replicas(view, graph, |image| Action::Rejoin {
            side: Side::Source,
            replication_id: match image {
                ImageRef::Replica(id) => id,
                _ => "".into(),
            },
            decision: view.decisions.first().map(|d| d.id.clone()),
        });
        for task in graph
            .tasks
            .values_mut()
            .filter(|t| t.key.as_str().starts_with("planted/"))
        {
            task.after.extend(demoted.iter().cloned());
        }
    }
}

pub(super) fn failback_leaves_the_other_side(_: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if kind == PhaseKind::Confirm {
        without(graph, |t| {
            matches!(t.action, Action::Remove { .. } | Action::Release { .. })
        });
    }
}

pub(super) fn rejoins_the_wrong_side(_: &JobView, _: PhaseKind, graph: &mut TaskGraph) {
    for task in graph.tasks.values_mut() {
        if let Action::Rejoin { side, .. } = &mut task.action {
            *side = Side::Source;
        }
    }
}

pub(super) fn confirm_with_force(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    let confirmed = view.decisions.iter().rev().find(|d| d.kind == DecisionKind::Confirm);
    if kind == PhaseKind::Confirm && kind_of(view) == Some(JobType::Failover) {
        let decision = confirmed.map(|d| d.id.clone()).unwrap_or_default();
        on_replicas(view, graph, |image| Action::ForcePromote {
            side: Side::Source,
            image,
            decision: decision.clone(),
            epoch: 1,
        });
    }
}
