//! Volumes, their types and snapshots, as Cinder gives them, and where their bytes live.

use super::{Kind, nullable};
use crate::error::Service;
use crate::paging::{Item, List};
use crate::session::Session;
use jiff::Timestamp;
use ns_core::model::{self, Resource, StorageRef};
use ns_core::{ErrorKind, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// First microversion that tells a volume's group.
pub(crate) const VERSION: &str = "3.13";

/// First microversion that tells a group's project.
const GROUP_VERSION: &str = "3.58";

#[derive(Deserialize)]
pub(super) struct VolumeType {
    id: String,
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    extra_specs: BTreeMap<String, String>,
}

impl Item for VolumeType {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for VolumeType {
    const SERVICE: Service = Service::Volume;
    const PATH: &'static [&'static str] = &["types"];
    const MANY: &'static str = "volume_types";
    const ONE: &'static str = "volume_type";
    const VERSION: Option<&'static str> = Some(VERSION);

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY)
            .version(VERSION)
            .with("is_public", "None")
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let kind = |w: Self| model::VolumeType {
            id: w.id.into(),
            name: w.name,
            multiattach: w
                .extra_specs
                .get("multiattach")
                .is_some_and(|v| v.eq_ignore_ascii_case("<is> true")),
            extra_specs: w.extra_specs,
        };
        Ok(page.into_iter().map(kind).map(Resource::VolumeType).collect())
    }
}

#[derive(Deserialize)]
struct Attachment {
    server_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    device: String,
}

/// A volume.
#[derive(Deserialize)]
pub(crate) struct Volume {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    status: String,
    size: u64,
    #[serde(default, deserialize_with = "nullable")]
    volume_type: String,
    /// Text, not a flag: Cinder's way.
    #[serde(default)]
    bootable: String,
    #[serde(default)]
    multiattach: bool,
    #[serde(default)]
    attachments: Vec<Attachment>,
    group_id: Option<String>,
    consistencygroup_id: Option<String>,
    snapshot_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nullable")]
    volume_image_metadata: BTreeMap<String, String>,
    #[serde(rename = "os-vol-tenant-attr:tenant_id", default, deserialize_with = "nullable")]
    tenant_id: String,
    #[serde(rename = "os-vol-host-attr:host")]
    host: Option<String>,
    /// The id in the name of the image, when a migration left another than the volume's.
    #[serde(rename = "os-vol-mig-status-attr:name_id")]
    name_id: Option<String>,
}

impl Item for Volume {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Volume {
    const SERVICE: Service = Service::Volume;
    const PATH: &'static [&'static str] = &["volumes", "detail"];
    const MANY: &'static str = "volumes";
    const ONE: &'static str = "volume";
    const VERSION: Option<&'static str> = Some(VERSION);

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY)
            .version(VERSION)
            .with("all_tenants", "True")
    }

    async fn resources(session: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let pools = pools_of(session, &page).await?;
        Ok(page
            .into_iter()
            .map(|w| Resource::Volume(w.into_model(&pools)))
            .collect())
    }
}

impl Volume {
    fn into_model(self, pools: &[Pool]) -> model::Volume {
        let pool = self
            .host
            .as_deref()
            .and_then(|host| pools.iter().find(|pool| pool.name == host));
        let image = self.name_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&self.id);
        let storage = pool.and_then(Pool::rbd_pool).map(|pool| rbd(pool, image));
        let set = |id: Option<String>| id.filter(|id| !id.is_empty()).map(Into::into);
        model::Volume {
            name: self.name,
            tenant_id: self.tenant_id.into(),
            size_gib: self.size,
            status: self.status,
            volume_type: self.volume_type,
            bootable: self.bootable == "true",
            multiattach: self.multiattach,
            attachments: self
                .attachments
                .into_iter()
                .filter_map(|a| Some((a.server_id?.into(), a.device)))
                .collect(),
            volume_group_id: set(self.group_id).or_else(|| set(self.consistencygroup_id)),
            source_snapshot_id: set(self.snapshot_id),
            metadata: self.metadata,
            image_metadata: self.volume_image_metadata,
            storage,
            id: self.id.into(),
        }
    }
}

/// Reads volumes and the pools that they may be in.
#[cfg(feature = "fuzzing")]
pub(super) fn read(body: &[u8]) {
    let pools = serde_json::from_slice::<Pools>(body).map_or_else(|_| Vec::new(), |answer| answer.pools);
    for pool in &pools {
        let _ = (pool.rbd_pool(), pool.is_backend(Some("ceph")), pool.is_up());
    }
    let one = serde_json::from_slice::<super::Envelope<Volume>>(body);
    for volume in one.into_iter().flat_map(|answer| answer.0.into_values()) {
        let _ = volume.into_model(&pools);
    }
}

/// The image of a volume: Cinder's `volume_name_template`, which is never changed on a living cloud.
pub(crate) fn rbd(pool: &str, volume: &str) -> StorageRef {
    StorageRef::new(format!("rbd:{pool}/volume-{volume}"))
}

