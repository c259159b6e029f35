//! Input that breaks a rule is refused before anything is touched, in one error that names field, rule and remedy. On
//! simulated clouds, which stay byte by byte as they were; so does the store.

use ns_core::model::{
    ClusterId, ExecutionType, ForceRight, GroupId, JobId, JobState, OwnerGroupId, PlanId, Query, RecoveryPlan,
    ReplicationMode, ResourceMapping, StorageRef,
};
use ns_core::ports::{Clock, SequentialIds};
use ns_core::provider::TenantQuota;
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest, PlanRequest};
use ns_core::sim::{Effect, Fault, Part, Sample, SimClock, SimWorld, SiteDump};
use ns_core::store::{MemoryStore, Record, Store};
use ns_core::{Actor, Engine, Error, ErrorKind, Providers, Session};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const SITES: [&str; 3] = ["a", "b", "c"];
const HALVES: [(Part, &str); 2] = [(Part::Cloud, "cloud"), (Part::Storage, "storage")];

/// Three simulated sites, of which `a` and `b` are paired, and an engine that knows none yet.
struct World {
    sim: SimWorld,
    clock: SimClock,
    store: Arc<MemoryStore>,
    session: Session,
    sample: Sample,
}

/// Everything that must stay as it is.
#[derive(Debug, PartialEq)]
struct State {
    sites: Vec<SiteDump>,
    records: Vec<Record>,
    commits: u64,
}

impl World {
    fn new() -> Self {
        let clock = SimClock::new();
        let sim = SimWorld::with_sites(Arc::new(clock.clone()), 7, &SITES);
        let sample = sim.sample_group(2).unwrap();
        let store = Arc::new(MemoryStore::new());
        let engine = Engine::builder(store.clone())
            .clock(Arc::new(clock.clone()))
            .ids(Arc::new(SequentialIds::default()))
            .build()
            .unwrap();
        Self {
            session: engine.session(Actor::admin("anna")),
            sim,
            clock,
            store,
            sample,
        }
    }

    /// With all sites registered.
    async fn registered() -> (Self, Vec<ClusterId>) {
        let world = Self::new();
        let mut ids = Vec::new();
        for site in SITES {
            ids.push(world.register(site).await.unwrap().id);
        }
        (world, ids)
    }

    /// With a group on `a`, and the plan that is proposed for it towards `b`.
    async fn grouped() -> (Self, Vec<ClusterId>, PlanRequest) {
        let (world, ids) = Self::registered().await;
        let group = world.group(&ids[0], "shop").await.unwrap();
        let plan = world.session.plans().suggest(&group.id, &ids[1]).await.unwrap();
        (world, ids, plan)
    }

    /// With replicated volumes and a first recovery point.
    async fn protected(mode: ReplicationMode) -> (Self, Vec<ClusterId>, GroupId, PlanId) {
        let (world, ids, mut request) = Self::grouped().await;
        request.replication_mode = mode;
        let (plan, _) = world.plan(request).await.unwrap();
        world.settle().await;
        (world, ids, plan.group_id, plan.id)
    }

    /// Waits until every job has finished.
    async fn settle(&self) {
        loop {
            let jobs = self.session.jobs().list(&Default::default()).await.unwrap();
            let Some(open) = jobs.items.iter().find(|j| j.state != JobState::Finished) else {
                return;
            };
            self.session.jobs().wait(&open.id).await.unwrap();
        }
    }

    async fn register(&self, site: &str) -> ns_core::Result<ns_core::model::Cluster> {
        self.register_as(site, &format!("site-{site}")).await
    }

    async fn register_as(&self, site: &str, name: &str) -> ns_core::Result<ns_core::model::Cluster> {
        let request = ClusterRequest {
            name: name.into(),
            owner_group_id: OwnerGroupId::new("ops"),
            note: String::new(),
        };
        let providers = Providers {
            cloud: self.sim.cloud(site),
            storage: self.sim.storage(site),
        };
        self.session.clusters().register(request, providers).await
    }

