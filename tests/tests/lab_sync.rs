//! How long the engine takes to read a cloud of a hundred servers, beside `openstacksdk`, which asks for the same lists, in one run.
//! What is proved is that both see the same; the times are for people to read.
#![cfg(feature = "lab")]

mod lab_openstack_kit;

use anyhow::{Context, Result, ensure};
use lab_openstack_kit::{lab, openstack, run, until};
use ns_core::model::{ClusterId, Inventory};
use ns_core::ports::{IdSource, RandomIds};
use ns_core::session::ClusterRequest;
use ns_core::store::MemoryStore;
use ns_core::{Actor, Engine, Providers, Session};
use ns_tests::{Lab, Site, SiteName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The servers that are made for it.
const SERVERS: usize = 100;
/// How often each reads. The middle counts.
const TIMES: usize = 5;
const CLOUD: &str = "cloud-b";

/// Reads every list that a synchronisation reads, as often as it is told, and says how long each time took and what it saw.
const BASELINE: &str = r#"
import json, sys, time
import openstack

def lists(c):
    yield "tenants", c.identity.projects()
    yield "hypervisors", c.compute.hypervisors(details=True)
    yield "availability_zones", c.compute.availability_zones(details=True)
    yield "aggregates", c.compute.aggregates()
    yield "flavors", c.compute.flavors(is_public=None)
    yield "keypairs", c.compute.keypairs()
    yield "server_groups", c.compute.server_groups(all_projects=True)
    yield "instances", c.compute.servers(all_projects=True)
    for name in ("networks", "subnets", "routers", "ports", "security_groups"):
        yield name, getattr(c.network, name)()
    yield "floating_ips", c.network.ips()
    yield "volume_types", c.block_storage.types()
    yield "volumes", c.block_storage.volumes(details=True, all_projects=True)
    yield "volume_groups", c.block_storage.groups()
    yield "volume_snapshots", c.block_storage.snapshots(details=True, all_projects=True)

for _ in range(int(sys.argv[2])):
    begun = time.perf_counter()
    # With its log-in each time, as the other has it.
    cloud = openstack.connect(cloud=sys.argv[1])
    seen = {name: sum(1 for _ in things) for name, things in lists(cloud)}
    print(json.dumps([time.perf_counter() - begun, seen]))
"#;

async fn ask(line: &str) -> Result<String> {
    let words: Vec<&str> = line.split(' ').collect();
    Ok(openstack(CLOUD, &words).await?.trim().to_owned())
}

/// Makes a hundred servers on a node that only pretends.
async fn make(name: &str) -> Result<()> {
    // The administrator's own project, in whose limits nobody else is interested.
    let project = ask("token issue -f value -c project_id").await?;
    ask(&format!(
        "quota set --instances 200 --cores 400 --ram 400000 --ports 400 {}",
        project
    ))
    .await?;
    let network = ask(&format!("network create -f value -c id {name}")).await?;
    ask(&format!(
        "subnet create --network {network} --subnet-range 10.90.0.0/23 {name}"
    ))
    .await?;
    let flavor = lab_openstack_kit::fact("b", "/flavors/m1.lab");
    let image = ask("image list -f value -c ID --limit 1").await?;
    ask(&format!(
        "server create --min {SERVERS} --max {SERVERS} --flavor {flavor} --image {image} --network {network} \
         --availability-zone nova:b-comp-1 {name}"
    ))
    .await?;
    until("all servers run", 900, async || {
        let up = ask(&format!("server list --name {name} --status ACTIVE -f value -c ID")).await?;
        Ok((up.lines().count() == SERVERS).then_some(()))
    })
    .await
}

/// Takes all of it away again.
async fn clear(name: &str) -> Result<()> {
    let servers = ask(&format!("server list --name {name} -f value -c ID")).await?;
    if !servers.is_empty() {
        let all: Vec<&str> = servers.lines().collect();
        ask(&format!("server delete {}", all.join(" "))).await?;
    }
    until("all servers are gone", 900, async || {
        let left = ask(&format!("server list --name {name} -f value -c ID")).await?;
        Ok(left.is_empty().then_some(()))
    })
    .await?;
    ask(&format!("network delete {name}")).await.map(drop)
}

/// An engine that has the cloud registered.
async fn engine() -> Result<(Engine, Session, ClusterId)> {
    let engine = Engine::builder(Arc::<MemoryStore>::default()).build()?;
    let session = engine.session(Actor::admin("anna"));
    let lab = Lab::open()?;
    let site = Site::connect(&lab, SiteName::B)?;
    let request = ClusterRequest {
        name: CLOUD.into(),
        owner_group_id: "ops".into(),
        note: String::new(),
    };
    let providers = Providers {
        cloud: site.cloud,
        storage: site.storage,
    };
    let cluster = session.clusters().register(request, providers).await?.id;
    Ok((engine, session, cluster))
}

fn counts(all: &Inventory) -> BTreeMap<&'static str, usize> {
    BTreeMap::from([
        ("tenants", all.tenants.len()),
        ("hypervisors", all.hypervisors.len()),
        ("flavors", all.flavors.len()),
        ("instances", all.instances.len()),
        ("networks", all.networks.len()),
        ("subnets", all.subnets.len()),
        ("routers", all.routers.len()),
        ("ports", all.ports.len()),
        ("security_groups", all.security_groups.len()),
        ("floating_ips", all.floating_ips.len()),
        ("volume_types", all.volume_types.len()),
        ("volumes", all.volumes.len()),
        ("volume_snapshots", all.volume_snapshots.len()),
    ])
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn compare() -> Result<()> {
    let mut baseline = Command::new("/usr/bin/python3");
    baseline.env("OS_CLIENT_CONFIG_FILE", lab().join("clouds.yaml"));
    let said = run(baseline.args(["-c", BASELINE, CLOUD, &TIMES.to_string()])).await?;
    let mut theirs = Vec::new();
    let mut seen = BTreeMap::new();
    for line in said.lines() {
        let (seconds, counts): (f64, BTreeMap<String, usize>) = serde_json::from_str(line)?;
        theirs.push(Duration::from_secs_f64(seconds));
        seen = counts;
    }
    let mut ours = Vec::new();
    for _ in 0..TIMES {
        // A new connection with its log-in each time.
        let (engine, session, cluster) = engine().await?;
        let begun = Instant::now();
        let read = session.clusters().sync(&cluster).await?;
        ours.push(begun.elapsed());
        for (kind, count) in counts(&read) {
            let there = seen.get(kind).with_context(|| format!("the baseline has no {kind}"))?;
            ensure!(count == *there, "{kind}: {count}, and {there} by openstacksdk");
        }
        ensure!(read.instances.len() >= SERVERS, "{} servers", read.instances.len());
        engine.shutdown().await;
    }
    let (ours, theirs) = (middle(ours), middle(theirs));
    println!(
        "{SERVERS} servers: synchronised in {:.2} s, listed by openstacksdk in {:.2} s: {:.2} times as long",
        ours.as_secs_f64(),
        theirs.as_secs_f64(),
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
    Ok(())
}

/// CL-18, INV-01: a full synchronisation sees what OpenStack's own library sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cl_18_inv_01_a_hundred_servers_are_synchronised() -> Result<()> {
    let name = format!("ns-sync-{}", &RandomIds.next()[..8]);
    let outcome = match make(&name).await {
        Ok(()) => compare().await,
        failed => failed,
    };
    let cleared = clear(&name).await;
    outcome.and(cleared)
}
