//! The fold: what a journal says, as one value.

use super::event::{DecisionKind, Entry, Event, Frozen, OtherPoint, PhaseKind, TaskOutput, TaskResult};
use crate::model::{
    ClearOperation, CloudId, InstanceRecoveryState, JobId, JobOperation, JobState, JobSummary, OwnerGroupId,
    ResultCode, TaskKey, Work,
};
use crate::planning::{Action, Done, Side, Task, TaskGraph};
use crate::planted::{self, Bug};
use crate::provider::Spec;
use crate::{Error, ErrorKind, ErrorRecord, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Not tried yet, or to be tried again.
    Pending,
    /// An intent without an outcome: it runs, or ran when the engine died.
    Running,
    /// Its post-condition was seen.
    Done,
    /// It failed for good.
    Failed,
    /// It will not be tried.
    Skipped,
}

impl TaskStatus {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Skipped)
    }
}

/// Everything the journal says of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskState {
    /// Where it is.
    pub status: TaskStatus,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts that failed in a way that may pass.
    pub failures: u32,
    /// What came of it.
    pub output: TaskOutput,
    /// The last error.
    pub error: Option<ErrorRecord>,
    /// Not before this time, after a failed attempt.
    pub not_before: Option<Timestamp>,
    /// When the first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How far it is, 0 to 100.
    pub percent: Option<u8>,
    /// What it last said of itself, or why it was skipped.
    pub message: Option<String>,
}

impl TaskState {
    const NEW: Self = Self {
        status: TaskStatus::Pending,
        attempts: 0,
        failures: 0,
        output: TaskOutput {
            handle: None,
            image: None,
            replication_id: None,
            mark: None,
            taken_at: None,
            synced_to: None,
            proof: None,
            absent: false,
        },
        error: None,
        not_before: None,
        started_at: None,
        ended_at: None,
        percent: None,
        message: None,
    };
}

/// A decision of an operator, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// Identifies it.
    pub id: String,
    /// What about.
    pub kind: DecisionKind,
    /// Who.
    pub operator: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// What the engine knew when it asked.
    pub facts: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// A graph that runs or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Why it runs.
    pub kind: PhaseKind,
    /// The graph.
    pub graph: TaskGraph,
    /// For a retry from another recovery point.
    pub other: Option<OtherPoint>,
}

/// Everything the journal says of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// What it is to do.
    pub work: Work,
    /// Who made it.
    pub actor: String,
    /// Whose it is; none in journals of earlier versions.
    pub owner_group_id: Option<OwnerGroupId>,
    /// Where it is.
    pub state: JobState,
    /// What it handles.
    pub operation: JobOperation,
    /// Which clean-up is or was under way (CON-27).
    pub clear: Option<ClearOperation>,
    /// How it ended.
    pub result: Option<ResultCode>,
    /// When a timer acts next.
    pub deadline: Option<Timestamp>,
    /// The frozen inputs.
    pub frozen: Option<Arc<Frozen>>,
    /// The graphs, in order.
    pub phases: Vec<Arc<Phase>>,
    /// The tasks of all graphs.
    pub tasks: BTreeMap<TaskKey, TaskState>,
    /// Decisions of operators, in order.
    pub decisions: Vec<Decided>,
    /// Digest of the report.
    pub report_digest: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it first ran.
    pub started_at: Option<Timestamp>,
    /// When its recovery tasks had ended.
    pub completed_at: Option<Timestamp>,
    /// When the last entry was written.
    pub changed_at: Timestamp,
    /// Position of the last entry.
    pub position: u64,
}

/// How far the tasks of an instance or a volume came.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// The run or retry it is about, counted from the last.
    turn: usize,
    failed: bool,
    all_done: bool,
    /// The making of a server has begun.
    boots: bool,
    /// Everything but the making of servers is done.
    prepared: bool,
}

impl Progress {
    const fn begin(turn: usize) -> Self {
        Self {
            turn,
            failed: false,
            all_done: true,
            boots: false,
            prepared: true,
        }
    }