    async fn group(&self, source: &ClusterId, name: &str) -> ns_core::Result<ns_core::model::ProtectionGroup> {
        let request = GroupRequest {
            name: name.into(),
            description: String::new(),
            owner_group_id: OwnerGroupId::new("ops"),
            source_cluster: source.clone(),
            instances: self.sample.server_ids(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        };
        self.session.protection_groups().create(request).await
    }

    async fn plan(&self, request: PlanRequest) -> ns_core::Result<(RecoveryPlan, JobId)> {
        self.session.plans().create(request).await
    }

    async fn job(&self, request: JobRequest) -> ns_core::Result<JobId> {
        self.session.jobs().create(request).await
    }

    async fn state(&self) -> State {
        let mut records = Vec::new();
        for kind in [
            "cluster",
            "inventory",
            "group",
            "plan",
            "point",
            "job",
            "report",
            "fence",
            "failback",
        ] {
            records.extend(self.store.list(kind, None, 1000).await.unwrap());
        }
        // Each version of an entry is a commit of its own: the refusal is written down, and nothing else is.
        let audit = self.store.list("audit", None, 1000).await.unwrap();
        let audited: u64 = audit.iter().map(|entry| entry.version).sum();
        State {
            sites: SITES.iter().map(|site| self.sim.dump(site)).collect(),
            records,
            commits: self.store.commits() - audited,
        }
    }

    /// The call is refused like this, with a field and a remedy, and nothing has changed.
    async fn refuses<T: Debug>(
        &self,
        expected: (ErrorKind, &str, &str),
        call: impl Future<Output = ns_core::Result<T>>,
    ) -> Error {
        let before = self.state().await;
        let error = call.await.expect_err(&format!("{expected:?}"));
        assert_eq!(
            (error.kind(), error.code(), error.field().unwrap_or_default()),
            expected,
            "{error:?}"
        );
        assert!(error.remedy().is_some_and(|r| !r.is_empty()), "no remedy: {error}");
        assert!(!error.message().is_empty());
        let after = self.state().await;
        for (was, is) in before.sites.iter().zip(&after.sites) {
            assert_eq!(is.changes_since(was), Vec::<String>::new(), "{error} changed a site");
        }
        assert_eq!(after.records, before.records, "{error} changed the store");
        assert_eq!(after.commits, before.commits, "{error} wrote to the store");
        error
    }

    /// Reads a cluster anew, so that what was changed by hand is known.
    async fn sync(&self, cluster: &ClusterId) {
        self.session.clusters().sync(cluster).await.unwrap();
    }

    /// Drill and failover are refused for the state of the plan; gives the reason.
    async fn jobs_are_refused(&self, group: &GroupId, plan: &PlanId) -> String {
        let drill = JobRequest::drill(group.clone(), plan.clone());
        let reason = self.failovers_are_refused(group, plan).await;
        assert_eq!(self.refused_for_the_plan(drill).await, reason);
        reason
    }

    /// A failover of the latest data is refused for the state of the plan; gives the reason.
    async fn failovers_are_refused(&self, group: &GroupId, plan: &PlanId) -> String {
        let planned = JobRequest::failover(group.clone(), plan.clone());
        let reason = self.refused_for_the_plan(planned).await;
        assert_eq!(self.refused_for_the_plan(forced(group, plan)).await, reason);
        reason
    }

    /// What a recovery point holds is on the Target: it can be recovered whatever became of the Source and of mirroring.
    async fn the_point_can_be_recovered(&self, group: &GroupId, plan: &PlanId) {
        let drill = JobRequest::drill(group.clone(), plan.clone());
        let explanation = self.session.jobs().explain(&drill).await.unwrap();
        assert!(explanation.refusals.is_empty(), "{:?}", explanation.refusals);
    }

    async fn refused_for_the_plan(&self, request: JobRequest) -> String {
        let expected = (ErrorKind::Refused, "job.plan_status", "plan_id");
        let error = self.refuses(expected, self.job(request)).await;
        let fact = error.context().iter().find(|(key, _)| key == "reasons");
        fact.expect("the reasons are told").1.clone()
    }
}

fn empty() -> ResourceMapping {
    ResourceMapping {
        tenant_name: String::new(),
        availability_zones: BTreeMap::new(),
        volume_types: BTreeMap::new(),
        external_networks: BTreeMap::new(),
        floating_ips: BTreeMap::new(),
        instances: BTreeMap::new(),
    }
}

fn forced(group: &GroupId, plan: &PlanId) -> JobRequest {
    let mut request = JobRequest::failover(group.clone(), plan.clone());
    request.force = Some(ForceRight {
        operator: "anna".into(),
        reason: "flood".into(),
        accepts_data_loss: true,
        without_fence: false,
    });
    request
}

#[tokio::test]
async fn cl_02_wrong_credentials() {
    for (part, _) in HALVES {
        let world = World::new();
        world.sim.refuse_credentials("a", part, true);
        let expected = (ErrorKind::Unauthenticated, "sim.unauthenticated", "credentials");
        world.refuses(expected, world.register("a")).await;
        world.sim.refuse_credentials("a", part, false);
        world.register("a").await.unwrap();
    }
}

#[tokio::test]
async fn plan_18_credentials_that_were_changed_since() {
    for (site, field) in [("a", "source_cluster"), ("b", "target_cluster")] {
        for (part, _) in HALVES {
            let (world, _, plan) = World::grouped().await;
            world.sim.refuse_credentials(site, part, true);
            let expected = (ErrorKind::Refused, "plan.cluster_inactive", field);
            let error = world.refuses(expected, world.plan(plan)).await;
            assert!(error.to_string().contains("credentials"), "the cause is told: {error}");
        }
    }
    let (world, ids, group, plan) = World::protected(ReplicationMode::Snapshot).await;
    world.sim.refuse_credentials("b", Part::Cloud, true);
    world.session.clusters().probe(&ids[1]).await.unwrap();
    assert!(world.jobs_are_refused(&group, &plan).await.contains("site-b"));
}

#[tokio::test]
async fn cl_02_unreachable_endpoint() {
    let unreachable = |half| (ErrorKind::Unavailable, "sim.unreachable", half);
    for disaster in [SimWorld::kill, SimWorld::freeze, SimWorld::isolate] {
        let world = World::new();
        disaster(&world.sim, "a");
        world.refuses(unreachable("cloud"), world.register("a")).await;
    }
    for (part, half) in HALVES {
        let world = World::new();
        world.sim.silence("a", part, true);
        world.refuses(unreachable(half), world.register("a")).await;
        world.sim.silence("a", part, false);
        // It accepts the connection and never answers.
        world
            .sim
            .faults()
            .inject(Fault::new("a", part, Effect::Hang).verb("check"));
        world
            .refuses((ErrorKind::Timeout, "deadline", half), world.register("a"))
            .await;
    }
}

#[tokio::test]
async fn plan_18_endpoint_that_went_away_since() {
    for (site, field) in [("a", "source_cluster"), ("b", "target_cluster")] {
        let (world, _, plan) = World::grouped().await;
        world.sim.kill(site);
        let expected = (ErrorKind::Refused, "plan.cluster_inactive", field);
        let error = world.refuses(expected, world.plan(plan.clone())).await;
        assert!(
            error.to_string().contains("sim.unreachable"),
            "the cause is told: {error}"
        );
        world.sim.revive(site);
        world.plan(plan).await.unwrap();
    }
    let (world, ids, group, plan) = World::protected(ReplicationMode::Snapshot).await;
    world.sim.kill("a");
    world.session.clusters().probe(&ids[0]).await.unwrap();
    let create = world.job(JobRequest::failover(group, plan));
    let expected = (ErrorKind::Refused, "failover.source_unreachable", "force");
    world.refuses(expected, create).await;
}

#[tokio::test]
async fn cl_02_missing_role() {
    for (part, half) in HALVES {
        let world = World::new();
        world.sim.take_right("a", part, &format!("role admin of the {half}"));
        let expected = (ErrorKind::Refused, "cluster.rights", "credentials");
        let error = world.refuses(expected, world.register("a")).await;
        assert!(
            error.message().contains(&format!("role admin of the {half}")),
            "{error}"
        );
        world.sim.give_rights("a");
        world.register("a").await.unwrap();
    }
    let (world, _, plan) = World::grouped().await;
    world.sim.take_right("b", Part::Cloud, "volume: manage and unmanage");
    let expected = (ErrorKind::Refused, "plan.cluster_inactive", "target_cluster");
    let error = world.refuses(expected, world.plan(plan)).await;
    assert!(error.to_string().contains("volume: manage and unmanage"), "{error}");
}

#[tokio::test]
async fn cl_02_clock_skew() {
    let world = World::new();
    for seconds in [61, -61, 86_400, i64::MIN] {
        world.sim.skew_clock("a", seconds);
        let expected = (ErrorKind::Refused, "cluster.clock_skew", "clock_skew_limit_seconds");
        let error = world.refuses(expected, world.register("a")).await;
        assert!(error.message().contains(&seconds.to_string()), "{error}");
    }
    for (seconds, name) in [(60, "ahead"), (-60, "behind")] {
        world.sim.skew_clock("a", seconds);
        world.register_as("a", name).await.unwrap();
    }
}

#[tokio::test]
async fn plan_10_unknown_volume_type() {
    let (world, ids, plan) = World::grouped().await;
    let mut unknown = plan.clone();
    unknown.mapping.volume_types.insert("ceph".into(), "gold".into());
    let expected = (ErrorKind::NotFound, "plan.storage", "mapping.volume_types[ceph]");
    let error = world.refuses(expected, world.plan(unknown)).await;
    assert!(error.message().contains("gold"), "{error}");
    // One that was there when the plan was made.
    let (plan, _) = world.plan(plan).await.unwrap();
    world.settle().await;
    world.sim.edit("b", |b| b.volume_types.retain(|_, t| t.name != "ceph"));
    world.sync(&ids[1]).await;
    assert!(world.jobs_are_refused(&plan.group_id, &plan.id).await.contains("ceph"));
}

#[tokio::test]
async fn plan_65_no_capacity() {
    let (world, ids, plan) = World::grouped().await;
    let fill = |full: bool| {
        world.sim.edit("b", |b| {
            for node in b.hypervisors.values_mut() {
                node.vcpus_used = if full { node.vcpus - 1 } else { 0 };
            }
        });
    };
    fill(true);
    world.sync(&ids[1]).await;
    let first = &world.sample.servers[0].id;
    let field = format!("mapping.instances[{first}].availability_zone");
    let create = world.plan(plan.clone());
    let error = world.refuses((ErrorKind::Quota, "plan.capacity", &field), create).await;
    for fact in [("vcpus_needed", "2"), ("vcpus_free", "1")] {
        assert!(
            error.context().iter().any(|(k, v)| (k.as_str(), v.as_str()) == fact),
            "{error}"
        );
    }
    fill(false);
    world.sync(&ids[1]).await;
    let (plan, _) = world.plan(plan).await.unwrap();
    world.settle().await;
    fill(true);
    world.sync(&ids[1]).await;
    assert!(world.jobs_are_refused(&plan.group_id, &plan.id).await.contains("room"));
}

#[tokio::test]
async fn open_06_name_against_the_rules() {
    let (world, ids, plan) = World::grouped().await;
    let long = "x".repeat(256);
    for (name, code) in [
        ("", "name.length"),
        (long.as_str(), "name.length"),
        ("my group", "name.characters"),
        ("a:b", "name.characters"),
        ("日本", "name.characters"),
        ("a\n", "name.characters"),
    ] {
        let expected = (ErrorKind::Invalid, code, "name");
        world.refuses(expected, world.register_as("c", name)).await;
        world.refuses(expected, world.group(&ids[0], name)).await;
        let request = PlanRequest {
            name: name.to_owned(),
            ..plan.clone()
        };
        world.refuses(expected, world.plan(request)).await;
    }
}

/// LIM-03: a Target without the room for the data and all points that are kept, as its storage says now.
#[tokio::test]
async fn lim_03_room_on_the_target() {
    let (world, ids, plan) = World::grouped().await;
    let whole = world.session.inventory().whole(&ids[0]).await.unwrap();
    let group = world.session.protection_groups().get(&plan.group_id).await.unwrap();
    let volumes: std::collections::BTreeSet<_> = group
        .instances
        .iter()
        .flat_map(|id| &whole.instances[id].volume_ids)
        .collect();
    let data: u64 = volumes.iter().map(|id| whole.volumes[*id].size_gib << 30).sum();
    let needed = data * (u64::from(plan.snapshot_retention) + 2);
    world.sim.tell_free_bytes("b", "volumes", needed - 1);
    let expected = (ErrorKind::Quota, "plan.storage_capacity", "snapshot_retention");
    world.refuses(expected, world.plan(plan.clone())).await;
    world.sim.tell_free_bytes("b", "volumes", needed);
    world.plan(plan).await.unwrap();
}

/// PLAN-12: a Target whose new tenants may not hold what is recovered.
#[tokio::test]
async fn plan_12_quota_of_the_target() {
    let (world, _, plan) = World::grouped().await;
    let told = |volumes| TenantQuota {
        volumes: Some(volumes),
        ..TenantQuota::default()
    };
    world.sim.tell_quota("b", told(1));
    let expected = (ErrorKind::Quota, "plan.quota", "target_cluster");
    world.refuses(expected, world.plan(plan.clone())).await;
    world.sim.tell_quota("b", told(100));
    world.plan(plan).await.unwrap();
}

#[tokio::test]
async fn rep_01_volume_without_mirroring() {
    // No pool at all.
    let world = World::new();
    for pool in ["volumes", "images"] {
        world.sim.mirror_pool("a", pool, false);
    }
    let expected = (ErrorKind::Refused, "cluster.replication", "storage");
    world.refuses(expected, world.register("a")).await;

    // The pool of the volumes.
    let (world, ids, plan) = World::grouped().await;
    let field = format!("mapping.instances[{}]", world.sample.servers[0].id);
    let create = |plan: &PlanRequest| world.plan(plan.clone());
    let expected = (ErrorKind::Refused, "plan.not_mirrored", field.as_str());
    for site in ["a", "b"] {
        world.sim.mirror_pool(site, "volumes", false);
        world.refuses(expected, create(&plan)).await;
        world.sim.mirror_pool(site, "volumes", true);
    }

    // Another peer.
    let mut elsewhere = plan.clone();
    elsewhere.target_cluster = ids[2].clone();
    elsewhere.mapping.external_networks = world
        .session
        .plans()
        .suggest(&plan.group_id, &ids[2])
        .await
        .unwrap()
        .mapping
        .external_networks;
    let expected = (ErrorKind::Refused, "plan.not_paired", "target_cluster");
    world.refuses(expected, create(&elsewhere)).await;

    // A volume whose bytes are elsewhere, is a replica, or replicates in another way.
    let volume = &world.sample.servers[0].data_volume;
    let image = world.sim.inventory("a").volumes[volume].storage.clone().unwrap();
    let store_at = |at: &StorageRef| {
        let at = at.clone();
        world.sim.edit("a", |a| {
            a.volumes.get_mut(volume).expect("the volume").storage = Some(at);
        });
    };
    store_at(&StorageRef::new("rbd:volumes/nowhere"));
    world.sync(&ids[0]).await;
    let expected = (ErrorKind::Refused, "volume.storage", field.as_str());
    world.refuses(expected, create(&plan)).await;
    store_at(&image);
    world.sync(&ids[0]).await;
    world
        .sim
        .rbd("a", |rbd| rbd.mirror_enable(&image, ReplicationMode::Journal))
        .unwrap();
    world.clock.sleep(Duration::from_secs(60)).await;
    let expected = (ErrorKind::Refused, "volume.mode", field.as_str());
    world.refuses(expected, create(&plan)).await;
    world.sim.rbd("a", |rbd| rbd.demote(&image)).unwrap();
    world.clock.sleep(Duration::from_secs(60)).await;
    let expected = (ErrorKind::Refused, "volume.replica", field.as_str());
    world.refuses(expected, create(&plan)).await;
}

/// Mirroring that somebody switched off behind our back.
#[tokio::test]
async fn rep_17_volume_that_is_mirrored_no_more() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, ids, group, plan) = World::protected(mode).await;
        let volume = world.session.plans().get(&plan).await.unwrap();
        let volume = volume.volumes.into_values().next().unwrap();
        let storage = world.sim.storage("a");
        let image = storage.find_replica(&volume.replication_id).await.unwrap().unwrap();
        world.sim.rbd("a", |rbd| rbd.mirror_disable(&image, false)).unwrap();
        world.clock.sleep(Duration::from_secs(60)).await;
        let planned = JobRequest::failover(group.clone(), plan.clone());
        let reasons = world.refused_for_the_plan(planned).await;
        assert!(reasons.contains(volume.volume_id.as_str()), "{reasons}");
        world.the_point_can_be_recovered(&group, &plan).await;
        // Nor by force, nor when the Source is lost: there is nothing to promote.
        let expected = (ErrorKind::Refused, "job.roles", "plan_id");
        world.refuses(expected, world.job(forced(&group, &plan))).await;
        world.sim.kill("a");
        world.session.clusters().probe(&ids[0]).await.unwrap();
        world.refuses(expected, world.job(forced(&group, &plan))).await;
    }
}

