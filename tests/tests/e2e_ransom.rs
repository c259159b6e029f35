//! Ransom: everything at the source is deleted through the clouds' and the storage's own tools, and the group recovers on the
//! other side from its newest and from an older recovery point, byte for byte.
//!
//! Needs a fresh lab (`cargo xtask lab purge && cargo xtask lab up`).
#![cfg(feature = "lab")]

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use ns_core::model::{Resource, ResourceKind};
use ns_tests::{Guest, Lab, Program, Site, SiteName, wait_for};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const GUEST_PORT: u16 = 7;
const LONG: Duration = Duration::from_secs(900);

/// Images of the pool by name, with the user snapshots of each.
fn images(lab: &Lab, site: SiteName) -> Result<BTreeMap<String, Vec<String>>> {
    let names: Vec<String> = serde_json::from_str(&lab.rbd(site, &["ls", "volumes", "--format", "json"])?)?;
    let mut images = BTreeMap::new();
    for name in names {
        let spec = format!("volumes/{name}");
        let snaps = lab.snapshots(site, &spec)?.into_keys().collect();
        images.insert(spec, snaps);
    }
    Ok(images)
}

/// The checksum of every volume at a point, as the source holds it.
fn held(lab: &Lab, point: &str) -> Result<Vec<String>> {
    let snapshot = format!("neverstop-{point}");
    let mut sums = Vec::new();
    for (image, snaps) in images(lab, SiteName::A)? {
        if snaps.contains(&snapshot) {
            sums.push(lab.checksum(SiteName::A, &format!("{image}@{snapshot}"))?);
        }
    }
    sums.sort();
    Ok(sums)
}

/// The checksum of every vault clone on the target.
fn vaults(lab: &Lab) -> Result<Vec<String>> {
    let mut sums = Vec::new();
    for (image, snaps) in images(lab, SiteName::B)? {
        if snaps.iter().any(|s| s == "neverstop-base") {
            sums.push(lab.checksum(SiteName::B, &format!("{image}@neverstop-base"))?);
        }
    }
    sums.sort();
    Ok(sums)
}

/// Deletes what an extortioner with every right would: servers, volumes, then what is left in the pool.
async fn delete_everything(lab: &Lab) -> Result<()> {
    let a = SiteName::A;
    let list = |what: &str| -> Result<Vec<String>> {
        let all = lab.openstack(a, &[what, "list", "--all-projects", "-f", "value", "-c", "ID"])?;
        Ok(all.lines().map(str::to_owned).collect())
    };
    let servers = list("server")?;
    ensure!(servers.len() == 3, "{servers:?}");
    let delete: Vec<&str> = servers.iter().map(String::as_str).collect();
    lab.openstack(a, &[&["server", "delete", "--wait"], &delete[..]].concat())?;
    for volume in list("volume")? {
        // Cinder does not delete a volume whose image has snapshots of others.
        lab.openstack(a, &["volume", "delete", "--force", &volume])?;
    }
    wait_for(
        "the end of every image at the source",
        Duration::from_secs(240),
        || async {
            let left = images(lab, a)?;
            for (image, snaps) in &left {
                if !snaps.is_empty() {
                    lab.rbd(a, &["snap", "purge", "--no-progress", image])?;
                }
                lab.rbd(a, &["rm", "--no-progress", image])?;
            }
            Ok(left.is_empty().then_some(()))
        },
    )
    .await?;
    // It follows to the replicas.
    wait_for("the end of every replica", Duration::from_secs(240), || async {
        let replicas = images(lab, SiteName::B)?;
        Ok((!replicas.keys().any(|image| image.contains("/volume-"))).then_some(()))
    })
    .await
}

async fn recovered(site: &Site) -> Result<Guest> {
    let mut stream = site.cloud.inventory(&[ResourceKind::Instance]);
    while let Some(resource) = stream.next().await {
        let resource: Resource = resource?;
        if resource.name() == "e2e-guest" {
            return Ok(Guest {
                cloud: site.cloud.clone(),
                server: resource.id().clone(),
            });
        }
    }
    anyhow::bail!("the guest was not recovered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_at_the_source_is_deleted() -> Result<()> {
    let begin = Instant::now();
    let say = |what: &str| println!("[{:6.1} s] {what}", begin.elapsed().as_secs_f64());
    let lab = Lab::open()?;
    let folder = tempfile::Builder::new()
        .prefix("neverstop-ransom-")
        .disable_cleanup(true)
        .tempdir()?
        .keep();
    println!("store and logs in {}", folder.display());
    let mut program = Program::build(&lab, folder.clone())?;
    let (a, b) = (Site::connect(&lab, SiteName::A)?, Site::connect(&lab, SiteName::B)?);
    let group = a.make_group(&lab).await?;
    let guest = Guest {
        cloud: a.cloud.clone(),
        server: group.guest.clone(),
    };
    guest.booted().await?;
    let mut protect = vec!["protect", "--group", "ransom", "--tenant", "ransom-recovered"];
    group.names.iter().for_each(|n| protect.extend(["--instance", n]));
    program.run(&protect, LONG).await?;
    let mut points = Vec::new();
    for marker in ["RANSOM-OLDER", "RANSOM-NEWEST"] {
        Guest::mark(&group.address, GUEST_PORT, marker).await?;
        program.run(&["point"], LONG).await?;
        let words = program.last_words()?;
        let id = words.lines().find_map(|l| l.strip_prefix("recovery point "));
        let id = id.context("no recovery point is named")?.trim().to_owned();
        let sums = held(&lab, &id)?;
        ensure!(sums.len() == 5, "{id} holds {} volumes", sums.len());
        points.push((id, marker, sums));
    }
    say("protected, two recovery points");
    delete_everything(&lab).await?;
    say("everything at the source is deleted, and its replicas followed");
    let kept = vaults(&lab)?;
    for (id, marker, sums) in points.iter().rev() {
        ensure!(
            sums.iter().all(|s| kept.contains(s)),
            "the vault does not hold {id} byte for byte"
        );
        program.run(&["failover", "--point", id], LONG).await?;
        let line = recovered(&b).await?.booted().await?;
        ensure!(Guest::marker(&line) == Some(marker), "from {id} the guest shows {line}");
        say(&format!("recovered {id}: {line}"));
        let end = if *marker == "RANSOM-NEWEST" {
            "rollback"
        } else {
            "confirm"
        };
        program.run(&[end], LONG).await?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
