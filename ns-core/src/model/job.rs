//! Jobs: what they are asked to do, the states they go through (§8.1), what may be done to them (§8.2) and how they end
//! (§8.3). Which transition is legal is `machine`'s business.

use super::{CloudId, GroupId, JobId, OwnerGroupId, PlanId, PointId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $wire:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $wire)] $variant),*
        }
        impl $name {
            /// Every value, in the order of the rule book.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The name used in stores and on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),* }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use wire_enum;

wire_enum! {
    /// The type of a recovery job (JOB-05).
    JobType {
        /// A rehearsal on clones, in networks of its own.
        Drill = "drill",
        /// Recovery on the Target.
        Failover = "failover",
    }
}

wire_enum! {
    /// The state of a job (SM-01 … SM-10).
    JobState {
        /// Not triggered yet.
        Waiting = "dr.recovery.job.state.waiting",
        /// Triggered, not started yet.
        Pending = "dr.recovery.job.state.pending",
        /// In progress.
        Running = "dr.recovery.job.state.running",
        /// Being cancelled.
        Canceling = "dr.recovery.job.state.canceling",
        /// Paused.
        Paused = "dr.recovery.job.state.paused",
        /// Recovery tasks ended; nothing cleaned up yet.
        Completed = "dr.recovery.job.state.completed",
        /// The result is being cleaned up: rolled back or confirmed.
        Clearing = "dr.recovery.job.state.clearing",
        /// The clean-up failed.
        ClearFailed = "dr.recovery.job.state.clear-failed",
        /// The result report is being made.
        Reporting = "dr.recovery.job.state.reporting",
        /// The job ended.
        Finished = "dr.recovery.job.state.finished",
    }
}

wire_enum! {
    /// What may be asked of a job (SM-11 … SM-20).
    JobOperation {
        /// Carry on.
        Run = "run",
        /// Pause.
        Pause = "pause",
        /// Cancel (also called stop, SM-60).
        Cancel = "cancel",
        /// Recover some instances again.
        Retry = "retry",
        /// Roll back to before the job.
        Rollback = "rollback",
        /// Try a failed rollback again.
        RetryRollback = "retry-rollback",
        /// Leave what a failed rollback could not remove.
        IgnoreRollback = "ignore-rollback",
        /// Confirm (commit) the failover.
        Confirm = "confirm",
        /// Try a failed confirm again.
        RetryConfirm = "retry-confirm",
        /// Give up a failed confirm and roll back.
        CancelConfirm = "cancel-confirm",
    }
}

wire_enum! {
    /// How a job ended (SM-21 … SM-24).
    ResultCode {
        /// Every instance was recovered and every boot instance booted (OPEN-22).
        Success = "dr.recovery.result.success",
        /// Some were.
        PartialSuccess = "dr.recovery.result.partial_success",
        /// None was.
        Failed = "dr.recovery.result.failed",
        /// It was cancelled.
        Canceled = "dr.recovery.result.canceled",
    }
}

wire_enum! {
    /// The phase of a job as screens show it (SM-71): states that look alike to people are one.
    JobPhase {
        /// `waiting`, `pending`.
        Preparing = "preparing",
        /// `running`, `paused`, `canceling`.
        Running = "running",
        /// `completed`: an operator decides.
        RunComplete = "run-complete",
        /// `clearing`, `clear-failed`.
        CleaningUp = "cleaning-up",
        /// `reporting`.
        MakingReport = "making-report",
        /// `finished`.
        JobComplete = "job-complete",
    }
}

impl JobState {
    /// The phase that screens show (SM-71).
    #[must_use]
    pub const fn phase(self) -> JobPhase {
        match self {
            Self::Waiting | Self::Pending => JobPhase::Preparing,
            Self::Running | Self::Paused | Self::Canceling => JobPhase::Running,
            Self::Completed => JobPhase::RunComplete,
            Self::Clearing | Self::ClearFailed => JobPhase::CleaningUp,
            Self::Reporting => JobPhase::MakingReport,
            Self::Finished => JobPhase::JobComplete,
        }
    }
}

/// Which clean-up failed (CON-27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClearOperation {
    /// A rollback.
    Rollback,
    /// A confirm.
    Confirm,
}

/// State of one instance in a job (JOB-59).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceRecoveryState {
    /// Not recovered yet.
    Preparing,
    /// Its volumes and networks are there.
    Recovered,
    /// It is being made and started.
    Booting,
    /// Done.
    Success,
    /// Failed.
    Failed,
    /// Left out on purpose.
    Excluded,
}

/// When a job runs (JOB-06 … JOB-08).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum ExecutionType {
    /// At once.
    Immediate,
    /// Once, at this time.
    AtDateTime {
        /// When.
        at: Timestamp,
    },
    /// Again and again; drills only. The schedule itself is a definition that makes jobs (OPEN-18).
    Schedule {
        /// Which schedule made it.
        schedule_id: String,
    },
}