/// LIM-05, PLAN-41: during the first copy, whether the Source lives or not.
#[tokio::test]
async fn plan_41_half_synced_volume() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, ids, group, plan) = World::protected(mode).await;
        // An operator has one replica copied anew; the copy takes an hour.
        let volume = world.session.plans().get(&plan).await.unwrap();
        let volume = volume.volumes.into_values().next().unwrap();
        let storage = world.sim.storage("b");
        let image = storage.find_replica(&volume.replication_id).await.unwrap().unwrap();
        world.sim.tune(|t| t.copy_base = Duration::from_secs(3600));
        world.sim.rbd("b", |rbd| rbd.resync(&image)).unwrap();
        // The old copy goes, the new one begins, the mirror daemon says so with one of its next reports.
        for _ in 0..6 {
            world.clock.sleep(Duration::from_secs(30)).await;
            drop(world.sim.dump("b"));
        }
        let reasons = world.failovers_are_refused(&group, &plan).await;
        assert!(reasons.contains("copied for the first time"), "{reasons}");
        assert!(reasons.contains(volume.volume_id.as_str()), "{reasons}");
        world.the_point_can_be_recovered(&group, &plan).await;
        world.sim.kill("a");
        world.session.clusters().probe(&ids[0]).await.unwrap();
        let reasons = world.failovers_are_refused(&group, &plan).await;
        assert!(reasons.contains("copied for the first time"), "{reasons}");
    }
}

