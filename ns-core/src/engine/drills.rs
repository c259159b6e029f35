//! Drills by timetable (JOB-08). Up to when a schedule was served is kept with it, and set in the transaction that makes the job
//! of its run: of several engines one makes it. After an outage one job is made for the latest run that was missed; the ten-minute
//! rule decides whether it still runs, and is recorded as cancelled when it does not (JOB-54, OPEN-10).

use super::Inner;
use super::journal_writer::first_writes;
use super::records::{Records, kinds, put, remove};
use crate::journal::Event;
use crate::model::{
    About, DataPoint, DrillSchedule, ExecutionType, JobDefinition, JobId, JobType, PlanId, RecoveryPlan, Told, Work,
};
use crate::store::Write;
use crate::{ErrorKind, Result, rules};
use jiff::Timestamp;
use std::sync::Arc;

/// Makes the drills that are due.
pub(super) async fn make_due_drills(inner: &Arc<Inner>) -> Result<()> {
    let enabled = |s: &DrillSchedule| s.enabled;
    for schedule in inner
        .records()
        .all::<DrillSchedule>(kinds::DRILL_SCHEDULE, enabled)
        .await?
    {
        if let Err(error) = make_due_drill(inner, schedule.id.as_str()).await {
            tracing::warn!(schedule = %schedule.id, %error, "a drill that is due could not be made");
        }
    }
    Ok(())
}

async fn make_due_drill(inner: &Arc<Inner>, id: &str) -> Result<()> {
    let records = inner.records();
    let found = records.find::<DrillSchedule>(kinds::DRILL_SCHEDULE, id).await?;
    let Some((mut schedule, version)) = found.filter(|(s, _)| s.enabled) else {
        return Ok(());
    };
    let Some((run, missed)) = latest_run(&schedule, inner.clock.now())? else {
        return Ok(());
    };
    if missed > 0 {
        tracing::warn!(
            schedule = id,
            missed,
            "no engine ran when drills were due: the latest is made up for"
        );
    }
    let plan = records
        .find::<RecoveryPlan>(kinds::PLAN, schedule.plan_id.as_str())
        .await?;
    schedule.served = run;
    let mut writes = Vec::new();
    let mut made = None;
    if plan.is_some() {
        let job = JobId::new(inner.ids.next());
        let definition = JobDefinition {
            job_type: JobType::Drill,
            execution: ExecutionType::Schedule {
                schedule_id: id.to_owned(),
            },
            data_point: DataPoint::LatestSnapshot,
            group_id: schedule.group_id.clone(),
            plan_id: schedule.plan_id.clone(),
            force: None,
            exclude: schedule.exclude.clone(),
        };
        let created = Event::Created {
            work: Work::Recovery(definition),
            actor: schedule.created_by.clone(),
            owner_group_id: Some(schedule.owner_group_id.clone()),
        };
        let planned = Event::DeadlineMoved {
            deadline: run,
            actor: schedule.created_by.clone(),
        };
        writes = first_writes(inner, &job, created, vec![planned])?;
        schedule.last_job = Some(job.clone());
        made = Some(job);
    }
    if missed > 0 {
        let told = Told::RunsMissed {
            schedule: schedule.name.clone(),
            count: missed.to_string(),
        };
        let about = About {
            group: Some(schedule.group_id.clone()),
            plan: Some(schedule.plan_id.clone()),
            schedule: Some(schedule.id.clone()),
            ..About::default()
        };
        writes.push(inner.tell(told, Some(&schedule.owner_group_id), about)?);
    }
    writes.push(put(kinds::DRILL_SCHEDULE, id, Some(version), &schedule)?);
    match records.commit(writes).await {
        // Another engine makes it, or somebody changed the schedule.
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
        result => {
            result?;
            match made {
                Some(job) => Inner::run(inner, job).await.map(drop),
                None => Ok(()),
            }
        }
    }
}

/// The latest run of a schedule that was not served and is not to come, and how many there were before it.
fn latest_run(schedule: &DrillSchedule, now: Timestamp) -> Result<Option<(Timestamp, usize)>> {
    let (mut latest, mut after, mut missed) = (None, schedule.served, 0);
    while let Some(run) = rules::next_run(&schedule.timetable, after)?.filter(|run| *run <= now) {
        missed += usize::from(latest.is_some());
        (latest, after) = (Some(run), run);
    }
    Ok(latest.map(|run| (run, missed)))
}

/// The writes that end the schedules of a plan, with the plan.
pub(super) async fn forget(records: &Records, plan: &PlanId) -> Result<Vec<Write>> {
    let schedules = records
        .all::<DrillSchedule>(kinds::DRILL_SCHEDULE, |s| &s.plan_id == plan)
        .await?;
    Ok(schedules
        .iter()
        .map(|s| remove(kinds::DRILL_SCHEDULE, s.id.as_str()))
        .collect())
}
