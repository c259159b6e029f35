//! What a job comes to next, as its journal stands: which tasks may begin, which never will, when a graph has ended and which
//! one follows. Pure: the runner asks here and does it; the model check of the recovery job asks here as well.

use super::event::{Event, Frozen, OtherPoint, PhaseKind};
use super::fold::{JobView, TaskStatus};
use crate::machine::{Facts, Transition, Trigger};
use crate::model::{CloudId, InstanceRecoveryState, JobOperation, JobState, JobType, ResultCode, TaskKey};
use crate::planning::{Action, Done, Side, Task, TaskGraph, plan_confirm, plan_undo, users};
use crate::planted::{self, Bug};
use crate::provider::CreatedKind;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What is due in the graph that runs.
#[derive(Debug, Default)]
pub struct Due<'a> {
    /// What ends without being tried. It is written down first, for more may follow from it.
    pub ended: Vec<Event>,
    /// What may begin now.
    pub ready: Vec<&'a Task>,
}

impl PhaseKind {
    /// The graph that a transition begins, if it begins one.
    #[must_use]
    pub fn of(from: JobState, t: &Transition) -> Option<Self> {
        match (from, t.next) {
            (JobState::Pending, JobState::Running) => Some(Self::Run),
            (JobState::Completed, JobState::Running) => Some(Self::Retry),
            (_, JobState::Clearing) if t.operation == JobOperation::Confirm => Some(Self::Confirm),
            (_, JobState::Clearing) => Some(Self::Rollback),
            _ => None,
        }
    }
}