/// While a plan's own first mirroring runs there is no job and no recovery point to be had, and asking changes nothing.
#[tokio::test]
async fn plan_41_initial_mirroring_runs() {
    let (world, _, request) = World::grouped().await;
    world.sim.tune(|t| t.copy_base = Duration::from_secs(3600));
    let (plan, mirroring) = world.plan(request).await.unwrap();
    while world.session.jobs().get(&mirroring).await.unwrap().state != JobState::Running {
        tokio::task::yield_now().await;
    }
    let clouds = || SITES.map(|site| world.sim.inventory(site));
    let before = clouds();
    for request in [
        JobRequest::failover(plan.group_id.clone(), plan.id.clone()),
        forced(&plan.group_id, &plan.id),
    ] {
        let error = world.job(request).await.unwrap_err();
        assert_eq!((error.code(), error.field()), ("job.plan_status", Some("plan_id")));
        let remedy = error.remedy().unwrap();
        assert_eq!(remedy, "wait until initial replication has ended");
    }
    let drill = JobRequest::drill(plan.group_id.clone(), plan.id.clone());
    let error = world.job(drill).await.unwrap_err();
    assert_eq!((error.code(), error.field()), ("job.no_snapshot", Some("data_point")));
    assert!(error.remedy().is_some());
    let error = world.session.points().create(&plan.group_id).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.field()),
        (ErrorKind::Refused, "point.plan", Some("group_id"))
    );
    assert!(error.remedy().is_some());
    assert!(clouds() == before);
    assert_eq!(
        world
            .session
            .jobs()
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .len(),
        1
    );
}

