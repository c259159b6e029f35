//! Fences: a source that cannot be shown to have stopped is cut off before anything is promoted (design, "Data safety" 1).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use async_trait::async_trait;
use life_kit::{World, failures};
use ns_core::engine::{Evidence, VolumeEpoch};
use ns_core::journal::{DecisionKind, JobView};
use ns_core::model::{
    ClusterId, DataPoint, ForceRight, GroupId, JobId, JobOperation, JobState, PlanId, Query, ReplicationMode,
    ResultCode,
};
use ns_core::provider::{Fence, Fencing};
use ns_core::session::{GroupRequest, JobRequest, OperationRequest, ReprotectRequest};
use ns_core::sim::Part;
use ns_core::store::{BreakWhen, Store};
use ns_core::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const MODES: [ReplicationMode; 2] = [ReplicationMode::Snapshot, ReplicationMode::Journal];

fn right(without_fence: bool) -> ForceRight {
    ForceRight {
        operator: "anna".into(),
        reason: "flood".into(),
        accepts_data_loss: true,
        without_fence,
    }
}

fn forced(group: &GroupId, plan: &PlanId) -> JobRequest {
    let mut request = JobRequest::failover(group.clone(), plan.clone());
    request.force = Some(right(false));
    request
}

/// A fence of the world that counts, and may be out of order.
#[derive(Debug)]
struct Counted {
    fence: Fencing,
    broken: AtomicBool,
    closed: AtomicUsize,
    opened: AtomicUsize,
}

#[async_trait]
impl Fence for Counted {
    fn kind(&self) -> &'static str {
        "counted"
    }
    async fn fence(&self) -> Result<String> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Rejected, "switch.stuck", "the switch is stuck"));
        }
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.fence.fence().await
    }
    async fn unfence(&self) -> Result<()> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.fence.unfence().await
    }
}

async fn cluster(world: &World, site: &str) -> ClusterId {
    let found = world.session().clusters().by_name(&format!("site-{site}")).await;
    found.unwrap().unwrap().id
}

async fn attach(world: &World) -> Arc<Counted> {
    let fence = Arc::new(Counted {
        fence: world.sim.fence("a"),
        broken: AtomicBool::new(false),
        closed: AtomicUsize::new(0),
        opened: AtomicUsize::new(0),
    });
    world.engine.attach_fence(&cluster(world, "a").await, fence.clone());
    fence
}

async fn view(world: &World, job: &JobId) -> JobView {
    world.session().jobs().view(job).await.unwrap()
}

async fn evidence(world: &World) -> Vec<Evidence> {
    let epochs = world.store.list("epoch", None, 99).await.unwrap();
    let epochs = epochs
        .iter()
        .map(|r| serde_json::from_str::<VolumeEpoch>(&r.body).unwrap());
    epochs.map(|e| e.evidence).collect()
}

/// How many of the source's guests can write.
fn writing(world: &World) -> usize {
    let servers = world.sample.server_ids();
    servers.iter().filter(|id| world.sim.heartbeat("a", id).is_ok()).count()
}

/// A source that runs on, cut off from everybody, writes nothing any more once its volumes are promoted elsewhere; the evidence
/// says so. Rolled back, it is let back and has everything.
#[tokio::test]
async fn a_source_that_runs_on_is_cut_off_before_the_promotion() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let fence = attach(&world).await;
        world.sim.isolate("a");
        assert_eq!(writing(&world), 3);
        let request = forced(&group, &plan);
        let explained = world.session().jobs().explain(&request).await.unwrap();
        assert!(
            explained.evidence.iter().any(|e| e.contains("its fence (counted)")),
            "{:?}",
            explained.evidence
        );
        assert_eq!(writing(&world), 3, "explaining touches nothing");
        let job = world.session().jobs().create(request).await.unwrap();
        world.succeeded(&job).await;
        assert_eq!(writing(&world), 0);
        let seen = evidence(&world).await;
        let backed =
            |e: &Evidence| matches!(e, Evidence::Fenced { proof, .. } if proof == "counted: all hosts read off");
        assert!(seen.iter().all(backed), "{seen:?}");
        let view = view(&world, &job).await;
        let decision = view.decisions.iter().find(|d| d.kind == DecisionKind::ForcePromote);
        let facts = &decision.unwrap().facts;
        assert!(facts.iter().any(|f| f.contains("by its fence (counted)")), "{facts:?}");
        world.sim.revive("a");
        assert_eq!(writing(&world), 0, "a source that comes back stays cut off");
        // OPEN-35: what was written on the Target is given up by somebody who says why.
        for operation in [JobOperation::Rollback, JobOperation::CancelConfirm] {
            let without = world
                .session()
                .jobs()
                .operate(&job, operation, OperationRequest::default())
                .await;
            let refused = without.unwrap_err();
            assert_eq!((refused.kind(), refused.field()), (ErrorKind::Invalid, Some("reason")));
        }
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        assert_eq!(writing(&world), 3);
        assert_eq!(fence.opened.load(Ordering::Relaxed), 1);
        assert!(world.store.list("fence", None, 9).await.unwrap().is_empty());
    }
}

