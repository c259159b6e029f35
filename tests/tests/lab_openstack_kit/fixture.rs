//! One cloud of the lab with its Ceph cluster, as the behaviour suite wants it. Bytes go round the provider, through
//! Ceph's own tool.

use super::{cloud, fact, facts, image, lab, openstack, rbd, rbd_bytes};
use async_trait::async_trait;
use ns_ceph::{Ceph, CephConfig, Limits, PoolRef, Programs};
use ns_core::conformance::CloudFixture;
use ns_core::model::{CloudId, StorageRef};
use ns_core::ports::{Clock, IdSource, RandomIds, SystemClock};
use ns_core::provider::{Cloud, CreatedKind, Storage};
use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Cloud B on its own storage; images are replicated to it from A.
pub(crate) struct Site {
    cloud: Cloud,
    storage: Storage,
}

const SITE: &str = "b";
const PEER: &str = "a";
const CLOUD: &str = "cloud-b";

impl Site {
    pub(crate) fn new() -> Self {
        let dir = lab().join(format!("ceph/site-{SITE}"));
        let ceph = CephConfig {
            conf: dir.join("ceph.conf"),
            user: "neverstop".into(),
            keyring: dir.join("ceph.client.neverstop.keyring"),
            admin: None,
            pools: vec![PoolRef::new("volumes")],
            site_name: format!("site-{SITE}"),
            limits: Limits::default(),
            programs: Programs::default(),
            mirror_daemon: None,
        };
        Self {
            cloud: Arc::new(cloud(CLOUD)),
            storage: Arc::new(Ceph::new(ceph).unwrap()),
        }
    }

    async fn until<F: Future<Output = bool> + Send>(
        &self,
        what: &str,
        look: impl Fn() -> F + Send + Sync,
    ) -> Result<()> {
        let clock = SystemClock;
        for _ in 0..self.patience().as_secs() {
            if look().await {
                return Ok(());
            }
            clock.sleep(Duration::from_secs(1)).await;
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "lab",
            format!("not in time: {what}"),
        ))
    }
}

fn failed(e: anyhow::Error) -> Error {
    Error::new(ErrorKind::Rejected, "lab", format!("{e:#}"))
}

fn fresh() -> StorageRef {
    StorageRef::new(format!("rbd:volumes/lab-cloud-{}", RandomIds.next()))
}

async fn exists(site: &str, storage: &StorageRef) -> bool {
    rbd(site, &["info", image(storage)]).await.is_ok()
}

#[async_trait]
impl CloudFixture for Site {
    fn cloud(&self) -> Cloud {
        self.cloud.clone()
    }
    fn storage(&self) -> Storage {
        self.storage.clone()
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    fn external_network(&self) -> CloudId {
        fact(SITE, "/networks/public").into()
    }
    fn volume_type(&self, shared: bool) -> String {
        if shared { "ceph-multi" } else { "ceph" }.to_owned()
    }
    /// Nova's fake driver: takes any flavour, attaches real volumes, binds real ports. Guests that really run are the
    /// end-to-end test's.
    fn compute_host(&self) -> Option<String> {
        Some(format!("{SITE}-comp-1"))
    }
    fn image_metadata(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("image_name", "lab-guest"),
            ("hw_disk_bus", "virtio"),
            ("os_distro", "debian"),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    async fn bootable_image(&self) -> Result<StorageRef> {
        let storage = fresh();
        let facts = facts();
        let guest = facts
            .pointer("/guest/image")
            .and_then(serde_json::Value::as_str)
            .unwrap();
        rbd(SITE, &["import", "--no-progress", guest, image(&storage)])
            .await
            .map_err(failed)?;
        Ok(storage)
    }
    async fn blank_image(&self, size_bytes: u64) -> Result<StorageRef> {
        let storage = fresh();
        rbd(SITE, &["create", "--size", &format!("{size_bytes}B"), image(&storage)])
            .await
            .map_err(failed)?;
        Ok(storage)
    }
    async fn replica_image(&self) -> Result<Option<StorageRef>> {
        let storage = fresh();
        rbd(PEER, &["create", "--size", "64M", image(&storage)])
            .await
            .map_err(failed)?;
        rbd(PEER, &["mirror", "image", "enable", image(&storage), "snapshot"])
            .await
            .map_err(failed)?;
        self.until("the replica", || exists(SITE, &storage)).await?;
        Ok(Some(storage))
    }
    async fn read(&self, storage: &StorageRef, offset: u64, len: usize) -> Result<Vec<u8>> {
        // What was ever written, as a difference from nothing: small for a sparse image.
        let diff = rbd_bytes(SITE, &["export-diff", "--no-progress", image(storage), "-"], &[])
            .await
            .map_err(failed)?;
        read_diff(&diff, offset, len)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "lab.diff", "rbd export-diff cannot be read"))
    }
    async fn write(&self, storage: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
        let mut diff = b"rbd diff v1\nw".to_vec();
        diff.extend(offset.to_le_bytes());
        diff.extend((data.len() as u64).to_le_bytes());
        diff.extend(data);
        diff.push(b'e');
        let args = ["import-diff", "--no-progress", "-", image(storage)];
        rbd_bytes(SITE, &args, &diff).await.map(drop).map_err(failed)
    }
    async fn remove_image(&self, storage: &StorageRef) -> Result<()> {
        let info = rbd(SITE, &["info", image(storage)]).await.unwrap_or_default();
        if info.contains("mirroring primary: false") {
            rbd(PEER, &["mirror", "image", "disable", image(storage)])
                .await
                .map_err(failed)?;
            self.until("the replica is gone", || async { !exists(SITE, storage).await })
                .await?;
        }
        for site in [PEER, SITE] {
            if exists(site, storage).await {
                rbd(site, &["rm", "--no-progress", image(storage)])
                    .await
                    .map_err(failed)?;
            }
        }
        Ok(())
    }
    fn missing_image(&self) -> StorageRef {
        StorageRef::new("rbd:volumes/there-is-no-such-image")
    }

