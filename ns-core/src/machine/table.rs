//! The legality table: §8.4 of the rule book as data, with the resolutions of CON-20 … CON-29. Nothing else says which
//! transition is legal.

use super::{Facts, TimerKind, Trigger};
use crate::model::{ClearOperation, JobOperation, JobState, JobType, ResultCode};
use JobOperation as Op;
use JobState as S;
use ResultCode as R;

/// What a row reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// An operation is asked for.
    Operation(JobOperation),
    /// A timer ran out.
    Timer(TimerKind),
    /// All tasks ended with this result; none means with whichever.
    TasksEnded(Option<ResultCode>),
    /// All clear tasks ended; whether every one succeeded.
    ClearEnded(bool),
    /// The report is stored.
    ReportMade,
}

impl On {
    pub(super) fn matches(self, trigger: &Trigger) -> bool {
        match (self, trigger) {
            (Self::Operation(a), Trigger::Operation(b)) => a == *b,
            (Self::Timer(a), Trigger::Timer(b)) => a == *b,
            (Self::TasksEnded(a), Trigger::TasksEnded(b)) => a.is_none_or(|a| a == *b),
            (Self::ClearEnded(a), Trigger::ClearEnded { all_succeeded }) => a == *all_succeeded,
            (Self::ReportMade, Trigger::ReportMade) => true,
            _ => false,
        }
    }
}

/// What must hold for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The job is a drill.
    Drill,
    /// The job is a failover.
    Failover,
    /// The result is success or partial success (CON-29).
    Confirmable,
    /// The clean-up that failed was a rollback (CON-27).
    RollbackFailed,
    /// The clean-up that failed was a confirm (CON-27).
    ConfirmFailed,
    /// No other job holds the protection group (CON-20).
    GroupFree,
    /// No job of the group was queued earlier (SM-69).
    FirstInGroup,
    /// What a rollback would put to work again is still there: a server that the confirm of a failback removed is not.
    SourceKept,
}

impl Guard {
    /// Whether it holds.
    #[must_use]
    pub fn holds(self, facts: &Facts) -> bool {
        match self {
            Self::Drill => facts.job_type == JobType::Drill,
            Self::Failover => facts.job_type == JobType::Failover,
            Self::Confirmable => matches!(facts.result, Some(R::Success | R::PartialSuccess)),
            Self::RollbackFailed => facts.failed_clear == Some(ClearOperation::Rollback),
            Self::ConfirmFailed => facts.failed_clear == Some(ClearOperation::Confirm),
            Self::GroupFree => facts.group_is_free,
            Self::FirstInGroup => facts.first_in_group,
            Self::SourceKept => !facts.source_cleared,
        }
    }

    /// What it asks for, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Drill => "drills only",
            Self::Failover => "failovers only",
            Self::Confirmable => "only after success or partial success",
            Self::RollbackFailed => "only after a failed rollback",
            Self::ConfirmFailed => "only after a failed confirm",
            Self::GroupFree => "only when no other job holds the group",
            Self::FirstInGroup => "only for the job queued first",
            Self::SourceKept => "only before the confirm began to clear away where the instances came from",
        }
    }
}

/// What becomes of the job's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stays.
    Keep,
    /// It becomes this.
    Set(ResultCode),
    /// It is open again.
    Forget,
}

/// Which timer runs in the next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// None; one that runs is cleared.
    Nothing,
    /// This one.
    Timer(TimerKind),
    /// This one for a drill, none for a failover: a failover is never rolled back or given up by a timer (CON-20, CON-24).
    DrillTimer(TimerKind),
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its id in the rule book.
    pub id: &'static str,
    /// The state it leads from.
    pub state: JobState,
    /// What it reacts to.
    pub on: On,
    /// What must hold; all of it.
    pub guards: &'static [Guard],
    /// The state it leads to.
    pub next: JobState,
    /// What the job handles then; none: as before.
    pub operation: Option<JobOperation>,
    /// What becomes of the result.
    pub outcome: Outcome,
    /// Which timer runs then.
    pub starts: Starts,
}

const fn row(id: &'static str, state: JobState, on: On, guards: &'static [Guard], next: JobState) -> Row {
    Row {
        id,
        state,
        on,
        guards,
        next,
        operation: None,
        outcome: Outcome::Keep,
        starts: Starts::Nothing,
    }
}

