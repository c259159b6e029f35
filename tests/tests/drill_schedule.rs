//! Drills by timetable, from the schedule to the report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use jiff::tz::TimeZone;
use life_kit::World;
use ns_core::Actor;
use ns_core::ErrorKind;
use ns_core::model::{
    DrillSchedule, ExecutionType, GroupId, JobOperation, JobSummary, JobType, PlanId, Query, Recurrence,
    ReplicationMode, ResultCode, Timetable, UserRole,
};
use ns_core::ports::Clock;
use ns_core::session::{ScheduleRequest, ScheduleUpdate};
use std::collections::BTreeSet;
use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// Every day, ten minutes from now.
fn daily(world: &World) -> Timetable {
    let first = (world.clock.now() + Duration::from_secs(600)).to_zoned(TimeZone::UTC);
    Timetable {
        recurrence: Recurrence::Daily { days: 1 },
        hour: first.hour().unsigned_abs(),
        minute: first.minute().unsigned_abs(),
        zone: "UTC".into(),
        begins: first.date(),
        ends: None,
    }
}

fn request(world: &World, group: &GroupId, plan: &PlanId) -> ScheduleRequest {
    ScheduleRequest {
        name: "nightly".into(),
        group_id: group.clone(),
        plan_id: plan.clone(),
        timetable: daily(world),
        exclude: BTreeSet::new(),
    }
}

/// The jobs that a schedule has made, oldest first.
async fn made(world: &World, schedule: &DrillSchedule) -> Vec<JobSummary> {
    let mut jobs = world.session().jobs().list(&Query::default()).await.unwrap().items;
    jobs.retain(|j| {
        j.work.recovery().is_some_and(|d| {
            d.job_type == JobType::Drill
                && d.execution
                    == ExecutionType::Schedule {
                        schedule_id: schedule.id.to_string(),
                    }
        })
    });
    jobs.sort_by_key(|j| j.created_at);
    jobs
}

/// JOB-08, SCH-01, SCH-02, OPEN-18: each run is a drill of its own, cleaned up by itself, with a report.
#[tokio::test]
async fn job_08_sch_01_a_drill_runs_every_day() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    let schedules = session.schedules();
    let schedule = schedules.create(request(&world, &group, &plan)).await.unwrap();
    let next = schedules.next_runs(&schedule.id, 2).await.unwrap();
    assert_eq!(next[1].as_second() - next[0].as_second(), DAY.cast_signed());
    let before = world.dumps();
    world.clock.sleep(Duration::from_secs(2 * DAY)).await;
    let jobs = made(&world, &schedule).await;
    assert_eq!(jobs.len(), 2);
    for (job, run) in jobs.iter().zip(&next) {
        assert_eq!(job.result, Some(ResultCode::Success));
        let late = job.created_at.duration_since(*run).as_secs();
        assert!((0..=60).contains(&late), "{late} s after its time");
        session.reports().get(&job.id).await.unwrap();
    }
    assert_eq!(
        schedules.get(&schedule.id).await.unwrap().last_job,
        Some(jobs[1].id.clone())
    );
    world.same(&before, "two drills");

    // While it is not enabled nothing is due, also not later.
    let off = ScheduleUpdate {
        enabled: Some(false),
        ..ScheduleUpdate::default()
    };
    schedules.update(&schedule.id, off).await.unwrap();
    assert!(schedules.next_runs(&schedule.id, 1).await.unwrap().is_empty());
    world.clock.sleep(Duration::from_secs(DAY)).await;
    let on = ScheduleUpdate {
        enabled: Some(true),
        ..ScheduleUpdate::default()
    };
    schedules.update(&schedule.id, on).await.unwrap();
    world.clock.sleep(Duration::from_secs(300)).await;
    assert_eq!(made(&world, &schedule).await.len(), 2);
    schedules.delete(&schedule.id).await.unwrap();
    world.clock.sleep(Duration::from_secs(DAY)).await;
    assert_eq!(made(&world, &schedule).await.len(), 2);
}

