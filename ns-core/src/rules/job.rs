//! Which recovery jobs may be made (§7.2, §7.3).

use super::plan::PlanFlag;
use super::{check_name, check_timetable, first, invalid, job_exists, list, refused};
use crate::model::{
    CloudId, DataPoint, DrillSchedule, ExecutionType, ForceRight, JobDefinition, JobState, JobSummary, JobType,
    PlanAssessment, PlanReason, PlanStatus, ProtectionGroup, RecoveryPlan, RecoveryPoint,
};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// An execution type without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExecutionKind {
    /// At once.
    Immediate,
    /// Once, at a time.
    AtDateTime,
    /// Again and again.
    Schedule,
}

impl From<&ExecutionType> for ExecutionKind {
    fn from(execution: &ExecutionType) -> Self {
        match execution {
            ExecutionType::Immediate => Self::Immediate,
            ExecutionType::AtDateTime { .. } => Self::AtDateTime,
            ExecutionType::Schedule { .. } => Self::Schedule,
        }
    }
}

/// A data point without its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataPointKind {
    /// What is mirrored.
    LatestData,
    /// The newest recovery point.
    LatestSnapshot,
    /// A chosen recovery point.
    SpecificSnapshot,
}

impl From<&DataPoint> for DataPointKind {
    fn from(point: &DataPoint) -> Self {
        match point {
            DataPoint::LatestData => Self::LatestData,
            DataPoint::LatestSnapshot => Self::LatestSnapshot,
            DataPoint::SpecificSnapshot { .. } => Self::SpecificSnapshot,
        }
    }
}

/// One row of the creation matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixRow {
    /// Its id in the rule book.
    pub id: &'static str,
    /// Drill or failover.
    pub job_type: JobType,
    /// When.
    pub execution: ExecutionKind,
    /// Which data.
    pub data_point: DataPointKind,
    /// Why such a job cannot be made; none when it can.
    pub refusal: Option<&'static str>,
}

const fn row(
    id: &'static str,
    job_type: JobType,
    execution: ExecutionKind,
    data_point: DataPointKind,
    refusal: Option<&'static str>,
) -> MatrixRow {
    MatrixRow {
        id,
        job_type,
        execution,
        data_point,
        refusal,
    }
}

const DATA: Option<&str> = Some("the latest data can only be failed over to at once");
const DRILL_DATA: Option<&str> = Some("a drill needs a recovery point: the latest data is for failovers only");
const PLANNED: Option<&str> = Some("a drill that is planned ahead takes the latest recovery point of its time");
const SCHEDULE: Option<&str> = Some("only drills are scheduled");

use DataPointKind::{LatestData, LatestSnapshot, SpecificSnapshot};
use ExecutionKind::{AtDateTime, Immediate, Schedule};
use JobType::{Drill, Failover};

/// The creation matrix (§7.2, with CON-18 as table 13 has it).
pub const MATRIX: [MatrixRow; 18] = [
    row("JOB-20", Drill, Immediate, LatestData, DRILL_DATA),
    row("JOB-21", Drill, Immediate, LatestSnapshot, None),
    row("JOB-22", Drill, Immediate, SpecificSnapshot, None),
    row("JOB-23", Drill, AtDateTime, LatestData, DRILL_DATA),
    row("JOB-24", Drill, AtDateTime, LatestSnapshot, None),
    row("JOB-25", Drill, AtDateTime, SpecificSnapshot, PLANNED),
    row("JOB-26", Drill, Schedule, LatestData, DRILL_DATA),
    row("JOB-27", Drill, Schedule, LatestSnapshot, None),
    row("JOB-28", Drill, Schedule, SpecificSnapshot, PLANNED),
    row("JOB-29", Failover, Immediate, LatestData, None),
    row("JOB-30", Failover, Immediate, LatestSnapshot, None),
    row("JOB-31", Failover, Immediate, SpecificSnapshot, None),
    row("JOB-32", Failover, AtDateTime, LatestData, DATA),
    row("JOB-33", Failover, AtDateTime, LatestSnapshot, None),
    row("JOB-34", Failover, AtDateTime, SpecificSnapshot, None),
    row("JOB-35", Failover, Schedule, LatestData, SCHEDULE),
    row("JOB-36", Failover, Schedule, LatestSnapshot, SCHEDULE),
    row("JOB-37", Failover, Schedule, SpecificSnapshot, SCHEDULE),
];

