//! The simulated world as a fixture of the conformance suite.

use super::SimWorld;
use super::guest::GuestDisk;
use crate::conformance::{CloudFixture, Raw, RawFixture, Side, StorageFixture};
use crate::model::{CloudId, ReplicationMode, StorageRef};
use crate::ports::Clock;
use crate::provider::{Cloud, CreatedKind, Storage};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn error(errno: super::Errno) -> Error {
    let code = format!("sim.rbd.{}", errno.code);
    Error::new(ErrorKind::Rejected, code, errno.text).with("errno", errno.code)
}

/// The storages of sites `a` and `b`.
pub struct SimStorageFixture {
    world: SimWorld,
    mode: ReplicationMode,
    wrap: Box<dyn Fn(Storage) -> Storage + Send + Sync>,
    images: AtomicU32,
}

impl fmt::Debug for SimStorageFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimStorageFixture({:?}, {:?})", self.world, self.mode)
    }
}

impl SimStorageFixture {
    /// The storages of `world`, in one mode.
    #[must_use]
    pub fn new(world: SimWorld, mode: ReplicationMode) -> Self {
        Self {
            world,
            mode,
            wrap: Box::new(|storage| storage),
            images: AtomicU32::new(0),
        }
    }

    /// Puts something between the suite and the providers, e.g. a fault that the suite must find.
    #[must_use]
    pub fn wrapped(mut self, wrap: impl Fn(Storage) -> Storage + Send + Sync + 'static) -> Self {
        self.wrap = Box::new(wrap);
        self
    }
}

const fn site(side: Side) -> &'static str {
    match side {
        Side::Primary => "a",
        Side::Secondary => "b",
    }
}

#[async_trait]
impl StorageFixture for SimStorageFixture {
    fn primary(&self) -> Storage {
        (self.wrap)(self.world.storage("a"))
    }

    fn secondary(&self) -> Storage {
        (self.wrap)(self.world.storage("b"))
    }

    fn mode(&self) -> ReplicationMode {
        self.mode
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.world.clock.clone()
    }

    async fn make_image(&self, size_bytes: u64) -> Result<StorageRef> {
        let number = self.images.fetch_add(1, Ordering::Relaxed);
        let image = StorageRef::new(format!("rbd:volumes/conformance-{number}"));
        self.world
            .rbd("a", |rbd| rbd.create(&image, size_bytes))
            .map_err(error)?;
        Ok(image)
    }

    async fn write(&self, side: Side, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
        self.world
            .rbd(site(side), |rbd| rbd.write(image, offset, data))
            .map_err(error)
    }

    async fn read(
        &self,
        side: Side,
        image: &StorageRef,
        snapshot: Option<&str>,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>> {
        self.world
            .rbd(site(side), |rbd| rbd.read(image, snapshot, offset, len))
            .map_err(error)
    }

    async fn remove_image(&self, side: Side, image: &StorageRef) -> Result<()> {
        self.world.rbd(site(side), |rbd| rbd.purge(image)).map_err(error)
    }

    fn run_id(&self) -> String {
        "sim".to_owned()
    }
}

#[async_trait]
impl RawFixture for SimStorageFixture {
    async fn raw(&self, side: Side, image: &StorageRef, verb: Raw<'_>) -> Result<String> {
        let answer = self.world.rbd(site(side), |rbd| match verb {
            Raw::Promote { force } => rbd.promote(image, force).map(|_| String::new()),
            Raw::Demote => rbd.demote(image).map(|()| String::new()),
            Raw::MirrorSnapshot => rbd.mirror_snapshot(image).map(|id| id.to_string()),
            Raw::SnapCreate(name) => rbd.snap_create(image, name).map(|()| String::new()),
            Raw::Health => rbd.health().map(str::to_owned),
            Raw::Remove => {
                for snap in rbd.snapshots(image)? {
                    rbd.snap_remove(image, &snap.name)?;
                }
                rbd.remove(image).map(|()| String::new())
            }
        });
        answer.map_err(error)
    }
}

/// The cloud of site `b`, with replicas of images of site `a`.
pub struct SimCloudFixture {
    world: SimWorld,
    wrap: Box<dyn Fn(Cloud) -> Cloud + Send + Sync>,
    images: AtomicU32,
}

impl fmt::Debug for SimCloudFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimCloudFixture({:?})", self.world)
    }
}