impl Row {
    const fn op(self, operation: JobOperation) -> Self {
        Self {
            operation: Some(operation),
            ..self
        }
    }
    const fn result(self, code: ResultCode) -> Self {
        Self {
            outcome: Outcome::Set(code),
            ..self
        }
    }
    const fn reopened(self) -> Self {
        Self {
            outcome: Outcome::Forget,
            ..self
        }
    }
    const fn starts(self, timer: TimerKind) -> Self {
        Self {
            starts: Starts::Timer(timer),
            ..self
        }
    }
    const fn drill_starts(self, timer: TimerKind) -> Self {
        Self {
            starts: Starts::DrillTimer(timer),
            ..self
        }
    }
}

use Guard::{ConfirmFailed, Confirmable, Drill, Failover, FirstInGroup, GroupFree, RollbackFailed, SourceKept};
use TimerKind::{DrillTooLate, PauseTimeout, PlannedTime, RollbackWait};

/// Every legal transition. SM-31 (creation) is [`super::created`], SM-56 (removal) is [`super::removal`].
#[rustfmt::skip] // one row, one line (or two): read as the table it is
pub const TABLE: &[Row] = &[
    row("SM-32", S::Waiting, On::Timer(PlannedTime), &[], S::Pending).op(Op::Run).drill_starts(DrillTooLate),
    row("SM-33", S::Pending, On::Operation(Op::Run), &[GroupFree, FirstInGroup], S::Running).op(Op::Run),
    row("SM-34", S::Pending, On::Timer(DrillTooLate), &[Drill], S::Reporting).op(Op::Cancel).result(R::Canceled),
    row("SM-35", S::Running, On::Operation(Op::Pause), &[], S::Paused).op(Op::Pause).starts(PauseTimeout),
    row("SM-36", S::Paused, On::Operation(Op::Run), &[], S::Running).op(Op::Run),
    row("SM-37", S::Paused, On::Timer(PauseTimeout), &[], S::Running).op(Op::Run),
    row("SM-38", S::Paused, On::Operation(Op::Cancel), &[], S::Canceling).op(Op::Cancel),
    row("SM-39", S::Running, On::Operation(Op::Cancel), &[], S::Canceling).op(Op::Cancel),
    row("SM-40", S::Running, On::TasksEnded(Some(R::Success)), &[], S::Completed)
        .result(R::Success).drill_starts(RollbackWait),
    row("SM-41", S::Running, On::TasksEnded(Some(R::PartialSuccess)), &[], S::Completed)
        .result(R::PartialSuccess).drill_starts(RollbackWait),
    row("SM-42", S::Running, On::TasksEnded(Some(R::Failed)), &[], S::Completed)
        .result(R::Failed).drill_starts(RollbackWait),
    row("SM-43", S::Canceling, On::TasksEnded(None), &[], S::Completed)
        .result(R::Canceled).drill_starts(RollbackWait),
    row("SM-44", S::Completed, On::Operation(Op::Rollback), &[Drill], S::Clearing).op(Op::Rollback),
    row("SM-57", S::Completed, On::Operation(Op::Rollback), &[Failover], S::Clearing).op(Op::Rollback),
    row("SM-45", S::Completed, On::Operation(Op::Confirm), &[Failover, Confirmable], S::Clearing).op(Op::Confirm),
    row("SM-46", S::Completed, On::Timer(RollbackWait), &[Drill], S::Clearing).op(Op::Rollback),
    row("SM-47", S::Completed, On::Operation(Op::Retry), &[Failover], S::Running).op(Op::Retry).reopened(),
    row("SM-48", S::Clearing, On::ClearEnded(false), &[], S::ClearFailed).drill_starts(RollbackWait),
    row("SM-49", S::Clearing, On::ClearEnded(true), &[], S::Reporting),
    row("SM-50", S::ClearFailed, On::Operation(Op::RetryRollback), &[RollbackFailed], S::Clearing).op(Op::Rollback),
    row("SM-51", S::ClearFailed, On::Operation(Op::IgnoreRollback), &[RollbackFailed], S::Reporting)
        .op(Op::IgnoreRollback),
    row("SM-52", S::ClearFailed, On::Operation(Op::RetryConfirm), &[Failover, ConfirmFailed], S::Clearing)
        .op(Op::Confirm),
    row("SM-53", S::ClearFailed, On::Operation(Op::CancelConfirm), &[Failover, ConfirmFailed, SourceKept], S::Clearing)
        .op(Op::Rollback),
    row("SM-54", S::ClearFailed, On::Timer(RollbackWait), &[Drill], S::Clearing).op(Op::Rollback),
    row("SM-55", S::Reporting, On::ReportMade, &[], S::Finished),
];
