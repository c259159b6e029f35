//! Recovery points by interval (REP-07, REP-12, SCH-06 … SCH-09). The time of a group is cut into slots of its interval, shifted by
//! the group's name so that not all groups take their snapshots at one moment; the first look within a slot makes the slot's point.
//! Which slot was served last is kept with the job that serves it, in one transaction: of several engines one makes it, and after an
//! outage there is one point at once instead of many.

use super::Inner;
use super::journal_writer::first_writes;
use super::records::{kinds, put, remove};
use super::telling::lasting;
use crate::journal::{Event, digest};
use crate::model::{About, JobId, JobState, JobSummary, PointId, ProtectionGroup, RecoveryPlan, Told, Work};
use crate::{ErrorKind, Result};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
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
    let scheduled = |g: &ProtectionGroup| g.snapshot_interval.is_some();
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
    let interval = group.snapshot_interval?;
    let name = digest(group.id.as_str().as_bytes());
    let spread = i64::from(u32::from_str_radix(name.get(..8)?, 16).ok()?);
    let every = i64::from(interval.every);
    let Some(minutes) = interval.unit.fixed_minutes() else {
        return slot_of_months(every, spread, now);
    };
    let length = every.checked_mul(i64::from(minutes) * 60)?;
    let shift = spread.checked_rem(length)?;
    let since = now.as_second().checked_sub(shift)?.checked_rem_euclid(length)?;
    Timestamp::from_second(now.as_second().checked_sub(since)?).ok()
}

