//! The port: each verb is one line here and lives with its family.

use crate::config::{CephConfig, PoolRef};
use crate::memory_file::MemoryFile;
use crate::rbd::Rbd;
use crate::spec::ImageSpec;
use async_trait::async_trait;
use ns_core::model::{ReplicationId, ReplicationMode, StorageRef};
use ns_core::ports::{Clock, SystemClock};
use ns_core::provider::{
    Content, Decision, ImageState, Mark, PairingOffer, ReplicationStatus, Role, SnapshotInfo, StorageCapabilities,
    StorageProvider, StorageReport, Token,
};
use ns_core::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a change is made that is declined, and the time between.
const TRIES: usize = 3;
pub(crate) const RETRY: Duration = Duration::from_millis(500);

/// What this kind of storage is called.
pub(crate) const KIND: &str = "ceph-rbd";

/// One Ceph cluster with RBD mirroring.
#[derive(Debug)]
pub struct Ceph {
    pub(crate) rbd: Arc<Rbd>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Tokens of images by pool and id, as far as they have been looked at. An image keeps its id and its token for life.
    pub(crate) tokens: Mutex<HashMap<(PoolRef, String), Option<String>>>,
    /// How many forced promotions need this side's mirror daemon to be stopped.
    pub(crate) daemon_holders: Arc<tokio::sync::Mutex<u32>>,
}

impl Ceph {
    /// A provider for this cluster. Nothing is connected yet.
    ///
    /// # Errors
    /// `Invalid` when the configuration cannot work.
    pub fn new(config: CephConfig) -> Result<Self> {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// The same, with another clock for waiting and stamping.
    ///
    /// # Errors
    /// As [`Ceph::new`].
    pub fn with_clock(config: CephConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        config.validate()?;
        Ok(Self::of(Rbd::new(config, Vec::new()), clock))
    }

    /// The same, with files that the configuration names and that are in memory only.
    pub(crate) fn with_files(config: CephConfig, files: Vec<MemoryFile>) -> Result<Self> {
        config.validate()?;
        Ok(Self::of(Rbd::new(config, files), Arc::new(SystemClock)))
    }

    fn of(rbd: Rbd, clock: Arc<dyn Clock>) -> Self {
        Self {
            rbd: Arc::new(rbd),
            clock,
            tokens: Mutex::default(),
            daemon_holders: Arc::default(),
        }
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &CephConfig {
        &self.rbd.config
    }

    /// An image that may be changed: of a configured pool.
    pub(crate) fn ours(&self, image: &StorageRef) -> Result<ImageSpec> {
        let spec = ImageSpec::of(image)?;
        if self.config().pools.contains(&spec.pool) {
            return Ok(spec);
        }
        Err(Error::new(
            ErrorKind::Refused,
            "ceph.pool_not_configured",
            "nothing outside the configured pools is changed",
        )
        .with("image", &spec)
        .with_remedy("add the pool to the configuration of this storage"))
    }

    /// Makes a change, and makes it again when one of its commands was declined: an engine that died leaves the command it had begun
    /// running, and whoever makes the same change meanwhile meets that one's work after having looked. Everything is looked at
    /// anew then, and the last answer is believed.
    async fn change<T: Send, F: Future<Output = Result<T>> + Send>(&self, make: impl Fn() -> F + Send) -> Result<T> {
        for _ in 1..TRIES {
            match make().await {
                Err(error) if may_be_an_orphans(&error) => {
                    tracing::debug!(%error, "declined: looked at anew");
                    self.clock.sleep(RETRY).await;
                }
                result => return result,
            }
        }
        make().await
    }

    /// Looks again and again until `done`, for at most `limit`; whether it came true. An error of the look ends it.
    pub(crate) async fn wait_until<F: Future<Output = Result<bool>> + Send>(
        &self,
        limit: Duration,
        pause: Duration,
        done: impl Fn() -> F + Send,
    ) -> Result<bool> {
        let began = self.clock.now();
        while !done().await? {
            if self.clock.now().duration_since(began).unsigned_abs() >= limit {
                return Ok(false);
            }
            self.clock.sleep(pause).await;
        }
        Ok(true)
    }
}

/// What is answered to a command that comes too late to do what the same command has just done, or while it does so.
fn may_be_an_orphans(error: &Error) -> bool {
    matches!(
        error.code(),
        "ceph.busy"
            | "ceph.crashed"
            | "ceph.exists"
            | "ceph.failed"
            | "ceph.no_image"
            | "ceph.not_found"
            | "ceph.read_only"
            | "ceph.rejected"
    )
}

/// The refusal of a change on a side that is not primary.
pub(crate) fn refuse_secondary(image: &ImageSpec, role: Role) -> Result<()> {
    if role != Role::Secondary {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        "ceph.not_primary",
        "this side of the image is not the primary",
    )
    .with("image", image))
}

/// The refusal of a replication verb on an image that is not replicated.
pub(crate) fn refuse_unreplicated(image: &ImageSpec, role: Role) -> Result<()> {
    if role != Role::Unreplicated {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, "ceph.not_replicated", "the image is not replicated").with("image", image))
}

#[async_trait]
impl StorageProvider for Ceph {
    fn kind(&self) -> &'static str {
        KIND
    }
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities::new(vec![ReplicationMode::Snapshot, ReplicationMode::Journal], true)
    }
    async fn check(&self) -> Result<StorageReport> {
        self.check_connection().await
    }
    async fn offer_pairing(&self) -> Result<PairingOffer> {
        self.make_offer().await
    }
    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()> {
        self.accept_offer(offer).await
    }
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        self.image_state(&ImageSpec::of(image)?).await
    }
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        Ok(self.replica_named(id.as_str()).await?.map(|spec| spec.to_ref()))
    }
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        let image = self.ours(image)?;
        self.change(|| self.enable(&image, mode)).await
    }
    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        let image = self.ours(image)?;
        self.change(|| self.disable(&image)).await
    }
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        self.replication_status(&ImageSpec::of(image)?).await
    }
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        let image = self.ours(image)?;
        self.change(|| self.take_snapshot(&image, name)).await
    }
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        self.list_snapshots(&ImageSpec::of(image)?).await
    }
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        self.read_content(&ImageSpec::of(image)?, snapshot).await
    }
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        let image = self.ours(image)?;
        self.change(|| self.drop_snapshot(&image, name)).await
    }
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        let image = self.ours(image)?;
        self.change(|| self.ship_image(&image, snapshot)).await
    }
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        self.has_arrived(&ImageSpec::of(replica)?, mark).await
    }
    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        let image = self.ours(image)?;
        self.change(|| self.demote_image(&image)).await
    }
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        self.promote_image(&self.ours(image)?, demotion).await
    }
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.promote_by_force(&self.ours(image)?, decision).await
    }
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        let image = self.ours(image)?;
        self.change(|| self.resync_image(&image, decision)).await
    }
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        let image = self.ours(image)?;
        let made = self.change(|| self.make_clone(&image, snapshot, token)).await?;
        Ok(made.to_ref())
    }
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        Ok(self.find_made(token).await?.map(|spec| spec.to_ref()))
    }
    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        let image = self.ours(image)?;
        self.change(|| self.flatten_image(&image)).await
    }
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        let image = self.ours(image)?;
        self.change(|| self.remove_made(&image, token)).await
    }
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        let (image, name) = (self.ours(image)?, self.ours(name)?);
        self.change(|| self.rename_image(&image, &name)).await
    }
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        let image = self.ours(image)?;
        self.change(|| self.keep_metadata(&image, key, value)).await
    }
}
