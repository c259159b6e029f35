//! Settings that are changed while engines run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::engine::{LogLevel, SettingInfo, SettingValue, SettingsUpdate};
use ns_core::model::{DataPoint, ExecutionType, JobId, JobOperation, JobState, Query, ReplicationMode, UserRole};
use ns_core::ports::Clock;
use ns_core::session::{GroupRequest, GroupUpdate, JobRequest};
use ns_core::store::{Record, Store, Write};
use ns_core::{Actor, Engine, ErrorKind, Settings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The levels that an engine's host was told, in order.
type Told = Arc<Mutex<Vec<LogLevel>>>;

/// Another engine on the store of a world.
fn second(world: &World) -> (Engine, Told) {
    let told = Told::default();
    let hears = told.clone();
    let mut settings = Settings::default();
    settings.monitor = false;
    let engine = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .settings(settings)
        .node("second")
        .on_log_level(move |level| hears.lock().unwrap().push(level))
        .build()
        .unwrap();
    (engine, told)
}

async fn kept(world: &World) -> Vec<Record> {
    world.store.list("settings", None, 10).await.unwrap()
}

/// SET-01, SET-02, SET-08: a change is felt at once where it was made, within a watch interval elsewhere, and after a restart.
#[tokio::test]
async fn set_01_set_02_a_change_reaches_every_engine() {
    let (world, _, _) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let (other, told) = second(&world);
    other.start().await.unwrap();
    assert_eq!(*told.lock().unwrap(), [LogLevel::Info]);

    let session = world.session();
    let update = SettingsUpdate::new()
        .with("log_level", LogLevel::Debug)
        .with("rollback_wait", 120);
    let now = session.settings().update(&update).await.unwrap();
    assert_eq!(
        (now.log_level, now.rollback_wait),
        (LogLevel::Debug, Duration::from_secs(120))
    );
    assert_eq!(session.settings().get().await.unwrap(), now);
    world.clock.sleep(Duration::from_secs(61)).await;
    assert_eq!(*told.lock().unwrap(), [LogLevel::Info, LogLevel::Debug]);
    other.shutdown().await;

    // What one engine is built with is under what was changed for all.
    let (third, told) = second(&world);
    third.start().await.unwrap();
    assert_eq!(*told.lock().unwrap(), [LogLevel::Debug]);
    let session = third.session(Actor::admin("otto"));
    let settings = session.settings();
    let describe = |all: &[SettingInfo], name: &str| all.iter().find(|s| s.name == name).unwrap().clone();
    let all = settings.describe().await.unwrap();
    let wait = describe(&all, "rollback_wait");
    assert_eq!(
        (wait.value, wait.default, wait.changed),
        (120.into(), 3600.into(), true)
    );
    let monitor = describe(&all, "monitor");
    assert_eq!(
        (monitor.value, monitor.default, monitor.changed),
        (false.into(), false.into(), false)
    );
    let back = settings.reset(&["rollback_wait", "log_level"]).await.unwrap();
    assert_eq!((back.rollback_wait.as_secs(), back.log_level), (3600, LogLevel::Info));
    assert_eq!(*told.lock().unwrap(), [LogLevel::Debug, LogLevel::Info]);
    assert!(settings.describe().await.unwrap().iter().all(|s| !s.changed));
    let body = kept(&world).await.pop().unwrap().body;
    assert!(body.contains("\"values\":{}") && body.contains("otto"), "{body}");
}

/// SET-06, SET-08, JOB-54, SM-46: an engine goes by what was changed: the wait of a drill that begins after it.
#[tokio::test]
async fn set_08_a_drill_waits_as_long_as_is_set() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    let update = SettingsUpdate::new()
        .with("rollback_wait", 120)
        .with("drill_start_window", 30);
    session.settings().update(&update).await.unwrap();
    let drill = JobRequest::drill(group.clone(), plan.clone());
    let drill = session.jobs().create(drill).await.unwrap();
    world.succeeded(&drill).await;
    let late = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.clock.sleep(Duration::from_secs(60)).await;
    let state = session.jobs().get(&late).await.unwrap();
    assert_eq!(state.result, Some(ns_core::model::ResultCode::Canceled), "{state:?}");
    world.clock.sleep(Duration::from_secs(300)).await;
    assert_eq!(session.jobs().get(&drill).await.unwrap().state, JobState::Finished);
}

/// SET-01, USR-02: what is refused, by name, and nothing is kept.
#[tokio::test]
async fn set_01_bad_changes_are_refused() {
    let (world, _, _) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let settings = session.settings();
    let before = settings.get().await.unwrap();
    let rows: [(&str, SettingValue, &str); 4] = [
        ("speed", 1.into(), "settings.unknown"),
        ("four_eyes", 1.into(), "settings.form"),
        ("lease", 601.into(), "settings.range"),
        ("log_level", SettingValue::Text("loud".into()), "settings.form"),
    ];
    for (name, value, code) in rows {
        // The good one beside it is not kept either.
        let update = SettingsUpdate::new().with(name, value).with("parallel", 8);
        let error = settings.update(&update).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.field()),
            (ErrorKind::Invalid, code, Some(name))
        );
        assert!(error.message().contains(name) && error.remedy().is_some());
    }
    let error = settings.reset(&["parallel", "speed"]).await.unwrap_err();
    assert_eq!((error.code(), error.field()), ("settings.unknown", Some("speed")));
    let update = SettingsUpdate::new().with("parallel", 8);
    for role in [UserRole::Manager, UserRole::Operator, UserRole::Viewer] {
        let session = world.engine.session(Actor::member("mina", role, ["ops".into()]));
        let settings = session.settings();
        for denied in [
            settings.get().await.err(),
            settings.describe().await.err(),
            settings.update(&update).await.err(),
            settings.reset(&["parallel"]).await.err(),
        ] {
            assert_eq!(denied.unwrap().code(), "access.role");
        }
    }
    assert!(kept(&world).await.is_empty());
    assert_eq!(settings.get().await.unwrap(), before);
    settings.update(&SettingsUpdate::new()).await.unwrap();
    settings.reset(&["parallel"]).await.unwrap();
    assert!(kept(&world).await.is_empty(), "nothing was changed");
}

