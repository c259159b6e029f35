//! The job's half of a moment: its journal, folded, and which of its tasks run. Everything here is decided by the real thing
//! (`machine`, `planning`, the fold and what it comes to next); what `engine::runner` adds, the order in which it asks, is done
//! as there. What a half comes to does not depend on the world, only on what its tasks find there.

use crate::effect::{Effect, Found};
use crate::inputs::{AWAY, Layout, coming_home, frozen};
use crate::world::{Mark, World};
use jiff::Timestamp;
use ns_core::journal::{Due, Entry, Event, Frozen, JobView, PhaseKind, TaskOutput, TaskResult};
use ns_core::machine::{self, Facts, TimerKind, Trigger};
use ns_core::model::*;
use ns_core::planning::{
    Action, Homecoming, Homeward, RecoveryData, RecoveryInputs, TaskGraph, plan_homecoming, plan_recovery, plan_undo,
    plan_unfence,
};
use ns_core::provider::{self, CreatedKind, Handle};
use ns_core::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many effects may be under way at once on a side: more than this group ever has, so that the order of keys means nothing.
const PARALLEL: usize = 8;

/// Where the data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// A drill of a recovery point.
    Drill,
    /// A failover to a recovery point; the source answers.
    Point,
    /// A planned failover.
    HandOver,
    /// A planned failover away from a cloud that does not answer; its storage does.
    CutOffGuests,
    /// A failover by force: the source is away.
    Forced,
    /// The same, and something can cut the source off for certain.
    Fenced,
    /// A failback, planned as well: to where the guest still is.
    Failback,
}

impl Data {
    pub const fn job_type(self) -> JobType {
        match self {
            Self::Drill => JobType::Drill,
            _ => JobType::Failover,
        }
    }

    pub const fn by_force(self) -> bool {
        matches!(self, Self::Forced | Self::Fenced)
    }
}

/// Changes a graph that planning made: a defect that is planted.
pub type Rewrite = fn(PhaseKind, &mut TaskGraph);

/// See above.
#[derive(Debug, Clone)]
pub struct Half {
    pub view: JobView,
    /// Tasks that this engine has begun.
    pub running: BTreeSet<TaskKey>,
    pub data: Data,
    /// The confirmed failover that a failback undoes.
    pub away: Option<Arc<JobView>>,
    pub rewrite: Option<Rewrite>,
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// A task that runs ends, by its number.
    Done(u8, Option<Mark>),
    Failed(u8),
    /// The engine dies and another takes its place.
    Death,
    Operation(JobOperation, /* the source was fenced */ bool),
    Timer,
}

impl Half {
    pub fn new(layout: Layout, data: Data, rewrite: Option<Rewrite>) -> Self {
        let definition = JobDefinition {
            job_type: data.job_type(),
            execution: ExecutionType::Immediate,
            data_point: match data {
                Data::Drill | Data::Point => DataPoint::SpecificSnapshot {
                    point_id: PointId::new("point"),
                },
                _ => DataPoint::LatestData,
            },
            group_id: GroupId::new("group"),
            plan_id: PlanId::new("plan"),
            force: None,
            exclude: BTreeSet::new(),
        };
        let first = Entry {
            job: JobId::new(if layout == AWAY { "away" } else { "job" }),
            position: 1,
            at: Timestamp::UNIX_EPOCH,
            event: Event::Created {
                work: Work::Recovery(definition),
                actor: "anna".into(),
                owner_group_id: None,
            },
        };
        let mut half = Self {
            view: JobView::begin(&first).unwrap(),
            running: BTreeSet::new(),
            data,
            away: (data == Data::Failback).then(|| Arc::new(confirmed_failover())),
            rewrite,
        };
        half.append(Event::Frozen {
            inputs: Box::new(match data {
                Data::Failback => coming_home(),
                _ => frozen(layout),
            }),
        });
        half.take(Trigger::Timer(TimerKind::PlannedTime), false).unwrap();
        half.settle();
        half
    }

    /// The tasks that run, with what they do.
    pub fn tasks(&self) -> Vec<(TaskKey, Effect)> {
        let Some(phase) = self.view.phase() else {
            return Vec::new();
        };
        let effect = |key| Effect::of(&self.view, self.away.as_deref(), &phase.graph.tasks[key]);
        self.running.iter().map(|key| (key.clone(), effect(key))).collect()
    }

