//! The Ceph half of the lab: two clusters of one monitor, one manager and one OSD each, mirroring pool
//! [`MIRRORED_POOL`] to each other, image by image, both ways, with one rbd-mirror per site.
//!
//! Nothing outside the state folder is written: every program gets its `ceph.conf` by argument or `CEPH_CONF`.
//! [`cluster`] knows one cluster and not that there is another; [`mirror`] joins the two.
mod cluster;
mod mirror;

use super::{
    Site, packages,
    process::{Group, Supervisor},
    state::State,
};
use anyhow::{Result, anyhow};
use cluster::Cluster;
use serde_json::{Value, json};
use std::{fs, path::PathBuf, thread, time::Duration};

/// Cinder's volumes, and what is mirrored.
const MIRRORED_POOL: &str = "volumes";
/// Glance's images.
const IMAGE_POOL: &str = "images";
/// Every pool of the lab.
const POOLS: [&str; 2] = [MIRRORED_POOL, IMAGE_POOL];

/// The daemons flush their journals on SIGTERM within this; rbd-mirror may ignore it when its peer is dead.
const GRACE: Duration = Duration::from_secs(15);

/// Brings both clusters up: made when there are none, started again on their data when they are down, left alone
/// when they run. A first start that was interrupted is started over.
pub(crate) fn up(state: &State) -> Result<()> {
    packages::install("ceph", packages::CEPH)?;
    let clusters = Site::BOTH.map(|site| Cluster::new(state, site));
    if ready(state).exists() {
        both(&clusters, Cluster::run)?;
    } else {
        clear(state)?;
        both(&clusters, |cluster| {
            cluster.create()?;
            mirror::enable(cluster)
        })?;
        mirror::pair(&clusters[0], &clusters[1])?;
        fs::write(ready(state), "both clusters made and paired\n")?;
    }
    both(&clusters, mirror::run)?;
    both(&clusters, |cluster| mirror::wait_healthy(cluster, mirror::HEALTHY))?;
    publish(state, &clusters)
}

/// Brings one site's cluster back on its data; does not wait for the other site, which may be dead.
pub(crate) fn start(state: &State, site: Site) -> Result<()> {
    if !ready(state).exists() {
        return Err(anyhow!("there is no lab yet: `lab up` makes it"));
    }
    let cluster = Cluster::new(state, site);
    cluster.run()?;
    mirror::run(&cluster)
}

/// After a pause of every process: what the cluster and its mirror daemon missed is put right, as an operator would.
pub(crate) fn awake(state: &State, site: Site) -> Result<()> {
    let cluster = Cluster::new(state, site);
    // The OSD takes itself for up, on connections that its peers gave up long ago.
    cluster.wake()?;
    if mirror::wait_healthy(&cluster, mirror::BRIEFLY).is_err() {
        // Its clients may have been blocklisted meanwhile, which the daemon does not get over.
        Supervisor::new(state).stop(&[&mirror::daemon_name(site)], GRACE)?;
        mirror::run(&cluster)?;
        mirror::wait_healthy(&cluster, mirror::HEALTHY)?;
    }
    Ok(())
}

/// Where a site's cluster listens.
pub(crate) fn address(state: &State, site: Site) -> Result<String> {
    Cluster::new(state, site).address()
}

/// Stops both clusters, keeps their data.
pub(crate) fn down(state: &State) -> Result<()> {
    let supervisor = Supervisor::new(state);
    // the mirror daemons first: without their cluster they do not end on a SIGTERM
    let mirrors = Site::BOTH.map(mirror::daemon_name);
    supervisor.stop(&mirrors.each_ref().map(String::as_str), GRACE)?;
    supervisor.stop_group(Group::Ceph, None, GRACE)
}

/// Removes what lies outside the state folder: nothing does.
pub(crate) fn purge(state: &State) -> Result<()> {
    clear(state)
}

/// Prints how both clusters are: the truth they tell themselves, asked now.
pub(crate) fn status(state: &State) -> Result<()> {
    let clusters = Site::BOTH.map(|site| Cluster::new(state, site));
    let lines = both(&clusters, |cluster| Ok(describe(cluster)))?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn describe(cluster: &Cluster<'_>) -> String {
    let name = cluster.site().name();
    let alive = match cluster.alive() {
        Ok(alive) if alive.is_empty() => return format!("ceph {name}: down"),
        Ok(alive) => alive.join(" "),
        Err(error) => return format!("ceph {name}: {error:#}"),
    };
    let health = cluster.health().unwrap_or_else(|error| format!("{error:#}"));
    let mirroring = mirror::summary(cluster).unwrap_or_else(|error| format!("{error:#}"));
    format!("ceph {name}: {health}; daemons: {alive}; mirroring: {mirroring}")
}

/// The mark of a lab that was made to the end.
fn ready(state: &State) -> PathBuf {
    state.root().join("ceph").join("ready")
}

/// Ends what runs of an earlier attempt and removes its data.
fn clear(state: &State) -> Result<()> {
    let folder = state.root().join("ceph");
    let supervisor = Supervisor::new(state);
    supervisor.stop_group(Group::Ceph, None, Duration::ZERO)?;
    supervisor.kill_strays(&folder)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn publish(state: &State, clusters: &[Cluster<'_>; 2]) -> Result<()> {
    let sites: serde_json::Map<String, Value> = clusters
        .iter()
        .map(|cluster| Ok((cluster.site().letter().to_owned(), cluster.summary()?)))
        .collect::<Result<_>>()?;
    state.publish(
        "ceph",
        json!({
            "sites": sites,
            "pools": POOLS,
            "mirrored_pool": MIRRORED_POOL,
            "image_pool": IMAGE_POOL,
            "engine_user": "neverstop",
        }),
    )
}

/// Does the same with both clusters at once; the first error counts.
fn both<'a, T: Send>(clusters: &[Cluster<'a>; 2], work: impl Fn(&Cluster<'a>) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let running = clusters.each_ref().map(|cluster| scope.spawn(|| work(cluster)));
        running
            .into_iter()
            .map(|one| one.join().map_err(|_| anyhow!("a lab thread panicked"))?)
            .collect()
    })
}
