//! What can happen to a job.

use crate::ErrorRecord;
use crate::model::{
    ClearOperation, CloudId, Flavor, Inventory, JobId, JobOperation, JobState, OwnerGroupId, PointId, ProtectionGroup,
    RecoveryPlan, RecoveryPoint, ReplicationId, ResultCode, StorageRef, TaskKey, Work,
};
use crate::planning::TaskGraph;
use crate::provider::{Handle, Mark};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One line of a journal, opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose journal.
    pub job: JobId,
    /// Position, from 1.
    pub position: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// The inputs of a job as they were when it was queued: later changes of plan, group or cluster do not affect it
/// (JOB-51).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// The plan.
    pub plan: RecoveryPlan,
    /// The group.
    pub group: ProtectionGroup,
    /// The group's part of the Source inventory.
    pub inventory: Inventory,
    /// When that was read for this job; none when it is what was known of the Source, as by its last synchronisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// The Target's flavours.
    pub target_flavors: BTreeMap<CloudId, Flavor>,
    /// The chosen recovery point.
    pub point: Option<RecoveryPoint>,
}

/// Why a graph runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// The work itself.
    Run,
    /// Some instances again (SM-47).
    Retry,
    /// Rollback.
    Rollback,
    /// Confirm.
    Confirm,
}

/// What an operator decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// To promote although the Source may be primary.
    ForcePromote,
    /// To demote the Source's volumes under instances that cannot be stopped, because their cloud does not answer.
    CutOff,
    /// To roll a failover back (OPEN-26); the facts say what becomes of writes made on the Target since.
    Rollback,
    /// To leave what could not be removed (SM-51).
    IgnoreLeftovers,
    /// To confirm the failover.
    Confirm,
    /// To throw away copies that diverged, so that they follow the other side again.
    GiveUpCopies,
    /// To recover instances again, from another recovery point (SM-67).
    OtherPoint,
}

/// What a retry recovers from another recovery point than the job's (SM-67). What was recovered of these instances before is set
/// aside: it is stopped and stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPoint {
    /// The point.
    pub point_id: PointId,
    /// The moment whose data it holds.
    pub taken_at: Timestamp,
    /// The instances.
    pub instances: BTreeSet<CloudId>,
    /// Those of them that had been recovered before.
    pub aside: BTreeSet<CloudId>,
}

/// What a task made or found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutput {
    /// A thing in a cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Handle>,
    /// An image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<StorageRef>,
    /// A replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_id: Option<ReplicationId>,
    /// A mark in the stream of writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// When a snapshot was taken, as the storage says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// The time up to which a promoted or cloned volume holds all writes, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced_to: Option<Timestamp>,
    /// What shows that a site is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// What it was to act on was not there: nothing was done, and there is nothing to undo.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// How an attempt at a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum TaskResult {
    /// The post-condition was seen.
    Done {
        /// What came of it.
        output: TaskOutput,
    },
    /// It failed in a way that may pass; it is tried again.
    Retry {
        /// Why.
        error: ErrorRecord,
        /// After how many milliseconds.
        delay_ms: u64,
    },
    /// It failed for good.
    Failed {
        /// Why.
        error: ErrorRecord,
    },
}

/// What can happen to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// The job was made.
    Created {
        /// What it is to do.
        work: Work,
        /// Who made it.
        actor: String,
        /// Whose it is: the owner of its group. None in journals of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner_group_id: Option<OwnerGroupId>,
    },
    /// Its inputs were frozen.
    Frozen {
        /// The inputs.
        inputs: Box<Frozen>,
    },
    /// It went from one state to another.
    Transition {
        /// From.
        from: JobState,
        /// To.
        to: JobState,
        /// What it handles from now on.
        operation: JobOperation,
        /// The row of the rule book.
        row: String,
        /// The result code, where this transition sets it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<ResultCode>,
        /// Which clean-up is or was under way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clear: Option<ClearOperation>,
        /// When a timer acts next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        /// Who caused it.
        actor: String,
    },
    /// A timer was moved (SM-61 … SM-63).
    DeadlineMoved {
        /// When it acts now.
        deadline: Timestamp,
        /// Who moved it.
        actor: String,
    },
    /// A graph was planned and begins.
    Planned {
        /// Why it runs.
        phase: PhaseKind,
        /// The graph.
        graph: TaskGraph,
        /// For a retry from another recovery point.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        other: Option<OtherPoint>,
    },
    /// An operator decided something that can lose data or leave things behind.
    Decided {
        /// Identifies the decision.
        decision: String,
        /// What about.
        kind: DecisionKind,
        /// Who.
        operator: String,
        /// Why, in the operator's words.
        reason: String,
        /// What the engine knew when it asked: evidence and possible loss.
        facts: Vec<String>,
    },
    /// An effect is about to be tried.
    Intent {
        /// Which task.
        task: TaskKey,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// How far a long task is.
    Progress {
        /// Which task.
        task: TaskKey,
        /// 0 to 100, where known.
        percent: Option<u8>,
        /// For people.
        message: String,
    },
    /// An attempt ended.
    Outcome {
        /// Which task.
        task: TaskKey,
        /// Which attempt.
        attempt: u32,
        /// How.
        #[serde(flatten)]
        result: TaskResult,
    },
    /// A task will not be tried, because one it needs failed or the job was cancelled.
    Skipped {
        /// Which task.
        task: TaskKey,
        /// Why.
        because: String,
    },
    /// Something worth telling that changes nothing.
    Noted {
        /// Stable code.
        code: String,
        /// For people.
        message: String,
    },
    /// The report was stored.
    Reported {
        /// SHA-256 of the report, hexadecimal.
        digest: String,
    },
}

impl Event {
    /// Every kind of event, as the journal names it.
    pub const KINDS: [&'static str; 12] = [
        "created",
        "frozen",
        "transition",
        "deadline_moved",
        "planned",
        "decided",
        "intent",
        "progress",
        "outcome",
        "skipped",
        "noted",
        "reported",
    ];

    /// Its kind. A new kind of event gets the next place in [`Event::KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => Self::KINDS[0],
            Self::Frozen { .. } => Self::KINDS[1],
            Self::Transition { .. } => Self::KINDS[2],
            Self::DeadlineMoved { .. } => Self::KINDS[3],
            Self::Planned { .. } => Self::KINDS[4],
            Self::Decided { .. } => Self::KINDS[5],
            Self::Intent { .. } => Self::KINDS[6],
            Self::Progress { .. } => Self::KINDS[7],
            Self::Outcome { .. } => Self::KINDS[8],
            Self::Skipped { .. } => Self::KINDS[9],
            Self::Noted { .. } => Self::KINDS[10],
            Self::Reported { .. } => Self::KINDS[11],
        }
    }
}
