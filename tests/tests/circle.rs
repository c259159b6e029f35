//! The whole circle (OPEN-01): fail over, run there, protect in the other direction, fail back, and be as before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::{World, failures};
use ns_core::ErrorKind;
use ns_core::journal::DecisionKind;
use ns_core::model::{
    CloudId, ForceRight, Home, JobId, JobOperation, JobState, PlanId, PlanStatus, Query, ReplicationMode, ResultCode,
};
use ns_core::ports::Clock;
use ns_core::provider::CreatedKind;
use ns_core::session::{JobRequest, OperationRequest, PlanUpdate, ReprotectRequest};
use ns_core::sim::{Beat, Effect, Fault, Part};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MODES: [ReplicationMode; 2] = [ReplicationMode::Snapshot, ReplicationMode::Journal];

fn right(reason: &str) -> ForceRight {
    ForceRight {
        operator: "anna".into(),
        reason: reason.into(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

/// Every guest on B writes; what it wrote, by the instance it was on A.
fn beats(world: &World, home: &Home) -> BTreeMap<CloudId, Beat> {
    let beat = |now: &CloudId| {
        let beats = (0..4).map(|_| world.sim.heartbeat("b", now).unwrap());
        beats.max().unwrap()
    };
    home.instances
        .iter()
        .map(|(now, was)| (was.clone(), beat(now)))
        .collect()
}

fn came_home(world: &World, written: &BTreeMap<CloudId, Beat>) {
    for server in &world.sample.servers {
        let disk = world.sim.volume_disk("a", &server.boot_volume).unwrap();
        assert_eq!(
            disk.beat.as_ref(),
            written.get(&server.id),
            "what was written on B came home"
        );
    }
}

async fn normal(world: &World, plan: &PlanId) {
    // What the replication services report may be half a minute old.
    world.clock.sleep(Duration::from_secs(60)).await;
    let assessment = world.session().plans().assess(plan).await.unwrap();
    assert_eq!(assessment.status, PlanStatus::Normal, "{assessment:#?}");
}

/// Protects in the other direction and fails back, to the confirm.
async fn come_home(world: &World, failover: &JobId, give_up: Option<ForceRight>) {
    let session = world.session();
    let (group, plan, job) = session
        .failback()
        .reprotect(failover, ReprotectRequest { give_up })
        .await
        .unwrap();
    world.succeeded(&job).await;
    world.finish_all().await;
    normal(world, &plan.id).await;
    let back = session
        .jobs()
        .create(JobRequest::failover(group.id, plan.id))
        .await
        .unwrap();
    world.succeeded(&back).await;
    assert_eq!(world.operate(&back, JobOperation::Confirm).await, JobState::Finished);
    let report = session.reports().get(&back).await.unwrap();
    let measured = &report.measured;
    let lost = (measured.rpo_seconds, measured.rpo_met, measured.rpo_unknown);
    assert_eq!(
        lost,
        (Some(0), Some(true), 0),
        "nothing is lost on the way home, and the report says so"
    );
    let originals: BTreeSet<_> = world.sample.servers.iter().map(|s| Some(s.id.clone())).collect();
    let home: BTreeSet<_> = (report.facts.instances.into_iter()).map(|i| i.target_id).collect();
    assert_eq!(home, originals);
}

/// R47, design "Data safety": after a planned failover and its failback the object graph of both clouds and both storages is the
/// one before the failover, and what was written over there came home.
#[tokio::test]
async fn failback_leaves_everything_as_before_the_failover() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        let before = world.dumps();
        let job = session
            .jobs()
            .create(JobRequest::failover(group.clone(), plan.clone()))
            .await
            .unwrap();
        world.succeeded(&job).await;
        assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
        let offer = session.failback().offer(&job).await.unwrap();
        let written = beats(&world, &offer.home);
        come_home(&world, &job, None).await;
        world.same_but_for_writes(&before, "failover and failback");
        came_home(&world, &written);
        normal(&world, &plan).await;
        assert_eq!(
            session
                .points()
                .list(&group, &Query::default())
                .await
                .unwrap()
                .items
                .len(),
            1,
            "the group's points are its own again"
        );
        assert!(
            session
                .failback()
                .offers(&Default::default())
                .await
                .unwrap()
                .items
                .is_empty()
        );
        // And once more around.
        let job = session.jobs().create(JobRequest::failover(group, plan)).await.unwrap();
        world.succeeded(&job).await;
        world.operate(&job, JobOperation::Rollback).await;
        world.same_but_for_writes(&before, "a failover after the failback, rolled back");
    }
}

/// PLAN-40: what the replication services reported before a hand-over does not count after it. A job may be made at once.
#[tokio::test]
async fn a_plan_is_normal_right_after_a_rollback() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        let failover = JobRequest::failover(group.clone(), plan.clone());
        let job = session.jobs().create(failover).await.unwrap();
        world.succeeded(&job).await;
        // Long enough for reports that call the Target primary.
        world.clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        let assessment = session.plans().assess(&plan).await.unwrap();
        assert_eq!(assessment.status, PlanStatus::Normal, "{mode:?}: {assessment:#?}");
        let drill = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
        world.succeeded(&drill).await;
    }
}

