//! The whole disaster-recovery life on two simulated clouds, with a real store: register, protect, drill, failover, confirm,
//! report. Time is simulated too, so it takes seconds.

use anyhow::{Context, Result};
use ns_core::model::{JobOperation, JobState, OwnerGroupId, Query};
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest, OperationRequest};
use ns_core::sim::{SimClock, SimStore, SimWorld};
use ns_core::store::SqliteStore;
use ns_core::{Actor, Engine, Providers, Session};
use ns_examples::{follow_from, must_succeed, show};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join("neverstop-quickstart");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("removing what an earlier run left")?;
    }
    std::fs::create_dir_all(&folder)?;

    // Two clouds; on the first, three running servers with seven volumes, one of them shared.
    let clock = Arc::new(SimClock::new());
    let world = SimWorld::new(clock.clone(), 1);
    let sample = world.sample_group(3)?;
    let providers = |site: &str| Providers {
        cloud: world.cloud(site),
        storage: world.storage(site),
    };

    let store = SimStore::new(SqliteStore::open(folder.join("neverstop.db"))?, (*clock).clone());
    let engine = Engine::builder(Arc::new(store)).clock(clock).build()?;
    engine.start().await?;
    let session = engine.session(Actor::admin("operator"));

    println!("1. Register both clouds");
    let mut clusters = Vec::new();
    for (name, site) in [("seoul", "a"), ("busan", "b")] {
        let request = ClusterRequest {
            name: name.to_owned(),
            owner_group_id: OwnerGroupId::new("operators"),
            note: String::new(),
        };
        let cluster = session.clusters().register(request, providers(site)).await?;
        let inventory = session.inventory().whole(&cluster.id).await?;
        println!(
            "  {name}: {} instances, {} volumes",
            inventory.instances.len(),
            inventory.volumes.len()
        );
        clusters.push(cluster.id);
    }

    println!("2. Protect three instances: mirror their volumes, make a recovery point");
    let group = session
        .protection_groups()
        .create(GroupRequest {
            name: "shop".to_owned(),
            description: "the web shop".to_owned(),
            owner_group_id: OwnerGroupId::new("operators"),
            source_cluster: clusters[0].clone(),
            instances: sample.server_ids(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        })
        .await?;
    let plan = session.plans().suggest(&group.id, &clusters[1]).await?;
    let (plan, mirroring) = session.plans().create(plan).await?;
    must_succeed(&session, &mirroring).await?;
    for job in session
        .jobs()
        .list(&Query::default())
        .await?
        .items
        .iter()
        .filter(|j| j.state != JobState::Finished)
    {
        must_succeed(&session, &job.id).await?;
    }

    println!("3. Drill: boot clones of the point in networks of their own, then clean up");
    let drill = session
        .jobs()
        .create(JobRequest::drill(group.id.clone(), plan.id.clone()))
        .await?;
    must_succeed(&session, &drill).await?;
    show_guests(&session, &world).await?;
    operate(&session, &drill, JobOperation::Rollback).await?;

    println!("4. Failover: what it would do and lose");
    let request = JobRequest::failover(group.id, plan.id);
    let explanation = session.jobs().explain(&request).await?;
    show(&explanation);

    println!("5. Failover: stop, demote, prove arrival, promote, boot on the other cloud");
    let failover = session.jobs().create(request).await?;
    must_succeed(&session, &failover).await?;
    show_guests(&session, &world).await?;

    println!("6. Confirm");
    operate(&session, &failover, JobOperation::Confirm).await?;
    let offer = session.failback().offer(&failover).await?;
    println!(
        "  failback is offered for {} instances, {} volumes still replicate",
        offer.home.instances.len(),
        offer.home.plan.volumes.len()
    );

    let report = session.reports().get(&failover).await?;
    let page = folder.join("report.html");
    std::fs::write(&page, report.html()?)?;
    std::fs::write(folder.join("report.json"), report.json()?)?;
    println!("7. Report: {}", page.display());
    engine.shutdown().await;
    Ok(())
}

/// What the recovered guests printed at boot: the marker tells which data they hold.
async fn show_guests(session: &Session, world: &SimWorld) -> Result<()> {
    let clusters = session.clusters();
    let target = clusters.by_name("busan").await?.context("busan is registered")?;
    let cloud = world.cloud("b");
    for instance in clusters.sync(&target.id).await?.instances.values() {
        let console = cloud.console(&instance.id, 20).await?;
        let line = console
            .lines()
            .rev()
            .find(|l| l.contains("LAB-BOOT"))
            .unwrap_or("nothing yet");
        println!("  {} says: {line}", instance.name);
    }
    Ok(())
}

async fn operate(session: &Session, job: &ns_core::model::JobId, operation: JobOperation) -> Result<()> {
    let request = OperationRequest {
        reason: "quickstart".to_owned(),
        ..OperationRequest::default()
    };
    let shown = session.jobs().get(job).await?.position;
    session.jobs().operate(job, operation, request).await?;
    follow_from(session, job, shown).await.map(|_| ())
}
