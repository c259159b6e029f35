//! A failover that succeeds in part and is confirmed: what was recovered runs on the other side from now on, and what was not
//! stays where it was, protected by a group and a plan of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::ErrorKind;
use ns_core::model::{ForceRight, GroupId, JobId, JobOperation, JobState, PlanId, Query, ReplicationMode, ResultCode};
use ns_core::ports::Clock;
use ns_core::session::JobRequest;
use ns_core::sim::{Effect, Fault, Part};
use std::collections::BTreeSet;
use std::time::Duration;

const MODES: [ReplicationMode; 2] = [ReplicationMode::Snapshot, ReplicationMode::Journal];

/// A failover of three instances, of which the last one fails: the adoption of its second volume is rejected.
async fn in_part(world: &World, request: JobRequest) -> JobId {
    let adopt = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("adopt");
    world.sim.faults().inject(adopt.after(6).times(1));
    let session = world.session();
    let job = session.jobs().create(request).await.unwrap();
    let ended = session.jobs().wait(&job).await.unwrap();
    assert_eq!(ended.result, Some(ResultCode::PartialSuccess));
    let recovered = session.jobs().view(&job).await.unwrap().recovered();
    let expected: BTreeSet<_> = world.sample.server_ids().into_iter().take(2).collect();
    assert_eq!(recovered, expected);
    job
}

/// The first two run on B, the third on A; its group and plan hold it alone, and protect it.
async fn split(world: &World, group: &GroupId, plan: &PlanId, job: &JobId) {
    let session = world.session();
    for (n, server) in world.sample.servers.iter().enumerate() {
        let runs = world.sim.heartbeat("a", &server.id).is_ok();
        assert_eq!(runs, n == 2, "server {n} on the Source");
    }
    let offer = session.failback().offer(job).await.unwrap();
    assert_eq!(offer.home.instances.len(), 2);
    for now in offer.home.instances.keys() {
        world.sim.heartbeat("b", now).expect("it runs on the Target");
    }
    let stays = session.protection_groups().get(group).await.unwrap();
    assert_eq!(stays.instances, vec![world.sample.servers[2].id.clone()]);
    let volumes: BTreeSet<_> = session.plans().get(plan).await.unwrap().volumes.into_keys().collect();
    let own = [
        &world.sample.servers[2].boot_volume,
        &world.sample.servers[2].data_volume,
    ];
    assert_eq!(volumes, own.into_iter().cloned().collect());
    // What was given up is copied again.
    world.clock.sleep(Duration::from_secs(600)).await;
    let assessment = session.plans().assess(plan).await.unwrap();
    // The others took the project's name there.
    let codes: Vec<_> = assessment.reasons.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(codes, ["plan.tenant_name"], "{assessment:#?}");
    let (point, made) = session.points().create(group).await.unwrap();
    world.succeeded(&made).await;
    let listed = session.points().list(group, &Query::default()).await.unwrap().items;
    let newest = listed.iter().find(|p| p.id == point).expect("the point is there");
    assert_eq!(newest.volumes.len(), 2);
}

/// The end of the plan that stayed takes nothing of what runs on the other side.
async fn ends_without_harm(world: &World, plan: &PlanId, job: &JobId) {
    let session = world.session();
    let end = session.plans().delete(plan).await.unwrap();
    world.succeeded(&end).await;
    let offer = session.failback().offer(job).await.unwrap();
    for now in offer.home.instances.keys() {
        world.sim.heartbeat("b", now).expect("it runs on the Target");
    }
}

/// PG-26, PLAN-31, SM-45, SM-56, SM-66: what a planned failover could not recover goes back, and is protected as before by a group of its own.
#[tokio::test]
async fn what_failed_keeps_a_group_and_a_plan_of_its_own() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        world.engine.start().await.unwrap();
        let job = in_part(&world, JobRequest::failover(group.clone(), plan.clone())).await;
        assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
        split(&world, &group, &plan, &job).await;
        ends_without_harm(&world, &plan, &job).await;
    }
}

/// PG-26: the same when the Source was cut off, came back, and was stopped as a whole before the operator decided: what stays runs
/// again, what was recovered does not.
#[tokio::test]
async fn what_failed_runs_again_although_its_source_was_fenced() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        world.engine.start().await.unwrap();
        world.sim.isolate("a");
        let mut request = JobRequest::failover(group.clone(), plan.clone());
        request.force = Some(ForceRight {
            operator: "anna".into(),
            reason: "cut off".into(),
            accepts_data_loss: true,
            without_fence: false,
        });
        let job = in_part(&world, request).await;
        world.sim.revive("a");
        world.clock.sleep(Duration::from_secs(120)).await;
        for server in &world.sample.servers {
            assert!(world.sim.heartbeat("a", &server.id).is_err(), "{mode:?}: fenced");
        }
        assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
        split(&world, &group, &plan, &job).await;
        ends_without_harm(&world, &plan, &job).await;
    }
}
