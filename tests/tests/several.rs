//! Several engines on one store: who owns a job, who takes it over, and what one that lost it can still do (OPEN-24, OPS-03).

mod life_kit;

use async_trait::async_trait;
use futures::TryStreamExt;
use jiff::Timestamp;
use life_kit::{Recorder, World};
use ns_core::model::{ExecutionType, GroupId, JobId, JobOperation, JobState, PlanId, ReplicationMode, ResultCode};
use ns_core::ports::Clock;
use ns_core::session::{JobRequest, OperationRequest};
use ns_core::store::{JournalLine, Lease, Record, Store, Write};
use ns_core::{Actor, Engine, ErrorKind, Result, Session};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The way of one engine to the store. While it is shut, whatever the engine asks waits there, and arrives when it is opened:
/// what a stopped process or a cut network does.
#[derive(Debug)]
struct Gate {
    store: Arc<Recorder>,
    open: watch::Sender<bool>,
    /// Shut, only leases wait.
    leases: watch::Sender<bool>,
    /// Commits that were refused because the lease had passed on.
    refused: AtomicUsize,
}

impl Gate {
    async fn pass(&self) -> &Recorder {
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        &self.store
    }
}

#[async_trait]
impl Store for Gate {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        let result = self.pass().await.commit(writes).await;
        if result.as_ref().is_err_and(|e| e.code() == "store.lease") {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        self.pass().await.get(kind, id).await
    }
    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.pass().await.list(kind, after, limit).await
    }
    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        self.pass().await.journal(job, from, limit).await
    }
    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        self.leases.subscribe().wait_for(|open| *open).await.unwrap();
        self.pass().await.lease(name, owner, now, until).await
    }
    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        self.pass().await.holder(name).await
    }
    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        self.pass().await.release_lease(name, owner).await
    }
}

/// Two nodes on the store of one world, node a behind a gate. Neither is started.
struct Nodes {
    world: World,
    gate: Arc<Gate>,
    a: Engine,
    b: Engine,
    group: GroupId,
    plan: PlanId,
}

impl Nodes {
    async fn new() -> Self {
        let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
        world.engine.shutdown().await;
        let gate = Arc::new(Gate {
            store: world.store.clone(),
            open: watch::channel(true).0,
            leases: watch::channel(true).0,
            refused: AtomicUsize::new(0),
        });
        let a = node(&world, gate.clone(), "node-a").await;
        let b = node(&world, world.store.clone(), "node-b").await;
        Self {
            world,
            gate,
            a,
            b,
            group,
            plan,
        }
    }

    fn drill(&self) -> JobRequest {
        JobRequest::drill(self.group.clone(), self.plan.clone())
    }

    async fn owner(&self, job: &JobId) -> Option<String> {
        let lease = self.world.store.holder(&format!("job/{job}")).await.unwrap();
        lease.map(|l| l.owner)
    }

    async fn orders(&self) -> usize {
        self.world.store.list("order", None, 99).await.unwrap().len()
    }
}

async fn node(world: &World, store: Arc<dyn Store>, name: &str) -> Engine {
    let engine = Engine::builder(store)
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .node(name)
        .build()
        .unwrap();
    for site in ["a", "b"] {
        let clusters = session(&engine);
        let cluster = clusters.clusters().by_name(&format!("site-{site}")).await.unwrap();
        engine.attach(&cluster.unwrap().id, world.providers(site));
    }
    engine
}

fn session(engine: &Engine) -> Session {
    engine.session(Actor::admin("anna"))
}

async fn until(engine: &Engine, job: &JobId, state: JobState) {
    let session = session(engine);
    let mut feed = session.jobs().watch(job, 0);
    while session.jobs().get(job).await.unwrap().state != state {
        feed.try_next().await.unwrap().expect("the job goes on");
    }
}