/// OPEN-01, PLAN-73: an address that the plan names is given back as well. That the originals have theirs still is no hindrance.
#[tokio::test]
async fn open_01_plan_73_a_mapped_address_comes_home() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let inside = world
        .sim
        .inventory("a")
        .floating_ips
        .values()
        .next()
        .unwrap()
        .address
        .clone();
    let outside = "172.24.198.77".to_owned();
    let mut mapping = session.plans().get(&plan).await.unwrap().mapping;
    mapping.floating_ips.insert(inside.clone(), outside.clone());
    let update = PlanUpdate {
        mapping: Some(mapping),
        ..PlanUpdate::default()
    };
    session.plans().update(&plan, update).await.unwrap();
    let before = world.dumps();
    let job = session
        .jobs()
        .create(JobRequest::failover(group, plan.clone()))
        .await
        .unwrap();
    world.succeeded(&job).await;
    let given: Vec<_> = world
        .sim
        .inventory("b")
        .floating_ips
        .into_values()
        .map(|f| f.address)
        .collect();
    assert_eq!(given, std::slice::from_ref(&outside));
    assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
    let (_, reversed, protect) = session
        .failback()
        .reprotect(&job, ReprotectRequest::default())
        .await
        .unwrap();
    world.succeeded(&protect).await;
    world.finish_all().await;
    assert_eq!(
        reversed.mapping.floating_ips,
        BTreeMap::from([(outside, inside.clone())])
    );
    normal(&world, &reversed.id).await;

    // Somebody else's it must not be.
    let stranger = |all: &mut ns_core::model::Inventory, to: &str| {
        let port = all.floating_ips.values().next().unwrap().port_id.clone().unwrap();
        to.clone_into(&mut all.ports.get_mut(&port).unwrap().device_id);
    };
    world.sim.edit("a", |all| stranger(all, "somebody"));
    let cluster = session.clusters().by_name("site-a").await.unwrap().unwrap();
    session.clusters().sync(&cluster.id).await.unwrap();
    let found = session.plans().assess(&reversed.id).await.unwrap();
    let codes: Vec<_> = found.reasons.iter().map(|r| r.code.as_str()).collect();
    assert_eq!((found.status, codes), (PlanStatus::Warning, vec!["plan.floating_ip"]));
    world
        .sim
        .edit("a", |all| stranger(all, world.sample.servers[0].id.as_str()));
    session.clusters().sync(&cluster.id).await.unwrap();

    let back = session
        .jobs()
        .create(JobRequest::failover(reversed.group_id, reversed.id))
        .await
        .unwrap();
    world.succeeded(&back).await;
    assert_eq!(world.operate(&back, JobOperation::Confirm).await, JobState::Finished);
    world.same_but_for_writes(&before, "failover and failback with a mapped address");
    normal(&world, &plan).await;
}

/// OPEN-01: the way out of a network that no outside address leads into is nobody's in particular. It is cleared away with the
/// network all the same.
#[tokio::test]
async fn open_01_a_network_without_outside_addresses_leaves_nothing_behind() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    let session = world.session();
    let address = world.sample.servers[0].floating_ip.clone().unwrap();
    world.sim.destroy("a", CreatedKind::FloatingIp, &address).unwrap();
    let cluster = session.clusters().by_name("site-a").await.unwrap().unwrap();
    session.clusters().sync(&cluster.id).await.unwrap();
    let before = world.dumps();
    let job = session
        .jobs()
        .create(JobRequest::failover(group, plan.clone()))
        .await
        .unwrap();
    world.succeeded(&job).await;
    assert_eq!(world.sim.inventory("b").routers.len(), 1);
    assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
    come_home(&world, &job, None).await;
    world.same_but_for_writes(&before, "failover and failback without outside addresses");
    normal(&world, &plan).await;
}

