//! The report of a job, filled from its journal.

use super::leftovers::{self, Leftover};
use crate::journal::{DecisionKind, JobView, PhaseKind, TaskState, TaskStatus};
use crate::model::{CloudId, InstanceRecoveryState, JobOperation, TaskKey};
use crate::planning::{Side, Task};
use crate::provider::Cloud;
use crate::report::{
    DecisionPart, InstancePart, JobPart, JournalPart, LeftoverPart, RecoveryReport, ReportInput, TaskPart, VolumePart,
};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;

/// What the journal does not hold.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) source_cluster: String,
    pub(super) target_cluster: String,
    pub(super) actor: String,
    /// The clouds, as far as they are attached: they know how a person removes what is left.
    pub(super) source: Option<Cloud>,
    pub(super) target: Option<Cloud>,
}

/// Makes the report of a job whose clean-up has ended.
///
/// # Errors
/// `Internal` when a wire name is not text, which would be a fault of the library.
pub(super) fn report(view: &JobView, names: Names, journal_hash: &str, at: Timestamp) -> Result<RecoveryReport> {
    let frozen = view.frozen.as_deref();
    let definition = view.work.recovery();
    let leftovers = leftovers(view, &names);
    let job = JobPart {
        id: view.id.clone(),
        kind: view.work.kind().to_owned(),
        group: frozen.map_or_else(|| view.work.group_id().to_string(), |f| f.group.name.clone()),
        group_id: Some(view.work.group_id().clone()),
        owner_group_id: view.owner_group_id.clone(),
        plan: frozen.map_or_else(|| view.work.plan_id().to_string(), |f| f.plan.name.clone()),
        source_cluster: names.source_cluster,
        target_cluster: names.target_cluster,
        execution: definition.map(|d| d.execution.clone()),
        data_point: definition.map(|d| d.data_point.clone()),
        actor: names.actor,
        last_operation: view.operation,
        result: view.result,
        created_at: view.created_at,
        started_at: view.started_at,
        completed_at: view.completed_at,
        ended_at: at,
        rpo_minutes: frozen.map_or(0, |f| f.group.rpo_minutes),
        rto_minutes: frozen.map_or(0, |f| f.group.rto_minutes),
    };
    Ok(RecoveryReport::new(ReportInput {
        job,
        instances: view
            .instances()
            .into_iter()
            .map(|(id, state)| instance(view, id, state))
            .collect(),
        volumes: volumes(view),
        tasks: tasks(view)?,
        decisions: decisions(view)?,
        leftovers,
        journal: JournalPart {
            position: view.position,
            hash: journal_hash.to_owned(),
        },
    }))
}

/// The wire name of a value that serialises as text.
fn wire(value: &impl serde::Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        other => Err(Error::new(
            ErrorKind::Internal,
            "report.wire_name",
            format!("no wire name: {other:?}"),
        )),
    }
}

/// The recovery tasks with what became of them.
fn recovery_tasks(view: &JobView) -> impl Iterator<Item = (&Task, &TaskState)> {
    let phases = view
        .phases
        .iter()
        .filter(|p| matches!(p.kind, PhaseKind::Run | PhaseKind::Retry));
    phases
        .flat_map(|p| p.graph.tasks.values())
        .filter_map(|t| Some((t, view.tasks.get(&t.key)?)))
}

fn instance(view: &JobView, id: CloudId, state: InstanceRecoveryState) -> InstancePart {
    let frozen = view.frozen.as_deref();
    let own = || {
        recovery_tasks(view)
            .filter(|(t, _)| t.instances.contains(&id))
            .map(|(_, s)| s)
    };
    InstancePart {
        name: frozen
            .and_then(|f| f.inventory.instances.get(&id))
            .map_or_else(|| id.to_string(), |i| i.name.clone()),
        target_id: view
            .output(&view.newest(&format!("server/{id}")))
            .and_then(|output| match &output.handle {
                Some(made) => Some(made.id.clone()),
                None => frozen?.plan.home.as_ref()?.instances.get(&id).cloned(),
            }),
        state,
        boot: frozen
            .and_then(|f| f.plan.mapping.instances.get(&id))
            .is_none_or(|m| m.boot),
        started_at: own().filter_map(|s| s.started_at).min(),
        ended_at: own().filter_map(|s| s.ended_at).max(),
        error: own()
            .filter(|s| s.status == TaskStatus::Failed)
            .find_map(|s| s.error.clone()),
        id,
    }
}