/// What a job is judged by when it is made.
#[derive(Debug, Clone, Copy)]
pub struct JobFacts<'a> {
    /// The group.
    pub group: &'a ProtectionGroup,
    /// The plan.
    pub plan: &'a RecoveryPlan,
    /// The plan's state.
    pub assessment: &'a PlanAssessment,
    /// Jobs of the group.
    pub jobs: &'a [JobSummary],
    /// Recovery points of the group; all of them are on the Target (REP-15).
    pub points: &'a [RecoveryPoint],
    /// The operator saw the plan's warnings and goes on in spite of them (OPEN-05); giving a force right says so too.
    pub warnings_acknowledged: bool,
    /// The time now.
    pub now: Timestamp,
}

/// Whether a job may be made.
///
/// # Errors
/// The first of [`job_violations`].
pub fn check_job(job: &JobDefinition, facts: &JobFacts<'_>) -> Result<()> {
    first(job_violations(job, facts))
}

/// Everything that speaks against a job (JOB-04, JOB-20 … JOB-37, JOB-40 … JOB-44, LIM-05, OPEN-05).
#[must_use]
pub fn job_violations(job: &JobDefinition, facts: &JobFacts<'_>) -> Vec<Error> {
    let mut found = Vec::new();
    if job.group_id != facts.group.id || job.plan_id != facts.plan.id || facts.plan.group_id != facts.group.id {
        found.push(
            invalid("job.plan", "plan_id", "the plan is not a plan of the group")
                .with_remedy("choose the group's own plan"), // JOB-04
        );
    }
    found.extend(combination(job));
    if let ExecutionType::AtDateTime { at } = job.execution
        && at < facts.now
    {
        found.push(
            invalid("job.time", "execution.at", format!("{at} is in the past")).with_remedy("choose a later time"),
        );
    }
    found.extend(exclusions(&job.exclude, facts.group));
    found.extend(force(job));
    found.extend(plan_status(job, facts));
    found.extend(other_failover(facts.jobs));
    found.extend(points(job, facts));
    found
}

/// JOB-20 … JOB-37.
fn combination(job: &JobDefinition) -> Option<Error> {
    let (execution, data_point) = ((&job.execution).into(), (&job.data_point).into());
    let row = MATRIX
        .iter()
        .find(|r| r.job_type == job.job_type && r.execution == execution && r.data_point == data_point)?;
    let field = if row.refusal == SCHEDULE {
        "execution"
    } else {
        "data_point"
    };
    let refusal = row.refusal?;
    let allowed = MATRIX
        .iter()
        .filter(|r| r.job_type == job.job_type && r.refusal.is_none())
        .map(|r| format!("{:?} with {:?}", r.execution, r.data_point));
    Some(
        invalid("job.combination", field, refusal)
            .with("rule", row.id)
            .with_remedy(format!("choose one of: {}", list(allowed))),
    )
}

/// Whether drills may be made of a group by a timetable (JOB-04, JOB-08, SCH-02 … SCH-05).
///
/// # Errors
/// `Invalid`, naming the field.
pub fn check_drill_schedule(schedule: &DrillSchedule, group: &ProtectionGroup, plan: &RecoveryPlan) -> Result<()> {
    check_name("name", &schedule.name)?;
    check_timetable("timetable", &schedule.timetable)?;
    if plan.group_id != group.id {
        return Err(invalid("job.plan", "plan_id", "the plan is not a plan of the group")
            .with_remedy("choose the group's own plan"));
    }
    first(exclusions(&schedule.exclude, group))
}

fn exclusions(exclude: &BTreeSet<CloudId>, group: &ProtectionGroup) -> Vec<Error> {
    let unknown = exclude.iter().filter(|id| !group.instances.contains(id));
    let mut found: Vec<_> = unknown
        .map(|id| {
            invalid(
                "job.exclude",
                format!("exclude[{id}]"),
                format!("instance {id} is not in the group"),
            )
            .with_remedy("name instances of the group only")
        })
        .collect();
    if group.instances.iter().all(|id| exclude.contains(id)) {
        found.push(
            invalid("job.nothing_left", "exclude", "every instance is left out").with_remedy("leave at least one in"),
        );
    }
    found
}

fn force(job: &JobDefinition) -> Vec<Error> {
    let Some(ForceRight {
        operator,
        reason,
        accepts_data_loss,
        without_fence: _,
    }) = &job.force
    else {
        return Vec::new();
    };
    if job.job_type == JobType::Drill {
        return vec![
            invalid(
                "job.force",
                "force",
                "a drill promotes nothing: there is nothing to force",
            )
            .with_remedy("leave the force right out"),
        ];
    }
    let mut found = Vec::new();
    for (field, text) in [("force.operator", operator), ("force.reason", reason)] {
        if text.trim().is_empty() {
            found.push(
                invalid(
                    "job.force",
                    field,
                    "a forced promotion needs somebody who answers for it",
                )
                .with_remedy("say who forces the promotion, and why"),
            );
        }
    }
    if !accepts_data_loss {
        let message = "whoever forces the promotion has to accept the loss of what was not replicated";
        found.push(
            invalid("job.force", "force.accepts_data_loss", message)
                .with_remedy("accept the loss, or fail over without force while the Source answers"),
        );
    }
    found
}

