//! Recovery points by interval: made by whichever engine looks first, one at a time, one after an outage.

mod life_kit;

use life_kit::World;
use ns_core::model::{GroupId, JobSummary, ProtectionGroup, Query, RecoveryPoint, ReplicationMode};
use ns_core::ports::Clock;
use ns_core::store::{Store, Write};
use std::time::Duration;

/// As if the group had been made with this interval.
async fn every(world: &World, group: &GroupId, minutes: u32) {
    let record = world.store.get("group", group.as_str()).await.unwrap().unwrap();
    let mut changed: ProtectionGroup = serde_json::from_str(&record.body).unwrap();
    changed.snapshot_interval_minutes = Some(minutes);
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
async fn rep_07_rep_12_plan_17_points_are_made_by_interval_and_the_oldest_go() {
    let (world, group, _) = World::new(ReplicationMode::Snapshot).await;
    world.engine.start().await.unwrap();
    let by_hand = made(&world).await.len();
    every(&world, &group, 10).await;
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
    every(&world, &group, 10).await;
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