/// An engine that hangs in the middle of a job is replaced within the lease and a third of it; when it wakes up it can write
/// nothing and gives the job up, and everything is there once.
#[tokio::test]
async fn a_node_that_hangs_is_replaced_and_writes_nothing_when_it_wakes_up() {
    let nodes = Nodes::new().await;
    let before = nodes.world.dumps();
    nodes.b.start().await.unwrap();
    let job = session(&nodes.a).jobs().create(nodes.drill()).await.unwrap();
    until(&nodes.b, &job, JobState::Running).await;
    assert_eq!(nodes.owner(&job).await.as_deref(), Some("node-a"));
    nodes.gate.open.send_replace(false);
    let (hung, position) = (
        nodes.world.clock.now(),
        session(&nodes.b).jobs().get(&job).await.unwrap().position,
    );
    // Node b waits for the other's job, and takes it over meanwhile. Somebody at node a watches through all of it.
    let mut beside = session(&nodes.a).jobs().watch(&job, 0);
    let beside = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(entry) = beside.try_next().await.unwrap() {
            seen.push(entry);
        }
        seen
    });
    let mut feed = session(&nodes.b).jobs().watch(&job, position);
    feed.try_next().await.unwrap().expect("somebody goes on with it");
    let took = nodes.world.clock.now().duration_since(hung).as_secs();
    assert!((10..=41).contains(&took), "taken over after {took} s");
    assert_eq!(nodes.owner(&job).await.as_deref(), Some("node-b"));
    let done = session(&nodes.b).jobs().wait(&job).await.unwrap();
    assert_eq!(done.result, Some(ResultCode::Success));
    let journal = session(&nodes.b).jobs().journal(&job).await.unwrap();

    // It wakes up, with a commit on its way that was made under the old token.
    nodes.gate.open.send_replace(true);
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    assert!(
        nodes.gate.refused.load(Ordering::Relaxed) >= 1,
        "the stale commit arrived"
    );
    assert_eq!(session(&nodes.b).jobs().journal(&job).await.unwrap(), journal);
    assert_eq!(nodes.owner(&job).await.as_deref(), Some("node-b"));
    // What it does not run any more it can still command and watch.
    let jobs = session(&nodes.a);
    jobs.jobs()
        .operate(&job, JobOperation::Rollback, OperationRequest::default())
        .await
        .unwrap();
    assert_eq!(jobs.jobs().wait(&job).await.unwrap().state, JobState::Finished);
    let entries: Vec<_> = jobs.jobs().watch(&job, 0).try_collect().await.unwrap();
    assert_eq!(entries, jobs.jobs().journal(&job).await.unwrap());
    assert_eq!(beside.await.unwrap(), entries, "the watch went on with the new owner");
    nodes.world.same(&before, "a drill on two nodes");
    nodes.a.shutdown().await;
    nodes.b.shutdown().await;
}

/// Commands at the node that does not run the job are obeyed by the one that does, or refused by it.
#[tokio::test]
async fn commands_reach_the_owner_from_any_node() {
    let nodes = Nodes::new().await;
    nodes.a.start().await.unwrap();
    let job = session(&nodes.a).jobs().create(nodes.drill()).await.unwrap();
    let b = session(&nodes.b);
    until(&nodes.b, &job, JobState::Running).await;
    let operate = async |operation| b.jobs().operate(&job, operation, OperationRequest::default()).await;
    let refused = operate(JobOperation::Confirm).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, "job.operation"));
    assert!(refused.remedy().is_some());
    b.jobs().wait(&job).await.unwrap();
    let deadline = b.jobs().view(&job).await.unwrap().deadline.unwrap();
    b.jobs().extend(&job, 10).await.unwrap();
    let moved = b.jobs().view(&job).await.unwrap().deadline.unwrap();
    assert_eq!(moved.duration_since(deadline).as_mins(), 10, "obeyed, and once");
    operate(JobOperation::Rollback).await.unwrap();
    assert_eq!(b.jobs().wait(&job).await.unwrap().state, JobState::Finished);
    assert_eq!(
        operate(JobOperation::Rollback).await.unwrap_err().code(),
        "job.operation",
        "nobody runs a finished job"
    );
    // A job that waits for its time is moved, and deleted.
    let at = nodes.world.clock.now() + Duration::from_secs(7200);
    let mut later = nodes.drill();
    later.execution = ExecutionType::AtDateTime { at };
    let job = session(&nodes.a).jobs().create(later).await.unwrap();
    let at = at + Duration::from_secs(3600);
    b.jobs().reschedule(&job, at).await.unwrap();
    assert_eq!(b.jobs().view(&job).await.unwrap().deadline, Some(at));
    b.jobs().delete(&job, false).await.unwrap();
    assert_eq!(b.jobs().get(&job).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(nodes.orders().await, 0, "nothing is left of them");
    nodes.a.shutdown().await;
}

/// A failover does not wait for a drill that another node runs (first implementation's fault 9).
#[tokio::test]
async fn a_failover_preempts_the_drill_of_another_node() {
    let nodes = Nodes::new().await;
    nodes.a.start().await.unwrap();
    nodes.b.start().await.unwrap();
    for running in [true, false] {
        let drill = session(&nodes.a).jobs().create(nodes.drill()).await.unwrap();
        until(&nodes.b, &drill, JobState::Running).await;
        if !running {
            session(&nodes.b).jobs().wait(&drill).await.unwrap();
        }
        let b = session(&nodes.b);
        let failover = JobRequest::failover(nodes.group.clone(), nodes.plan.clone());
        let failover = b.jobs().create(failover).await.unwrap();
        assert_eq!(nodes.owner(&failover).await.as_deref(), Some("node-b"));
        let done = b.jobs().wait(&failover).await.unwrap();
        assert_eq!(done.result, Some(ResultCode::Success));
        assert_eq!(b.jobs().get(&drill).await.unwrap().state, JobState::Finished);
        b.jobs()
            .operate(&failover, JobOperation::Rollback, OperationRequest::default())
            .await
            .unwrap();
        assert_eq!(b.jobs().wait(&failover).await.unwrap().state, JobState::Finished);
    }
    // Nobody waits for the answers: they are swept away.
    nodes.world.clock.sleep(Duration::from_secs(200)).await;
    assert_eq!(nodes.orders().await, 0);
    nodes.a.shutdown().await;
    nodes.b.shutdown().await;
}