impl JobView {
    /// What is due now, with these tasks `running` in this engine and at most `parallel` of them on one side.
    #[must_use]
    pub fn due(&self, running: &BTreeSet<&TaskKey>, parallel: usize, now: Timestamp) -> Due<'_> {
        let mut due = Due::default();
        let Some(phase) = self.phase() else { return due };
        let mut load: BTreeMap<Side, usize> = BTreeMap::new();
        let busy = running.iter().filter_map(|k| phase.graph.tasks.get(*k)?.action.load());
        for side in busy {
            *load.entry(side).or_default() += 1;
        }
        for task in phase.graph.tasks.values() {
            let state = self.tasks.get(&task.key);
            let status = self.status(&task.key);
            if status.has_ended() || running.contains(&task.key) {
                continue;
            }
            if status == TaskStatus::Running && planted::is(Bug::IntentIsOutcome) {
                due.ended.push(Event::Outcome {
                    task: task.key.clone(),
                    attempt: state.map_or(1, |s| s.attempts),
                    result: super::TaskResult::Done {
                        output: super::TaskOutput::default(),
                    },
                });
                continue;
            }
            if let Some(because) = self.never(task) {
                due.ended.push(Event::Skipped {
                    task: task.key.clone(),
                    because,
                });
                continue;
            }
            let blocked = task.after.iter().any(|k| self.status(k) != TaskStatus::Done)
                || task.order.iter().any(|k| !self.status(k).has_ended())
                || state.and_then(|s| s.not_before).is_some_and(|at| at > now);
            if blocked {
                continue;
            }
            if let Some(side) = task.action.load() {
                let n = load.entry(side).or_default();
                if *n >= parallel {
                    continue;
                }
                *n += 1;
            }
            due.ready.push(task);
        }
        due
    }

    /// Why a task that does not run will not be tried.
    fn never(&self, task: &Task) -> Option<String> {
        let is_lost = |k: &&TaskKey| matches!(self.status(k), TaskStatus::Failed | TaskStatus::Skipped);
        if let Some(lost) = task.after.iter().find(is_lost) {
            return Some(format!("{lost} did not succeed"));
        }
        // Cancelled: what has not begun is not begun. What an engine that died had begun is looked at again first.
        let begun = self.status(&task.key) != TaskStatus::Pending && !task.action.only_waits();
        (self.state == JobState::Canceling && !begun).then(|| "the job was cancelled".to_owned())
    }

    /// The trigger of a graph that has ended; none as long as anything of it goes on.
    #[must_use]
    pub fn phase_end(&self, anything_runs: bool) -> Option<Trigger> {
        let forgets = planted::is(Bug::CancelForgets) && self.state == JobState::Canceling;
        let ended = !anything_runs && (self.phase_has_ended() || self.phase().is_none());
        (forgets || ended).then(|| match self.state {
            JobState::Clearing => Trigger::ClearEnded {
                all_succeeded: self.phase_succeeded(),
            },
            JobState::Canceling => Trigger::TasksEnded(ResultCode::Canceled),
            _ if self.phase().is_none() => Trigger::TasksEnded(ResultCode::Failed),
            _ if planted::is(Bug::AlwaysSuccess) => Trigger::TasksEnded(ResultCode::Success),
            _ => Trigger::TasksEnded(self.evaluate()),
        })
    }

    /// What the keys of the next graph begin with.
    #[must_use]
    pub fn prefix(&self, word: &str) -> String {
        format!("{word}{}", self.phases.len())
    }

    /// Which recovery from another point took the place of a task that was planned at this place (SM-67).
    fn replaced(&self, place: usize, task: &Task) -> Option<&OtherPoint> {
        let later = self.phases.iter().skip(place + 1).filter_map(|p| p.other.as_ref());
        let mut replacing = later.filter(|o| !task.instances.is_empty() && task.instances.is_subset(&o.instances));
        replacing.next()
    }

    /// The instances that run from another recovery point than the job's (SM-67).
    #[must_use]
    pub fn from_other_points(&self) -> BTreeMap<&CloudId, &OtherPoint> {
        let all = self.phases.iter().filter_map(|p| p.other.as_ref());
        all.flat_map(|other| other.instances.iter().map(move |id| (id, other)))
            .collect()
    }

    /// The key that the newest recovery has for what the first one calls `key`, as in `server/…` or `volume/…`.
    #[must_use]
    pub fn newest(&self, key: &str) -> TaskKey {
        let others = (self.phases.iter().enumerate().rev()).filter(|(_, p)| p.other.is_some());
        let mut keys = others
            .map(|(place, phase)| (TaskKey::new(format!("{}{key}", beside(place))), phase))
            .filter(|(key, phase)| phase.graph.tasks.contains_key(key));
        keys.next().map_or_else(|| TaskKey::new(key), |(key, _)| key)
    }

    /// The instances that were recovered.
    #[must_use]
    pub fn recovered(&self) -> BTreeSet<CloudId> {
        let states = self.instances().into_iter();
        states
            .filter(|(_, s)| *s == InstanceRecoveryState::Success)
            .map(|(id, _)| id)
            .collect()
    }

    /// What the last graph of these kinds left undone. What succeeded stays done: a second try must not begin again in the
    /// middle of a hand-over.
    ///
    /// # Errors
    /// `Refused` when nothing of the chosen instances is left to do.
    pub fn remaining(&self, kinds: &[PhaseKind], only: Option<&BTreeSet<CloudId>>) -> Result<TaskGraph> {
        let mut graph = TaskGraph::default();
        let phases = (self.phases.iter().enumerate()).filter(|(_, p)| kinds.contains(&p.kind));
        for (place, task) in phases.flat_map(|(n, p)| p.graph.tasks.values().map(move |t| (n, t))) {
            let chosen = only.is_none_or(|o| o.is_empty() || !task.instances.is_disjoint(o));
            let left = self.status(&task.key) != TaskStatus::Done && self.replaced(place, task).is_none();
            if chosen && left {
                graph.tasks.insert(task.key.clone(), task.clone());
            }
        }
        let left: BTreeSet<TaskKey> = graph.tasks.keys().cloned().collect();
        for task in graph.tasks.values_mut() {
            task.after.retain(|k| left.contains(k));
            task.order.retain(|k| left.contains(k));
        }
        if planted::is(Bug::RetryDoesNothing) && kinds == [PhaseKind::Rollback] {
            return Ok(TaskGraph::default());
        }
        if graph.tasks.is_empty() {
            return Err(
                Error::new(ErrorKind::Refused, "job.retry", "nothing of these instances failed")
                    .with_field("instances")
                    .with_remedy("choose instances that failed"),
            );
        }
        Ok(graph)
    }

    /// What the next transition depends on, of what the journal tells; nothing else of the group is in the way.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let clears_source = |task: &Task| {
            let side = match &task.action {
                Action::Remove { side, .. } | Action::Release { side, .. } => Some(*side),
                _ => None,
            };
            side == Some(Side::Source) && self.tasks.get(&task.key).is_some_and(|state| state.attempts > 0)
        };
        let mut confirms = self.phases.iter().filter(|p| p.kind == PhaseKind::Confirm);
        Facts {
            job_type: self.work.recovery().map_or(JobType::Failover, |d| d.job_type),
            result: self.result,
            failed_clear: self.clear,
            group_is_free: true,
            first_in_group: true,
            source_cleared: confirms.any(|p| p.graph.tasks.values().any(clears_source)),
        }
    }

    /// The confirm of what was recovered. What only failed instances need is rolled back; what a recovered one shares with them
    /// stays (SM-66).
    ///
    /// # Errors
    /// As [`plan_confirm`] and [`plan_undo`].
    pub fn plan_confirm(&self, frozen: &Frozen, recovered: &BTreeSet<CloudId>, decision: &str) -> Result<TaskGraph> {
        let mut places: BTreeMap<&TaskKey, usize> = BTreeMap::new();
        for (place, phase) in self.phases.iter().enumerate() {
            for key in phase.graph.tasks.keys() {
                places.entry(key).or_insert(place);
            }
        }
        // A try that failed before another point was taken leaves its server, volumes and promotions; networks and tenants are used
        // on.
        let failed_before = |task: &Task| {
            let place = places.get(&task.key).copied().unwrap_or(usize::MAX);
            let replaced = place < usize::MAX
                && self
                    .replaced(place, task)
                    .is_some_and(|o| task.instances.is_disjoint(&o.aside));
            replaced
                && match &task.action {
                    Action::Create { spec, .. } => spec.kind() == CreatedKind::Server,
                    // The instance has a successor, and is not started beside it.
                    Action::StopServer { .. } => false,
                    _ => true,
                }
        };
        let done = self.done();
        let is_lost = |d: &Done<'_>| {
            let users = users(d.task, &done);
            let unused = users.iter().all(|id| !recovered.contains(*id));
            !users.is_empty() && (unused || failed_before(d.task))
        };
        let (lost, kept): (Vec<_>, Vec<_>) = done.iter().copied().partition(is_lost);
        let mut graph = plan_confirm(&self.id, &kept, recovered, &self.prefix("confirm"))?;
        let undo = plan_undo(&self.id, &frozen.plan, &lost, &self.prefix("undo"), decision)?;
        graph.tasks.extend(undo.tasks);
        Ok(graph)
    }
}

