//! Everything at the source is deleted through its own interfaces, by mistake or by ransom: the group still recovers from any of
//! its recovery points.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::model::{DataPoint, JobOperation, JobState, Query, ReplicationMode};
use ns_core::ports::Clock;
use ns_core::session::JobRequest;
use ns_core::sim::Condition;
use std::time::Duration;

/// Facts §0.9, §12: a deletion follows to the replica within seconds; the vault is out of its reach. Issue "Atomic recovery
/// points": the source is not needed, whether it answers or not.
#[tokio::test]
async fn a_group_recovers_from_any_point_after_everything_at_the_source_was_deleted() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        for away in [false, true] {
            let (world, group, plan) = World::new(mode).await;
            let session = world.session();
            let mut beats = Vec::new();
            let server = &world.sample.servers[0];
            for _ in 0..2 {
                beats.push(world.sim.heartbeat("a", &server.id).unwrap());
                world.sim.heartbeat("a", &world.sample.servers[1].id).unwrap();
                let (_, job) = session.points().create(&group).await.unwrap();
                world.succeeded(&job).await;
            }
            let points = session.points().list(&group, &Query::default()).await.unwrap().items;
            assert_eq!(points.len(), 3);
            for server in &world.sample.servers {
                world.sim.delete_server("a", &server.id).unwrap();
            }
            for volume in world.sample.volume_ids() {
                world.sim.delete_volume("a", &volume).unwrap();
            }
            world.clock.sleep(Duration::from_secs(120)).await;
            let volumes = session.plans().get(&plan).await.unwrap().volumes;
            for volume in volumes.values() {
                let replica = world
                    .providers("b")
                    .storage
                    .find_replica(&volume.replication_id)
                    .await
                    .unwrap();
                assert_eq!(replica, None, "{mode:?}: the deletion followed to the replica");
            }
            let cluster = session.clusters().by_name("site-a").await.unwrap().unwrap();
            session.clusters().sync(&cluster.id).await.unwrap();
            if away {
                world.sim.kill("a");
                assert_eq!(world.sim.condition("a"), Condition::Dead);
            }
            for (point, beat) in points[1..].iter().zip(&beats).rev() {
                let mut request = JobRequest::failover(group.clone(), plan.clone());
                let point_id = point.id.clone();
                request.data_point = DataPoint::SpecificSnapshot { point_id };
                if away {
                    request.force = Some(ns_core::model::ForceRight {
                        operator: "anna".into(),
                        reason: "ransom".into(),
                        accepts_data_loss: true,
                        without_fence: false,
                    });
                }
                let job = session.jobs().create(request).await.unwrap();
                world.succeeded(&job).await;
                let view = session.jobs().view(&job).await.unwrap();
                let key = format!("volume/{}", server.boot_volume).into();
                let volume = view.output(&key).unwrap().handle.clone().unwrap();
                let disk = world.sim.volume_disk("b", &volume.id).unwrap();
                assert_eq!(disk.beat.as_ref(), Some(beat), "{mode:?}: exactly what the point holds");
                assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
            }
        }
    }
}