impl SimCloudFixture {
    /// The cloud of site `b` of `world`.
    #[must_use]
    pub fn new(world: SimWorld) -> Self {
        Self {
            world,
            wrap: Box::new(|cloud| cloud),
            images: AtomicU32::new(0),
        }
    }

    /// Puts something between the suite and the provider, e.g. a fault that the suite must find.
    #[must_use]
    pub fn wrapped(mut self, wrap: impl Fn(Cloud) -> Cloud + Send + Sync + 'static) -> Self {
        self.wrap = Box::new(wrap);
        self
    }

    fn image(&self, site: &str, size_bytes: u64) -> Result<StorageRef> {
        let number = self.images.fetch_add(1, Ordering::Relaxed);
        let image = StorageRef::new(format!("rbd:volumes/adopt-{number}"));
        self.world
            .rbd(site, |rbd| rbd.create(&image, size_bytes))
            .map_err(error)?;
        Ok(image)
    }
}

#[async_trait]
impl CloudFixture for SimCloudFixture {
    fn cloud(&self) -> Cloud {
        (self.wrap)(self.world.cloud("b"))
    }

    fn storage(&self) -> Storage {
        self.world.storage("b")
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.world.clock.clone()
    }

    fn external_network(&self) -> CloudId {
        "b-public".into()
    }

    fn volume_type(&self, shared: bool) -> String {
        if shared { "ceph-multi" } else { "ceph" }.to_owned()
    }

    fn compute_host(&self) -> Option<String> {
        Some("b-host-2".to_owned())
    }

    fn image_metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("image_name".to_owned(), "sim-guest".to_owned())])
    }

    async fn bootable_image(&self) -> Result<StorageRef> {
        let image = self.image("b", 1 << 30)?;
        let system = GuestDisk::format(true, "conformance");
        self.world
            .rbd("b", |rbd| rbd.write(&image, 0, &system))
            .map_err(error)?;
        Ok(image)
    }

    async fn blank_image(&self, size_bytes: u64) -> Result<StorageRef> {
        self.image("b", size_bytes)
    }

    async fn replica_image(&self) -> Result<Option<StorageRef>> {
        let image = self.image("a", 1 << 30)?;
        let storage = self.world.storage("a");
        let id = storage.enable_replication(&image, ReplicationMode::Snapshot).await?;
        for _ in 0..60 {
            if let Some(replica) = self.world.storage("b").find_replica(&id).await? {
                return Ok(Some(replica));
            }
            self.world.clock.sleep(std::time::Duration::from_secs(1)).await;
        }
        Err(Error::new(
            ErrorKind::Timeout,
            "sim.fixture",
            "the replica did not appear",
        ))
    }

    async fn read(&self, image: &StorageRef, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.world
            .rbd("b", |rbd| rbd.read(image, None, offset, len))
            .map_err(error)
    }

    async fn write(&self, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
        self.world.rbd("b", |rbd| rbd.write(image, offset, data)).map_err(error)
    }

    async fn remove_image(&self, image: &StorageRef) -> Result<()> {
        for site in ["a", "b"] {
            self.world.rbd(site, |rbd| rbd.purge(image)).map_err(error)?;
        }
        Ok(())
    }

    fn missing_image(&self) -> StorageRef {
        StorageRef::new("rbd:volumes/missing")
    }

    async fn limit(&self, tenant: &CloudId, kind: CreatedKind, max: u32) -> Result<bool> {
        self.world.limit("b", tenant, kind, max);
        Ok(true)
    }

    async fn volume_snapshot(&self, _tenant: &CloudId, volume: &CloudId) -> Result<Option<CloudId>> {
        self.world.snapshot_volume("b", volume).map(Some)
    }

    async fn remove_volume_snapshot(&self, _tenant: &CloudId, snapshot: &CloudId) -> Result<()> {
        self.world.remove_volume_snapshot("b", snapshot)
    }

    fn boot_message(&self) -> Option<String> {
        Some("LAB-BOOT".to_owned())
    }

    fn run_id(&self) -> String {
        "sim".to_owned()
    }
}
