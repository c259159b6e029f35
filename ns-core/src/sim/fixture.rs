//! The simulated world as a fixture of the conformance suite.

use super::SimWorld;
use crate::conformance::{Side, StorageFixture};
use crate::model::{ReplicationMode, StorageRef};
use crate::ports::Clock;
use crate::provider::Storage;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn error(errno: super::Errno) -> Error {
    Error::new(ErrorKind::Rejected, format!("sim.rbd.{}", errno.code), errno.text)
}

/// The storages of sites `a` and `b`.
#[derive(Debug)]
pub struct SimStorageFixture {
    world: SimWorld,
    mode: ReplicationMode,
    wrap: fn(Storage) -> Storage,
    images: AtomicU32,
}

impl SimStorageFixture {
    /// The storages of `world`, in one mode.
    #[must_use]
    pub fn new(world: SimWorld, mode: ReplicationMode) -> Self {
        Self {
            world,
            mode,
            wrap: |storage| storage,
            images: AtomicU32::new(0),
        }
    }

    /// Puts something between the suite and the providers, e.g. a fault that the suite must find.
    #[must_use]
    pub fn wrapped(mut self, wrap: fn(Storage) -> Storage) -> Self {
        self.wrap = wrap;
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
