//! Defects that are planted in graphs, and what the checker says of them: it can fail.

use crate::job::Data;
use crate::model::Scenario;
use crate::{DRILL, QUIET, run};
use ns_core::journal::PhaseKind;
use ns_core::model::TaskKey;
use ns_core::planning::{Action, FENCE, Side, TaskGraph};
use ns_core::provider::Ref;

/// The defect is found, and these words are said of it.
fn is_found(scenario: Scenario, says: &str) {
    let (_, found) = run(scenario);
    let (wrong, way) = found.wrong.expect("the defect is not found");
    let steps = way.join("\n  ");
    assert!(wrong.contains(says), "{}: found as {wrong}\n  {steps}", scenario.name);
    println!("  found after {} steps: {says}", way.len());
}

/// Takes tasks out of a graph, and every tie to them.
fn without(graph: &mut TaskGraph, is: impl Fn(&Action) -> bool) {
    graph.tasks.retain(|_, task| !is(&task.action));
    let left: Vec<TaskKey> = graph.tasks.keys().cloned().collect();
    for task in graph.tasks.values_mut() {
        task.after.retain(|k| left.contains(k));
        task.order.retain(|k| left.contains(k));
    }
}

#[test]
fn a_promotion_that_waits_for_no_arrival_is_found() {
    let scenario = Scenario {
        name: "defect: the promotion waits for no arrival",
        naive: true,
        rewrite: Some(|kind, graph| {
            for v in ["v0", "v1"].iter().filter(|_| kind == PhaseKind::Run) {
                let promote = graph.tasks.get_mut(&TaskKey::new(format!("promote/{v}"))).unwrap();
                assert!(promote.after.remove(&TaskKey::new(format!("demoted/{v}"))));
                promote.after.insert(TaskKey::new(format!("demote/{v}")));
            }
        }),
        ..QUIET
    };
    is_found(scenario, "a guest was told that a write is safe on an older copy");
}

#[test]
fn a_demotion_that_is_left_out_is_found() {
    let scenario = Scenario {
        name: "defect: shipped and not demoted",
        naive: true,
        rewrite: Some(|kind, graph| {
            for task in graph.tasks.values_mut().filter(|_| kind == PhaseKind::Run) {
                if let Action::Demote { side, image, .. } = &task.action {
                    task.action = Action::Ship {
                        side: *side,
                        image: image.clone(),
                        snapshot: None,
                    };
                }
            }
        }),
        ..QUIET
    };
    is_found(scenario, "two writers");
}

#[test]
fn a_rollback_that_waits_for_no_arrival_is_found() {
    let scenario = Scenario {
        name: "defect: the rollback waits for no arrival",
        naive: true,
        rewrite: Some(|kind, graph| {
            for task in graph.tasks.values_mut().filter(|_| kind == PhaseKind::Rollback) {
                if let Action::AwaitArrival { .. } = task.action
                    && task.key.as_str().contains("/arrive/")
                {
                    task.action = Action::Delay { seconds: 0 };
                }
            }
        }),
        ..QUIET
    };
    is_found(scenario, "a guest was told that a write is safe on an older copy");
}

#[test]
fn a_guest_that_is_not_stopped_is_found() {
    let scenario = Scenario {
        name: "defect: the guest is not stopped",
        rewrite: Some(|kind, graph| {
            if kind == PhaseKind::Run {
                without(graph, |a| matches!(a, Action::StopServer { .. }));
            }
        }),
        ..QUIET
    };
    is_found(scenario, "the guest does not run where it should, or runs twice");
}

#[test]
fn a_guest_that_starts_too_early_is_found() {
    let scenario = Scenario {
        name: "defect: rollback starts the guest at once",
        rewrite: Some(|kind, graph| {
            for task in graph.tasks.values_mut().filter(|_| kind == PhaseKind::Rollback) {
                if matches!(task.action, Action::StartServer { .. }) {
                    task.after.clear();
                }
            }
        }),
        ..QUIET
    };
    is_found(scenario, "a guest was started on a volume that it cannot write");
}

#[test]
fn a_volume_that_is_not_released_is_found() {
    let scenario = Scenario {
        name: "defect: no volume is released",
        rewrite: Some(|kind, graph| {
            if kind == PhaseKind::Rollback {
                without(graph, |a| matches!(a, Action::Release { .. }));
            }
        }),
        ..QUIET
    };
    is_found(scenario, "stuck");
}

#[test]
fn a_tenant_that_is_left_behind_is_found() {
    let scenario = Scenario {
        name: "defect: the tenant stays",
        rewrite: Some(|kind, graph| {
            if kind == PhaseKind::Rollback {
                graph.tasks.retain(|key, _| !key.as_str().ends_with("/tenant"));
            }
        }),
        ..DRILL
    };
    is_found(scenario, "something is left behind");
}

#[test]
fn a_drill_that_stops_the_source_is_found() {
    let scenario = Scenario {
        name: "defect: the drill stops the source",
        rewrite: Some(|kind, graph| {
            if kind == PhaseKind::Run {
                let stop = Action::StopServer {
                    side: Side::Source,
                    server: Ref::Known(crate::inputs::id("g0")),
                    was_running: true,
                };
                graph.add("stop/g0", stop, []);
            }
        }),
        ..DRILL
    };
    is_found(scenario, "a drill touched the source");
}

#[test]
fn a_promotion_that_waits_for_no_fence_is_found() {
    let scenario = Scenario {
        name: "defect: the forced promotion waits for no fence",
        data: Data::Fenced,
        rewrite: Some(|kind, graph| {
            for task in graph.tasks.values_mut().filter(|_| kind == PhaseKind::Run) {
                task.after.remove(&TaskKey::new(FENCE));
            }
        }),
        ..QUIET
    };
    is_found(scenario, "two writers: the source has power");
}