#[tokio::test]
async fn plan_06_plan_without_a_mapping() {
    type Spoil<'a> = &'a dyn Fn(&mut ResourceMapping);
    let (world, _, plan) = World::grouped().await;
    let without = |spoil: Spoil<'_>| {
        let mut request = plan.clone();
        spoil(&mut request.mapping);
        world.plan(request)
    };
    let first = &world.sample.servers[0].id;
    let own = format!("mapping.instances[{first}]");
    let zone = world.sim.inventory("a").instances[first].availability_zone.clone();
    let zone = format!("mapping.availability_zones[{zone}]");
    let outside = format!("mapping.external_networks[{}]", world.sample.external_network);
    let expected = |field| (ErrorKind::Invalid, "plan.mapping", field);
    let error = world
        .refuses(expected("mapping.tenant_name"), without(&|m| *m = empty()))
        .await;
    let further = error.context().iter().find(|(key, _)| key == "further");
    assert!(further.is_some_and(|(_, n)| n.parse::<u32>().unwrap() >= 5), "{error}");
    let cases: [(&str, Spoil<'_>); 5] = [
        ("mapping.tenant_name", &|m| m.tenant_name.clear()),
        (&own, &|m| drop(m.instances.remove(first))),
        (&zone, &|m| m.availability_zones.clear()),
        ("mapping.volume_types[ceph]", &|m| drop(m.volume_types.remove("ceph"))),
        (&outside, &|m| m.external_networks.clear()),
    ];
    for (field, spoil) in cases {
        let error = world.refuses(expected(field), without(spoil)).await;
        assert!(
            !error.to_string().contains("further"),
            "one hole, one complaint: {error}"
        );
    }
    world.plan(plan.clone()).await.unwrap();
}

