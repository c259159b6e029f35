//! The job state machine: state × trigger × facts → transition (§8 of the rule book).
//!
//! Here is decided which transition a job takes and which operations it takes at all. Nothing is done here: no task, no
//! timer, no store. [`TABLE`] is the only place that says what is legal; [`step`] looks it up. It knows `model` only.
//!
//! ```text
#![doc = include_str!("diagram.mmd")]
//! ```

mod diagram;
mod table;

pub use diagram::diagram;
pub use table::{Guard, On, Outcome, Row, Starts, TABLE};

use crate::model::{ClearOperation, ExecutionType, JobOperation, JobState, JobType, ResultCode};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How late a drill may start after its planned time before it is given up, unless set otherwise (JOB-54, SM-34).
pub const DRILL_LATEST_START: Duration = Duration::from_secs(10 * 60);
/// How long a job stays paused, unless set otherwise (OPEN-02).
pub const DEFAULT_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long a drill waits for its operator before it is rolled back, unless set otherwise (OPEN-02).
pub const DEFAULT_ROLLBACK_WAIT: Duration = Duration::from_secs(60 * 60);
/// By how many minutes the rollback wait may be extended in one call: one minute to seven days (OPEN-02).
pub const EXTENSION_MINUTES: RangeInclusive<u32> = 1..=7 * 24 * 60;

/// The timers a job may wait for; at most one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerKind {
    /// The job is to be queued: at once, at its date-time, or when its schedule is due (SM-32).
    PlannedTime,
    /// The drill is [`DRILL_LATEST_START`] past its planned time (SM-34).
    DrillTooLate,
    /// The pause has lasted long enough (SM-37).
    PauseTimeout,
    /// Nobody decided what becomes of the drill (SM-46, SM-54).
    RollbackWait,
}

impl TimerKind {
    /// Every timer.
    pub const ALL: &'static [Self] = &[
        Self::PlannedTime,
        Self::DrillTooLate,
        Self::PauseTimeout,
        Self::RollbackWait,
    ];
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Somebody asks for an operation; in `pending` the engine itself asks for `run`.
    Operation(JobOperation),
    /// A timer ran out.
    Timer(TimerKind),
    /// All recovery tasks ended, with this result (OPEN-22).
    TasksEnded(ResultCode),
    /// All clear tasks ended.
    ClearEnded {
        /// Whether every one of them succeeded.
        all_succeeded: bool,
    },
    /// The report is stored.
    ReportMade,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operation(operation) => operation.as_str(),
            Self::Timer(TimerKind::PlannedTime) => "planned-time",
            Self::Timer(TimerKind::DrillTooLate) => "drill-too-late",
            Self::Timer(TimerKind::PauseTimeout) => "pause-timeout",
            Self::Timer(TimerKind::RollbackWait) => "rollback-timeout",
            Self::TasksEnded(_) => "tasks-ended",
            Self::ClearEnded { .. } => "clear-ended",
            Self::ReportMade => "report-made",
        })
    }
}

/// What a transition depends on besides state, operation and trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Drill or failover.
    pub job_type: JobType,
    /// The job's result so far.
    pub result: Option<ResultCode>,
    /// Which clean-up failed, in `clear-failed`.
    pub failed_clear: Option<ClearOperation>,
    /// No other job [holds](holds_group) the protection group; asked in `pending`.
    pub group_is_free: bool,
    /// No pending job of the group was queued earlier; asked in `pending`.
    pub first_in_group: bool,
    /// The confirm of a failback has begun to clear away what it led back from; asked in `clear-failed`.
    pub source_cleared: bool,
}

/// Where a job goes: everything the engine writes down about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Transition {
    /// The row of the rule book, e.g. `SM-35`.
    pub row: &'static str,
    /// The state it comes into.
    pub next: JobState,
    /// What it handles there.
    pub operation: JobOperation,
    /// Its result from now on.
    pub result: Option<ResultCode>,
    /// In `clearing` the clean-up that runs, in `clear-failed` the one that failed, else none.
    pub clear: Option<ClearOperation>,
    /// The timer that runs there; none: any that runs is cleared.
    pub timer: Option<TimerKind>,
}

/// SM-31: how a job begins.
#[must_use]
pub const fn created() -> Transition {
    Transition {
        row: "SM-31",
        next: JobState::Waiting,
        operation: JobOperation::Run,
        result: None,
        clear: None,
        timer: Some(TimerKind::PlannedTime),
    }
}

