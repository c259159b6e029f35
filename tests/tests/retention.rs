//! How many recovery points are kept, and that a point is what it was made as.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::model::{DataPoint, GroupId, JobOperation, JobState, PointId, Query, ReplicationMode};
use ns_core::ports::Clock;
use ns_core::session::JobRequest;
use ns_core::store::{Store, Write};
use std::time::Duration;

/// Makes one more point, and waits for the job that removes what is over the count.
async fn another(world: &World, group: &GroupId) -> PointId {
    // Points are told apart by the second.
    world.clock.sleep(Duration::from_secs(5)).await;
    let (point, job) = world.session().points().create(group).await.unwrap();
    world.succeeded(&job).await;
    world.finish_all().await;
    point
}

async fn kept(world: &World, group: &GroupId) -> Vec<PointId> {
    let points = world
        .session()
        .points()
        .list(group, &Query::default())
        .await
        .unwrap()
        .items;
    points.into_iter().map(|p| p.id).collect()
}

/// PLAN-17: the oldest go, from both sides; as many stay as the plan says. Nothing else changes.
#[tokio::test]
async fn plan_17_the_oldest_points_go_from_both_sides() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, group, plan) = World::new(mode).await;
        let keep = world.session().plans().get(&plan).await.unwrap().snapshot_retention;
        assert_eq!(keep, 3);
        let mut all = kept(&world, &group).await;
        for _ in 0..2 {
            all.push(another(&world, &group).await);
        }
        let full = world.dumps();
        for _ in 0..3 {
            all.push(another(&world, &group).await);
        }
        assert_eq!(kept(&world, &group).await, all[3..], "{mode:?}");
        let now = world.dumps();
        assert_eq!(
            now.1.images.len(),
            full.1.images.len(),
            "{mode:?}: vaults on the Target"
        );
        let snapshots = |dump: &ns_core::sim::SiteDump| -> Vec<String> {
            let names = dump.images.values().flat_map(|i| i.snapshots.iter());
            names.map(|s| format!("{s:?}")).collect()
        };
        // The Target's own copies of the snapshots go with the next shipment.
        let gone = all[..3].iter().map(|p| (&now.0, p));
        for (here, gone) in gone.chain(all[..2].iter().map(|p| (&now.1, p))) {
            let left: Vec<String> = snapshots(here)
                .into_iter()
                .filter(|s| s.contains(gone.as_str()))
                .collect();
            assert!(left.is_empty(), "{mode:?}: {left:?}");
        }
    }
}

/// OPEN-08: what a job uses is not removed before that job has finished.
#[tokio::test]
async fn open_08_a_point_in_use_stays_until_its_job_has_finished() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let oldest = kept(&world, &group).await.remove(0);
    let mut request = JobRequest::drill(group.clone(), plan.clone());
    let point_id = oldest.clone();
    request.data_point = DataPoint::SpecificSnapshot { point_id };
    let drill = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&drill).await;
    for _ in 0..4 {
        another(&world, &group).await;
    }
    let points = kept(&world, &group).await;
    assert!(points.contains(&oldest) && points.len() == 4, "{points:?}");
    assert_eq!(world.operate(&drill, JobOperation::Rollback).await, JobState::Finished);
    another(&world, &group).await;
    let points = kept(&world, &group).await;
    assert!(!points.contains(&oldest) && points.len() == 3, "{points:?}");
}

/// A Source that is away keeps nobody from making room: what could not be removed is removed with the next point.
#[tokio::test]
async fn plan_17_what_could_not_be_removed_goes_with_the_next_point() {
    let (world, group, _) = World::new(ReplicationMode::Snapshot).await;
    for _ in 0..2 {
        another(&world, &group).await;
    }
    let before = world.dumps();
    world.clock.sleep(Duration::from_secs(5)).await;
    let (_, job) = world.session().points().create(&group).await.unwrap();
    world.succeeded(&job).await;
    // The job that removes the oldest has only just been made.
    world.sim.isolate("a");
    let jobs = world.session().jobs().list(&Default::default()).await.unwrap().items;
    let prune = jobs.into_iter().next_back().unwrap();
    let failed = world.session().jobs().wait(&prune.id).await.unwrap();
    assert_eq!(failed.state, JobState::Finished);
    assert_ne!(failed.result, Some(ns_core::model::ResultCode::Success));
    assert_eq!(kept(&world, &group).await.len(), 3, "it can be chosen no more");
    world.sim.revive("a");
    world.clock.sleep(Duration::from_secs(60)).await;
    another(&world, &group).await;
    assert_eq!(kept(&world, &group).await.len(), 3);
    let after = world.dumps();
    assert_eq!(after.1.images.len(), before.1.images.len(), "no vault is left over");
}

/// What was changed in the store is not recovered from: the manifest tells.
#[tokio::test]
async fn a_point_that_is_not_as_it_was_made_is_refused() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let point = world
        .session()
        .points()
        .list(&group, &Query::default())
        .await
        .unwrap()
        .items
        .remove(0);
    assert!(point.manifest.parts.len() >= 4, "{:?}", point.manifest);
    let record = world.store.get("point", point.id.as_str()).await.unwrap().unwrap();
    let name = &point.inventory.instances.values().next().unwrap().name;
    let body = record.body.replacen(name, "somebody-else", 1);
    assert_ne!(body, record.body);
    let changed = Write::Put {
        kind: "point".into(),
        id: point.id.to_string(),
        expected: None,
        body,
    };
    world.store.commit(vec![changed]).await.unwrap();
    let job = world
        .session()
        .jobs()
        .create(JobRequest::drill(group, plan))
        .await
        .unwrap();
    world.session().jobs().wait(&job).await.unwrap();
    let lines = world.store.journal(&job, 1, 100).await.unwrap();
    let notes: String = lines.into_iter().map(|l| l.body).collect();
    assert!(
        notes.contains("point.manifest") && notes.contains("inventory"),
        "{notes}"
    );
}
