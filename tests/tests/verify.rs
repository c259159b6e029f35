//! The content of recovery points, read on request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::ErrorKind;
use ns_core::model::{Consistency, JobOperation, PointId, PowerState, Query, RecoveryPoint, ReplicationMode};
use ns_core::session::{Comparison, VerifyScope};

async fn point(mode: ReplicationMode) -> (World, RecoveryPoint) {
    let (world, group, _) = World::new(mode).await;
    let point = world
        .session()
        .points()
        .list(&group, &Query::default())
        .await
        .unwrap()
        .items
        .remove(0);
    (world, point)
}

/// REP-15: a whole point is read, and is what the source's snapshots hold; so it is the next time.
#[tokio::test]
async fn a_point_holds_what_its_snapshots_held() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, point) = point(mode).await;
        let before = world.dumps();
        let (session, servers) = (world.session(), world.sample.server_ids());
        let first = session.points().verify(&point.id, VerifyScope::Whole).await.unwrap();
        assert_eq!(first.len(), point.volumes.len());
        assert!(
            first
                .iter()
                .all(|v| v.source == Comparison::Same && v.as_before.is_none()),
            "{first:?}"
        );
        world.same(&before, "reading");
        // What is written later is not in it.
        for server in &servers {
            world.sim.heartbeat("a", server).unwrap();
        }
        let sample = VerifyScope::Sample { volumes: 2 };
        let again = session.points().verify(&point.id, sample).await.unwrap();
        assert_eq!(again.len(), 2);
        assert!(
            again.iter().all(|v| v.is_intact() && v.as_before == Some(true)),
            "{again:?}"
        );
    }
}

/// A vault that somebody wrote to is found by what was read before, also when the source is gone; one that is missing is named.
#[tokio::test]
async fn a_vault_that_was_changed_or_removed_is_found() {
    let (world, point) = point(ReplicationMode::Snapshot).await;
    let session = world.session();
    session.points().verify(&point.id, VerifyScope::Whole).await.unwrap();
    world.sim.kill("a");
    let vault = &point.volumes.values().next().unwrap().vault;
    world.sim.rbd("b", |rbd| {
        rbd.snap_remove(vault, "neverstop-base").unwrap();
        rbd.write(vault, 0, b"ransom").unwrap();
        rbd.snap_create(vault, "neverstop-base").unwrap();
    });
    let found = session.points().verify(&point.id, VerifyScope::Whole).await.unwrap();
    let bad: Vec<_> = found.iter().filter(|v| !v.is_intact()).collect();
    assert_eq!(bad.len(), 1, "{found:?}");
    assert!(matches!(bad[0].source, Comparison::Unknown { .. }) && bad[0].as_before == Some(false));
    world.sim.revive("a");
    let found = session.points().verify(&point.id, VerifyScope::Whole).await.unwrap();
    assert_eq!(
        found.iter().filter(|v| v.source == Comparison::Differs).count(),
        1,
        "{found:?}"
    );
    world
        .sim
        .rbd("b", |rbd| rbd.snap_remove(vault, "neverstop-base"))
        .unwrap();
    let error = session
        .points()
        .verify(&point.id, VerifyScope::Whole)
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "point.vault"));
    assert!(error.remedy().is_some());
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let (world, point) = point(ReplicationMode::Snapshot).await;
    let session = world.session();
    let nothing = VerifyScope::Sample { volumes: 0 };
    let error = session.points().verify(&point.id, nothing).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Invalid, Some("scope.volumes"))
    );
    let error = session
        .points()
        .verify(&PointId::new("none"), VerifyScope::Whole)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // A job takes the point all the same, after it was read.
    session.points().verify(&point.id, VerifyScope::Whole).await.unwrap();
    let drill = ns_core::session::JobRequest::drill(point.group_id.clone(), point.plan_id.clone());
    let job = session.jobs().create(drill).await.unwrap();
    world.succeeded(&job).await;
    world.operate(&job, JobOperation::Rollback).await;
}

/// REP-13: no storage takes one snapshot of all volumes of a group that would arrive on the other side. A point of running
/// instances says so, with the time between its first and its last snapshot; one of stopped instances is consistent as a whole.
#[tokio::test]
async fn a_point_tells_how_consistent_it_is() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, point) = point(mode).await;
        let Consistency::Ordered { skew_ms } = point.consistency else {
            panic!("{:?}", point.consistency);
        };
        let took = point.complete_at.duration_since(point.taken_at).as_millis();
        assert!(skew_ms > 0 && i128::from(skew_ms) <= took, "{skew_ms} ms of {took}");
        let session = world.session();
        // What was known last is that they run.
        for server in &world.sample.servers {
            world.providers("a").cloud.stop(&server.id).await.unwrap();
        }
        let (stopped, job) = session.points().create(&point.group_id).await.unwrap();
        world.succeeded(&job).await;
        let stopped = session.points().get(&stopped).await.unwrap();
        assert_eq!(stopped.consistency, Consistency::Crash);
        // And the definitions are as they are now.
        assert!(
            stopped
                .inventory
                .instances
                .values()
                .all(|i| i.power == PowerState::Stopped)
        );
        let first = &world.sample.servers[0].id;
        world.providers("a").cloud.start(first).await.unwrap();
        let (started, job) = session.points().create(&point.group_id).await.unwrap();
        world.succeeded(&job).await;
        let started = session.points().get(&started).await.unwrap();
        assert!(matches!(started.consistency, Consistency::Ordered { .. }));
        assert_eq!(started.inventory.instances[first].power, PowerState::Running);
    }
}