/// A failback that is rolled back leaves the instances where they ran, protected.
#[tokio::test]
async fn a_failback_rolls_back() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        let job = session.jobs().create(JobRequest::failover(group, plan)).await.unwrap();
        world.succeeded(&job).await;
        world.operate(&job, JobOperation::Confirm).await;
        let (group, plan, protect) = session
            .failback()
            .reprotect(&job, ReprotectRequest::default())
            .await
            .unwrap();
        world.succeeded(&protect).await;
        world.finish_all().await;
        let before = world.dumps();
        let back = session
            .jobs()
            .create(JobRequest::failover(group.id, plan.id.clone()))
            .await
            .unwrap();
        world.succeeded(&back).await;
        assert_eq!(world.operate(&back, JobOperation::Rollback).await, JobState::Finished);
        world.same_but_for_writes(&before, "a failback and its rollback");
        normal(&world, &plan.id).await;
    }
}

/// R16, I4: after a forced failover the old side's copies are thrown away only by a recorded word; then everything comes home.
#[tokio::test]
async fn after_a_disaster_the_old_copies_follow_only_by_decision() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        let before = world.dumps();
        world.sim.isolate("a");
        let mut request = JobRequest::failover(group, plan);
        request.force = Some(right("cut off"));
        let job = session.jobs().create(request).await.unwrap();
        world.succeeded(&job).await;
        world.operate(&job, JobOperation::Confirm).await;
        // Its guests ran on: both sides have writes of their own now.
        let offer = session.failback().offer(&job).await.unwrap();
        let lost = offer
            .home
            .instances
            .values()
            .map(|was| world.sim.heartbeat("a", was).unwrap());
        assert_eq!(lost.count(), 3);
        let written = beats(&world, &offer.home);
        world.sim.revive("a");
        let held = world.dumps().0;
        let (_, reversed, protect) = session
            .failback()
            .reprotect(&job, ReprotectRequest::default())
            .await
            .unwrap();
        let summary = session.jobs().wait(&protect).await.unwrap();
        assert_eq!(summary.result, Some(ResultCode::Failed), "{mode:?}");
        let why = failures(&session.jobs().view(&protect).await.unwrap());
        assert!(why.iter().any(|w| w.contains("rejoin.diverged")), "{why:?}");
        for (image, state) in &world.dumps().0.images {
            assert_eq!(
                state.contents, held.images[image].contents,
                "{mode:?}: nothing of A was thrown away"
            );
        }
        let nobody = ForceRight {
            operator: " ".into(),
            ..right("x")
        };
        let request = ReprotectRequest { give_up: Some(nobody) };
        let refused = session.failback().reprotect(&job, request).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.field()),
            (ErrorKind::Invalid, Some("give_up.operator"))
        );
        come_home(&world, &job, Some(right("B wins"))).await;
        world.same_but_for_writes(&before, "disaster and failback");
        came_home(&world, &written);
        assert!(
            session.plans().get(&reversed.id).await.is_err(),
            "the reversed plan has served"
        );
    }
}

/// Issue of every stack that forces promotion: a source that comes back writes on. Ours is made read only by the watch, keeps
/// what it holds, and wins or loses by an operator's word only.
#[tokio::test]
async fn a_source_that_comes_back_is_made_read_only() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        world.engine.start().await.unwrap();
        world.sim.isolate("a");
        let mut request = JobRequest::failover(group, plan.clone());
        request.force = Some(right("cut off"));
        let job = session.jobs().create(request).await.unwrap();
        world.succeeded(&job).await;
        for server in &world.sample.servers {
            world.sim.heartbeat("a", &server.id).unwrap();
        }
        world.sim.revive("a");
        let held = world
            .sim
            .volume_disk("a", &world.sample.servers[0].boot_volume)
            .unwrap();
        world.clock.sleep(Duration::from_secs(120)).await;
        for image in world.dumps().0.images.values() {
            assert!(
                image.replication.as_ref().is_none_or(|(_, _, primary)| !primary),
                "{mode:?}: nothing of the source is primary"
            );
        }
        for server in &world.sample.servers {
            assert!(
                world.sim.heartbeat("a", &server.id).is_err(),
                "{mode:?}: no guest of the source writes"
            );
            let disk = world.sim.volume_disk("a", &server.boot_volume).unwrap();
            assert_eq!(
                disk.beat.is_some(),
                held.beat.is_some(),
                "{mode:?}: it keeps what it wrote"
            );
        }
        // The operator decides that the source wins after all.
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        // The Target's copies are made anew.
        world.clock.sleep(Duration::from_secs(600)).await;
        normal(&world, &plan).await;
        let kept = world
            .sim
            .volume_disk("a", &world.sample.servers[0].boot_volume)
            .unwrap();
        assert_eq!(kept.beat, held.beat, "{mode:?}: the source has its own writes");
        for server in &world.sample.servers {
            world
                .sim
                .heartbeat("a", &server.id)
                .expect("the source's guests run again");
        }
    }
}

