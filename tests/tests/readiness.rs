//! Whoever boots after an instance waits until what runs in it is ready (PLAN-07, OPEN-16).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use async_trait::async_trait;
use life_kit::World;
use ns_core::journal::{JobView, TaskState, TaskStatus};
use ns_core::model::{
    CloudId, EventCode, EventId, GroupId, JobId, JobOperation, JobState, PlanId, Probe, ReadinessCheck,
    ReplicationMode, ResultCode, TaskKey,
};
use ns_core::ports::{ProbedServer, Readiness, ReadinessProbe};
use ns_core::session::{JobRequest, OperationRequest, PlanUpdate};
use ns_core::{Engine, Error, ErrorKind, Result, Settings};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Says "ready" to the look of this number, and notes whom it looked at.
#[derive(Debug)]
struct Scripted {
    ready_at: usize,
    looks: AtomicUsize,
    seen: Mutex<Vec<ProbedServer>>,
}

impl Scripted {
    fn new(ready_at: usize) -> Arc<Self> {
        Arc::new(Self {
            ready_at,
            looks: AtomicUsize::new(0),
            seen: Mutex::default(),
        })
    }
}

#[async_trait]
impl ReadinessProbe for Scripted {
    async fn look(&self, server: &ProbedServer, _probe: &Probe) -> Result<Readiness> {
        self.seen.lock().unwrap().push(server.clone());
        match self.looks.fetch_add(1, Ordering::Relaxed) + 1 {
            look if look >= self.ready_at => Ok(Readiness::Ready),
            // Not to be told from a server that is not ready.
            2 => Err(Error::new(
                ErrorKind::Unavailable,
                "test.away",
                "the way there is broken",
            )),
            _ => Ok(Readiness::NotYet("connection refused".into())),
        }
    }
}

/// The second server boots after the first one, which has a floating address and is to be ready.
struct Shop {
    world: World,
    group: GroupId,
    plan: PlanId,
    first: CloudId,
    second: CloudId,
}

impl Shop {
    async fn of(probe: Option<Arc<Scripted>>, check: Probe) -> Self {
        let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 3).await;
        let engine = engine(&world, probe);
        world.replace_by(engine).await;
        let session = world.session();
        let mut mapping = session.plans().get(&plan).await.unwrap().mapping;
        let ids = world.sample.server_ids();
        let (first, second) = (ids[0].clone(), ids[2].clone());
        mapping.instances.get_mut(&first).unwrap().ready = Some(ReadinessCheck {
            probe: check,
            limit_seconds: 60,
        });
        mapping.instances.get_mut(&second).unwrap().boot_after = [first.clone()].into();
        let update = PlanUpdate {
            mapping: Some(mapping),
            ..PlanUpdate::default()
        };
        session.plans().update(&plan, update).await.unwrap();
        world.finish_all().await;
        Self {
            world,
            group,
            plan,
            first,
            second,
        }
    }

    async fn begin(&self, drill: bool) -> JobId {
        let make = if drill { JobRequest::drill } else { JobRequest::failover };
        let request = make(self.group.clone(), self.plan.clone());
        self.world.session().jobs().create(request).await.unwrap()
    }

    async fn view(&self, job: &JobId) -> JobView {
        self.world.session().jobs().view(job).await.unwrap()
    }

    fn check(&self) -> TaskKey {
        TaskKey::new(format!("ready/{}", self.first))
    }

    /// The check, and the server that boots after it.
    fn both<'v>(&self, view: &'v JobView) -> (&'v TaskState, &'v TaskState) {
        let server = TaskKey::new(format!("server/{}", self.second));
        (&view.tasks[&self.check()], &view.tasks[&server])
    }
}