    async fn limit(&self, tenant: &CloudId, kind: CreatedKind, max: u32) -> Result<bool> {
        let option = match kind {
            CreatedKind::Network => "--networks",
            CreatedKind::Subnet => "--subnets",
            CreatedKind::Router => "--routers",
            CreatedKind::Port => "--ports",
            CreatedKind::FloatingIp => "--floating-ips",
            CreatedKind::SecurityGroup => "--secgroups",
            CreatedKind::Volume => "--volumes",
            CreatedKind::Server => "--instances",
            _ => return Ok(false),
        };
        openstack(CLOUD, &["quota", "set", option, &max.to_string(), tenant.as_str()])
            .await
            .map_err(failed)?;
        Ok(true)
    }
    async fn volume_snapshot(&self, _tenant: &CloudId, volume: &CloudId) -> Result<Option<CloudId>> {
        let name = format!("lab-{}", RandomIds.next());
        let args = [
            "volume",
            "snapshot",
            "create",
            "-f",
            "value",
            "-c",
            "id",
            "--volume",
            volume.as_str(),
            &name,
        ];
        let id = openstack(CLOUD, &args).await.map_err(failed)?.trim().to_owned();
        let show = ["volume", "snapshot", "show", "-f", "value", "-c", "status", id.as_str()];
        let ready = || async {
            openstack(CLOUD, &show)
                .await
                .is_ok_and(|status| status.trim() == "available")
        };
        self.until("the snapshot", ready).await?;
        Ok(Some(id.into()))
    }
    async fn remove_volume_snapshot(&self, _tenant: &CloudId, snapshot: &CloudId) -> Result<()> {
        openstack(CLOUD, &["volume", "snapshot", "delete", snapshot.as_str()])
            .await
            .map_err(failed)?;
        let show = ["volume", "snapshot", "show", snapshot.as_str()];
        self.until("the snapshot is gone", || async {
            openstack(CLOUD, &show).await.is_err()
        })
        .await
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(300)
    }
    fn concurrency(&self) -> usize {
        2
    }
}

/// Bytes of an image from its difference to nothing (`rbd diff v1`); what was never written is zero.
fn read_diff(diff: &[u8], offset: u64, len: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; len];
    let mut rest = diff.strip_prefix(b"rbd diff v1\n")?;
    loop {
        let (tag, after) = rest.split_first()?;
        rest = after;
        let mut number = |bytes: usize| {
            let (head, tail) = rest.split_at_checked(bytes)?;
            rest = tail;
            Some(head.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b)))
        };
        match tag {
            b'f' | b't' => {
                let name = usize::try_from(number(4)?).ok()?;
                rest = rest.get(name..)?;
            }
            b's' => drop(number(8)?),
            b'z' => drop((number(8)?, number(8)?)),
            b'w' => {
                let (start, length) = (number(8)?, number(8)?);
                let (data, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = tail;
                for (at, byte) in (start..).zip(data) {
                    if let Some(place) = at
                        .checked_sub(offset)
                        .and_then(|i| out.get_mut(usize::try_from(i).ok()?))
                    {
                        *place = *byte;
                    }
                }
            }
            b'e' => return Some(out),
            _ => return None,
        }
    }
}
