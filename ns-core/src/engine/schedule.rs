//! Recovery points by interval (REP-07, REP-12). The time of a group is cut into slots of its interval, shifted by the group's
//! name so that not all groups take their snapshots at one moment; the first look within a slot makes the slot's point. Which slot
//! was served last is kept with the job that serves it, in one transaction: of several engines one makes it, and after an outage
//! there is one point at once instead of many.

use super::Inner;
use super::journal_writer::first_writes;
use super::records::{kinds, put, remove};
use super::telling::lasting;
use crate::journal::{Event, digest};
use crate::model::{About, JobId, JobState, JobSummary, PointId, ProtectionGroup, RecoveryPlan, Told, Work};
use crate::{ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which slot of a group was served last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PointSchedule {
    /// When the slot began.
    slot: Timestamp,
}

/// Makes the points that are due.
pub(super) async fn make_due_points(inner: &Arc<Inner>) -> Result<()> {
    let records = inner.records();
    let scheduled = |g: &ProtectionGroup| g.snapshot_interval_minutes.is_some();
    for group in records.all::<ProtectionGroup>(kinds::GROUP, scheduled).await? {
        let plan = |p: &RecoveryPlan| p.group_id == group.id && !p.volumes.is_empty();
        if let Some(plan) = records.all::<RecoveryPlan>(kinds::PLAN, plan).await?.pop() {
            make_due_point(inner, &group, &plan).await?;
        }
    }
    Ok(())
}

async fn make_due_point(inner: &Arc<Inner>, group: &ProtectionGroup, plan: &RecoveryPlan) -> Result<()> {
    let records = inner.records();
    let Some(slot) = slot(group, inner.clock.now()) else {
        return Ok(());
    };
    let found = records
        .find::<PointSchedule>(kinds::POINT_SCHEDULE, group.id.as_str())
        .await?;
    let version = match found {
        // Also when the clock was set back: what was served stays served.
        Some((schedule, _)) if schedule.slot >= slot => return Ok(()),
        Some((_, version)) => version,
        None => 0,
    };
    // The first copy ends with a point of its own (PLAN-15); the point before is still on its way (OPEN-08); a failover stops
    // the writers or has taken over already.
    let busy = |j: &JobSummary| {
        let drill = j
            .work
            .recovery()
            .is_some_and(|d| d.job_type == crate::model::JobType::Drill);
        j.work.group_id() == &group.id && j.state != JobState::Finished && !drill
    };
    if let Some(job) = records.all::<JobSummary>(kinds::JOB, busy).await?.first() {
        tracing::warn!(group = %group.id, job = %job.id, kind = job.work.kind(), "a recovery point that is due waits for this job");
        return skipped(inner, group, plan, job).await;
    }
    let job = JobId::new(inner.ids.next());
    let created = Event::Created {
        work: Work::Point {
            group_id: group.id.clone(),
            plan_id: plan.id.clone(),
            point_id: PointId::new(inner.ids.next()),
        },
        actor: "engine".to_owned(),
        owner_group_id: Some(group.owner_group_id.clone()),
    };
    let mut writes = first_writes(inner, &job, created, vec![])?;
    let served = PointSchedule { slot };
    writes.push(put(kinds::POINT_SCHEDULE, group.id.as_str(), Some(version), &served)?);
    writes.push(remove(kinds::CONDITION, &skipping(group)));
    match records.commit(writes).await {
        // Another engine serves the slot.
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
        result => {
            result?;
            Inner::run(inner, job).await.map(drop)
        }
    }
}

/// The condition of a group whose points are due and not begun.
fn skipping(group: &ProtectionGroup) -> String {
    format!("point/{}", group.id)
}

/// Tells that a point that is due is not begun (OPEN-08): once until one is.
async fn skipped(inner: &Inner, group: &ProtectionGroup, plan: &RecoveryPlan, busy: &JobSummary) -> Result<()> {
    let records = inner.records();
    if lasting(&records, &skipping(group)).await?.is_some() {
        return Ok(());
    }
    let told = Told::PointSkipped {
        group: group.name.clone(),
        work: busy.work.kind().to_owned(),
        job: busy.id.to_string(),
    };
    let about = About {
        job: Some(busy.id.clone()),
        ..About::of_plan(plan)
    };
    let told = inner.tell(told, Some(&group.owner_group_id), about)?;
    let begun = inner.begin(&skipping(group), busy.id.as_str(), None)?;
    match records.commit(vec![begun, told]).await {
        // Another engine told it.
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
        result => result,
    }
}

/// The beginning of the slot that a moment is in.
fn slot(group: &ProtectionGroup, now: Timestamp) -> Option<Timestamp> {
    let length = i64::from(group.snapshot_interval_minutes?).checked_mul(60)?;
    let name = digest(group.id.as_str().as_bytes());
    let shift = i64::from(u32::from_str_radix(name.get(..8)?, 16).ok()?).checked_rem(length)?;
    let since = now.as_second().checked_sub(shift)?.checked_rem_euclid(length)?;
    Timestamp::from_second(now.as_second().checked_sub(since)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(id: &str, minutes: u32) -> ProtectionGroup {
        ProtectionGroup {
            id: id.into(),
            name: "g".into(),
            description: String::new(),
            owner_group_id: "o".into(),
            source_cluster: "c".into(),
            instances: Vec::new(),
            rpo_minutes: 15,
            rto_minutes: 15,
            snapshot_interval_minutes: Some(minutes),
            registered_at: Timestamp::UNIX_EPOCH,
            modified_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn rep_12_groups_do_not_all_begin_at_one_moment() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let slots: std::collections::BTreeSet<_> = (0..20).map(|n| slot(&group(&format!("g{n}"), 60), at)).collect();
        assert!(slots.len() > 10, "{slots:?}");
    }

    proptest! {
        /// Slots follow one another without gap: each moment is in one, which began at most an interval ago, and the next
        /// begins an interval later.
        #[test]
        fn rep_12_slots_cover_time(id in "[a-z]{1,8}", minutes in 10_u32..10_000, second in 0_i64..4_000_000_000) {
            let group = group(&id, minutes);
            let length = i64::from(minutes) * 60;
            let at = |second| Timestamp::from_second(second).unwrap();
            let begun = slot(&group, at(second)).unwrap().as_second();
            prop_assert!((0..length).contains(&(second - begun)));
            prop_assert_eq!(slot(&group, at(begun)).unwrap().as_second(), begun);
            prop_assert_eq!(slot(&group, at(begun + length - 1)).unwrap().as_second(), begun);
            prop_assert_eq!(slot(&group, at(begun + length)).unwrap().as_second(), begun + length);
        }
    }
}