    fn add(&mut self, task: &Task, status: TaskStatus) {
        let is_server = matches!(
            &task.action,
            Action::Create {
                side: Side::Target,
                spec: Spec::Server { .. }
            }
        );
        let done = status == TaskStatus::Done;
        self.failed |= matches!(status, TaskStatus::Failed | TaskStatus::Skipped);
        self.all_done &= done;
        self.boots |= is_server && status != TaskStatus::Pending;
        self.prepared &= is_server || done;
    }

    const fn of_instance(self) -> InstanceRecoveryState {
        match self {
            Self { failed: true, .. } => InstanceRecoveryState::Failed,
            Self { all_done: true, .. } => InstanceRecoveryState::Success,
            Self { boots: true, .. } => InstanceRecoveryState::Booting,
            Self { prepared: true, .. } => InstanceRecoveryState::Recovered,
            _ => InstanceRecoveryState::Preparing,
        }
    }
}

impl JobView {
    /// The view after the first entry.
    ///
    /// # Errors
    /// `Corrupt` when the first entry is not the job's creation.
    pub fn begin(entry: &Entry) -> Result<Self> {
        let Event::Created {
            work,
            actor,
            owner_group_id,
        } = &entry.event
        else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "journal.first",
                "a journal begins with the job's creation",
            )
            .with("job", &entry.job));
        };
        Ok(Self {
            id: entry.job.clone(),
            work: work.clone(),
            actor: actor.clone(),
            owner_group_id: owner_group_id.clone(),
            state: JobState::Waiting,
            operation: JobOperation::Run,
            clear: None,
            result: None,
            deadline: None,
            frozen: None,
            phases: Vec::new(),
            tasks: BTreeMap::new(),
            decisions: Vec::new(),
            report_digest: None,
            created_at: entry.at,
            started_at: None,
            completed_at: None,
            changed_at: entry.at,
            position: entry.position,
        })
    }

    /// Folds a whole journal.
    ///
    /// # Errors
    /// As [`JobView::begin`]; `NotFound` when there are no entries.
    pub fn fold(job: &JobId, entries: &[Entry]) -> Result<Self> {
        let Some((first, rest)) = entries.split_first() else {
            return Err(Error::new(ErrorKind::NotFound, "job", format!("there is no job {job}")));
        };
        let mut view = Self::begin(first)?;
        for entry in rest {
            view.apply(entry);
        }
        Ok(view)
    }

    /// Takes the next entry in.
    pub fn apply(&mut self, entry: &Entry) {
        self.position = entry.position;
        self.changed_at = entry.at;
        match &entry.event {
            Event::Created { .. } | Event::Noted { .. } => {}
            Event::Frozen { inputs } => self.frozen = Some(Arc::new((**inputs).clone())),
            Event::Transition {
                to,
                operation,
                result,
                clear,
                deadline,
                ..
            } => {
                if *to == JobState::Running && self.started_at.is_none() {
                    self.started_at = Some(entry.at);
                }
                if *to == JobState::Completed {
                    self.completed_at = Some(entry.at);
                }
                self.state = *to;
                self.operation = *operation;
                self.result = result.or(self.result);
                self.clear = *clear;
                self.deadline = *deadline;
            }
            Event::DeadlineMoved { deadline, .. } => self.deadline = Some(*deadline),
            Event::Planned { phase, graph, other } => {
                for key in graph.tasks.keys() {
                    self.tasks.insert(key.clone(), TaskState::NEW);
                }
                let (kind, graph, other) = (*phase, graph.clone(), other.clone());
                self.phases.push(Arc::new(Phase { kind, graph, other }));
            }
            Event::Decided {
                decision,
                kind,
                operator,
                reason,
                facts,
            } => {
                self.decisions.push(Decided {
                    id: decision.clone(),
                    kind: *kind,
                    operator: operator.clone(),
                    reason: reason.clone(),
                    facts: facts.clone(),
                    at: entry.at,
                });
            }
            Event::Intent { task, attempt } => {
                let state = self.task_mut(task);
                state.status = TaskStatus::Running;
                state.attempts = *attempt;
                state.started_at = state.started_at.or(Some(entry.at));
                state.not_before = None;
            }
            Event::Progress { task, percent, message } => {
                let state = self.task_mut(task);
                state.percent = *percent;
                state.message = Some(message.clone());
            }
            Event::Outcome { task, result, .. } => {
                let state = self.task_mut(task);
                match result {
                    TaskResult::Done { output } => {
                        state.status = TaskStatus::Done;
                        state.output = output.clone();
                        state.ended_at = Some(entry.at);
                        state.percent = Some(100);
                    }
                    TaskResult::Retry { error, delay_ms } => {
                        state.status = TaskStatus::Pending;
                        state.failures += 1;
                        state.error = Some(error.clone());
                        let delay = std::time::Duration::from_millis(*delay_ms);
                        state.not_before = Some(entry.at.saturating_add(delay).unwrap_or(entry.at));
                    }
                    TaskResult::Failed { error } => {
                        state.status = TaskStatus::Failed;
                        state.error = Some(error.clone());
                        state.ended_at = Some(entry.at);
                    }
                }
            }
            Event::Skipped { task, because } => {
                let state = self.task_mut(task);
                state.status = TaskStatus::Skipped;
                state.message = Some(because.clone());
                state.ended_at = Some(entry.at);
            }
            Event::Reported { digest } => self.report_digest = Some(digest.clone()),
        }
    }

    fn task_mut(&mut self, key: &TaskKey) -> &mut TaskState {
        self.tasks.entry(key.clone()).or_insert(TaskState::NEW)
    }

    /// The graph that runs, or ran last.
    #[must_use]
    pub fn phase(&self) -> Option<&Phase> {
        self.phases.last().map(Arc::as_ref)
    }

    /// Whether every task of the last graph has ended.
    #[must_use]
    pub fn phase_has_ended(&self) -> bool {
        self.phase()
            .is_some_and(|p| p.graph.tasks.keys().all(|k| self.status(k).has_ended()))
    }

    /// Whether every task of the last graph succeeded.
    #[must_use]
    pub fn phase_succeeded(&self) -> bool {
        self.phase()
            .is_some_and(|p| p.graph.tasks.keys().all(|k| self.status(k) == TaskStatus::Done))
    }

    /// Where a task is.
    #[must_use]
    pub fn status(&self, key: &TaskKey) -> TaskStatus {
        self.tasks.get(key).map_or(TaskStatus::Pending, |t| t.status)
    }

    /// What came of a task.
    #[must_use]
    pub fn output(&self, key: &TaskKey) -> Option<&TaskOutput> {
        self.tasks
            .get(key)
            .filter(|t| t.status == TaskStatus::Done)
            .map(|t| &t.output)
    }

    /// Every recovery task whose intent was written: what a rollback has to look at. Each once, as it was first planned: a retry
    /// no longer waits for what had succeeded before, but undoing still has to go the other way round.
    #[must_use]
    pub fn done(&self) -> Vec<Done<'_>> {
        let mut seen = BTreeSet::new();
        self.phases
            .iter()
            .filter(|p| matches!(p.kind, PhaseKind::Run | PhaseKind::Retry))
            .flat_map(|p| p.graph.tasks.values())
            .filter(|task| seen.insert(&task.key))
            .filter_map(|task| {
                let state = self.tasks.get(&task.key)?;
                let known = state.status == TaskStatus::Done || !planted::is(Bug::UndoKnownOnly);
                (state.attempts > 0 && known).then_some(Done {
                    task,
                    handle: state.output.handle.as_ref(),
                    absent: state.output.absent,
                })
            })
            .collect()
    }

    /// The instances of this job with their state (JOB-57, JOB-59).
    #[must_use]
    pub fn instances(&self) -> BTreeMap<CloudId, InstanceRecoveryState> {
        let Some(frozen) = &self.frozen else {
            return BTreeMap::new();
        };
        let progress = self.progress(|task| task.instances.iter());
        let state = |id| match progress.get(id) {
            _ if self.excludes(id) => InstanceRecoveryState::Excluded,
            Some(progress) => progress.of_instance(),
            None => InstanceRecoveryState::Preparing,
        };
        let instances = &frozen.group.instances;
        instances.iter().map(|id| (id.clone(), state(id))).collect()
    }

    /// The volumes of this job's instances with their state (JOB-58, JOB-59): recovered when they are there, and a success when
    /// those that use them are.
    #[must_use]
    pub fn volumes(&self) -> BTreeMap<CloudId, InstanceRecoveryState> {
        use InstanceRecoveryState::{Booting, Excluded, Failed, Preparing, Recovered, Success};
        let Some(frozen) = &self.frozen else {
            return BTreeMap::new();
        };
        let mut users: BTreeMap<&CloudId, BTreeSet<InstanceRecoveryState>> = BTreeMap::new();
        for (id, state) in &self.instances() {
            let instance = frozen.inventory.instances.get(id);
            for volume in instance.into_iter().flat_map(|i| &i.volume_ids) {
                users.entry(volume).or_default().insert(*state);
            }
        }
        let progress = self.progress(|task| task.volume.iter());
        let state = |(volume, users): (&CloudId, BTreeSet<InstanceRecoveryState>)| {
            let wanted = || users.iter().filter(|s| **s != Excluded);
            let state = match progress.get(volume) {
                _ if wanted().next().is_none() => Excluded,
                Some(own) if own.failed => Failed,
                Some(own) if !own.all_done => Preparing,
                None => Preparing,
                Some(_) if wanted().all(|s| *s == Success) => Success,
                Some(_) if users.contains(&Booting) => Booting,
                Some(_) => Recovered,
            };
            (volume.clone(), state)
        };
        users.into_iter().map(state).collect()
    }

    pub(crate) fn excludes(&self, id: &CloudId) -> bool {
        self.work.recovery().is_some_and(|d| d.exclude.contains(id))
    }

    /// How far the tasks of each thing came, in the last run or retry that had it in it.
    fn progress<'a, I: Iterator<Item = &'a CloudId>>(
        &'a self,
        about: impl Fn(&'a Task) -> I,
    ) -> BTreeMap<&'a CloudId, Progress> {
        let mut all: BTreeMap<&CloudId, Progress> = BTreeMap::new();
        let recovers = |p: &&Arc<Phase>| matches!(p.kind, PhaseKind::Run | PhaseKind::Retry);
        for (turn, phase) in self.phases.iter().rev().filter(recovers).enumerate() {
            for task in phase.graph.tasks.values() {
                let status = self.status(&task.key);
                for id in about(task) {
                    let progress = all.entry(id).or_insert(Progress::begin(turn));
                    if progress.turn == turn {
                        progress.add(task, status);
                    }
                }
            }
        }
        all
    }

    /// The result the ended tasks stand for (OPEN-22). Work without instances is judged by its tasks.
    #[must_use]
    pub fn evaluate(&self) -> ResultCode {
        let states: BTreeSet<InstanceRecoveryState> = self
            .instances()
            .into_values()
            .filter(|s| *s != InstanceRecoveryState::Excluded)
            .collect();
        let all = match self.work {
            Work::Recovery(_) => states.iter().all(|s| *s == InstanceRecoveryState::Success),
            _ => self.phase_succeeded(),
        };
        if all {
            ResultCode::Success
        } else if self.work.recovery().is_some() && states.contains(&InstanceRecoveryState::Success) {
            ResultCode::PartialSuccess
        } else {
            ResultCode::Failed
        }
    }

    /// The job as lists show it.
    #[must_use]
    pub fn summary(&self) -> JobSummary {
        JobSummary {
            id: self.id.clone(),
            work: self.work.clone(),
            owner_group_id: self.owner_group_id.clone(),
            state: self.state,
            operation: self.operation,
            failed_clear: self.clear.filter(|_| self.state == JobState::ClearFailed),
            result: self.result,
            created_at: self.created_at,
            deadline: self.deadline,
            position: self.position,
        }
    }
}