#[derive(Deserialize)]
pub(super) struct Group {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    project_id: String,
    status: String,
    #[serde(default, deserialize_with = "nullable")]
    volume_types: Vec<String>,
}

impl Item for Group {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Group {
    const SERVICE: Service = Service::Volume;
    const PATH: &'static [&'static str] = &["groups", "detail"];
    const VERSION: Option<&'static str> = Some(GROUP_VERSION);
    const MANY: &'static str = "groups";
    const ONE: &'static str = "group";

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY)
            .version(GROUP_VERSION)
            .with("all_tenants", "True")
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let group = |w: Self| model::VolumeGroup {
            id: w.id.into(),
            name: w.name,
            tenant_id: w.project_id.into(),
            status: w.status,
            volume_type_ids: w.volume_types.into_iter().map(Into::into).collect(),
        };
        Ok(page.into_iter().map(group).map(Resource::VolumeGroup).collect())
    }
}

#[derive(Deserialize)]
pub(super) struct Snapshot {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    volume_id: String,
    status: String,
    created_at: Option<String>,
}

impl Item for Snapshot {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Snapshot {
    const SERVICE: Service = Service::Volume;
    const PATH: &'static [&'static str] = &["snapshots", "detail"];
    const MANY: &'static str = "snapshots";
    const ONE: &'static str = "snapshot";

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY).with("all_tenants", "True")
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let snapshot = |w: Self| model::VolumeSnapshot {
            id: w.id.into(),
            name: w.name,
            volume_id: w.volume_id.into(),
            status: w.status,
            created_at: w.created_at.as_deref().and_then(utc),
        };
        Ok(page.into_iter().map(snapshot).map(Resource::VolumeSnapshot).collect())
    }
}

/// Cinder writes times without a zone and means UTC.
fn utc(text: &str) -> Option<Timestamp> {
    let time: jiff::civil::DateTime = text.trim_end_matches('Z').parse().ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|t| t.timestamp())
}

/// A place where volumes can be, as the scheduler knows it (administrators only).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pool {
    /// `host@backend#pool`: what adoption wants.
    pub(crate) name: String,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Capabilities {
    storage_protocol: Option<String>,
    location_info: Option<String>,
    volume_backend_name: Option<String>,
    backend_state: Option<String>,
}

impl Pool {
    /// The Ceph pool behind it. `location_info` is `ceph:<conf>:<fsid>:<user>:<pool>`; the path of the configuration
    /// may hold colons, so it is read from its end.
    pub(crate) fn rbd_pool(&self) -> Option<&str> {
        let c = &self.capabilities;
        let ceph = c
            .storage_protocol
            .as_deref()
            .is_some_and(|p| p.eq_ignore_ascii_case("ceph"));
        let location = c.location_info.as_deref().filter(|l| ceph && l.starts_with("ceph:"))?;
        location.rsplit(':').next().filter(|pool| !pool.is_empty())
    }

    /// Whether its back end has told where it keeps volumes: before its first report only its name is known.
    pub(crate) fn is_told(&self) -> bool {
        let protocol = self.capabilities.storage_protocol.as_deref();
        self.rbd_pool().is_some() || protocol.is_some_and(|p| !p.eq_ignore_ascii_case("ceph"))
    }

    /// Whether volumes of a type that names this back end may be here.
    pub(crate) fn is_backend(&self, name: Option<&str>) -> bool {
        name.is_none() || self.capabilities.volume_backend_name.as_deref() == name
    }

    /// Whether it works, as far as it says.
    pub(crate) fn is_up(&self) -> bool {
        self.capabilities
            .backend_state
            .as_deref()
            .is_none_or(|state| state == "up")
    }
}

#[derive(Deserialize)]
struct Pools {
    pools: Vec<Pool>,
}

/// All pools.
pub(crate) async fn pools(session: &Session) -> Result<Arc<Vec<Pool>>> {
    let call = session
        .get(Service::Volume, &["scheduler-stats", "get_pools"])
        .query("detail", "true");
    let read = Arc::new(call.json::<Pools>().await?.pools);
    *session.pools.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
    Ok(read)
}

/// The pools that hold these volumes. Which storage is behind a pool does not change while volumes are in it, so they are asked
/// for only when there is one that is not known: of all that an inventory asks this alone goes over the services' message
/// broker, and a cloud without that can still be read.
async fn pools_of(session: &Session, volumes: &[Volume]) -> Result<Arc<Vec<Pool>>> {
    let known = Arc::clone(&session.pools.lock().unwrap_or_else(PoisonError::into_inner));
    let is_known = |host: &str| known.iter().any(|pool| pool.name == host);
    if volumes.iter().filter_map(|v| v.host.as_deref()).all(is_known) {
        return Ok(known);
    }
    match pools(session).await {
        // Who may not see the pools gets an inventory without storage references.
        Err(e) if e.kind() == ErrorKind::Denied => Ok(Arc::default()),
        pools => pools,
    }
}