/// PLAN-29, JOB-40: a rollback that is given up half way leaves nobody who can write. The plan is not ended then, for its copies
/// are the way out: a failover that is forced, and rolled back.
#[tokio::test]
async fn a_rollback_that_is_given_up_can_be_made_good() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        world.engine.start().await.unwrap();
        let mut forced = JobRequest::failover(group.clone(), plan.clone());
        forced.force = Some(right("cut off"));
        world.sim.isolate("a");
        let job = session.jobs().create(forced.clone()).await.unwrap();
        world.succeeded(&job).await;
        // The source does not answer while it is to become primary again.
        let request = OperationRequest {
            reason: "it was a mistake".into(),
            ..OperationRequest::default()
        };
        session
            .jobs()
            .operate(&job, JobOperation::Rollback, request)
            .await
            .unwrap();
        assert_eq!(session.jobs().wait(&job).await.unwrap().state, JobState::ClearFailed);
        let given_up = world.operate(&job, JobOperation::IgnoreRollback).await;
        assert_eq!(given_up, JobState::Finished);
        world.sim.revive("a");
        world.clock.sleep(Duration::from_secs(120)).await;
        for server in &world.sample.servers {
            assert!(world.sim.heartbeat("a", &server.id).is_err(), "{mode:?}: fenced");
        }
        let refused = session.plans().delete(&plan).await.unwrap_err();
        assert_eq!(refused.code(), "plan.source_not_primary", "{refused:?}");
        let points = session
            .points()
            .list(&group, &Query::default())
            .await
            .unwrap()
            .items
            .len();
        assert_eq!(points, 1, "its points are kept");
        let planned = JobRequest::failover(group, plan.clone());
        let refused = session.jobs().create(planned).await.unwrap_err();
        assert_eq!(refused.code(), "job.plan_status", "{refused:?}");
        // What stands in the way of another failover can be put right in the plan.
        let mut mapping = session.plans().get(&plan).await.unwrap().mapping;
        mapping.tenant_name.push_str("-2");
        let other_name = PlanUpdate {
            mapping: Some(mapping),
            ..PlanUpdate::default()
        };
        session.plans().update(&plan, other_name).await.unwrap();

        let job = session.jobs().create(forced).await.unwrap();
        world.succeeded(&job).await;
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        for server in &world.sample.servers {
            world.sim.heartbeat("a", &server.id).expect("it runs again");
        }
        // At once: the target's copies do not follow yet, and would stay behind.
        let end = session.plans().delete(&plan).await.unwrap();
        world.succeeded(&end).await;
        let left = world.dumps().1.images.len();
        assert_eq!(left, 0, "{mode:?}: nothing of it is left on the target");
    }
}

/// First implementation's fault 9: a failover does not queue behind a drill that waits to be cleaned up, runs, or could not be
/// cleaned up.
#[tokio::test]
async fn a_failover_preempts_a_drill() {
    for kind in ["completed", "running", "clear failed"] {
        let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
        let session = world.session();
        let before = world.dumps();
        let drill = session
            .jobs()
            .create(JobRequest::drill(group.clone(), plan.clone()))
            .await
            .unwrap();
        if kind != "running" {
            world.succeeded(&drill).await;
        }
        if kind == "clear failed" {
            let stuck = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Denied)).verb("remove");
            world.sim.faults().inject(stuck);
            let request = OperationRequest::default();
            session
                .jobs()
                .operate(&drill, JobOperation::Rollback, request)
                .await
                .unwrap();
            assert_eq!(session.jobs().wait(&drill).await.unwrap().state, JobState::ClearFailed);
            world.sim.faults().clear();
        }
        let job = session.jobs().create(JobRequest::failover(group, plan)).await.unwrap();
        world.succeeded(&job).await;
        let ended = session.jobs().get(&drill).await.unwrap();
        assert_eq!(ended.state, JobState::Finished, "{kind}");
        let view = session.jobs().view(&drill).await.unwrap();
        let ignored = view.decisions.iter().any(|d| d.kind == DecisionKind::IgnoreLeftovers);
        assert_eq!(ignored, kind == "clear failed", "what was set aside is in the journal");
        world.operate(&job, JobOperation::Rollback).await;
        if kind != "clear failed" {
            world.same_but_for_writes(&before, kind);
        }
    }
}

