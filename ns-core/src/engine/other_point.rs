//! Retry from another recovery point (SM-67): which instances may be recovered again from which point, and how.

use super::fences::to_be_fenced;
use super::manifest;
use super::planner::Planner;
use super::records::{kinds, put};
use super::{SourceReach, reach_source};
use crate::journal::{DecisionKind, Event, Frozen, OtherPoint, beside};
use crate::model::{CloudId, Instance, InstanceRecoveryState, JobOperation, PointId, RecoveryPoint, TaskKey};
use crate::planning::{Done, RecoveryData, RecoveryInputs, TaskGraph, plan_beside, plan_recovery, without_network};
use crate::store::Write;
use crate::{Error, ErrorKind, Result, rules};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What an operator chose for an operation on a job; only `retry` asks for anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    /// Which instances; none: all that failed.
    pub(crate) instances: BTreeSet<CloudId>,
    /// From which point, if not from the data that the job took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<PointId>,
}

/// A point that was chosen for a retry.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) point: RecoveryPoint,
    pub(super) other: OtherPoint,
    /// Fails with `store.version` when the point expires meanwhile; from then on the job keeps it.
    pub(super) kept: Write,
}

impl Planner<'_> {
    /// The other point that is to be recovered from; none when the operator chose none, or that of the job.
    pub(super) async fn chosen(&self, operation: Option<JobOperation>, choice: &Choice) -> Result<Option<Chosen>> {
        let Some(id) = &choice.point else { return Ok(None) };
        if operation != Some(JobOperation::Retry) {
            return Err(invalid(
                "point",
                "only a retry takes a recovery point",
                "leave the recovery point out, or ask for a retry",
            ));
        }
        let frozen = self.frozen()?;
        if frozen.point.as_ref().is_some_and(|p| &p.id == id) {
            return Ok(None);
        }
        let records = self.inner.records();
        let Some((point, version)) = records.find::<RecoveryPoint>(kinds::POINT, id.as_str()).await? else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "retry.point",
                format!("there is no recovery point {id}"),
            )
            .with_field("point")
            .with_remedy("choose one that points().list shows"));
        };
        if point.group_id != frozen.group.id {
            return Err(refused("job.point", "point", "the recovery point is of another group")
                .with_remedy("choose a point of this group"));
        }
        manifest::check(&point)?;
        self.check_instances(frozen, &point, &choice.instances)?;
        let states = self.view.instances();
        let recovered = |id: &&CloudId| states.get(*id) == Some(&InstanceRecoveryState::Success);
        let other = OtherPoint {
            point_id: id.clone(),
            taken_at: point.taken_at,
            aside: choice.instances.iter().filter(recovered).cloned().collect(),
            instances: choice.instances.clone(),
        };
        let kept = put(kinds::POINT, id.as_str(), Some(version), &point)?;
        Ok(Some(Chosen { point, other, kept }))
    }

    fn check_instances(&self, frozen: &Frozen, point: &RecoveryPoint, chosen: &BTreeSet<CloudId>) -> Result<()> {
        if chosen.is_empty() {
            return Err(invalid(
                "instances",
                "which instances are recovered from another point is not said",
                "name them: what was recovered of them before is set aside",
            ));
        }
        if frozen.plan.home.is_some() {
            let message = "a failback leads to the instances that are still there, not to a recovery point";
            return Err(refused("retry.failback", "point", message)
                .with_remedy("roll the failback back, and make a failover from that point"));
        }
        let states = self.view.instances();
        for id in chosen {
            let field = format!("instances[{id}]");
            match states.get(id) {
                None | Some(InstanceRecoveryState::Excluded) => {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "retry.instance",
                        format!("{id} is not recovered by this job"),
                    )
                    .with_field(field)
                    .with_remedy("choose among the instances of the job"));
                }
                Some(_) if !point.inventory.instances.contains_key(id) => {
                    return Err(refused(
                        "retry.point_instance",
                        &field,
                        format!("the recovery point holds no instance {id}"),
                    )
                    .with("point", &point.id)
                    .with_remedy("choose a point that was made after the instance was added"));
                }
                Some(_) => {}
            }
        }
        // What several write to has one content: half of its writers cannot go back in time.
        let of_job = |id: &CloudId| states.contains_key(id) && !self.view.excludes(id);
        for inventory in [&point.inventory, &frozen.inventory] {
            let instances = || inventory.instances.values();
            let volumes: BTreeSet<_> = instances()
                .filter(|i| chosen.contains(&i.id))
                .flat_map(|i| &i.volume_ids)
                .collect();
            let shares = |i: &&Instance| {
                !chosen.contains(&i.id) && of_job(&i.id) && i.volume_ids.iter().any(|v| volumes.contains(v))
            };
            if let Some(other) = instances().find(shares) {
                let message = format!("instance {} shares a volume with those that are chosen", other.name);
                return Err(refused("retry.shared_volume", "instances", message)
                    .with("instance", &other.id)
                    .with_remedy("choose it as well, or leave out those that share a volume with it"));
            }
        }
        Ok(())
    }

    /// Plans the recovery beside what was recovered before.
    pub(super) async fn plan_other_point(&self, chosen: &Chosen, events: &mut Vec<Event>) -> Result<TaskGraph> {
        let (view, mut frozen) = (self.view, self.frozen()?.clone());
        let definition = view.work.recovery().ok_or_else(super::phases::lost)?;
        let instances = &chosen.other.instances;
        let prefix = beside(view.phases.len());
        let is_done = |key: &TaskKey| view.output(key).is_some();
        // Whoever wrote to the volumes was stopped when they were recovered first, or it was decided that they are not.
        let stopped = instances.iter().all(|id| is_done(&TaskKey::new(format!("stop/{id}"))));
        let overridden = view
            .decisions
            .iter()
            .any(|d| matches!(d.kind, DecisionKind::ForcePromote | DecisionKind::CutOff));
        let (mut stop_source, mut fenced) = (false, false);
        if !stopped && !overridden {
            let SourceReach { cloud, storage } = reach_source(&self.inner, &frozen.group).await;
            if !cloud {
                self.force(definition, &frozen, SourceReach { cloud, storage }, events)
                    .await?;
                fenced = to_be_fenced(&self.inner, definition, &frozen.group.source_cluster).is_some();
            }
            stop_source = cloud;
        }
        let decision = format!("{}-{}", view.id, view.position + 1);
        rules::as_of(&mut frozen.group, &mut frozen.plan, &chosen.point);
        let source = frozen.group.source_cluster.clone();
        let suffix: String = view.id.as_str().chars().rev().take(8).collect();
        let graph = plan_recovery(&RecoveryInputs {
            job_id: &view.id,
            plan: &frozen.plan,
            instances,
            inventory: &without_network(&chosen.point.inventory, instances),
            target_flavors: &frozen.target_flavors,
            data: RecoveryData::Point {
                point: &chosen.point,
                stop_source,
            },
            fence: fenced.then_some((&source, decision.as_str())),
            home: None,
            isolated: false,
            suffix: &suffix,
            prefix: &prefix,
        })?;
        let done = view.done();
        let server = |id| view.newest(&format!("server/{id}"));
        let earlier: Vec<(&CloudId, Done<'_>)> = (instances.iter())
            .filter_map(|id| Some((id, done.iter().find(|d| d.task.key == server(id)).copied()?)))
            .collect();
        plan_beside(graph, &view.id, &earlier, is_done, &prefix)
    }
}

/// What the journal keeps with the operator's decision.
pub(super) fn facts(chosen: &Chosen) -> Vec<String> {
    let OtherPoint {
        point_id,
        taken_at,
        instances,
        aside,
    } = &chosen.other;
    let told = |id: &CloudId| {
        let before = match aside.contains(id) {
            true => "; what was recovered of it before is stopped and stays",
            false => "",
        };
        format!("instance {id}: recovered from point {point_id} of {taken_at}, not connected to a network{before}")
    };
    instances.iter().map(told).collect()
}

fn invalid(field: &str, message: &str, remedy: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("retry.{field}"), message)
        .with_field(field)
        .with_remedy(remedy)
}

fn refused(code: &str, field: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, code, message).with_field(field)
}