    /// What comes of an input; none when it is refused.
    pub fn after(&self, input: Input, tasks: &[(TaskKey, Effect)]) -> Option<Self> {
        let mut half = self.clone();
        match input {
            Input::Done(n, mark) => half.done(&tasks[usize::from(n)].0, mark),
            Input::Failed(n) => half.end(&tasks[usize::from(n)].0, failed()),
            Input::Death => half.running.clear(),
            Input::Operation(operation, fenced) => half.take(Trigger::Operation(operation), fenced).ok()?,
            Input::Timer => half.take(Trigger::Timer(TimerKind::RollbackWait), false).ok()?,
        }
        half.settle();
        Some(half)
    }

    fn append(&mut self, event: Event) {
        let entry = Entry {
            job: self.view.id.clone(),
            position: self.view.position + 1,
            at: Timestamp::UNIX_EPOCH,
            event,
        };
        self.view.apply(&entry);
    }

    pub fn facts(&self) -> Facts {
        Facts {
            job_type: self.data.job_type(),
            ..self.view.facts()
        }
    }

    /// As `Runner::take`: a transition with the plan that belongs to it.
    fn take(&mut self, trigger: Trigger, fenced: bool) -> Result<(), Error> {
        let t = machine::step(self.view.state, self.view.operation, &trigger, &self.facts())?;
        let kind = PhaseKind::of(self.view.state, &t);
        let graph = kind.map(|kind| self.plan(kind, &trigger, fenced)).transpose()?;
        self.append(Event::Transition {
            from: self.view.state,
            to: t.next,
            operation: t.operation,
            row: t.row.to_owned(),
            result: t.result,
            clear: t.clear,
            deadline: None,
            actor: "anna".into(),
        });
        if let (Some(phase), Some(graph)) = (kind, graph) {
            self.append(Event::Planned {
                phase,
                graph,
                other: None,
            });
        }
        if t.next == JobState::Canceling {
            let graph = &self.view.phase().unwrap().graph;
            let waits = |k: &&TaskKey| graph.tasks[*k].action.only_waits();
            for key in self.running.iter().filter(waits).cloned().collect::<Vec<_>>() {
                self.end(&key, failed());
            }
        }
        Ok(())
    }

    /// As `Runner::plan`.
    fn plan(&self, kind: PhaseKind, trigger: &Trigger, fenced: bool) -> Result<TaskGraph, Error> {
        let view = &self.view;
        let frozen = view.frozen.as_deref().unwrap();
        let mut graph = match (kind, trigger) {
            (PhaseKind::Run, _) => self.plan_run()?,
            (PhaseKind::Retry, _) => view.remaining(&[PhaseKind::Run, PhaseKind::Retry], Some(&BTreeSet::new()))?,
            (PhaseKind::Rollback, Trigger::Operation(JobOperation::RetryRollback)) => {
                view.remaining(&[PhaseKind::Rollback], None)?
            }
            (PhaseKind::Confirm, Trigger::Operation(JobOperation::RetryConfirm)) => {
                view.remaining(&[PhaseKind::Confirm], None)?
            }
            (PhaseKind::Rollback, _) => {
                let prefix = view.prefix("undo");
                let mut graph = plan_undo(&view.id, &frozen.plan, &view.done(), &prefix, "d")?;
                if fenced {
                    plan_unfence(&mut graph, &frozen.inventory, &prefix)?;
                }
                graph
            }
            (PhaseKind::Confirm, _) => self.plan_confirm(frozen)?,
        };
        if let Some(rewrite) = self.rewrite {
            rewrite(kind, &mut graph);
        }
        Ok(graph)
    }

    fn plan_confirm(&self, frozen: &Frozen) -> Result<TaskGraph, Error> {
        let recovered = self.view.recovered();
        let mut graph = self.view.plan_confirm(frozen, &recovered, "d")?;
        if let (Some(home), Some(away)) = (&frozen.plan.home, &self.away) {
            let back = recovered
                .iter()
                .filter_map(|g| home.instances.get(g))
                .cloned()
                .collect();
            let volumes: Vec<_> = frozen.plan.volumes.values().collect();
            let prefix = self.view.prefix("home");
            let homecoming = Homecoming {
                home,
                failover: &away.done(),
                back: &back,
                idle: &[],
                volumes: &volumes,
                released: &[],
                points: &[],
            };
            graph.tasks.extend(plan_homecoming(homecoming, &prefix)?.tasks);
        }
        Ok(graph)
    }

