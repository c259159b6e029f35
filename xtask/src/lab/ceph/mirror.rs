//! Mirroring between the two clusters: pool mode, pairing, the daemons, and whether they work.
use super::{
    MIRRORED_POOL,
    cluster::{Cluster, daemon_name as name_of},
};
use crate::lab::{Site, command::wait_until, state::write_file};
use anyhow::{Result, bail};
use serde_json::Value;
use std::{fs, time::Duration};

const KIND: &str = "rbd-mirror";
/// Starts the daemon again when it aborts, as the distribution's unit does: this one does so now and then when many images
/// come and go at once (`AsyncOpTracker.cc: FAILED ceph_assert(m_pending_ops == 0)`). A killed one stays away.
const KEEP: &str = r#"trap : TERM; while "$0" "$@"; [ $? -eq 134 ]; do sleep 1; done"#;
/// What the daemon's user may do (monitor, OSD, manager).
pub(super) const CAPS: [&str; 3] = ["profile rbd-mirror", "profile rbd", "profile rbd"];
/// Two rounds of the daemon's status, which it posts every 30 s, and some.
pub(super) const HEALTHY: Duration = Duration::from_secs(120);
/// One round of it, and some.
pub(super) const BRIEFLY: Duration = Duration::from_secs(45);

/// The daemon's user, without `client.`.
pub(super) fn user(site: Site) -> String {
    format!("{KIND}.{}", site.name())
}

/// The supervisor's name of the daemon.
pub(super) fn daemon_name(site: Site) -> String {
    name_of(site, KIND)
}

/// Turns mirroring on, image by image, and names the site.
pub(super) fn enable(cluster: &Cluster<'_>) -> Result<()> {
    let site = cluster.site().name();
    cluster
        .rbd(&["mirror", "pool", "enable", MIRRORED_POOL, "image", "--site-name", site])
        .map(drop)
}

/// Makes the two clusters each other's peer; importing at one side adds both.
pub(super) fn pair(one: &Cluster<'_>, other: &Cluster<'_>) -> Result<()> {
    let token = one.rbd(&["mirror", "pool", "peer", "bootstrap", "create", MIRRORED_POOL])?;
    let file = other.dir().join("peer-token");
    write_file(&file, token.as_bytes(), 0o600)?;
    let site = other.site().name();
    let path = file.to_string_lossy();
    let import = [
        "mirror",
        "pool",
        "peer",
        "bootstrap",
        "import",
        "--site-name",
        site,
        "--direction",
        "rx-tx",
    ];
    let imported = other.rbd(&[&import[..], &[MIRRORED_POOL, &path]].concat());
    // the token is a key
    fs::remove_file(&file)?;
    imported.map(drop)
}

/// Starts the site's daemon unless it runs.
pub(super) fn run(cluster: &Cluster<'_>) -> Result<()> {
    cluster
        .start_daemon(KIND, &["/bin/sh", "-c", KEEP, "rbd-mirror"], &user(cluster.site()))
        .map(drop)
}

/// Waits until the daemon itself says that it serves the pool, and the cluster knows this one, and no earlier one, as
/// healthy.
pub(super) fn wait_healthy(cluster: &Cluster<'_>, limit: Duration) -> Result<()> {
    let site = cluster.site();
    let socket = cluster.dir().join("run").join(format!("client.{}.asok", user(site)));
    wait_until(&format!("rbd-mirror of {} to be healthy", site.name()), limit, || {
        cluster.supervisor().must_live(&daemon_name(site))?;
        let own = cluster.ceph(&["--admin-daemon", &socket.to_string_lossy(), "rbd", "mirror", "status"])?;
        let own: Value = serde_json::from_str(&own)?;
        let pool = &own["pool_replayers"][0];
        if pool["state"] != "running" || pool["leader"] != true {
            bail!("its state is {}, leader {}", pool["state"], pool["leader"]);
        }
        let status = status(cluster)?;
        let known: Vec<&Value> = status["daemons"].as_array().into_iter().flatten().collect();
        if known.len() != 1 || known[0]["instance_id"] != pool["instance_id"] || known[0]["health"] != "OK" {
            bail!("the cluster knows {known:?}");
        }
        Ok(Some(()))
    })
}

/// Health of daemon and images, and how many images are in which state.
pub(super) fn summary(cluster: &Cluster<'_>) -> Result<String> {
    let all = status(cluster)?;
    let status = &all["summary"];
    let word = |key: &str| status[key].as_str().unwrap_or("?").to_owned();
    Ok(format!(
        "daemon {}, images {} {}",
        word("daemon_health"),
        word("image_health"),
        status["states"]
    ))
}

fn status(cluster: &Cluster<'_>) -> Result<Value> {
    let args = [
        "mirror",
        "pool",
        "status",
        MIRRORED_POOL,
        "--verbose",
        "--format",
        "json",
    ];
    Ok(serde_json::from_str(&cluster.rbd(&args)?)?)
}