/// Without the fence nothing is promoted, until it works or the operator does without it.
#[tokio::test]
async fn nothing_is_promoted_while_the_fence_does_not_work() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let fence = attach(&world).await;
    fence.broken.store(true, Ordering::Relaxed);
    world.sim.isolate("a");
    let before = world.dumps().1;
    let job = world.session().jobs().create(forced(&group, &plan)).await.unwrap();
    let summary = world.session().jobs().wait(&job).await.unwrap();
    assert_eq!(summary.result, Some(ResultCode::Failed));
    let why = failures(&view(&world, &job).await);
    assert!(why.iter().any(|w| w.contains("switch.stuck")), "{why:?}");
    for (name, image) in &world.dumps().1.images {
        assert_eq!(image.replication, before.images[name].replication, "{name}");
    }
    assert_eq!(writing(&world), 3);
    fence.broken.store(false, Ordering::Relaxed);
    assert_eq!(world.operate(&job, JobOperation::Retry).await, JobState::Completed);
    assert_eq!(view(&world, &job).await.result, Some(ResultCode::Success));
    assert_eq!(writing(&world), 0);

    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    attach(&world).await.broken.store(true, Ordering::Relaxed);
    world.sim.isolate("a");
    let mut request = forced(&group, &plan);
    request.force = Some(right(true));
    let job = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    let seen = evidence(&world).await;
    assert!(seen.iter().all(|e| matches!(e, Evidence::Decided { .. })), "{seen:?}");
    assert_eq!(writing(&world), 3, "what runs there goes on, as the decision says");
}

/// Also a recovery from a point cuts off a source that cannot be asked to stop: its instances would run twice.
#[tokio::test]
async fn a_recovery_from_a_point_cuts_the_source_off_as_well() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    attach(&world).await;
    world.sim.isolate("a");
    let mut request = forced(&group, &plan);
    request.data_point = DataPoint::LatestSnapshot;
    let job = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    assert_eq!(writing(&world), 0);
}

/// The middle grade: the source's cloud answers and its storage does not, so that its instances are stopped and seen stopped.
#[tokio::test]
async fn instances_that_were_seen_stopped_are_better_evidence_than_a_word() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    world.sim.silence("a", Part::Storage, true);
    let job = world.session().jobs().create(forced(&group, &plan)).await.unwrap();
    world.succeeded(&job).await;
    let seen = evidence(&world).await;
    assert!(seen.iter().all(|e| matches!(e, Evidence::Stopped { .. })), "{seen:?}");
}

/// Confirmed, the source stays cut off until replication is turned round: it is let back when it can write to none of its old
/// images, and then its old instances are stopped.
#[tokio::test]
async fn a_source_is_let_back_once_its_copies_cannot_be_written() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let fence = attach(&world).await;
        world.sim.isolate("a");
        let job = world.session().jobs().create(forced(&group, &plan)).await.unwrap();
        world.succeeded(&job).await;
        assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
        world.sim.revive("a");
        assert_eq!(fence.opened.load(Ordering::Relaxed), 0);
        let request = ReprotectRequest {
            give_up: Some(right(false)),
        };
        let (.., protect) = world.session().failback().reprotect(&job, request).await.unwrap();
        world.succeeded(&protect).await;
        assert_eq!(fence.opened.load(Ordering::Relaxed), 1);
        assert_eq!(
            writing(&world),
            0,
            "{mode:?}: they are off, and their volumes are replicas"
        );
        assert!(world.store.list("fence", None, 9).await.unwrap().is_empty());
    }
}

