//! Instances of a failover are recovered again from another recovery point (SM-67): beside what was recovered first, which is
//! stopped and stays, and without network, for data safety.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::journal::JobView;
use ns_core::model::{
    CloudId, DataPoint, GroupId, JobId, JobOperation, JobState, PlanId, PointId, PowerState, Query, ReplicationMode,
    ResultCode,
};
use ns_core::ports::Clock;
use ns_core::session::{JobRequest, OperationRequest};
use ns_core::sim::{Beat, Effect, Fault, GuestDisk, Part};
use ns_core::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::time::Duration;

/// A world with a point, which holds `then` of the third server, and writes that came after it.
struct Scene {
    world: World,
    group: GroupId,
    plan: PlanId,
    point: PointId,
    /// Shares no volume with others.
    lone: CloudId,
    then: Beat,
    now: Beat,
}

async fn scene() -> Scene {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let lone = world.sample.servers[2].id.clone();
    let then = world.sim.heartbeat("a", &lone).unwrap();
    let (point, job) = world.session().points().create(&group).await.unwrap();
    world.succeeded(&job).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    let now = world.sim.heartbeat("a", &lone).unwrap();
    Scene {
        world,
        group,
        plan,
        point,
        lone,
        then,
        now,
    }
}

impl Scene {
    fn failover(&self) -> JobRequest {
        JobRequest::failover(self.group.clone(), self.plan.clone())
    }

    fn request(&self) -> OperationRequest {
        OperationRequest {
            reason: "its data was damaged after that".into(),
            instances: BTreeSet::from([self.lone.clone()]),
            point: Some(self.point.clone()),
        }
    }

    async fn view(&self, job: &JobId) -> JobView {
        self.world.session().jobs().view(job).await.unwrap()
    }

    async fn retry(&self, job: &JobId, request: OperationRequest) -> Result<ResultCode, Error> {
        let session = self.world.session();
        session.jobs().operate(job, JobOperation::Retry, request).await?;
        Ok(session.jobs().wait(job).await?.result.unwrap())
    }

    /// What a task made on B.
    async fn made(&self, job: &JobId, key: &str) -> CloudId {
        let view = self.view(job).await;
        let output = view.output(&key.into()).unwrap_or_else(|| panic!("{key} is done"));
        output.handle.clone().unwrap().id
    }

    async fn newest(&self, job: &JobId) -> CloudId {
        let key = self.view(job).await.newest(&format!("server/{}", self.lone));
        self.made(job, key.as_str()).await
    }

    fn boot_disk(&self, server: &CloudId) -> GuestDisk {
        let inventory = self.world.sim.inventory("b");
        let boot = &inventory.instances[server].volume_ids[0];
        self.world.sim.volume_disk("b", boot).unwrap()
    }

    fn power(&self, server: &CloudId) -> PowerState {
        self.world.sim.inventory("b").instances[server].power
    }
}

