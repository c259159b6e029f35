//! Two simulated sites with a protected group, and engines that come and go on one store.
#![allow(missing_docs, unreachable_pub, dead_code)]

mod recorder;

#[allow(unused_imports)]
pub use recorder::{Recorder, Tampering};

use ns_core::journal::{JobView, TaskStatus};
use ns_core::model::{
    GroupId, JobId, JobOperation, JobState, OwnerGroupId, PlanId, PlanStatus, Query, ReplicationMode, ResultCode,
};
use ns_core::ports::SequentialIds;
use ns_core::session::{ClusterRequest, GroupRequest, OperationRequest};
use ns_core::sim::{Sample, SimClock, SimWorld, SiteDump};
use ns_core::store::Store;
use ns_core::{Actor, Engine, Providers, Session, Settings};
use std::sync::Arc;

/// Two simulated sites, a store that outlives engines, and the engine of the moment.
pub struct World {
    pub sim: SimWorld,
    pub clock: SimClock,
    pub store: Arc<Recorder>,
    pub ids: Arc<SequentialIds>,
    pub engine: Engine,
    pub sample: Sample,
}

impl World {
    pub async fn new(mode: ReplicationMode) -> (Self, GroupId, PlanId) {
        Self::of(mode, 3).await
    }

    pub async fn of(mode: ReplicationMode, servers: usize) -> (Self, GroupId, PlanId) {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), 7);
        let sample = sim.sample_group(servers).unwrap();
        let (store, ids) = (Arc::<Recorder>::default(), Arc::new(SequentialIds::default()));
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

    /// How many commits there were but those of the audit trail: each version of an entry is one.
    pub async fn commits(&self) -> u64 {
        let audit = self.store.list("audit", None, usize::MAX >> 1).await.unwrap();
        self.store.commits() - audit.iter().map(|entry| entry.version).sum::<u64>()
    }

    pub fn session(&self) -> Session {
        self.engine.session(Actor::admin("anna"))
    }

    pub fn providers(&self, site: &str) -> Providers {
        Providers {
            cloud: self.sim.cloud(site),
            storage: self.sim.storage(site),
        }
    }

    pub async fn protect(&self, mode: ReplicationMode) -> (GroupId, PlanId) {
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
                snapshot_interval: None,
            })
            .await
            .unwrap();
        let mut plan = session.plans().suggest(&group.id, &ids[1]).await.unwrap();
        plan.replication_mode = mode;
        let (plan, job) = session.plans().create(plan).await.unwrap();
        self.succeeded(&job).await;
        self.finish_all().await;
        assert_eq!(
            session
                .points()
                .list(&group.id, &Query::default())
                .await
                .unwrap()
                .items
                .len(),
            1,
            "PLAN-15: the first point is made by itself"
        );
        assert_eq!(
            session.plans().assess(&plan.id).await.unwrap().status,
            PlanStatus::Normal
        );
        (group.id, plan.id)
    }

    pub async fn succeeded(&self, job: &JobId) {
        let summary = self.session().jobs().wait(job).await.unwrap();
        if summary.result != Some(ResultCode::Success) {
            let view = self.session().jobs().view(job).await.unwrap();
            panic!("{:?} in {}: {:#?}", summary.result, summary.state, failures(&view));
        }
    }

    /// Waits for every job that has not finished, e.g. the first point that follows the initial mirroring.
    pub async fn finish_all(&self) {
        let jobs = self.session().jobs().list(&Default::default()).await.unwrap();
        for job in jobs
            .items
            .iter()
            .filter(|j| j.state != JobState::Finished && j.work.recovery().is_none())
        {
            self.succeeded(&job.id).await;
        }
    }

    pub async fn operate(&self, job: &JobId, operation: JobOperation) -> JobState {
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

    pub fn dumps(&self) -> (SiteDump, SiteDump) {
        (self.sim.dump("a"), self.sim.dump("b"))
    }

    /// Both sites are exactly as they were, bytes included.
    pub fn same(&self, before: &(SiteDump, SiteDump), what: &str) {
        Self::compare(before, &self.dumps(), what);
    }

    /// Both sites are as they were, but for what guests wrote: a volume that was handed over comes back with its writes.
    pub fn same_but_for_writes(&self, before: &(SiteDump, SiteDump), what: &str) {
        let blank = |(mut a, mut b): (SiteDump, SiteDump)| {
            for image in a.images.values_mut().chain(b.images.values_mut()) {
                image.contents.clear();
                // The epoch only counts up.
                image.metadata.retain(|key, _| !key.starts_with("neverstop-epoch"));
            }
            (a, b)
        };
        Self::compare(&blank(before.clone()), &blank(self.dumps()), what);
    }

    pub fn compare(before: &(SiteDump, SiteDump), after: &(SiteDump, SiteDump), what: &str) {
        let mut changes = after.0.changes_since(&before.0);
        changes.extend(after.1.changes_since(&before.1));
        assert!(changes.is_empty(), "{what} left:\n{}", changes.join("\n"));
    }

    /// An engine that dies and one that takes its place: all that is left is the store.
    pub async fn restart(&mut self) {
        self.engine.shutdown().await;
        self.store.revive();
        self.replace().await;
        self.engine.start().await.unwrap();
    }

    /// A new engine on the same store, not started.
    pub async fn replace(&mut self) {
        self.replace_by(engine(&self.store, &self.clock, &self.ids)).await;
    }

    /// The same by an engine that is made in another way.
    pub async fn replace_by(&mut self, engine: Engine) {
        self.engine = engine;
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
    }

    /// The markers that the recovered servers print on their consoles, in order of their names.
    pub async fn recovered_markers(&self, job: &JobId) -> Vec<String> {
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

fn engine(store: &Arc<Recorder>, clock: &SimClock, ids: &Arc<SequentialIds>) -> Engine {
    let mut settings = Settings::default();
    // What a test looks at is all that happens; `inventory` has the engine that looks after clusters by itself.
    settings.monitor = false;
    Engine::builder(store.clone())
        .clock(Arc::new(clock.clone()))
        .ids(ids.clone())
        .settings(settings)
        .build()
        .unwrap()
}

pub fn failures(view: &JobView) -> Vec<String> {
    let failed = view.tasks.iter().filter(|(_, t)| t.status == TaskStatus::Failed);
    failed.map(|(k, t)| format!("{k}: {:?}", t.error)).collect()
}
