//! The whole life on simulated clouds, and the same life with the engine dying at each of its commits.

use ns_core::journal::{DecisionKind, JobView, TaskStatus};
use ns_core::model::{
    ForceRight, GroupId, InstanceRecoveryState, JobId, JobOperation, JobState, OwnerGroupId, PlanId, PlanStatus,
    ReplicationMode, Resource, ResultCode,
};
use ns_core::ports::{Clock, SequentialIds};
use ns_core::provider::Role;
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest, OperationRequest};
use ns_core::sim::{Effect, Fault, Part, Sample, SimClock, SimWorld, SiteDump};
use ns_core::store::{BreakWhen, MemoryStore};
use ns_core::{Actor, Engine, ErrorKind, Providers, Session};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Two simulated sites, a store that outlives engines, and the engine of the moment.
struct World {
    sim: SimWorld,
    clock: SimClock,
    store: Arc<MemoryStore>,
    ids: Arc<SequentialIds>,
    engine: Engine,
    sample: Sample,
}

impl World {
    async fn new(mode: ReplicationMode) -> (Self, GroupId, PlanId) {
        Self::of(mode, 3).await
    }

    async fn of(mode: ReplicationMode, servers: usize) -> (Self, GroupId, PlanId) {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), 7);
        let sample = sim.sample_group(servers).unwrap();
        let (store, ids) = (Arc::new(MemoryStore::new()), Arc::new(SequentialIds::default()));
        let engine = engine(&store, &clock, &ids);
        let world = Self {
            sim,
            clock,
            store,
            ids,
            engine,
            sample,
        };
        let (group, plan) = world.protect(mode).await;
        (world, group, plan)
    }

    fn session(&self) -> Session {
        self.engine.session(Actor::new("anna"))
    }

    fn providers(&self, site: &str) -> Providers {
        Providers {
            cloud: self.sim.cloud(site),
            storage: self.sim.storage(site),
        }
    }

    async fn protect(&self, mode: ReplicationMode) -> (GroupId, PlanId) {
        let session = self.session();
        let mut ids = Vec::new();
        for site in ["a", "b"] {
            let request = ClusterRequest {
                name: format!("site-{site}"),
                owner_group_id: OwnerGroupId::new("ops"),
                note: String::new(),
            };
            ids.push(
                session
                    .clusters()
                    .register(request, self.providers(site))
                    .await
                    .unwrap()
                    .id,
            );
        }
        let group = session
            .protection_groups()
            .create(GroupRequest {
                name: "shop".into(),
                description: String::new(),
                owner_group_id: OwnerGroupId::new("ops"),
                source_cluster: ids[0].clone(),
                instances: self.sample.server_ids(),
                rpo_minutes: 15,
                rto_minutes: 30,
                snapshot_interval_minutes: None,
            })
            .await
            .unwrap();
        let mut plan = session.plans().suggest(&group.id, &ids[1]).await.unwrap();
        plan.replication_mode = mode;
        let (plan, job) = session.plans().create(plan).await.unwrap();
        self.succeeded(&job).await;
        self.finish_all().await;
        assert_eq!(
            session.points().list(&group.id).await.unwrap().len(),
            1,
            "PLAN-15: the first point is made by itself"
        );
        assert_eq!(
            session.plans().assess(&plan.id).await.unwrap().status,
            PlanStatus::Normal
        );
        (group.id, plan.id)
    }

    async fn succeeded(&self, job: &JobId) {
        let summary = self.session().jobs().wait(job).await.unwrap();
        if summary.result != Some(ResultCode::Success) {
            let view = self.session().jobs().view(job).await.unwrap();
            panic!("{:?} in {}: {:#?}", summary.result, summary.state, failures(&view));
        }
    }

    /// Waits for every job that has not finished, e.g. the first point that follows the initial mirroring.
    async fn finish_all(&self) {
        let jobs = self.session().jobs().list(&Default::default()).await.unwrap();
        for job in jobs
            .iter()
            .filter(|j| j.state != JobState::Finished && j.work.recovery().is_none())
        {
            self.succeeded(&job.id).await;
        }
    }

    async fn operate(&self, job: &JobId, operation: JobOperation) -> JobState {
        let request = OperationRequest {
            reason: "test".into(),
            ..Default::default()
        };
        self.session().jobs().operate(job, operation, request).await.unwrap();
        let summary = self.session().jobs().wait(job).await.unwrap();
        if summary.state == JobState::ClearFailed {
            panic!("{:#?}", failures(&self.session().jobs().view(job).await.unwrap()));
        }
        summary.state
    }

    fn dumps(&self) -> (SiteDump, SiteDump) {
        (self.sim.dump("a"), self.sim.dump("b"))
    }

    /// Both sites are exactly as they were, bytes included.
    fn same(&self, before: &(SiteDump, SiteDump), what: &str) {
        Self::compare(before, &self.dumps(), what);
    }

    /// Both sites are as they were, but for what guests wrote: a volume that was handed over comes back with its writes.
    fn same_but_for_writes(&self, before: &(SiteDump, SiteDump), what: &str) {
        let blank = |(mut a, mut b): (SiteDump, SiteDump)| {
            for image in a.images.values_mut().chain(b.images.values_mut()) {
                image.contents.clear();
            }
            (a, b)
        };
        Self::compare(&blank(before.clone()), &blank(self.dumps()), what);
    }

    fn compare(before: &(SiteDump, SiteDump), after: &(SiteDump, SiteDump), what: &str) {
        let mut changes = after.0.changes_since(&before.0);
        changes.extend(after.1.changes_since(&before.1));
        assert!(changes.is_empty(), "{what} left:\n{}", changes.join("\n"));
    }

    /// An engine that dies and one that takes its place: all that is left is the store.
    async fn restart(&mut self) {
        self.engine.shutdown().await;
        self.store.revive();
        self.engine = engine(&self.store, &self.clock, &self.ids);
        for site in ["a", "b"] {
            let cluster = self
                .session()
                .clusters()
                .by_name(&format!("site-{site}"))
                .await
                .unwrap()
                .unwrap();
            self.engine.attach(&cluster.id, self.providers(site));
        }
        self.engine.start().await.unwrap();
    }

    /// The markers that the recovered servers print on their consoles, in order of their names.
    async fn recovered_markers(&self, job: &JobId) -> Vec<String> {
        let view = self.session().jobs().view(job).await.unwrap();
        let mut markers = Vec::new();
        for id in self.sample.server_ids() {
            let key = format!("server/{id}").into();
            let server = view
                .output(&key)
                .and_then(|o| o.handle.clone())
                .expect("a recovered server")
                .id;
            let console = self.sim.cloud("b").console(&server, 50).await.unwrap();
            let line = console
                .lines()
                .rev()
                .find(|l| l.contains("LAB-BOOT"))
                .unwrap_or_default()
                .to_owned();
            markers.push(
                line.split("marker=[")
                    .nth(1)
                    .and_then(|r| r.split(']').next())
                    .unwrap_or("none")
                    .to_owned(),
            );
        }
        markers
    }
}

