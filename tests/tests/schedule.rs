//! Recovery points by interval: made by whichever engine looks first, one at a time, one after an outage.

mod life_kit;

use jiff::tz::TimeZone;
use life_kit::World;
use ns_core::ErrorKind;
use ns_core::engine::SettingsUpdate;
use ns_core::model::{GroupId, JobSummary, ProtectionGroup, Query, RecoveryPoint, ReplicationMode, SnapshotInterval};
use ns_core::ports::Clock;
use ns_core::session::GroupUpdate;
use ns_core::store::{Store, Write};
use std::time::Duration;

/// As if the group had been made with this interval.
async fn every(world: &World, group: &GroupId, interval: SnapshotInterval) {
    let record = world.store.get("group", group.as_str()).await.unwrap().unwrap();
    let mut changed: ProtectionGroup = serde_json::from_str(&record.body).unwrap();
    changed.snapshot_interval = Some(interval);
    let put = Write::Put {
        kind: record.kind,
        id: record.id,
        expected: Some(record.version),
        body: serde_json::to_string(&changed).unwrap(),
    };
    world.store.commit(vec![put]).await.unwrap();
}

async fn made(world: &World) -> Vec<JobSummary> {
    let query = Query::default().equal("kind", "point").limit(1000);
    world.session().jobs().list(&query).await.unwrap().items
}

async fn points(world: &World, group: &GroupId) -> Vec<RecoveryPoint> {
    world
        .session()
        .points()
        .list(group, &Query::default())
        .await
        .unwrap()
        .items
}

fn minutes_between(points: &[RecoveryPoint]) -> Vec<i64> {
    let gap = |pair: &[RecoveryPoint]| pair[1].taken_at.duration_since(pair[0].taken_at).as_secs() / 60;
    points.windows(2).map(gap).collect()
}

/// SCH-06: every so many minutes.
#[tokio::test]
async fn sch_06_rep_07_rep_12_plan_17_points_are_made_by_interval_and_the_oldest_go() {
    let (world, group, _) = World::new(ReplicationMode::Snapshot).await;
    world.engine.start().await.unwrap();
    let by_hand = made(&world).await.len();
    every(&world, &group, SnapshotInterval::minutes(10)).await;
    world.clock.sleep(Duration::from_secs(3600)).await;
    let jobs = made(&world).await.len() - by_hand;
    assert!((6..=7).contains(&jobs), "{jobs} in an hour");
    world.finish_all().await;
    let kept = points(&world, &group).await;
    assert_eq!(kept.len(), 3, "the plan keeps three");
    for gap in minutes_between(&kept) {
        assert!((9..=11).contains(&gap), "{gap} minutes between two points");
    }
    world.engine.shutdown().await;

    // An outage of two hours: one point is made up for, not twelve.
    world.clock.sleep(Duration::from_secs(7200)).await;
    let before = made(&world).await.len();
    let mut world = world;
    world.restart().await;
    world.clock.sleep(Duration::from_secs(100)).await;
    world.finish_all().await;
    let now = world.clock.now();
    let newest = points(&world, &group).await.pop().unwrap();
    assert!(
        now.duration_since(newest.taken_at).as_secs() < 100,
        "it is made at once"
    );
    let made_up = made(&world).await.len() - before;
    assert!((1..=2).contains(&made_up), "{made_up} points after the outage");
    world.engine.shutdown().await;
}

/// OPEN-08: a point that is due while the one before is still on its way is left out.
#[tokio::test]
async fn open_08_a_due_point_waits_for_the_one_before() {
    let (world, group, _) = World::new(ReplicationMode::Snapshot).await;
    world.engine.start().await.unwrap();
    every(&world, &group, SnapshotInterval::minutes(10)).await;
    // Nothing arrives at the Target any more.
    world.sim.mirror_daemon("b", false);
    let before = made(&world).await.len();
    world.clock.sleep(Duration::from_secs(1500)).await;
    assert_eq!(
        made(&world).await.len() - before,
        1,
        "the first waits for its arrival, and the next for the first"
    );
    world.sim.mirror_daemon("b", true);
    world.finish_all().await;
    world.clock.sleep(Duration::from_secs(700)).await;
    assert!(made(&world).await.len() - before >= 2, "and then it goes on");
    world.engine.shutdown().await;
}