/// The transition a job takes. `operation` is what it handles now: in `clearing` it says which clean-up ended.
///
/// # Errors
/// `Refused`, code `job.operation`, naming state and operation, when no row of [`TABLE`] allows it (SM-64). Nothing else.
///
/// ```
/// use ns_core::machine::{Facts, Trigger, step};
/// use ns_core::model::{JobOperation, JobState, JobType};
/// let facts = Facts { job_type: JobType::Drill, result: None, failed_clear: None, group_is_free: true, first_in_group: true,
///     source_cleared: false };
/// let paused = step(JobState::Running, JobOperation::Run, &Trigger::Operation(JobOperation::Pause), &facts)?;
/// assert_eq!((paused.row, paused.next), ("SM-35", JobState::Paused));
/// assert!(step(JobState::Running, JobOperation::Run, &Trigger::Operation(JobOperation::Rollback), &facts).is_err());
/// # Ok::<(), ns_core::Error>(())
/// ```
pub fn step(state: JobState, operation: JobOperation, trigger: &Trigger, facts: &Facts) -> Result<Transition> {
    let row = lookup(state, trigger, facts).map_err(|why| refused(state, trigger, facts, &why))?;
    let operation = row.operation.unwrap_or(operation);
    let clear = match row.next {
        JobState::Clearing | JobState::ClearFailed => match operation {
            JobOperation::Rollback => Some(ClearOperation::Rollback),
            JobOperation::Confirm => Some(ClearOperation::Confirm),
            // A clean-up is a rollback or a confirm; a job that claims another never came through this table.
            other => {
                return Err(refused(
                    state,
                    trigger,
                    facts,
                    &format!("the job handles {other}, which is no clean-up"),
                ));
            }
        },
        _ => None,
    };
    Ok(Transition {
        row: row.id,
        next: row.next,
        operation,
        result: match row.outcome {
            Outcome::Keep => facts.result,
            Outcome::Set(code) => Some(code),
            Outcome::Forget => None,
        },
        clear,
        timer: match row.starts {
            Starts::Nothing => None,
            Starts::Timer(kind) => Some(kind),
            Starts::DrillTimer(kind) => (facts.job_type == JobType::Drill).then_some(kind),
        },
    })
}

/// The row that is taken, or why none is.
fn lookup(state: JobState, trigger: &Trigger, facts: &Facts) -> Result<&'static Row, String> {
    let mut unmet = Vec::new();
    for row in TABLE.iter().filter(|row| row.state == state && row.on.matches(trigger)) {
        match row.guards.iter().find(|guard| !guard.holds(facts)) {
            None => return Ok(row),
            Some(guard) => unmet.push(guard.text()),
        }
    }
    Err(if unmet.is_empty() {
        "no such transition".to_owned()
    } else {
        unmet.join(", or ")
    })
}

fn refused(state: JobState, trigger: &Trigger, facts: &Facts, why: &str) -> Error {
    let allowed: Vec<_> = allowed(state, facts).into_iter().map(JobOperation::as_str).collect();
    let remedy = if allowed.is_empty() {
        "wait for the next state".to_owned()
    } else {
        format!("allowed now: {}", allowed.join(", "))
    };
    Error::new(
        ErrorKind::Refused,
        "job.operation",
        format!("{trigger} is refused in state {state}: {why}"),
    )
    .with_field("operation")
    .with("state", state)
    .with("operation", trigger)
    .with_remedy(remedy)
}

/// The operations that [`step`] accepts now: what a screen offers (§8.6).
#[must_use]
pub fn allowed(state: JobState, facts: &Facts) -> Vec<JobOperation> {
    let legal = |operation: &JobOperation| lookup(state, &Trigger::Operation(*operation), facts).is_ok();
    JobOperation::ALL.iter().copied().filter(legal).collect()
}

/// Whether a job in this state keeps others of its group from running: from `running` until it leaves clean-up (CON-20).
#[must_use]
pub const fn holds_group(state: JobState) -> bool {
    use JobState::{Canceling, ClearFailed, Clearing, Completed, Paused, Running};
    matches!(state, Running | Paused | Canceling | Completed | Clearing | ClearFailed)
}

/// Whether the rollback wait may be extended, and by which row. In `SM-63` (failover) it is only recorded: no timer runs.
#[must_use]
pub const fn may_extend(state: JobState, job_type: JobType) -> Option<&'static str> {
    match (state, job_type) {
        (JobState::Completed, JobType::Drill) => Some("SM-61"),
        (JobState::ClearFailed, JobType::Drill) => Some("SM-62"),
        (JobState::ClearFailed, JobType::Failover) => Some("SM-63"),
        _ => None,
    }
}

/// Whether the time of a job may be changed, and by which row: only while it waits (JOB-47). An immediate job has none.
#[must_use]
pub const fn may_update(state: JobState, execution: &ExecutionType) -> Option<&'static str> {
    match (state, execution) {
        (JobState::Waiting, ExecutionType::AtDateTime { .. }) => Some("JOB-45"),
        (JobState::Waiting, ExecutionType::Schedule { .. }) => Some("JOB-46"),
        _ => None,
    }
}

/// Whether a job may be deleted, and by which row (JOB-49). `leave_resources`: the caller takes the list of what stays on
/// the Target upon himself (LIM-07); without it a job that has not been cleaned up is kept.
#[must_use]
pub const fn may_delete(state: JobState, leave_resources: bool) -> Option<&'static str> {
    match state {
        JobState::Waiting | JobState::Pending => Some("JOB-49"),
        JobState::Completed | JobState::ClearFailed if leave_resources => Some("JOB-49"),
        _ => None,
    }
}

/// What leaves the active lists with a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// The job only; its report stays.
    Job,
    /// The job, and the plan and group it recovered: they are on the other side now.
    JobPlanAndGroup,
}

/// SM-56: what a finished job takes with it. Plan and group go only with a confirmed failover (CON-25).
#[must_use]
pub const fn removal(job_type: JobType, operation: JobOperation, result: Option<ResultCode>) -> Removal {
    match (job_type, operation, result) {
        (JobType::Failover, JobOperation::Confirm, Some(ResultCode::Success | ResultCode::PartialSuccess)) => {
            Removal::JobPlanAndGroup
        }
        _ => Removal::Job,
    }
}
