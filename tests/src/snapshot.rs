//! Everything both sites hold, as text lines that can be compared: what a drill or a rollback must leave as it was.

use super::{Lab, Site, SiteName};
use anyhow::Result;
use futures::StreamExt;
use ns_core::model::{Resource, ResourceKind};
use serde_json::Value;
use std::collections::BTreeSet;

/// Both clouds and both storages at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Everything(BTreeSet<String>);

impl Everything {
    /// Reads both sites.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn read(lab: &Lab, sites: &[&Site]) -> Result<Self> {
        let mut lines = BTreeSet::new();
        for site in sites {
            let letter = site.name.letter();
            let mut stream = site.cloud.inventory(ResourceKind::ALL);
            while let Some(resource) = stream.next().await {
                lines.insert(format!("cloud {letter} {}", line(resource?)?));
            }
            lines.extend(
                images(lab, site.name)?
                    .into_iter()
                    .map(|l| format!("ceph {letter} {l}")),
            );
        }
        Ok(Self(lines))
    }

    /// Without recovery points and their vault clones: a failover and its failback keep those that were made before it.
    #[must_use]
    pub fn without_points(&self) -> Self {
        let line = |l: &String| match l.split_once(" snapshots=") {
            Some((image, _)) => image.to_owned(),
            None => l.clone(),
        };
        let vault = |l: &String| l.contains("neverstop-base");
        Self(self.0.iter().filter(|l| !vault(l)).map(line).collect())
    }

    /// As if no image had a parent: an image is flattened when it is protected for the first time, and stays so.
    #[must_use]
    pub fn flattened(&self) -> Self {
        let line = |l: &String| match l.split_once(" parent=") {
            Some((image, rest)) => format!("{image} parent=null {}", rest.split_once(' ').map_or("", |r| r.1)),
            None => l.clone(),
        };
        Self(self.0.iter().map(line).collect())
    }
}

/// A resource without what changes by itself: loads, times of no meaning.
fn line(mut resource: Resource) -> Result<String> {
    match &mut resource {
        // A machine that is itself virtual may be given memory, and lose it again.
        Resource::Hypervisor(h) => (h.vcpus_used, h.memory_mib, h.memory_mib_used) = (0, 0, 0),
        // A router's and a network's own ports come and go with their agents.
        Resource::Port(p) if p.device_owner.starts_with("network:") => p.id = "agent's".into(),
        _ => {}
    }
    Ok(serde_json::to_string(&resource)?)
}

/// The images of a site: name, parent, role, user snapshots. Mirror snapshots come and go; they are replication itself.
fn images(lab: &Lab, site: SiteName) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let names: Vec<String> = serde_json::from_str(&lab.rbd(site, &["ls", "volumes", "--format", "json"])?)?;
    for name in names {
        let spec = format!("volumes/{name}");
        let info: Value = serde_json::from_str(&lab.rbd(site, &["info", &spec, "--format", "json"])?)?;
        let snaps: Vec<Value> = serde_json::from_str(&lab.rbd(site, &["snap", "ls", &spec, "--format", "json"])?)?;
        let snaps: Vec<&str> = snaps.iter().filter_map(|s| s["name"].as_str()).collect();
        let mirroring = &info["mirroring"];
        lines.push(format!(
            "{name} size={} parent={} mirroring={}/{} snapshots={snaps:?}",
            info["size"], info["parent"]["image"], mirroring["mode"], mirroring["primary"]
        ));
    }
    Ok(lines)
}

/// What is in one and not in the other, one line each; empty when both are the same.
#[must_use]
pub fn difference(before: &Everything, after: &Everything) -> Vec<String> {
    let gone = before.0.difference(&after.0).map(|l| format!("gone: {l}"));
    gone.chain(after.0.difference(&before.0).map(|l| format!("new:  {l}")))
        .collect()
}