/// A forced failover and its rollback, with the engine dying at its `n`th commit; how many commits were made, or none if it died.
async fn play(n: Option<u64>) -> Option<u64> {
    let (mut world, group, plan) = World::of(ReplicationMode::Journal, 1).await;
    let fence = attach(&world).await;
    world.sim.isolate("a");
    let begun = world.store.commits();
    if let Some(n) = n {
        world.store.die_at_commit(n, BreakWhen::After);
    }
    let created = world.session().jobs().create(forced(&group, &plan)).await;
    let mut died = false;
    let ended = match &created {
        Ok(job) => world.session().jobs().wait(job).await.is_ok(),
        Err(_) => false,
    };
    if !ended {
        died = true;
        revive(&mut world, &fence).await;
    }
    let job = match created {
        Ok(job) => job,
        Err(_) => world
            .session()
            .jobs()
            .list(&Query::default())
            .await
            .unwrap()
            .items
            .iter()
            .find(|j| j.work.recovery().is_some())?
            .id
            .clone(),
    };
    world.succeeded(&job).await;
    assert_eq!(writing(&world), 0, "commit {n:?}");
    world.sim.revive("a");
    let request = OperationRequest {
        reason: "over".into(),
        ..OperationRequest::default()
    };
    let jobs = world.session();
    let operated = jobs.jobs().operate(&job, JobOperation::Rollback, request.clone()).await;
    if operated.is_err() || jobs.jobs().wait(&job).await.is_err() {
        died = true;
        revive(&mut world, &fence).await;
        if view(&world, &job).await.state == JobState::Completed {
            world
                .session()
                .jobs()
                .operate(&job, JobOperation::Rollback, request)
                .await
                .unwrap();
        }
    }
    assert_eq!(
        world.session().jobs().wait(&job).await.unwrap().state,
        JobState::Finished
    );
    assert_eq!(writing(&world), 1, "commit {n:?}");
    assert!(
        world.store.list("fence", None, 9).await.unwrap().is_empty(),
        "commit {n:?}"
    );
    (!died).then(|| world.store.commits() - begun)
}

async fn revive(world: &mut World, fence: &Arc<Counted>) {
    world.engine.shutdown().await;
    world.store.revive();
    world.replace().await;
    world.engine.attach_fence(&cluster(world, "a").await, fence.clone());
    world.engine.start().await.unwrap();
}

/// A death at every other commit: the fence is closed before anything is promoted, and opened when everything is taken back.
#[tokio::test]
async fn a_fence_survives_death_after_commits() {
    let commits = play(None).await.expect("nobody dies");
    for n in (1..=commits).step_by(2) {
        assert_eq!(play(Some(n)).await, None, "commit {n} of {commits} is reached");
    }
    println!("{} deaths survived", commits.div_ceil(2));
    assert!(commits >= 40, "only {commits} commits");
}

/// The world's group split: all but the last instance, and the last alone.
async fn two_groups() -> (World, Vec<(GroupId, PlanId)>) {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let old = session.protection_groups().get(&group).await.unwrap();
    let target = session.plans().get(&plan).await.unwrap().target_cluster;
    let job = session.plans().delete(&plan).await.unwrap();
    world.succeeded(&job).await;
    session.protection_groups().delete(&group).await.unwrap();
    let mut made = Vec::new();
    let (first, last) = old.instances.split_at(old.instances.len() - 1);
    for (name, instances) in [("first", first), ("last", last)] {
        let request = GroupRequest {
            name: name.into(),
            description: String::new(),
            owner_group_id: old.owner_group_id.clone(),
            source_cluster: old.source_cluster.clone(),
            instances: instances.to_vec(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        };
        let group = session.protection_groups().create(request).await.unwrap();
        let plan = session.plans().suggest(&group.id, &target).await.unwrap();
        let (plan, job) = session.plans().create(plan).await.unwrap();
        world.succeeded(&job).await;
        world.finish_all().await;
        made.push((group.id, plan.id));
    }
    (world, made)
}

/// Two groups of one site: it is let back when the last of them has no need of the fence any more.
#[tokio::test]
async fn a_fence_that_another_job_needs_stays_closed() {
    let (world, ids) = two_groups().await;
    let fence = attach(&world).await;
    world.sim.isolate("a");
    let mut jobs = Vec::new();
    for (group, plan) in &ids {
        let job = world.session().jobs().create(forced(group, plan)).await.unwrap();
        // The second finds its tenant's name taken by the first, after its volumes were promoted.
        world.session().jobs().wait(&job).await.unwrap();
        jobs.push(job);
    }
    world.sim.revive("a");
    assert_eq!(
        world.operate(&jobs[0], JobOperation::Rollback).await,
        JobState::Finished
    );
    assert_eq!((fence.opened.load(Ordering::Relaxed), writing(&world)), (0, 0));
    assert_eq!(
        world.operate(&jobs[1], JobOperation::Rollback).await,
        JobState::Finished
    );
    assert_eq!((fence.opened.load(Ordering::Relaxed), writing(&world)), (1, 3));
}