/// What the keys of a recovery from another point begin with, by its place among the graphs of the job.
#[must_use]
pub fn beside(place: usize) -> String {
    format!("beside{place}/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::journal::{Entry, TaskOutput, TaskResult};
    use crate::model::{GroupId, JobId, PlanId, ReplicationId, Work};
    use crate::planning::{Action, ImageRef};
    use crate::provider::Ref;

    fn append(view: &mut JobView, event: Event) {
        view.apply(&Entry {
            job: view.id.clone(),
            position: view.position + 1,
            at: Timestamp::UNIX_EPOCH,
            event,
        });
    }

    fn ends(view: &mut JobView, task: &TaskKey, result: TaskResult) {
        let (task, attempt) = (task.clone(), 1);
        let intent = Event::Intent {
            task: task.clone(),
            attempt,
        };
        append(view, intent);
        append(view, Event::Outcome { task, attempt, result });
    }

    /// Found by the model check: a retried demotion had lost its tie to the stop that had succeeded before, and so a rollback
    /// started the guest on a volume that was not yet writable again.
    #[test]
    fn what_was_retried_is_undone_in_the_order_of_the_first_plan() {
        let job = JobId::new("j");
        let mut view = JobView::begin(&Entry {
            job: job.clone(),
            position: 1,
            at: Timestamp::UNIX_EPOCH,
            event: Event::Created {
                work: Work::Prune {
                    group_id: GroupId::new("group"),
                    plan_id: PlanId::new("plan"),
                },
                actor: "anna".to_owned(),
                owner_group_id: None,
            },
        })
        .unwrap();
        let mut graph = TaskGraph::default();
        let stop = Action::StopServer {
            side: Side::Source,
            server: Ref::Known(CloudId::new("g")),
            was_running: true,
        };
        let stop = graph.add("stop/g", stop, []);
        let demote = Action::Demote {
            side: Side::Source,
            image: ImageRef::Replica(ReplicationId::new("v")),
            only_if_primary: false,
        };
        let demote = graph.add("demote/v", demote, [&stop]);
        append(
            &mut view,
            Event::Planned {
                phase: PhaseKind::Run,
                graph,
                other: None,
            },
        );
        let done = || TaskResult::Done {
            output: TaskOutput::default(),
        };
        ends(&mut view, &stop, done());
        let error = Error::new(ErrorKind::Rejected, "test", "no").to_record();
        ends(&mut view, &demote, TaskResult::Failed { error });
        let graph = view.remaining(&[PhaseKind::Run], None).unwrap();
        assert!(
            graph.tasks[&demote].after.is_empty(),
            "it does not wait for what is done"
        );
        let phase = PhaseKind::Retry;
        append(
            &mut view,
            Event::Planned {
                phase,
                graph,
                other: None,
            },
        );
        ends(&mut view, &demote, done());

        let all = view.done();
        assert_eq!(all.len(), 2, "each task once");
        let undone = all.iter().find(|d| d.task.key == demote).unwrap();
        assert_eq!(undone.task.after, BTreeSet::from([stop]));
    }
}