fn engine(store: &Arc<MemoryStore>, clock: &SimClock, ids: &Arc<SequentialIds>) -> Engine {
    Engine::builder(store.clone())
        .clock(Arc::new(clock.clone()))
        .ids(ids.clone())
        .build()
        .unwrap()
}

fn failures(view: &JobView) -> Vec<String> {
    let failed = view.tasks.iter().filter(|(_, t)| t.status == TaskStatus::Failed);
    failed.map(|(k, t)| format!("{k}: {:?}", t.error)).collect()
}

/// Data safety 2, UI-20, OPEN-17: a drill boots what the point holds, replication is not touched, and nothing is left.
#[tokio::test]
async fn drill_boots_the_point_and_leaves_nothing() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, group, plan) = World::new(mode).await;
        let before = world.dumps();
        let job = world
            .session()
            .jobs()
            .create(JobRequest::drill(group, plan.clone()))
            .await
            .unwrap();
        world.succeeded(&job).await;
        assert_eq!(world.recovered_markers(&job).await, ["a-web-1", "a-web-2", "a-web-3"]);
        for v in world.session().plans().get(&plan).await.unwrap().volumes.values() {
            for (site, role) in [("a", Role::Primary), ("b", Role::Secondary)] {
                let storage = world.sim.storage(site);
                let image = storage.find_replica(&v.replication_id).await.unwrap().unwrap();
                assert_eq!(storage.image(&image).await.unwrap().unwrap().role, role);
            }
        }
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        world.same(&before, "the drill");
        assert!(
            world.session().reports().get(&job).await.is_ok(),
            "RES-04: a finished job has a report"
        );
    }
}