    fn plan_run(&self) -> Result<TaskGraph, Error> {
        let frozen = self.view.frozen.as_deref().unwrap();
        let point = frozen.point.as_ref().unwrap();
        let originals = frozen_originals();
        let home = frozen.plan.home.as_ref().map(|home| Homeward {
            home,
            originals: &originals,
        });
        plan_recovery(&RecoveryInputs {
            job_id: &self.view.id,
            plan: &frozen.plan,
            instances: &frozen.group.instances.iter().cloned().collect(),
            inventory: &frozen.inventory,
            target_flavors: &frozen.target_flavors,
            data: match self.data {
                Data::Drill | Data::Point => RecoveryData::Point {
                    point,
                    stop_source: self.data == Data::Point,
                },
                Data::HandOver | Data::Failback => RecoveryData::HandOver { stop_source: true },
                Data::CutOffGuests => RecoveryData::HandOver { stop_source: false },
                Data::Forced | Data::Fenced => RecoveryData::Forced {
                    decision: "d",
                    epoch: 1,
                    stop_source: false,
                },
            },
            fence: (self.data == Data::Fenced).then_some((&frozen.group.source_cluster, "d")),
            home,
            isolated: self.data == Data::Drill,
            suffix: "x",
            prefix: "",
        })
    }

    /// As `Runner::advance`: everything that the engine does by itself, up to where something outside has to happen.
    fn settle(&mut self) {
        loop {
            let trigger = match self.view.state {
                JobState::Pending => Trigger::Operation(JobOperation::Run),
                JobState::Reporting => Trigger::ReportMade,
                JobState::Running | JobState::Canceling | JobState::Clearing => {
                    match self.view.phase_end(!self.running.is_empty()) {
                        Some(trigger) => trigger,
                        None if self.start() => continue,
                        None => return,
                    }
                }
                _ => return,
            };
            self.take(trigger, false).unwrap();
        }
    }

    /// As `Runner::start_tasks`; whether anything happened.
    fn start(&mut self) -> bool {
        let running = self.running.iter().collect();
        let Due { ended, ready } = self.view.due(&running, PARALLEL, Timestamp::UNIX_EPOCH);
        let ready: Vec<TaskKey> = ready.into_iter().map(|t| t.key.clone()).collect();
        if !ended.is_empty() {
            ended.into_iter().for_each(|event| self.append(event));
            return true;
        }
        for task in &ready {
            let attempt = self.view.tasks[task].attempts + 1;
            self.append(Event::Intent {
                task: task.clone(),
                attempt,
            });
            self.running.insert(task.clone());
        }
        !ready.is_empty()
    }

    fn done(&mut self, key: &TaskKey, mark: Option<Mark>) {
        let task = &self.view.phase().unwrap().graph.tasks[key];
        let mut output = TaskOutput {
            mark: mark.map(|(writes, turn)| provider::Mark::new(format!("{writes}/{turn}"))),
            ..TaskOutput::default()
        };
        match &task.action {
            Action::Create { spec, .. } => output.handle = Some(handle(spec.kind(), key)),
            Action::Adopt { .. } => output.handle = Some(handle(CreatedKind::Volume, key)),
            Action::Clone { .. } => output.image = Some(StorageRef::new(format!("rbd:vault/{key}"))),
            _ => {}
        }
        self.end(key, TaskResult::Done { output });
    }

    fn end(&mut self, key: &TaskKey, result: TaskResult) {
        self.running.remove(key);
        let attempt = self.view.tasks[key].attempts;
        self.append(Event::Outcome {
            task: key.clone(),
            attempt,
            result,
        });
    }
}

/// What is still there of what was failed over: all of it, stopped.
fn frozen_originals() -> Inventory {
    let mut originals = frozen(AWAY).inventory;
    for instance in originals.instances.values_mut() {
        instance.power = PowerState::Stopped;
    }
    originals
}

/// The failover that led away: nothing happened but what was planned.
fn confirmed_failover() -> JobView {
    let mut half = Half::new(AWAY, Data::HandOver, None);
    let mut world = World::new([0, 0], false);
    while half.view.state != JobState::Finished {
        for volume in 0..2 {
            if world.may_sync(volume) {
                world.sync(volume);
            }
        }
        let tasks = half.tasks();
        let input = match tasks.first() {
            None => Input::Operation(JobOperation::Confirm, false),
            Some((_, effect)) => match world.take(*effect) {
                Found::Done(mark) => Input::Done(0, mark),
                other => panic!("{effect:?}: {other:?}"),
            },
        };
        half = half.after(input, &tasks).unwrap();
    }
    half.view
}

fn handle(kind: CreatedKind, key: &TaskKey) -> Handle {
    Handle {
        kind,
        id: CloudId::new(key.as_str()),
        tenant: None,
        storage: None,
    }
}

fn failed() -> TaskResult {
    TaskResult::Failed {
        error: Error::new(ErrorKind::Rejected, "model.failed", "it does not work").to_record(),
    }
}