/// Which data is recovered (JOB-09 … JOB-11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum DataPoint {
    /// What is mirrored to the Target at that moment; failover only.
    LatestData,
    /// The newest recovery point when the job is queued.
    LatestSnapshot,
    /// This recovery point.
    SpecificSnapshot {
        /// Which.
        point_id: PointId,
    },
}

/// An operator's explicit word that a failover may force promotion although the Source cannot be shown to have stopped.
/// Recorded in the journal as a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceRight {
    /// Who says so.
    pub operator: String,
    /// Why, in the operator's words; not empty.
    pub reason: String,
    /// The operator saw how much data is lost and accepts it.
    pub accepts_data_loss: bool,
    /// The source's fence ([`Engine::attach_fence`](crate::Engine::attach_fence)) is not waited for, e.g. because it does not
    /// work: nothing but the operator's word keeps the source from writing then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_fence: bool,
}

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDefinition {
    /// Drill or failover.
    pub job_type: JobType,
    /// When.
    pub execution: ExecutionType,
    /// Which data.
    pub data_point: DataPoint,
    /// Of which group.
    pub group_id: GroupId,
    /// By which plan.
    pub plan_id: PlanId,
    /// Given for a failover whose Source may be lost.
    pub force: Option<ForceRight>,
    /// Instances left out.
    pub exclude: BTreeSet<CloudId>,
}

/// The kinds of work the one executor does. Recovery is what operators ask for; the others prepare it, and have no
/// clean-up of their own: run again they finish what they began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "work")]
pub enum Work {
    /// A drill or a failover.
    Recovery(JobDefinition),
    /// The initial mirroring of a plan and its first recovery point (PLAN-14, PLAN-15).
    Protect {
        /// Of which group.
        group_id: GroupId,
        /// By which plan.
        plan_id: PlanId,
        /// After a forced failover: the operator's word that the old copies are thrown away where they diverged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        give_up: Option<ForceRight>,
    },
    /// A recovery point by hand or by interval (REP-07).
    Point {
        /// Of which group.
        group_id: GroupId,
        /// By which plan.
        plan_id: PlanId,
        /// The point to be.
        point_id: PointId,
    },
    /// A source that came back after a forced failover is made read only: its servers are stopped, its images demoted.
    Fence {
        /// Of which group.
        group_id: GroupId,
        /// By which plan.
        plan_id: PlanId,
        /// The forced failover.
        failover: JobId,
    },
    /// Recovery points that are over the plan's retention count are removed from both sides (PLAN-17).
    Prune {
        /// Of which group.
        group_id: GroupId,
        /// By which plan.
        plan_id: PlanId,
    },
    /// The end of a plan: its points and its mirroring are removed (PLAN-29).
    Unprotect {
        /// Of which group.
        group_id: GroupId,
        /// By which plan.
        plan_id: PlanId,
    },
}

impl Work {
    /// The group it works on.
    #[must_use]
    pub const fn group_id(&self) -> &GroupId {
        match self {
            Self::Recovery(d) => &d.group_id,
            Self::Protect { group_id, .. }
            | Self::Point { group_id, .. }
            | Self::Fence { group_id, .. }
            | Self::Prune { group_id, .. }
            | Self::Unprotect { group_id, .. } => group_id,
        }
    }

    /// The plan it works by.
    #[must_use]
    pub const fn plan_id(&self) -> &PlanId {
        match self {
            Self::Recovery(d) => &d.plan_id,
            Self::Protect { plan_id, .. }
            | Self::Point { plan_id, .. }
            | Self::Fence { plan_id, .. }
            | Self::Prune { plan_id, .. }
            | Self::Unprotect { plan_id, .. } => plan_id,
        }
    }

    /// What it is, in a word: `drill`, `failover`, `protect`, `point`, `fence`, `prune` or `unprotect`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Recovery(d) => d.job_type.as_str(),
            Self::Protect { .. } => "protect",
            Self::Point { .. } => "point",
            Self::Fence { .. } => "fence",
            Self::Prune { .. } => "prune",
            Self::Unprotect { .. } => "unprotect",
        }
    }

    /// The definition of a recovery job.
    #[must_use]
    pub const fn recovery(&self) -> Option<&JobDefinition> {
        match self {
            Self::Recovery(d) => Some(d),
            _ => None,
        }
    }
}

/// A job as lists show it: the fold of its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Our id.
    pub id: JobId,
    /// What it is to do.
    pub work: Work,
    /// Whose it is: the owner of its group. None for jobs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_group_id: Option<OwnerGroupId>,
    /// Where it is.
    pub state: JobState,
    /// What it is handling.
    pub operation: JobOperation,
    /// Which clean-up failed, in `clear-failed`.
    pub failed_clear: Option<ClearOperation>,
    /// How it ended, once known.
    pub result: Option<ResultCode>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a timer acts next (pause, rollback wait, planned time).
    pub deadline: Option<Timestamp>,
    /// The journal position this was read at.
    pub position: u64,
}
