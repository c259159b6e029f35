//! What the suite needs from whoever runs it: the provider under test and a way round it, so that the suite judges bytes
//! and clouds by what is there and not by what the provider says of itself.

use crate::model::{CloudId, ReplicationMode, StorageRef};
use crate::ports::{Clock, IdSource, RandomIds};
use crate::provider::{Cloud, CreatedKind, Storage};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One of the two storages of a [`StorageFixture`]. A name for a place, not for a role: after a hand-over the image on
/// `Side::Primary` is a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where [`StorageFixture::make_image`] makes images.
    Primary,
    /// The peer.
    Secondary,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Primary, Self::Secondary];
}

/// Two paired storages under test, and direct access to the bytes on both, not through the provider.
///
/// Pairing is done before the suite starts; the suite only repeats it. Everything the suite makes it removes again.
#[async_trait]
pub trait StorageFixture: Send + Sync {
    /// The provider of [`Side::Primary`].
    fn primary(&self) -> Storage;
    /// The provider of [`Side::Secondary`].
    fn secondary(&self) -> Storage;
    /// How the suite replicates. Run it once per mode.
    fn mode(&self) -> ReplicationMode;
    /// The time both storages live in.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Makes an empty image (all bytes zero) on [`Side::Primary`], not replicated, not a clone, as a user would.
    async fn make_image(&self, size_bytes: u64) -> Result<StorageRef>;
    /// Writes, as a guest would; returns when the bytes are durable.
    ///
    /// # Errors
    /// Any when the storage refuses: the suite only looks at whether it did.
    async fn write(&self, side: Side, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()>;
    /// Reads the image, or a user snapshot of it.
    async fn read(
        &self,
        side: Side,
        image: &StorageRef,
        snapshot: Option<&str>,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>>;
    /// Removes an image as a user of that side would, whatever its state: ends replication (by force if need be), purges
    /// snapshots, flattens or ignores nothing. `Ok` when it is gone.
    async fn remove_image(&self, side: Side, image: &StorageRef) -> Result<()>;

    /// Lets replication make some progress; called between two looks at it. By default waits a second.
    async fn settle(&self) -> Result<()> {
        self.clock().sleep(Duration::from_secs(1)).await;
        Ok(())
    }
    /// How long to wait for something that must come true.
    fn patience(&self) -> Duration {
        Duration::from_secs(180)
    }
    /// Another name beside `image`. By default its reference with `suffix` put behind.
    fn sibling(&self, image: &StorageRef, suffix: &str) -> StorageRef {
        StorageRef::new(format!("{image}{suffix}"))
    }
    /// Distinguishes this run from others in names and tokens; read once per run.
    fn run_id(&self) -> String {
        RandomIds.next()
    }
    /// How many cases may run at the same time.
    fn concurrency(&self) -> usize {
        1
    }

    /// The provider of a side.
    fn storage(&self, side: Side) -> Storage {
        match side {
            Side::Primary => self.primary(),
            Side::Secondary => self.secondary(),
        }
    }
}

/// A cloud under test and the storage its volumes live on.
///
/// The suite makes its own tenants, with everything in them, and removes them again. External networks, compute nodes and
/// volume types must be there.
#[async_trait]
pub trait CloudFixture: Send + Sync {
    /// The provider.
    fn cloud(&self) -> Cloud;
    /// The provider of the storage under the cloud.
    fn storage(&self) -> Storage;
    /// The time the cloud lives in.
    fn clock(&self) -> Arc<dyn Clock>;

    /// A network with free floating addresses.
    fn external_network(&self) -> CloudId;
    /// Name of a volume type for adopted images; multiattach when `shared`.
    fn volume_type(&self, shared: bool) -> String;
    /// Name of a compute node that takes any small flavour; none when hosts cannot be chosen.
    fn compute_host(&self) -> Option<String>;
    /// Properties of the image that [`CloudFixture::bootable_image`] was made from, to be put back on adoption.
    fn image_metadata(&self) -> BTreeMap<String, String>;

    /// Makes an image that a server can boot from, beside those of the cloud's volumes, writable, not known to the cloud.
    async fn bootable_image(&self) -> Result<StorageRef>;
    /// Makes an empty image likewise. Its size need not be a whole number of GiB.
    async fn blank_image(&self, size_bytes: u64) -> Result<StorageRef>;
    /// Makes an image that is the replica of a living primary; none when the fixture has no peer.
    async fn replica_image(&self) -> Result<Option<StorageRef>>;
    /// Reads an image on the storage, not through the cloud.
    async fn read(&self, image: &StorageRef, offset: u64, len: usize) -> Result<Vec<u8>>;
    /// Writes an image on the storage, not through the cloud.
    async fn write(&self, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()>;
    /// Removes an image whatever its state is. `Ok` when it is gone.
    async fn remove_image(&self, image: &StorageRef) -> Result<()>;
    /// A reference in the storage's notation to an image that does not exist.
    fn missing_image(&self) -> StorageRef;

    /// Limits how many things of a kind a tenant may have in all; `false` when the fixture cannot.
    async fn limit(&self, tenant: &CloudId, kind: CreatedKind, max: u32) -> Result<bool>;
    /// Takes a snapshot of a volume within the cloud, as a user would, and gives its id; none when the fixture cannot.
    async fn volume_snapshot(&self, tenant: &CloudId, volume: &CloudId) -> Result<Option<CloudId>>;
    /// Removes such a snapshot.
    async fn remove_volume_snapshot(&self, tenant: &CloudId, snapshot: &CloudId) -> Result<()>;

    /// What the guest of [`CloudFixture::bootable_image`] prints on its console when it is up; none when it prints nothing.
    fn boot_message(&self) -> Option<String> {
        None
    }
    /// How long to wait for something that must come true.
    fn patience(&self) -> Duration {
        Duration::from_secs(180)
    }
    /// Distinguishes this run from others in names and tokens; read once per run.
    fn run_id(&self) -> String {
        RandomIds.next()
    }
    /// How many cases may run at the same time.
    fn concurrency(&self) -> usize {
        1
    }
}

/// The error of a case that found something wrong.
pub(super) fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, "conformance", message)
}