/// A planned failover loses nothing, and its rollback puts everything back (SM-57).
#[tokio::test]
async fn planned_failover_brings_the_last_write_and_rolls_back() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, group, plan) = World::new(mode).await;
        let server = &world.sample.servers[0];
        for _ in 0..5 {
            world.sim.heartbeat("a", &server.id).unwrap();
        }
        let before = world.dumps();
        let written = world.sim.volume_disk("a", &server.boot_volume).unwrap();
        let job = world
            .session()
            .jobs()
            .create(JobRequest::failover(group, plan))
            .await
            .unwrap();
        world.succeeded(&job).await;
        let view = world.session().jobs().view(&job).await.unwrap();
        let volume = view
            .output(&format!("volume/{}", server.boot_volume).into())
            .unwrap()
            .handle
            .clone()
            .unwrap();
        let arrived = world.sim.volume_disk("b", &volume.id).unwrap();
        assert_eq!(
            arrived.beat, written.beat,
            "the last write before the failover is on the Target"
        );
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        world.same_but_for_writes(&before, "failover and rollback");
        let back = world.sim.volume_disk("a", &server.boot_volume).unwrap();
        assert!(
            back.boots > arrived.boots,
            "the Source's guest runs again, on what the Target's guest left"
        );
    }
}

/// Data safety 1: without the Source nothing is promoted unless an operator says so; then the Source is fenced, and the
/// decision and the possible loss are in the journal (OPEN-35).
#[tokio::test]
async fn disaster_needs_an_operators_right_and_fences_the_source() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    world.sim.kill("a");
    let jobs = world.session();
    let refused = jobs
        .jobs()
        .create(JobRequest::failover(group.clone(), plan.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code(), refused.field()),
        (ErrorKind::Refused, "failover.source_unreachable", Some("force"))
    );
    let mut request = JobRequest::failover(group, plan);
    request.force = Some(ForceRight {
        operator: "anna".into(),
        reason: "flood".into(),
        accepts_data_loss: true,
    });
    let explained = jobs.jobs().explain(&request).await.unwrap();
    assert_eq!(explained.kind, "forced failover");
    assert!(
        explained.loss.iter().all(|l| l.lost_seconds.is_some()),
        "the loss per volume is known before anybody says yes"
    );
    let job = jobs.jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    assert_eq!(world.recovered_markers(&job).await, ["a-web-1", "a-web-2", "a-web-3"]);
    let view = jobs.jobs().view(&job).await.unwrap();
    let decision = view
        .decisions
        .iter()
        .find(|d| d.kind == DecisionKind::ForcePromote)
        .expect("the decision is journalled");
    assert_eq!(
        (decision.operator.as_str(), decision.reason.as_str()),
        ("anna", "flood")
    );
    assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
    let offer = jobs.reports().failback_offer(&job).await.unwrap();
    assert_eq!(
        offer.instances.len(),
        3,
        "OPEN-01: failback is offered for every recovered instance"
    );
    assert!(
        jobs.plans().list(&Default::default()).await.unwrap().is_empty(),
        "SM-56: the plan goes with a confirmed failover"
    );
}