/// SM-47, SM-67: also an instance that was recovered is recovered again, when the operator chooses another point.
#[tokio::test]
async fn sm_47_sm_67_another_point_is_taken_beside_what_was_recovered_and_without_network() {
    let scene = scene().await;
    let session = scene.world.session();
    let job = session.jobs().create(scene.failover()).await.unwrap();
    scene.world.succeeded(&job).await;
    let first = scene.made(&job, &format!("server/{}", scene.lone)).await;
    assert_eq!(
        scene.boot_disk(&first).beat.as_ref(),
        Some(&scene.now),
        "the newest data"
    );
    let ports = scene.world.sim.inventory("b").instances[&first].port_ids.clone();
    assert!(!ports.is_empty());

    // Asked first: it says what would be done, and nothing is.
    let before = scene.world.dumps();
    let told = session
        .jobs()
        .explain_operation(&job, JobOperation::Retry, &scene.request())
        .await
        .unwrap();
    assert!(told.refusals.is_empty(), "{:?}", told.refusals);
    assert!(
        told.evidence
            .iter()
            .any(|e| e.contains("not connected to a network") && e.contains("stopped and stays"))
    );
    assert!(told.steps.iter().any(|s| s.key.as_str().contains("clone/")));
    scene.world.same(&before, "the dry run");

    assert_eq!(scene.retry(&job, scene.request()).await.unwrap(), ResultCode::Success);
    let second = scene.newest(&job).await;
    assert_ne!(second, first);
    let inventory = scene.world.sim.inventory("b");
    assert!(inventory.instances[&second].port_ids.is_empty(), "not connected");
    assert_eq!(
        inventory.instances[&first].port_ids, ports,
        "its address waits for whoever looked at the data"
    );
    assert_eq!(
        (scene.power(&first), scene.power(&second)),
        (PowerState::Stopped, PowerState::Running)
    );
    assert_eq!(
        scene.boot_disk(&second).beat.as_ref(),
        Some(&scene.then),
        "exactly what the point holds"
    );
    assert_eq!(
        scene.boot_disk(&first).beat.as_ref(),
        Some(&scene.now),
        "nothing of the first is lost"
    );
    for other in &scene.world.sample.servers[..2] {
        let server = scene.made(&job, &format!("server/{}", other.id)).await;
        scene.world.sim.heartbeat("b", &server).expect("the others run on");
    }

    assert_eq!(
        scene.world.operate(&job, JobOperation::Confirm).await,
        JobState::Finished
    );
    scene.world.sim.heartbeat("b", &second).expect("it runs on");
    assert_eq!(
        scene.boot_disk(&first).beat.as_ref(),
        Some(&scene.now),
        "set aside, not removed"
    );
    // Only what replicates can come home.
    let offer = session.failback().offer(&job).await.unwrap();
    let home: BTreeSet<&CloudId> = offer.home.instances.values().collect();
    assert_eq!(home, scene.world.sample.servers[..2].iter().map(|s| &s.id).collect());
    let report = session.reports().get(&job).await.unwrap();
    let volume = |id: &CloudId| {
        report
            .facts
            .volumes
            .iter()
            .find(|v| &v.id == id)
            .unwrap()
            .data_point
            .unwrap()
    };
    let point = session.points().get(&scene.point).await;
    let lone = volume(&scene.world.sample.servers[2].boot_volume);
    assert!(
        lone < volume(&scene.world.sample.servers[0].boot_volume),
        "its data is older"
    );
    if let Ok(point) = point {
        assert_eq!(lone, point.taken_at);
    }
    let instance = report.facts.instances.iter().find(|i| i.id == scene.lone).unwrap();
    assert_eq!(instance.target_id.as_ref(), Some(&second));
    assert!(
        report
            .facts
            .decisions
            .iter()
            .any(|d| d.kind == "other_point" && d.reason.contains("damaged"))
    );
}

/// SM-67: a rollback takes back both.
#[tokio::test]
async fn sm_67_a_rollback_leaves_nothing_of_either() {
    let scene = scene().await;
    let before = scene.world.dumps();
    let job = scene.world.session().jobs().create(scene.failover()).await.unwrap();
    scene.world.succeeded(&job).await;
    for _ in 0..2 {
        // Twice: each time beside what was there before.
        assert_eq!(scene.retry(&job, scene.request()).await.unwrap(), ResultCode::Success);
    }
    assert_eq!(scene.world.sim.inventory("b").instances.len(), 5);
    assert_eq!(
        scene.world.operate(&job, JobOperation::Rollback).await,
        JobState::Finished
    );
    scene.world.same_but_for_writes(&before, "the rollback");
}

/// SM-67: whichever of the servers cannot be removed, the source of one that is still there is not started.
#[tokio::test]
async fn sm_67_a_source_waits_until_what_stands_for_it_is_gone() {
    let mut stayed = 0;
    for nth in 0..4 {
        let scene = scene().await;
        let before = scene.world.dumps();
        let job = scene.world.session().jobs().create(scene.failover()).await.unwrap();
        scene.world.succeeded(&job).await;
        assert_eq!(scene.retry(&job, scene.request()).await.unwrap(), ResultCode::Success);
        let second = scene.newest(&job).await;
        let remove = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("remove");
        scene.world.sim.faults().inject(remove.after(nth).times(1));
        let session = scene.world.session();
        let rollback = OperationRequest::default();
        let jobs = session.jobs();
        jobs.operate(&job, JobOperation::Rollback, rollback).await.unwrap();
        assert_eq!(session.jobs().wait(&job).await.unwrap().state, JobState::ClearFailed);
        if scene.world.sim.inventory("b").instances.contains_key(&second) {
            stayed += 1;
            let source = &scene.world.sim.inventory("a").instances[&scene.lone];
            assert_eq!(source.power, PowerState::Stopped);
        }
        assert_eq!(
            scene.world.operate(&job, JobOperation::RetryRollback).await,
            JobState::Finished
        );
        scene.world.same_but_for_writes(&before, "the rollback, tried again");
    }
    assert_eq!(stayed, 1);
}