/// OPEN-06: a name is one name in whichever Unicode form it is typed: it is stored, found and compared as NFC.
#[tokio::test]
async fn open_06_names_are_stored_and_compared_in_one_form() {
    // Three jamo that make one syllable, as some systems give it.
    let (typed, stored) = ("\u{1100}\u{1161}\u{11a8}", "각");
    let world = World::new();
    let source = world.register_as("a", typed).await.unwrap();
    assert_eq!(source.name, stored);
    for name in [typed, stored] {
        let found = world.session.clusters().by_name(name).await.unwrap();
        assert_eq!(found.map(|c| c.id), Some(source.id.clone()), "{name:?}");
        let expected = (ErrorKind::Conflict, "name.taken", "name");
        world.refuses(expected, world.register_as("b", name)).await;
    }
    let target = world.register("b").await.unwrap();
    let group = world.group(&source.id, typed).await.unwrap();
    let groups = world.session.protection_groups();
    assert_eq!(groups.get(&group.id).await.unwrap().name, stored);
    for name in [typed, stored] {
        let error = world.group(&source.id, name).await.unwrap_err();
        assert_eq!((error.code(), error.field()), ("name.taken", Some("name")), "{name:?}");
    }
    let mut request = world.session.plans().suggest(&group.id, &target.id).await.unwrap();
    request.name = typed.to_owned();
    let (plan, _) = world.plan(request.clone()).await.unwrap();
    assert_eq!(world.session.plans().get(&plan.id).await.unwrap().name, stored);
    let error = world.plan(request).await.unwrap_err();
    assert_eq!((error.code(), error.field()), ("name.taken", Some("name")));
}

