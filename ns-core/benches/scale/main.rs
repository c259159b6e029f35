//! One engine that knows a cloud of 50,000 instances and 200,000 volumes: how long it takes to read it all, to learn of one change,
//! to answer queries, to compile the plan of 10,000 instances, and how much memory is resident at the worst moment.
//!
//! Absolute times say more about the machine. Beside each stands a ratio to the least that this work can cost, measured in the
//! same run: reading is compared with writing the same things as JSON into a file; a query with one look at each thing; a plan
//! with writing the plan as JSON once.
#![allow(clippy::unwrap_used, missing_docs)]

mod cloud;

use cloud::{BigCloud, VOLUMES_EACH, id};
use futures::StreamExt;
use jiff::Timestamp;
use ns_core::model::{
    ClusterId, Flavor, Happened, Hypervisor, Instance, Inventory, InventoryKind, Is, JobId, Network, OwnerGroupId,
    Port, Query, RecoveryPlan, ReplicatedVolume, ReplicationId, ResourceKind, SecurityGroup, StorageRef, Subnet,
    Tenant, Volume, VolumeType,
};
use ns_core::planning::{RecoveryData, RecoveryInputs, plan_recovery};
use ns_core::provider::Notice;
use ns_core::session::{ClusterRequest, GroupRequest, PlanRequest};
use ns_core::sim::SimWorld;
use ns_core::store::SqliteStore;
use ns_core::{Actor, Engine, Providers, Session};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const INSTANCES: u64 = 50_000;
const PLANNED: usize = 10_000;
const GIB: f64 = 1024.0 * 1024.0;

/// The most that was resident so far, in KiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap_or(f64::NAN)
}

fn row(what: &str, took: Duration, least: Duration) {
    let ratio = took.as_secs_f64() / least.as_secs_f64();
    println!(
        "{what:<44} {:>10.1} ms {ratio:>8.1} x the least {:>8.0} MiB resident at most",
        took.as_secs_f64() * 1e3,
        peak() / 1024.0
    );
}