/// SET-01: what another version or somebody's hand left in the store stops no engine: what cannot be gone by is left out.
#[tokio::test]
async fn set_01_a_damaged_store_stops_no_engine() {
    let (world, _, _) = World::of(ReplicationMode::Snapshot, 1).await;
    for (body, parallel) in [
        (
            r#"{"values": {"parallel": 7, "lease": 0, "speed": 3}, "changed_by": "x", "changed_at": "2026-01-01T00:00:00Z"}"#,
            7,
        ),
        ("{}", 4),
    ] {
        let write = Write::Put {
            kind: "settings".into(),
            id: "settings".into(),
            expected: None,
            body: body.into(),
        };
        world.store.commit(vec![write]).await.unwrap();
        let (engine, _) = second(&world);
        engine.start().await.unwrap();
        let session = engine.session(Actor::admin("anna"));
        let settings = session.settings().get().await.unwrap();
        assert_eq!((settings.parallel, settings.lease.as_secs()), (parallel, 30));
        engine.shutdown().await;
    }
}

/// OPEN-10: a failover that was due while no engine ran begins when it is not too late, and else waits to be planned anew.
#[tokio::test]
async fn open_10_a_missed_failover_is_held() {
    for (away, held) in [(3600 + 599, false), (3600 + 661, true)] {
        let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
        world.engine.start().await.unwrap();
        let at = world.clock.now() + Duration::from_secs(3600);
        let request = JobRequest {
            execution: ExecutionType::AtDateTime { at },
            data_point: DataPoint::LatestSnapshot,
            ..JobRequest::failover(group, plan)
        };
        let job = world.session().jobs().create(request).await.unwrap();
        world.engine.shutdown().await;
        world.clock.sleep(Duration::from_secs(away)).await;
        world.restart().await;
        world.clock.sleep(Duration::from_secs(2 * 3600)).await;
        let state = world.session().jobs().get(&job).await.unwrap().state;
        assert_eq!(state == JobState::Waiting, held, "{state:?} after {away} s");
        if held {
            let soon = world.clock.now() + Duration::from_secs(60);
            world.session().jobs().reschedule(&job, soon).await.unwrap();
            world.succeeded(&job).await;
        }
    }
}

/// OPEN-20, JOB-53: no more groups at once than are set; the next one begins when one has ended.
#[tokio::test]
async fn open_20_job_53_so_many_groups_at_once() {
    let (world, first, _) = World::of(ReplicationMode::Snapshot, 3).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    // The instance that shares no volume gets a group of its own.
    let ids = world.sample.server_ids();
    let rest = GroupUpdate {
        instances: Some(ids[..2].to_vec()),
        ..GroupUpdate::default()
    };
    session.protection_groups().update(&first, rest).await.unwrap();
    let was = session.protection_groups().get(&first).await.unwrap();
    let second = GroupRequest {
        name: "second".into(),
        description: String::new(),
        owner_group_id: was.owner_group_id,
        source_cluster: was.source_cluster,
        instances: vec![ids[2].clone()],
        rpo_minutes: 15,
        rto_minutes: 30,
        snapshot_interval: None,
    };
    let second = session.protection_groups().create(second).await.unwrap().id;
    let target = session.clusters().by_name("site-b").await.unwrap().unwrap().id;
    let plan = session.plans().suggest(&second, &target).await.unwrap();
    let (_, job) = session.plans().create(plan).await.unwrap();
    world.succeeded(&job).await;
    world.finish_all().await;
    for limit in [1, 2] {
        let update = SettingsUpdate::new().with("groups_at_once", limit);
        session.settings().update(&update).await.unwrap();
        let mut jobs = Vec::new();
        for plan in session.plans().list(&Query::default()).await.unwrap().items {
            let drill = JobRequest::drill(plan.group_id, plan.id);
            jobs.push(session.jobs().create(drill).await.unwrap());
        }
        assert_eq!(jobs.len(), 2);
        for job in &jobs {
            world.succeeded(job).await;
            world.operate(job, JobOperation::Rollback).await;
        }
        assert_eq!(most_at_once(&world, &jobs), limit);
    }
}

/// How many of these jobs were running at one time, as the store was told.
fn most_at_once(world: &World, jobs: &[JobId]) -> u64 {
    let (mut running, mut most) = (BTreeSet::new(), 0);
    for job in world.store.summaries().iter().filter(|j| jobs.contains(&j.id)) {
        match job.state {
            JobState::Running => running.insert(job.id.clone()),
            _ => running.remove(&job.id),
        };
        most = most.max(running.len() as u64);
    }
    most
}