/// SM-66, SM-67: what failed first and was recovered from a point counts as recovered; its half hand-over goes back when that is
/// confirmed, and the instance is not started beside its successor.
#[tokio::test]
async fn sm_66_sm_67_what_failed_is_recovered_from_a_point() {
    let scene = scene().await;
    let session = scene.world.session();
    let adopt = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("adopt");
    scene.world.sim.faults().inject(adopt.after(6).times(1));
    let job = session.jobs().create(scene.failover()).await.unwrap();
    let ended = session.jobs().wait(&job).await.unwrap();
    assert_eq!(ended.result, Some(ResultCode::PartialSuccess));
    assert_eq!(scene.retry(&job, scene.request()).await.unwrap(), ResultCode::Success);
    let second = scene.newest(&job).await;
    assert_eq!(scene.boot_disk(&second).beat.as_ref(), Some(&scene.then));
    // Nothing is left to be retried: what failed first was replaced.
    let refused = scene.retry(&job, OperationRequest::default()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, "job.retry"));

    assert_eq!(
        scene.world.operate(&job, JobOperation::Confirm).await,
        JobState::Finished
    );
    scene.world.sim.heartbeat("b", &second).expect("it runs on");
    let lone = &scene.world.sample.servers[2];
    assert_eq!(
        scene.world.sim.inventory("a").instances[&lone.id].power,
        PowerState::Stopped
    );
    assert_eq!(scene.world.sim.inventory("b").instances.len(), 3, "one of each");
    let kept = scene.world.sim.volume_disk("a", &lone.boot_volume).unwrap();
    assert_eq!(kept.beat.as_ref(), Some(&scene.now), "the newest data is where it was");
}

/// SM-67: each refusal says what to do, and changes nothing.
#[tokio::test]
async fn sm_67_what_cannot_be_recovered_from_another_point_is_refused() {
    let scene = scene().await;
    let session = scene.world.session();
    let job = session.jobs().create(scene.failover()).await.unwrap();
    scene.world.succeeded(&job).await;
    let before = scene.world.dumps();
    let shared = scene.world.sample.servers[0].id.clone();
    let with = |change: fn(&mut OperationRequest, CloudId)| {
        let mut request = scene.request();
        change(&mut request, shared.clone());
        request
    };
    let cases = [
        (
            with(|r, _| r.instances.clear()),
            ErrorKind::Invalid,
            "retry.instances",
            "instances",
        ),
        (
            with(|r, _| r.instances = [CloudId::new("nobody")].into()),
            ErrorKind::Invalid,
            "retry.instance",
            "instances[nobody]",
        ),
        (
            with(|r, one| r.instances = [one].into()),
            ErrorKind::Refused,
            "retry.shared_volume",
            "instances",
        ),
        (
            with(|r, _| r.point = Some(PointId::new("none"))),
            ErrorKind::NotFound,
            "retry.point",
            "point",
        ),
    ];
    let entries = scene.view(&job).await.position;
    for (request, kind, code, field) in cases {
        let error = scene.retry(&job, request).await.unwrap_err();
        assert_eq!((error.kind(), error.code(), error.field()), (kind, code, Some(field)));
        assert!(error.remedy().is_some(), "{code}");
    }
    let only_retry = session
        .jobs()
        .operate(&job, JobOperation::Confirm, scene.request())
        .await
        .unwrap_err();
    assert_eq!((only_retry.code(), only_retry.field()), ("retry.point", Some("point")));
    assert_eq!(scene.view(&job).await.position, entries, "nothing was journalled");
    scene.world.same(&before, "what was refused");

    // The point of the job itself: nothing failed that could be retried.
    assert_eq!(
        scene.world.operate(&job, JobOperation::Rollback).await,
        JobState::Finished
    );
    let mut to_point = scene.failover();
    to_point.data_point = DataPoint::SpecificSnapshot {
        point_id: scene.point.clone(),
    };
    let job = session.jobs().create(to_point).await.unwrap();
    scene.world.succeeded(&job).await;
    let error = scene.retry(&job, scene.request()).await.unwrap_err();
    assert_eq!(error.code(), "job.retry");
    // Another one is taken, also after a failover to a point; what it retries from is kept meanwhile.
    let points = session
        .points()
        .list(&scene.group, &Query::default())
        .await
        .unwrap()
        .items;
    let other = points.iter().find(|p| p.id != scene.point).unwrap();
    let mut request = scene.request();
    request.point = Some(other.id.clone());
    assert_eq!(scene.retry(&job, request).await.unwrap(), ResultCode::Success);
    assert_eq!(
        scene.world.operate(&job, JobOperation::Confirm).await,
        JobState::Finished
    );
}