fn engine(world: &World, probe: Option<Arc<Scripted>>) -> Engine {
    let mut settings = Settings::default();
    settings.monitor = false;
    let builder = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .settings(settings);
    match probe {
        Some(probe) => builder.readiness_probe(probe).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

const PORT: Probe = Probe::Port { port: 5432 };

/// OPEN-16: the second server is made only after the first one was seen to be ready, by its addresses of now.
#[tokio::test]
async fn open_16_what_boots_after_waits_until_it_is_ready() {
    let probe = Scripted::new(4);
    let shop = Shop::of(Some(probe.clone()), PORT).await;
    let before = shop.world.dumps();
    let job = shop.begin(false).await;
    shop.world.succeeded(&job).await;
    let view = shop.view(&job).await;
    let (check, server) = shop.both(&view);
    assert_eq!(check.status, TaskStatus::Done);
    assert!(check.ended_at.unwrap() <= server.started_at.unwrap());
    assert_eq!(probe.looks.load(Ordering::Relaxed), 4);
    let seen = probe.seen.lock().unwrap().clone();
    let key = TaskKey::new(format!("server/{}", shop.first));
    assert_eq!(seen[0].id, view.output(&key).unwrap().handle.as_ref().unwrap().id);
    assert_eq!(
        (seen[0].floating_ips.len(), seen[0].fixed_ips.len()),
        (1, 1),
        "{seen:?}"
    );
    assert!(seen.iter().all(|server| *server == seen[0]));
    assert_eq!(
        shop.world.operate(&job, JobOperation::Rollback).await,
        JobState::Finished
    );
    shop.world
        .same_but_for_writes(&before, "a failover with a check, and its rollback");
}

/// OPEN-16: one that is never ready is recovered all the same, holds nothing up for longer than its limit, and is told of: in the
/// task, in an event, in the report.
#[tokio::test]
async fn open_16_one_that_is_never_ready_is_told_of_and_kept() {
    let shop = Shop::of(Some(Scripted::new(usize::MAX)), PORT).await;
    let job = shop.begin(false).await;
    shop.world.succeeded(&job).await;
    let view = shop.view(&job).await;
    let (check, server) = shop.both(&view);
    let error = check.error.clone().unwrap();
    assert_eq!(
        (check.status, error.code.as_str()),
        (TaskStatus::Failed, "readiness.not_ready")
    );
    assert_eq!(error.message, "not ready 60 s after it ran: connection refused");
    let waited = check.ended_at.unwrap().duration_since(check.started_at.unwrap());
    assert!((60..90).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(server.status, TaskStatus::Done);
    assert!(check.ended_at.unwrap() <= server.started_at.unwrap());

    let session = shop.world.session();
    let told = session.events().after(&EventId::at(0), 1000).await.unwrap().events;
    let told: Vec<_> = told.iter().filter(|e| e.code == EventCode::InstanceNotReady).collect();
    assert_eq!(told.len(), 1);
    let name = &view.frozen.as_ref().unwrap().inventory.instances[&shop.first].name;
    assert_eq!(told[0].parameters["instance"], *name);

    assert_eq!(
        shop.world.operate(&job, JobOperation::Confirm).await,
        JobState::Finished
    );
    let report = session.reports().get(&job).await.unwrap();
    assert_eq!(report.facts.job.result, Some(ResultCode::Success));
    let task = report
        .facts
        .tasks
        .iter()
        .find(|t| t.key == shop.check().as_str())
        .unwrap();
    assert!(
        task.error.as_ref().is_some_and(|e| e.message.starts_with("not ready")),
        "{task:?}"
    );
    assert!(report.html().unwrap().contains("not ready 60 s after it ran"));
}

/// OPEN-16: through the network no isolated drill is looked at; a command in the guest is run there as well.
#[tokio::test]
async fn open_16_a_drill_has_no_way_in() {
    let command = Probe::GuestCommand {
        command: vec!["pg_isready".into()],
    };
    for (check, looks) in [(PORT, 0), (command, 2)] {
        let probe = Scripted::new(2);
        let shop = Shop::of(Some(probe.clone()), check).await;
        let job = shop.begin(true).await;
        shop.world.succeeded(&job).await;
        assert_eq!(probe.looks.load(Ordering::Relaxed), looks);
        assert_eq!(shop.view(&job).await.tasks.contains_key(&shop.check()), looks > 0);
    }
}

/// OPEN-16: where the engine cannot look the plan is warned of, and the check fails without holding anything up.
#[tokio::test]
async fn open_16_without_a_way_to_look() {
    let shop = Shop::of(None, PORT).await;
    let job = shop.begin(false).await;
    shop.world.succeeded(&job).await;
    let view = shop.view(&job).await;
    let (check, server) = shop.both(&view);
    assert_eq!(check.error.as_ref().unwrap().code, "engine.no_readiness_probe");
    assert_eq!((check.attempts, server.status), (1, TaskStatus::Done));
}

/// OPEN-16: an engine that dies while it waits is followed by one that waits on; a job that is cancelled does not wait.
#[tokio::test]
async fn open_16_the_wait_survives_the_engine_and_ends_with_the_job() {
    let waits = Scripted::new(usize::MAX);
    let mut shop = Shop::of(Some(waits.clone()), PORT).await;
    let job = shop.begin(false).await;
    while waits.looks.load(Ordering::Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    shop.world.engine.shutdown().await;
    shop.world.store.revive();
    let next = Scripted::new(2);
    let engine = engine(&shop.world, Some(next.clone()));
    shop.world.replace_by(engine).await;
    shop.world.engine.start().await.unwrap();
    shop.world.succeeded(&job).await;
    assert_eq!(next.looks.load(Ordering::Relaxed), 2);

    let waits = Scripted::new(usize::MAX);
    let shop = Shop::of(Some(waits.clone()), PORT).await;
    let job = shop.begin(false).await;
    while waits.looks.load(Ordering::Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    let session = shop.world.session();
    let request = OperationRequest {
        reason: "test".into(),
        ..OperationRequest::default()
    };
    session
        .jobs()
        .operate(&job, JobOperation::Cancel, request)
        .await
        .unwrap();
    let ended = session.jobs().wait(&job).await.unwrap();
    assert_eq!(ended.result, Some(ResultCode::Canceled));
    let view = shop.view(&job).await;
    let (check, server) = shop.both(&view);
    assert!(
        check.status != TaskStatus::Done && server.attempts == 0,
        "{check:?} {server:?}"
    );
}