fn volumes(view: &JobView) -> Vec<VolumePart> {
    let Some(frozen) = view.frozen.as_deref() else {
        return Vec::new();
    };
    let point = frozen.point.as_ref().map(|p| p.taken_at);
    let others = view.from_other_points();
    let other = |volume: &CloudId| {
        let users = (frozen.inventory.instances.values()).filter(|i| i.volume_ids.contains(volume));
        users.filter_map(|i| others.get(&i.id)).map(|o| o.taken_at).min()
    };
    let states = view.instances();
    let wanted = |id: &CloudId| states.get(id).is_some_and(|s| *s != InstanceRecoveryState::Excluded);
    frozen
        .inventory
        .volumes
        .values()
        .map(|volume| {
            let users = frozen
                .inventory
                .instances
                .values()
                .filter(|i| i.volume_ids.contains(&volume.id));
            let promote = view.tasks.get(&TaskKey::new(format!("promote/{}", volume.id)));
            let demoted = view
                .tasks
                .get(&TaskKey::new(format!("demote/{}", volume.id)))
                .and_then(|t| t.ended_at);
            VolumePart {
                id: volume.id.clone(),
                name: volume.name.clone(),
                size_gib: volume.size_gib,
                instances: users.filter(|i| wanted(&i.id)).map(|i| i.name.clone()).collect(),
                // A new volume was made of it, or, on the way home, the original has its name again.
                recovered: ["volume", "name"]
                    .iter()
                    .any(|key| view.output(&view.newest(&format!("{key}/{}", volume.id))).is_some()),
                // After a hand-over nothing was written between the demotion and the promotion.
                data_point: other(&volume.id)
                    .or(point)
                    .or(demoted)
                    .or(promote.and_then(|t| t.output.synced_to)),
                source_wrote_until: demoted.or(view.started_at),
            }
        })
        .collect()
}

fn tasks(view: &JobView) -> Result<Vec<TaskPart>> {
    let mut parts = Vec::new();
    for phase in &view.phases {
        for task in phase.graph.tasks.values() {
            let Some(state) = view.tasks.get(&task.key) else {
                continue;
            };
            parts.push(TaskPart {
                key: task.key.to_string(),
                phase: wire(&phase.kind)?,
                title: task.to_string(),
                status: wire(&state.status)?,
                attempts: state.attempts,
                started_at: state.started_at,
                ended_at: state.ended_at,
                error: state.error.clone(),
                message: state.message.clone(),
                after: task.after.union(&task.order).map(ToString::to_string).collect(),
                instances: task.instances.iter().cloned().collect(),
            });
        }
    }
    Ok(parts)
}

fn decisions(view: &JobView) -> Result<Vec<DecisionPart>> {
    view.decisions
        .iter()
        .map(|d| {
            Ok(DecisionPart {
                kind: wire(&d.kind)?,
                operator: d.operator.clone(),
                reason: d.reason.clone(),
                at: Some(d.at),
                facts: d.facts.clone(),
            })
        })
        .collect()
}

/// What a rollback that was ignored could not put back (LIM-07, SM-68).
fn leftovers(view: &JobView, names: &Names) -> Vec<LeftoverPart> {
    if view.operation != JobOperation::IgnoreRollback
        && !view.decisions.iter().any(|d| d.kind == DecisionKind::IgnoreLeftovers)
    {
        return Vec::new();
    }
    let part = |left: Leftover| {
        let (cluster, cloud) = match left.side {
            Some(Side::Source) => (names.source_cluster.clone(), names.source.as_ref()),
            Some(Side::Target) => (names.target_cluster.clone(), names.target.as_ref()),
            None => (String::new(), None),
        };
        LeftoverPart {
            kind: left.what,
            id: left.id,
            cluster,
            error: left.error,
            command: cloud
                .zip(left.handle)
                .and_then(|(cloud, handle)| cloud.removal_command(&handle)),
        }
    };
    leftovers::leftovers(view).into_iter().map(part).collect()
}