/// JOB-54, OPEN-10, RES-07, SM-34: what was due while no engine ran is made up for within ten minutes, and recorded as cancelled after that; of
/// several missed runs the latest only.
#[tokio::test]
async fn job_54_open_10_missed_runs() {
    for (away, result) in [
        (3 * DAY + 900, ResultCode::Success),
        (3 * DAY + 3600, ResultCode::Canceled),
    ] {
        let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
        world.engine.start().await.unwrap();
        let asked = request(&world, &group, &plan);
        let schedule = world.session().schedules().create(asked).await.unwrap();
        world.engine.shutdown().await;
        world.clock.sleep(Duration::from_secs(away)).await;
        world.restart().await;
        world.clock.sleep(Duration::from_secs(7200)).await;
        let jobs = made(&world, &schedule).await;
        let results: Vec<_> = jobs.iter().map(|j| j.result).collect();
        assert_eq!(results, [Some(result)], "away for {away} s");
        let report = world.session().reports().get(&jobs[0].id).await.unwrap();
        assert_eq!(report.facts.job.result, Some(result));
    }
}

/// A drill that still goes on is in the way of the next, which is cancelled when it could not begin within ten minutes (JOB-54).
#[tokio::test]
async fn job_54_a_run_does_not_wait_for_long() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    let drill = ns_core::session::JobRequest::drill(group.clone(), plan.clone());
    let drill = session.jobs().create(drill).await.unwrap();
    world.succeeded(&drill).await;
    session.jobs().extend(&drill, 600).await.unwrap();
    let schedule = session
        .schedules()
        .create(request(&world, &group, &plan))
        .await
        .unwrap();
    world.clock.sleep(Duration::from_secs(2 * 3600)).await;
    let jobs = made(&world, &schedule).await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].result, Some(ResultCode::Canceled));
    world.operate(&drill, JobOperation::Rollback).await;
}

/// A plan that ends takes its schedules along.
#[tokio::test]
async fn a_schedule_ends_with_its_plan() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let schedule = session
        .schedules()
        .create(request(&world, &group, &plan))
        .await
        .unwrap();
    let end = session.plans().delete(&plan).await.unwrap();
    world.succeeded(&end).await;
    let gone = session.schedules().get(&schedule.id).await.unwrap_err();
    assert_eq!(
        (gone.kind(), gone.code()),
        (ErrorKind::NotFound, "drill-schedule.not_found")
    );
}

/// JOB-04, JOB-60: what is refused, by field, and nothing is kept.
#[tokio::test]
async fn job_04_bad_schedules_are_refused() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let good = request(&world, &group, &plan);
    type Spoil<'a> = &'a dyn Fn(&mut ScheduleRequest);
    let cases: [(&str, &str, Spoil<'_>); 5] = [
        ("name.characters", "name", &|r| r.name = "every night".into()),
        ("timetable.zone", "timetable.zone", &|r| {
            r.timetable.zone = "Mars/Olympus".into()
        }),
        ("timetable.never", "timetable.recurrence", &|r| {
            r.timetable.ends = Some(jiff::civil::date(2000, 1, 1));
        }),
        ("job.exclude", "exclude[x]", &|r| r.exclude = ["x".into()].into()),
        ("job.nothing_left", "exclude", &|r| {
            r.exclude = world.sample.server_ids().into_iter().collect()
        }),
    ];
    for (code, field, spoil) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = session.schedules().create(bad).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.field()),
            (ErrorKind::Invalid, code, Some(field))
        );
        assert!(error.remedy().is_some());
    }
    let viewer = world
        .engine
        .session(Actor::member("vera", UserRole::Viewer, ["ops".into()]));
    assert_eq!(
        viewer.schedules().create(good.clone()).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(session.schedules().list(&Query::default()).await.unwrap().total, 0);
    let stranger = world
        .engine
        .session(Actor::member("otto", UserRole::Manager, ["other".into()]));
    let kept = session.schedules().create(good).await.unwrap();
    assert_eq!(
        stranger.schedules().get(&kept.id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(stranger.schedules().list(&Query::default()).await.unwrap().total, 0);
    let bad = ScheduleUpdate {
        timetable: Some(Timetable {
            hour: 24,
            ..daily(&world)
        }),
        ..ScheduleUpdate::default()
    };
    assert_eq!(
        session.schedules().update(&kept.id, bad).await.unwrap_err().code(),
        "timetable.range"
    );
    assert_eq!(session.schedules().get(&kept.id).await.unwrap(), kept);
}