/// SCH-07, REP-12: every so many hours.
#[tokio::test]
async fn sch_07_rep_12_points_every_two_hours() {
    let (world, group, _) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let by_hand = made(&world).await.len();
    every(&world, &group, SnapshotInterval::hours(2)).await;
    world.clock.sleep(Duration::from_secs(10 * 3600)).await;
    world.finish_all().await;
    let jobs = made(&world).await.len() - by_hand;
    assert!((5..=6).contains(&jobs), "{jobs} in ten hours");
    for gap in minutes_between(&points(&world, &group).await) {
        assert!((119..=121).contains(&gap), "{gap} minutes between two points");
    }
    world.engine.shutdown().await;
}

/// SCH-09, REP-12, OPEN-09: every month, at the same moment of each; and one at once, since the month's slot had begun.
#[tokio::test]
async fn sch_09_rep_12_open_09_points_every_month() {
    const LOOK: i64 = 3600;
    let (world, group, _) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    // Three months need not be looked at every minute.
    let seldom = SettingsUpdate::new()
        .with("watch_interval", LOOK.unsigned_abs())
        .with("lease", 600);
    world.session().settings().update(&seldom).await.unwrap();
    let by_hand = made(&world).await.len();
    every(&world, &group, SnapshotInterval::months(1)).await;
    let begun = world.clock.now();
    world.clock.sleep(Duration::from_secs(92 * 24 * 3600)).await;
    world.finish_all().await;
    let mut times: Vec<_> = made(&world).await.into_iter().map(|j| j.created_at).collect();
    times.sort_unstable();
    let mut times = times.split_off(by_hand);
    let at_once = times.remove(0).duration_since(begun).as_secs();
    assert!((0..=LOOK).contains(&at_once), "the first came after {at_once} s");
    assert_eq!(times.len(), 3, "{times:?}");
    let first = times[0].to_zoned(TimeZone::UTC);
    assert!(first.day() <= 28, "{first}");
    for (n, time) in (0..).zip(&times) {
        let month = first.checked_add(jiff::Span::new().months(n)).unwrap().timestamp();
        let late = time.duration_since(month).as_secs();
        assert!(
            (-LOOK..=LOOK).contains(&late),
            "{time} is not the moment of the month that {first} is"
        );
    }
    world.engine.shutdown().await;
}

/// OPEN-08, CON-35, PG-15: the interval of a group is changed with its unit; one that is out of range is refused and changes nothing.
#[tokio::test]
async fn open_08_con_35_pg_15_the_interval_of_a_group_is_changed() {
    let (world, group, _) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let groups = session.protection_groups();
    let to = |interval| GroupUpdate {
        snapshot_interval: Some(interval),
        ..Default::default()
    };
    for interval in [
        Some(SnapshotInterval::hours(1)),
        Some(SnapshotInterval::days(1)),
        Some(SnapshotInterval::weeks(52)),
        Some(SnapshotInterval::months(12)),
        None,
        Some(SnapshotInterval::minutes(10)),
    ] {
        let (changed, _) = groups.update(&group, to(interval)).await.unwrap();
        assert_eq!(changed.snapshot_interval, interval);
        assert_eq!(groups.get(&group).await.unwrap(), changed);
    }
    let before = world.store.get("group", group.as_str()).await.unwrap();
    for (interval, message) in [
        (SnapshotInterval::minutes(9), "9 minutes are out of range"),
        (SnapshotInterval::hours(0), "0 hours are out of range"),
        (SnapshotInterval::days(367), "367 days are out of range"),
        (SnapshotInterval::weeks(53), "53 weeks are out of range"),
        (SnapshotInterval::months(13), "13 months are out of range"),
    ] {
        let error = groups.update(&group, to(Some(interval))).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.field(), error.message()),
            (ErrorKind::Invalid, "group.range", Some("snapshot_interval"), message)
        );
        assert!(error.remedy().is_some());
        assert_eq!(world.store.get("group", group.as_str()).await.unwrap(), before);
    }
}