/// The same for slots of months. They begin at one moment of the month, in UTC; no later than the end of its 28th day, which every
/// month has, so that none is skipped nor moved (OPEN-09).
fn slot_of_months(every: i64, spread: i64, now: Timestamp) -> Option<Timestamp> {
    const SHORTEST_MONTH: i64 = 28 * 24 * 3600;
    let shift = spread.checked_rem(every.checked_mul(SHORTEST_MONTH)?)?;
    let (months, moment) = (
        shift / SHORTEST_MONTH,
        SignedDuration::from_secs(shift % SHORTEST_MONTH),
    );
    let day = now.checked_sub(moment).ok()?.to_zoned(TimeZone::UTC).date();
    let month = i64::from(day.year()) * 12 + i64::from(day.month()) - 1;
    let first = month - (month - months).checked_rem_euclid(every)?;
    let year = i16::try_from(first.div_euclid(12)).ok()?;
    let month = i8::try_from(first.rem_euclid(12) + 1).ok()?;
    let begun = Date::new(year, month, 1).ok()?.to_zoned(TimeZone::UTC).ok()?;
    begun.timestamp().checked_add(moment).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IntervalUnit, SnapshotInterval};
    use crate::rules::interval_range;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn group(id: &str, interval: SnapshotInterval) -> ProtectionGroup {
        ProtectionGroup {
            id: id.into(),
            name: "g".into(),
            description: String::new(),
            owner_group_id: "o".into(),
            source_cluster: "c".into(),
            instances: Vec::new(),
            rpo_minutes: 15,
            rto_minutes: 15,
            snapshot_interval: Some(interval),
            registered_at: Timestamp::UNIX_EPOCH,
            modified_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Month of the calendar, counted on over the years, and the moment in it.
    fn in_month(at: Timestamp) -> (i64, jiff::civil::Time, i8) {
        let at = at.to_zoned(TimeZone::UTC);
        (i64::from(at.year()) * 12 + i64::from(at.month()), at.time(), at.day())
    }

    fn any_interval() -> impl Strategy<Value = SnapshotInterval> {
        prop::sample::select(&IntervalUnit::ALL[..])
            .prop_flat_map(|unit| interval_range(unit).prop_map(move |every| SnapshotInterval { every, unit }))
    }

    #[test]
    fn rep_12_groups_do_not_all_begin_at_one_moment() {
        for interval in [
            SnapshotInterval::minutes(60),
            SnapshotInterval::hours(1),
            SnapshotInterval::days(1),
            SnapshotInterval::weeks(2),
            SnapshotInterval::months(1),
        ] {
            let begun = |n| slot(&group(&format!("g{n}"), interval), at(1_700_000_000));
            let slots: BTreeSet<_> = (0..20).map(begun).collect();
            assert!(slots.len() > 10, "{interval}: {slots:?}");
        }
        let quarter = |n| slot(&group(&format!("g{n}"), SnapshotInterval::months(3)), at(1_700_000_000));
        let months: BTreeSet<_> = (0..20).filter_map(quarter).map(|at| in_month(at).0).collect();
        assert!(months.len() >= 3, "{months:?}");
    }

    /// SCH-06 … SCH-08: an interval is a length, so the same one in two units has the same slots.
    #[test]
    fn sch_06_sch_07_sch_08_lengths_are_fixed() {
        for (one, other) in [
            (SnapshotInterval::minutes(120), SnapshotInterval::hours(2)),
            (SnapshotInterval::hours(48), SnapshotInterval::days(2)),
            (SnapshotInterval::days(21), SnapshotInterval::weeks(3)),
        ] {
            let begun = |interval| slot(&group("g", interval), at(1_700_000_000)).unwrap();
            assert_eq!(begun(one), begun(other), "{one}, {other}");
        }
    }

    /// SCH-09, OPEN-09: the last day of a month is in the slot that began in it, however long the month is.
    #[test]
    fn sch_09_open_09_the_ends_of_months() {
        for text in [
            "2027-01-31T23:59:59Z",
            "2027-02-28T23:59:59Z",
            "2028-02-29T23:59:59Z",
            "2027-04-30T23:59:59Z",
            "1969-12-31T23:59:59Z",
        ] {
            let now: Timestamp = text.parse().unwrap();
            for n in 0..20 {
                let begun = slot(&group(&format!("g{n}"), SnapshotInterval::months(1)), now).unwrap();
                assert_eq!(in_month(begun).0, in_month(now).0, "{text}: {begun}");
            }
        }
    }

    #[test]
    fn rep_12_what_is_no_interval_has_no_slot() {
        for unit in IntervalUnit::ALL {
            let never = SnapshotInterval { every: 0, unit };
            assert_eq!(slot(&group("g", never), at(1_700_000_000)), None, "{unit}");
        }
    }

    proptest! {
        /// Slots follow one another without gap: each moment is in one, which began at most an interval ago, and ends where the
        /// next begins.
        #[test]
        fn rep_12_sch_06_sch_07_sch_08_sch_09_slots_cover_time(
            id in "[a-z]{1,8}", interval in any_interval(), second in -1_000_000_000_i64..4_000_000_000,
        ) {
            let group = group(&id, interval);
            let begun_at = |second| slot(&group, at(second)).unwrap().as_second();
            let begun = begun_at(second);
            let longest = i64::try_from(interval.longest_minutes()).unwrap() * 60;
            let next = begun_at(begun + longest);
            prop_assert!(begun <= second && second < next, "{begun} {second} {next}");
            prop_assert_eq!(begun_at(begun), begun);
            prop_assert_eq!(begun_at(next - 1), begun);
            prop_assert_eq!(begun_at(next), next);
            if interval.unit != IntervalUnit::Months {
                prop_assert_eq!(next, begun + longest);
            }
        }

        /// Slots of months begin once in each step of the calendar, on the same day at the same time, and that on a day that every
        /// month has.
        #[test]
        fn sch_09_open_09_slots_of_months_follow_the_calendar(
            id in "[a-z]{1,8}", every in interval_range(IntervalUnit::Months), second in -1_000_000_000_i64..4_000_000_000,
        ) {
            let group = group(&id, SnapshotInterval::months(every));
            let mut begun = slot(&group, at(second)).unwrap();
            for _ in 0..30 {
                let (month, time, day) = in_month(begun);
                prop_assert!((1..=28).contains(&day));
                let next = slot(&group, at(begun.as_second() + i64::from(every) * 31 * 86_400)).unwrap();
                prop_assert_eq!(in_month(next), (month + i64::from(every), time, day));
                begun = next;
            }
        }
    }
}