/// A failover is not lost to a service that is overloaded while it is planned: it is asked again.
#[tokio::test]
async fn planning_outlasts_a_moment_of_overload() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let overloaded = Fault::new("a", Part::Storage, Effect::Error(ErrorKind::Unavailable));
    world.sim.faults().inject(overloaded.verb("image").times(3));
    let session = world.session();
    let job = session.jobs().create(JobRequest::failover(group, plan)).await.unwrap();
    world.succeeded(&job).await;
    let view = session.jobs().view(&job).await.unwrap();
    let decided = view.decisions.len();
    assert_eq!(decided, 0, "nothing of a try that failed is kept: {:?}", view.decisions);
}

/// Both sides writable reads as healthy; the watch finds it within an interval.
#[tokio::test]
async fn two_writers_are_found() {
    let (world, _, plan) = World::new(ReplicationMode::Snapshot).await;
    world.engine.start().await.unwrap();
    normal(&world, &plan).await;
    let volumes = world.session().plans().get(&plan).await.unwrap().volumes;
    let image = volumes.values().next().unwrap().target.clone();
    world.sim.rbd("b", |rbd| rbd.promote(&image, true)).unwrap();
    world.clock.sleep(Duration::from_secs(61)).await;
    let assessment = world.session().plans().assess(&plan).await.unwrap();
    assert!(
        assessment
            .reasons
            .iter()
            .any(|r| r.message.contains("both sides are primary")),
        "{assessment:#?}"
    );
}

/// Design "Never a lost byte that was safe": a Source whose cloud is down while its storage works loses nothing. The volumes are
/// demoted under instances that nobody can stop; when the cloud is back, they are stopped before the way home.
#[tokio::test]
async fn a_source_without_its_cloud_is_handed_over_without_loss() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let session = world.session();
        let written: BTreeMap<CloudId, Beat> = world
            .sample
            .servers
            .iter()
            .map(|s| (s.boot_volume.clone(), world.sim.heartbeat("a", &s.id).unwrap()))
            .collect();
        let faults = world.sim.faults();
        faults.inject(Fault::new("a", Part::Cloud, Effect::Error(ErrorKind::Unavailable)));
        let mut request = JobRequest::failover(group, plan);
        let refused = session.jobs().create(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "failover.source_unreachable");
        request.force = Some(right("the cloud of site A is down"));
        let told = session.jobs().explain(&request).await.unwrap();
        assert_eq!(told.kind, "failover without the Source's cloud");
        assert!(told.loss.iter().all(|l| l.lost_seconds == Some(0)), "{:?}", told.loss);
        assert!(
            told.steps
                .iter()
                .all(|s| !s.sentence.contains("by force") && !s.sentence.contains("stop a server"))
        );
        let job = session.jobs().create(request).await.unwrap();
        world.succeeded(&job).await;
        let view = session.jobs().view(&job).await.unwrap();
        let decided: Vec<_> = view.decisions.iter().map(|d| d.kind).collect();
        assert_eq!(decided, [DecisionKind::CutOff], "{mode:?}");
        for (volume, beat) in &written {
            let key = format!("volume/{volume}").into();
            let made = view.output(&key).unwrap().handle.clone().unwrap();
            let disk = world.sim.volume_disk("b", &made.id).unwrap();
            assert_eq!(
                disk.beat.as_ref(),
                Some(beat),
                "{mode:?}: the last write before the demotion"
            );
        }
        for server in &world.sample.servers {
            assert!(
                world.sim.heartbeat("a", &server.id).is_err(),
                "{mode:?}: it writes no more"
            );
        }
        assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
        faults.clear();
        let offer = session.failback().offer(&job).await.unwrap();
        let written = beats(&world, &offer.home);
        come_home(&world, &job, None).await;
        came_home(&world, &written);
    }
}