/// A volume does not replicate.
const MIRRORING: &str = "plan.mirroring";

/// JOB-40 (CON-19), OPEN-05. `Critical` is an inactive Target: JOB-44.
///
/// A recovery point holds its data and its definitions on the Target: what has become of the Source since, deleted volumes and
/// instances among it, does not hold up a recovery from it. Whoever forces a failover takes the Target's data as it is: that the
/// Source does not replicate, or cannot since a rollback was given up half way, does not hold that up.
fn plan_status(job: &JobDefinition, facts: &JobFacts<'_>) -> Option<Error> {
    let from_point = job.data_point != DataPoint::LatestData;
    let forced = job.force.as_ref().is_some_and(|f| f.accepts_data_loss);
    let counts = |reason: &&PlanReason| match reason.code.as_str() {
        MIRRORING if forced => false,
        code => !from_point || !is_of_the_source(code),
    };
    let open: Vec<&PlanReason> = facts.assessment.reasons.iter().filter(counts).collect();
    let reasons = |of: PlanStatus| {
        let texts: Vec<_> = open
            .iter()
            .filter(|r| r.status == of)
            .map(|r| r.message.as_str())
            .collect();
        texts.join("; ")
    };
    // They come in the order of their precedence.
    let status = open.first().map_or(PlanStatus::Normal, |r| r.status);
    match status {
        PlanStatus::Prepare | PlanStatus::Warning | PlanStatus::Critical => {
            let remedy = open.iter().find(|r| r.status == status).map(|r| r.remedy.as_str());
            Some(
                refused("job.plan_status", "plan_id", format!("the plan is in state {status:?}"))
                    .with("reasons", reasons(status))
                    .with_remedy(remedy.unwrap_or("bring the plan into order first")),
            )
        }
        PlanStatus::Emergency
            if job.job_type == JobType::Failover && job.force.is_none() && !facts.warnings_acknowledged =>
        {
            let open = reasons(PlanStatus::Warning);
            (!open.is_empty()).then(|| {
                refused(
                    "job.acknowledge",
                    "plan_id",
                    "the plan has open warnings: part of the group may not be recovered",
                )
                .with("reasons", open)
                .with_remedy("update the plan, or acknowledge the warnings")
            })
        }
        PlanStatus::Normal | PlanStatus::Emergency => None,
    }
}

/// Whether a reason speaks of the Source and of replication from it.
fn is_of_the_source(code: &str) -> bool {
    let flags = [PlanFlag::ResourceAdded, PlanFlag::ResourceRemoved].map(PlanFlag::code);
    flags.contains(&code) || [MIRRORING, "plan.initial_replication"].contains(&code)
}

/// JOB-41: both types of job, while a failover of the group is past `waiting` and not `finished`.
fn other_failover(jobs: &[JobSummary]) -> Option<Error> {
    let under_way = |job: &&JobSummary| {
        let failover = job.work.recovery().is_some_and(|d| d.job_type == JobType::Failover);
        failover && job_exists(job.state) && job.state != JobState::Waiting
    };
    jobs.iter().find(under_way).map(|job| {
        refused(
            "job.failover_in_progress",
            "group_id",
            "a failover of the group is in progress",
        )
        .with("job", &job.id)
        .with_remedy("wait until it has ended")
    })
}

/// JOB-42, JOB-43, LIM-05.
fn points(job: &JobDefinition, facts: &JobFacts<'_>) -> Option<Error> {
    if job.data_point == DataPoint::LatestData && job.job_type == JobType::Failover {
        return None;
    }
    if facts.points.is_empty() {
        return Some(
            refused("job.no_snapshot", "data_point", "no snapshot is on the Target yet")
                .with_remedy("make a recovery point and wait until it has arrived"),
        );
    }
    match &job.data_point {
        DataPoint::SpecificSnapshot { point_id } if facts.points.iter().all(|p| p.id != *point_id) => Some(
            Error::new(
                ErrorKind::NotFound,
                "job.point",
                format!("the group has no recovery point {point_id}"),
            )
            .with_field("data_point.point_id")
            .with_remedy("choose one of its recovery points"),
        ),
        _ => None,
    }
}