/// An owner that does not answer is named; the command is withdrawn, and not obeyed when the owner wakes up.
#[tokio::test]
async fn a_command_to_a_silent_owner_is_withdrawn() {
    let nodes = Nodes::new().await;
    nodes.a.start().await.unwrap();
    let job = session(&nodes.a).jobs().create(nodes.drill()).await.unwrap();
    until(&nodes.b, &job, JobState::Running).await;
    nodes.gate.open.send_replace(false);
    let b = session(&nodes.b);
    let operate = async |operation| b.jobs().operate(&job, operation, OperationRequest::default()).await;
    let error = operate(JobOperation::Cancel).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "job.owner_silent")
    );
    assert!(
        error.to_string().contains("node-a") && error.remedy().is_some(),
        "{error}"
    );
    assert_eq!(nodes.orders().await, 0);
    // Its lease has ended by now, and node b takes nothing over before it is started.
    assert_eq!(
        operate(JobOperation::Cancel).await.unwrap_err().code(),
        "job.not_running"
    );
    nodes.gate.open.send_replace(true);
    let done = session(&nodes.a).jobs().wait(&job).await.unwrap();
    assert_eq!(
        done.result,
        Some(ResultCode::Success),
        "nobody had it in between: it goes on"
    );
    assert_eq!(nodes.gate.refused.load(Ordering::Relaxed), 0);
    nodes.a.shutdown().await;
}

/// While the store is too slow to renew the lease nothing is begun and nothing goes on. When it is renewed after all, only what
/// was under way has to be looked at again.
#[tokio::test]
async fn a_lease_that_is_renewed_late_fails_nothing() {
    let nodes = Nodes::new().await;
    nodes.world.sim.tune(|t| t.cloud_write = Duration::from_secs(20));
    nodes.a.start().await.unwrap();
    let job = session(&nodes.a).jobs().create(nodes.drill()).await.unwrap();
    until(&nodes.a, &job, JobState::Running).await;
    nodes.gate.leases.send_replace(false);
    nodes.world.clock.sleep(Duration::from_secs(300)).await;
    let held = session(&nodes.a).jobs().get(&job).await.unwrap();
    nodes.world.clock.sleep(Duration::from_secs(300)).await;
    let still = session(&nodes.a).jobs().get(&job).await.unwrap();
    assert_eq!((still.state, still.position), (JobState::Running, held.position));
    nodes.gate.leases.send_replace(true);
    let done = session(&nodes.a).jobs().wait(&job).await.unwrap();
    assert_eq!(done.result, Some(ResultCode::Success));
    let view = session(&nodes.a).jobs().view(&job).await.unwrap();
    let tries = view.tasks.values().map(|t| t.attempts).max();
    assert!(tries <= Some(2), "{:?}", view.tasks);
    nodes.a.shutdown().await;
}

/// Jobs of a node that is gone are found by a node that was started before they were made; each runs on one node only.
#[tokio::test]
async fn jobs_that_are_made_later_are_taken_over_too() {
    let nodes = Nodes::new().await;
    nodes.b.start().await.unwrap();
    let at = nodes.world.clock.now() + Duration::from_secs(1800);
    let mut later = nodes.drill();
    later.execution = ExecutionType::AtDateTime { at };
    let waiting = session(&nodes.a).jobs().create(later).await.unwrap();
    let now = session(&nodes.a).jobs().create(nodes.drill()).await.unwrap();
    until(&nodes.b, &now, JobState::Running).await;
    nodes.gate.open.send_replace(false);
    for job in [&now, &waiting] {
        if *job == waiting {
            session(&nodes.b)
                .jobs()
                .operate(&now, JobOperation::Rollback, OperationRequest::default())
                .await
                .unwrap();
            session(&nodes.b).jobs().wait(&now).await.unwrap();
        }
        let done = session(&nodes.b).jobs().wait(job).await.unwrap();
        assert_eq!(done.result, Some(ResultCode::Success));
        assert_eq!(
            nodes.owner(job).await.as_deref(),
            (*job == waiting || done.state != JobState::Finished).then_some("node-b")
        );
    }
    assert!(nodes.world.clock.now() >= at);
    // Each task has one success, whoever did it.
    for job in [&now, &waiting] {
        let mut done = BTreeSet::new();
        for entry in session(&nodes.b).jobs().journal(job).await.unwrap() {
            if let ns_core::journal::Event::Outcome { task, result, .. } = entry.event
                && matches!(result, ns_core::journal::TaskResult::Done { .. })
            {
                assert!(done.insert(task.clone()), "{task} was done twice");
            }
        }
    }
    nodes.b.shutdown().await;
}