/// LIM-07, SM-50, SM-51, SM-68: what a rollback could not remove is told when it is ignored, and listed in the report: all of it.
#[tokio::test]
async fn what_a_rollback_leaves_is_listed() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let before = world.dumps();
    let jobs = world.session();
    let job = jobs.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.succeeded(&job).await;
    let nothing_goes = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("remove");
    world.sim.faults().inject(nothing_goes);
    for operation in [JobOperation::Rollback, JobOperation::RetryRollback] {
        jobs.jobs().operate(&job, operation, Default::default()).await.unwrap();
        let summary = jobs.jobs().wait(&job).await.unwrap();
        assert_eq!(summary.state, JobState::ClearFailed, "{operation}");
    }
    assert_eq!(
        world.operate(&job, JobOperation::IgnoreRollback).await,
        JobState::Finished
    );
    let report = jobs.reports().get(&job).await.unwrap();
    let left = report.facts.leftovers;
    assert!(left.iter().all(|l| l.cluster == "site-b"), "{left:#?}");
    assert!(left.iter().any(|l| l.error.is_some()), "{left:#?}");
    let ids: BTreeSet<_> = left.iter().map(|l| (l.kind.as_str(), l.id.as_str())).collect();
    assert_eq!(
        ids.len(),
        left.len(),
        "each once, although it was tried twice: {left:#?}"
    );
    let view = jobs.jobs().view(&job).await.unwrap();
    let decision = view.decisions.iter().find(|d| d.kind == DecisionKind::IgnoreLeftovers);
    let told = &decision.expect("ignoring is a decision").facts;
    assert_eq!(told.len(), left.len(), "{told:#?}");
    for l in &left {
        assert!(
            told.iter().any(|line| line.contains(&l.id)),
            "{} is told: {told:#?}",
            l.id
        );
    }
    // Everything that is new is in the list: things of the cloud by their ids, images by the volumes on them or by tokens.
    let (a, b) = world.dumps();
    assert_eq!(a.changes_since(&before.0), Vec::<String>::new(), "the Source");
    let known = |r: &Resource| before.1.inventory.resources().any(|old| old.id() == r.id());
    for new in b.inventory.resources().filter(|r| !known(r)) {
        let id = new.id().as_str();
        assert!(
            ids.iter().any(|(_, i)| *i == id),
            "{} {id} is not listed: {left:#?}",
            new.kind().as_str()
        );
    }
    for (image, dump) in b
        .images
        .iter()
        .filter(|(image, _)| !before.1.images.contains_key(*image))
    {
        let token = dump
            .metadata
            .get(ns_core::provider::TOKEN_KEY)
            .expect("our images carry a token");
        assert!(
            ids.contains(&("image", token.as_str())),
            "{image} is not listed: {left:#?}"
        );
    }
    assert!(
        b.images.len() > before.1.images.len(),
        "something was left to be listed"
    );
}

/// Both sides writable looks healthy to the storage; the engine sees it by the roles and refuses.
#[tokio::test]
async fn both_primary_is_refused() {
    let (world, group, plan) = World::new(ReplicationMode::Journal).await;
    let volume = world
        .session()
        .plans()
        .get(&plan)
        .await
        .unwrap()
        .volumes
        .into_values()
        .next()
        .unwrap();
    let storage = world.sim.storage("b");
    let image = storage.find_replica(&volume.replication_id).await.unwrap().unwrap();
    let decision = ns_core::provider::Decision {
        id: "d".into(),
        operator: "o".into(),
        reason: "r".into(),
    };
    storage.force_promote(&image, &decision).await.unwrap();
    let error = world
        .session()
        .jobs()
        .create(JobRequest::failover(group, plan))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

/// JOB-57, SM-35 … SM-43: a job is watched from any position, paused, continued and cancelled; rollback of the cancelled job
/// leaves nothing.
#[tokio::test]
async fn pause_cancel_and_watch() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let before = world.dumps();
    let session = world.session();
    let job = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    while session.jobs().get(&job).await.unwrap().state != JobState::Running {
        tokio::task::yield_now().await;
    }
    let paused = session
        .jobs()
        .operate(&job, JobOperation::Pause, Default::default())
        .await
        .unwrap();
    assert_eq!(paused.state, JobState::Paused);
    let refused = session
        .jobs()
        .operate(&job, JobOperation::Confirm, Default::default())
        .await
        .unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, "job.operation"));
    session
        .jobs()
        .operate(&job, JobOperation::Run, Default::default())
        .await
        .unwrap();
    session
        .jobs()
        .operate(&job, JobOperation::Cancel, Default::default())
        .await
        .unwrap();
    let ended = session.jobs().wait(&job).await.unwrap();
    assert_eq!(
        (ended.state, ended.result),
        (JobState::Completed, Some(ResultCode::Canceled))
    );
    let all = session.jobs().journal(&job).await.unwrap();
    let middle = all.len() as u64 / 2;
    let mut watch = session.jobs().watch(&job, middle);
    let next = futures::StreamExt::next(&mut watch).await.unwrap().unwrap();
    assert_eq!(
        next, all[middle as usize],
        "a stream resumes exactly after the position it is given"
    );
    drop(watch);
    assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
    world.same(&before, "the cancelled drill");
}