/// What else a caller can get wrong: ids, pages, times, states; clusters that are the Source or the Target of a plan (CL-20,
/// CL-21).
#[tokio::test]
async fn other_bad_input() {
    let (world, ids, group, plan) = World::protected(ReplicationMode::Snapshot).await;
    let session = &world.session;
    let jobs = session.jobs();
    let none = "no-such-thing";
    let missing = |code, field| (ErrorKind::NotFound, code, field);
    world
        .refuses(
            missing("cluster.not_found", "cluster_id"),
            session.clusters().get(&none.into()),
        )
        .await;
    world
        .refuses(
            missing("group.not_found", "group_id"),
            session.protection_groups().get(&none.into()),
        )
        .await;
    world
        .refuses(missing("plan.not_found", "plan_id"), session.plans().get(&none.into()))
        .await;
    let unknown = JobRequest::drill(none.into(), plan.clone());
    world
        .refuses(missing("group.not_found", "group_id"), world.job(unknown))
        .await;
    for limit in [0, 1001] {
        let query = Query::default().limit(limit);
        world
            .refuses((ErrorKind::Invalid, "page.limit", "limit"), jobs.list(&query))
            .await;
    }
    let first = format!("instances[{}]", world.sample.servers[0].id);
    let refused = |code, field| (ErrorKind::Refused, code, field);
    world
        .refuses(
            refused("cluster.in_use", "cluster_id"),
            session.clusters().delete(&ids[0]),
        )
        .await;
    world
        .refuses(
            refused("cluster.in_use", "cluster_id"),
            session.clusters().delete(&ids[1]),
        )
        .await;
    world
        .refuses(
            refused("group.plan", "group_id"),
            session.protection_groups().delete(&group),
        )
        .await;
    world
        .refuses(
            refused("group.already_protected", &first),
            world.group(&ids[0], "again"),
        )
        .await;

    // A job that waits for its time.
    let now = world.clock.now();
    let mut later = JobRequest::drill(group.clone(), plan.clone());
    later.execution = ExecutionType::AtDateTime {
        at: now - jiff::SignedDuration::from_secs(1),
    };
    world
        .refuses(
            (ErrorKind::Invalid, "job.time", "execution.at"),
            world.job(later.clone()),
        )
        .await;
    later.execution = ExecutionType::AtDateTime {
        at: now + jiff::SignedDuration::from_hours(1),
    };
    let job = world.job(later).await.unwrap();
    let past = jobs.reschedule(&job, now - jiff::SignedDuration::from_secs(1));
    world.refuses((ErrorKind::Invalid, "job.time", "at"), past).await;
    world
        .refuses(refused("job.operation", "operation"), jobs.extend(&job, 5))
        .await;
    for minutes in [0, 10_081, u32::MAX] {
        world
            .refuses(
                (ErrorKind::Invalid, "job.extension", "minutes"),
                jobs.extend(&job, minutes),
            )
            .await;
    }
    world
        .refuses(refused("plan.jobs", "jobs"), session.plans().delete(&plan))
        .await;
    jobs.delete(&job, false).await.unwrap();
}