/// Everything of a cloud as JSON in a file.
async fn raw(cloud: &BigCloud, folder: &Path) -> Duration {
    use ns_core::provider::CloudProvider;
    let start = Instant::now();
    let mut file = BufWriter::new(std::fs::File::create(folder.join("raw")).unwrap());
    let mut all = cloud.inventory(ResourceKind::ALL);
    while let Some(thing) = all.next().await {
        serde_json::to_writer(&mut file, &thing.unwrap()).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    start.elapsed()
}

/// A filtered and sorted page of a kind, beside one look at each thing of it.
async fn query<T: InventoryKind>(session: &Session, cluster: &ClusterId, inventory: &Inventory, query: Query) {
    let start = Instant::now();
    let seen = T::all_in(inventory)
        .values()
        .filter(|r| !std::hint::black_box(r).query_id().is_empty())
        .count();
    let least = start.elapsed();
    let start = Instant::now();
    let part = session.inventory().list::<T>(cluster, &query).await.unwrap();
    let took = start.elapsed();
    let what = format!("query {}: {} of {seen}", T::KIND.as_str(), part.total);
    row(&what, took, least.max(Duration::from_micros(1)));
}

async fn queries(session: &Session, cluster: &ClusterId) {
    let all = session.inventory().whole(cluster).await.unwrap();
    let page = || Query::default().sort("name");
    let big = Query::default().with("memory_mib", Is::AtLeast("2048".into()));
    query::<Instance>(session, cluster, &all, big.search("web-04").sort_descending("name")).await;
    query::<Instance>(
        session,
        cluster,
        &all,
        Query::default().equal("power", "running").sort("name"),
    )
    .await;
    query::<Volume>(
        session,
        cluster,
        &all,
        Query::default().equal("volume_type", "ceph").sort("name"),
    )
    .await;
    query::<Volume>(session, cluster, &all, page().search("199999")).await;
    query::<Port>(session, cluster, &all, page().search("0042")).await;
    query::<Hypervisor>(session, cluster, &all, page()).await;
    query::<Tenant>(session, cluster, &all, page()).await;
    query::<Network>(session, cluster, &all, page()).await;
    query::<Subnet>(session, cluster, &all, page()).await;
    query::<SecurityGroup>(session, cluster, &all, page()).await;
    query::<Flavor>(session, cluster, &all, page()).await;
    query::<VolumeType>(session, cluster, &all, page()).await;
}

/// The plan of a group as a job compiles it.
fn compile(request: &PlanRequest, inventory: &Inventory, instances: &BTreeSet<ns_core::model::CloudId>) {
    let volumes = instances.iter().flat_map(|i| &inventory.instances[i].volume_ids);
    let volumes: BTreeMap<_, _> = volumes
        .map(|id| {
            let image = StorageRef::new(format!("rbd:volumes/volume-{id}"));
            let volume = ReplicatedVolume {
                volume_id: id.clone(),
                source: image.clone(),
                replication_id: ReplicationId::new(id.as_str()),
                target: image,
            };
            (id.clone(), volume)
        })
        .collect();
    let plan = RecoveryPlan {
        id: ns_core::model::PlanId::new("plan"),
        name: request.name.clone(),
        group_id: request.group_id.clone(),
        target_cluster: request.target_cluster.clone(),
        snapshot_retention: request.snapshot_retention,
        replication_mode: request.replication_mode,
        parent_policy: request.parent_policy,
        mapping: request.mapping.clone(),
        volumes,
        leaving: BTreeMap::new(),
        home: None,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        modified_at: Timestamp::UNIX_EPOCH,
    };
    let start = Instant::now();
    let text = serde_json::to_string(&plan).unwrap();
    let least = start.elapsed();
    let job = JobId::new("job");
    let start = Instant::now();
    let graph = plan_recovery(&RecoveryInputs {
        job_id: &job,
        plan: &plan,
        instances,
        inventory,
        target_flavors: &inventory.flavors,
        data: RecoveryData::HandOver { stop_source: true },
        fence: None,
        home: None,
        isolated: false,
        suffix: "x",
        prefix: "",
    })
    .unwrap();
    let what = format!("failover of {} instances: {} tasks", instances.len(), graph.tasks.len());
    row(&what, start.elapsed(), least);
    assert!(!text.is_empty());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimWorld::new(Arc::new(ns_core::ports::SystemClock), 7);
    let store = Arc::new(SqliteStore::open(folder.path().join("store")).unwrap());
    let engine = Engine::builder(store).build().unwrap();
    let session = engine.session(Actor::admin("bench"));
    let (big, tell) = BigCloud::new(INSTANCES);
    let big = Arc::new(big);
    let least = raw(&big, folder.path()).await;
    row(
        &format!("{} things as JSON in a file", INSTANCES * (2 + VOLUMES_EACH)),
        least,
        least,
    );

    let mut clusters = Vec::new();
    let small = Arc::new(BigCloud::new(10).0);
    for (site, cloud) in [("b", small), ("a", big.clone())] {
        let request = ClusterRequest {
            name: format!("site-{site}"),
            owner_group_id: OwnerGroupId::new("ops"),
            note: String::new(),
        };
        let storage = sim.storage(site);
        let start = Instant::now();
        let cluster = session
            .clusters()
            .register(request, Providers { cloud, storage })
            .await
            .unwrap();
        if site == "a" {
            row("first synchronisation", start.elapsed(), least);
        }
        clusters.push(cluster.id);
    }
    let (target, source) = (&clusters[0], &clusters[1]);
    let start = Instant::now();
    session.clusters().sync(source).await.unwrap();
    row("synchronisation, nothing changed", start.elapsed(), least);
    big.renamed.fetch_add(1, Ordering::Relaxed);
    let start = Instant::now();
    session.clusters().sync(source).await.unwrap();
    row("synchronisation, one instance changed", start.elapsed(), least);
    queries(&session, source).await;

    // Listening begins with a synchronisation: it has found the second of these when the cloud is listened to.
    let known = session.inventory().events(source, 0, 1000).await.unwrap();
    let mut events = session.inventory().watch(source, known.last().unwrap().position);
    big.renamed.fetch_add(1, Ordering::Relaxed);
    engine.start().await.unwrap();
    events.next().await.unwrap().unwrap();
    big.renamed.fetch_add(1, Ordering::Relaxed);
    let notice = Notice {
        id: "n1".to_owned(),
        at: Timestamp::now(),
        happened: Happened::Changed,
        kind: ResourceKind::Instance,
        resource: Some(id("instance", 7)),
    };
    let start = Instant::now();
    tell.send(notice).unwrap();
    events.next().await.unwrap().unwrap();
    row("a change that the cloud tells (waits 300 ms)", start.elapsed(), least);
    engine.shutdown().await;

    let all = session.inventory().whole(source).await.unwrap();
    let members: Vec<_> = all.instances.keys().take(PLANNED).cloned().collect();
    let start = Instant::now();
    let group = GroupRequest {
        name: "big".to_owned(),
        description: String::new(),
        owner_group_id: OwnerGroupId::new("ops"),
        source_cluster: source.clone(),
        instances: members.clone(),
        rpo_minutes: 15,
        rto_minutes: 30,
        snapshot_interval: None,
    };
    let group = session.protection_groups().create(group).await.unwrap();
    row("a group of 10,000 instances", start.elapsed(), least);
    let start = Instant::now();
    let request = session.plans().suggest(&group.id, target).await.unwrap();
    row("a mapping of them is suggested", start.elapsed(), least);
    compile(&request, &all, &members.into_iter().collect());
    println!("resident at most: {:.2} GiB", peak() / GIB);
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure());
}