/// The journal proves itself: every prefix folds, and the fold of the whole is what the engine reports.
#[tokio::test]
async fn every_prefix_of_a_journal_folds_to_the_state_it_had() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let job = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.succeeded(&job).await;
    world.operate(&job, JobOperation::Rollback).await;
    let entries = session.jobs().journal(&job).await.unwrap();
    let mut view = JobView::begin(&entries[0]).unwrap();
    for n in 1..entries.len() {
        view.apply(&entries[n]);
        assert_eq!(JobView::fold(&job, &entries[..=n]).unwrap(), view, "prefix of {n}");
        assert_eq!(view.position, n as u64 + 1);
    }
    assert_eq!(view, session.jobs().view(&job).await.unwrap());
    assert!(view.instances().values().all(|s| *s == InstanceRecoveryState::Success));
}

/// What a sweep over crash points does.
#[derive(Debug, Clone, Copy)]
enum Story {
    DrillAndRollback,
    FailoverAndRollback,
    FailoverAndConfirm,
}

/// Plays a story, with the engine dying at its `n`th commit; how many commits were made, or none if it died. Two servers:
/// they share a volume, and have more volumes than a job handles at once.
async fn play(story: Story, death: Option<(u64, BreakWhen)>) -> Option<u64> {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    let before = world.dumps();
    let request = match story {
        Story::DrillAndRollback => JobRequest::drill(group, plan),
        _ => JobRequest::failover(group, plan),
    };
    let job = world.session().jobs().create(request).await.unwrap();
    let begun = world.store.commits();
    if let Some((n, when)) = death {
        world.store.die_at_commit(n, when);
    }
    let mut died = false;
    let end = match story {
        Story::FailoverAndConfirm => JobOperation::Confirm,
        _ => JobOperation::Rollback,
    };
    let story = format!("{story:?} with death at {death:?}");
    for _ in 0..8 {
        let settled = world.session().jobs().wait(&job).await;
        if world.store.is_dead() {
            died = true;
            world.restart().await;
            continue;
        }
        let summary = settled.unwrap();
        assert_eq!(summary.result, Some(ResultCode::Success), "{story}");
        match summary.state {
            JobState::Finished => break,
            // The answer may be lost with the engine; what was asked is in the journal, or is asked again.
            _ => drop(world.session().jobs().operate(&job, end, Default::default()).await),
        }
    }
    let state = world.session().jobs().get(&job).await.unwrap().state;
    assert_eq!(state, JobState::Finished, "{story}");
    if end == JobOperation::Confirm {
        let servers = world.sim.inventory("b").instances.len();
        assert_eq!(servers, world.sample.servers.len(), "{story}: each server once");
    } else {
        world.same_but_for_writes(&before, &story);
    }
    (!died).then(|| world.store.commits() - begun)
}

/// The story with a death at each of its commits: every entry of the journal was once the last one, and once one that was
/// lost.
async fn sweep(story: Story, when: BreakWhen) {
    let commits = play(story, None).await.expect("nobody dies");
    for n in 1..=commits {
        let survived = play(story, Some((n, when))).await;
        assert_eq!(survived, None, "{story:?}: commit {n} of {commits} is reached");
    }
    println!("{story:?}: {commits} deaths {when:?} a commit survived");
    assert!(commits >= 40, "{story:?}: only {commits} commits");
}

#[tokio::test]
async fn a_drill_survives_death_before_each_commit() {
    sweep(Story::DrillAndRollback, BreakWhen::Before).await;
}

#[tokio::test]
async fn a_drill_survives_death_after_each_commit() {
    sweep(Story::DrillAndRollback, BreakWhen::After).await;
}

#[tokio::test]
async fn a_failover_and_its_rollback_survive_death_before_each_commit() {
    sweep(Story::FailoverAndRollback, BreakWhen::Before).await;
}

#[tokio::test]
async fn a_failover_and_its_rollback_survive_death_after_each_commit() {
    sweep(Story::FailoverAndRollback, BreakWhen::After).await;
}

#[tokio::test]
async fn a_confirmed_failover_survives_death_before_each_commit() {
    sweep(Story::FailoverAndConfirm, BreakWhen::Before).await;
}

#[tokio::test]
async fn a_confirmed_failover_survives_death_after_each_commit() {
    sweep(Story::FailoverAndConfirm, BreakWhen::After).await;
}

/// Time moves only when everybody sleeps: the tests above take as long as they compute.
#[tokio::test]
async fn virtual_time_passes() {
    let clock = SimClock::new();
    let begin = clock.now();
    clock.sleep(std::time::Duration::from_secs(3600)).await;
    assert!(clock.now().duration_since(begin).as_secs() >= 3600);
}
