//! A layer around providers that tells how long each call takes and how it ends, so that no provider has to: a span for who traces
//! and a histogram for who measures (`docs/observability.md`). It changes nothing of a call.

use super::*;
use crate::Result;
use crate::model::{CloudId, ClusterId, ReplicationId, ReplicationMode, Resource, ResourceKind, StorageRef};
use crate::ports::Clock;
use async_trait::async_trait;
use futures::stream::BoxStream;
use std::future::Future;
use std::sync::Arc;
use tracing::Instrument;

/// Whose calls are told, and by which clock.
#[derive(Debug, Clone)]
struct Meter {
    clock: Arc<dyn Clock>,
    cluster: ClusterId,
    half: &'static str,
}

impl Meter {
    async fn call<T>(&self, verb: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let span = tracing::debug_span!("call", cluster = %self.cluster, half = self.half, verb);
        let begun = self.clock.now();
        let result = work.instrument(span).await;
        let took = self.clock.now().duration_since(begun).as_secs_f64();
        let labels = [
            ("cluster", self.cluster.to_string()),
            ("half", self.half.to_owned()),
            ("verb", verb.to_owned()),
            (
                "result",
                result.as_ref().map_or_else(|e| e.kind().as_str(), |_| "ok").to_owned(),
            ),
        ];
        metrics::histogram!("neverstop_provider_call_seconds", &labels).record(took);
        result
    }
}

/// The cloud of a cluster, measured.
pub(crate) fn measured_cloud(cloud: Cloud, cluster: &ClusterId, clock: &Arc<dyn Clock>) -> Cloud {
    let meter = Meter {
        clock: clock.clone(),
        cluster: cluster.clone(),
        half: "cloud",
    };
    Arc::new(MeasuredCloud { cloud, meter })
}

/// The storage of a cluster, measured.
pub(crate) fn measured_storage(storage: Storage, cluster: &ClusterId, clock: &Arc<dyn Clock>) -> Storage {
    let meter = Meter {
        clock: clock.clone(),
        cluster: cluster.clone(),
        half: "storage",
    };
    Arc::new(MeasuredStorage { storage, meter })
}

#[derive(Debug)]
struct MeasuredCloud {
    cloud: Cloud,
    meter: Meter,
}

#[async_trait]
impl CloudProvider for MeasuredCloud {
    fn platform(&self) -> &'static str {
        self.cloud.platform()
    }
    fn capabilities(&self) -> CloudCapabilities {
        self.cloud.capabilities()
    }
    async fn check(&self) -> Result<CloudReport> {
        self.meter.call("check", self.cloud.check()).await
    }
    async fn probe(&self) -> Result<()> {
        self.meter.call("probe", self.cloud.probe()).await
    }
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        self.cloud.inventory(kinds)
    }
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        self.meter.call("get", self.cloud.get(kind, id)).await
    }
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        self.meter.call("create", self.cloud.create(spec, token)).await
    }
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        self.meter.call("find", self.cloud.find(kind, tenant, token)).await
    }
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        self.meter.call("remove", self.cloud.remove(handle, token)).await
    }
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        self.meter.call("adopt", self.cloud.adopt(spec, token)).await
    }
    async fn release(&self, volume: &CloudId) -> Result<()> {
        self.meter.call("release", self.cloud.release(volume)).await
    }
    async fn start(&self, server: &CloudId) -> Result<()> {
        self.meter.call("start", self.cloud.start(server)).await
    }
    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.meter.call("stop", self.cloud.stop(server)).await
    }
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        self.meter.call("console", self.cloud.console(server, lines)).await
    }
    async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        self.meter.call("notices", self.cloud.notices()).await
    }
}

#[derive(Debug)]
struct MeasuredStorage {
    storage: Storage,
    meter: Meter,
}

#[async_trait]
impl StorageProvider for MeasuredStorage {
    fn kind(&self) -> &'static str {
        self.storage.kind()
    }
    fn capabilities(&self) -> StorageCapabilities {
        self.storage.capabilities()
    }
    async fn check(&self) -> Result<StorageReport> {
        self.meter.call("check", self.storage.check()).await
    }
    async fn offer_pairing(&self) -> Result<PairingOffer> {
        self.meter.call("offer_pairing", self.storage.offer_pairing()).await
    }
    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()> {
        self.meter
            .call("accept_pairing", self.storage.accept_pairing(offer))
            .await
    }
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        self.meter.call("image", self.storage.image(image)).await
    }
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        self.meter.call("find_replica", self.storage.find_replica(id)).await
    }
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        self.meter
            .call("enable_replication", self.storage.enable_replication(image, mode))
            .await
    }
    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        self.meter
            .call("disable_replication", self.storage.disable_replication(image))
            .await
    }
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        self.meter.call("status", self.storage.status(image)).await
    }
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        self.meter.call("snapshot", self.storage.snapshot(image, name)).await
    }
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        self.meter.call("snapshots", self.storage.snapshots(image)).await
    }
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        self.meter.call("content", self.storage.content(image, snapshot)).await
    }
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        self.meter
            .call("remove_snapshot", self.storage.remove_snapshot(image, name))
            .await
    }
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        self.meter.call("ship", self.storage.ship(image, snapshot)).await
    }
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        self.meter.call("arrived", self.storage.arrived(replica, mark)).await
    }
    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        self.meter.call("demote", self.storage.demote(image)).await
    }
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        self.meter.call("promote", self.storage.promote(image, demotion)).await
    }
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.meter
            .call("force_promote", self.storage.force_promote(image, decision))
            .await
    }
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.meter.call("resync", self.storage.resync(image, decision)).await
    }
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        self.meter
            .call("clone_snapshot", self.storage.clone_snapshot(image, snapshot, token))
            .await
    }
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        self.meter.call("find", self.storage.find(token)).await
    }
    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        self.meter.call("flatten", self.storage.flatten(image)).await
    }
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        self.meter.call("remove", self.storage.remove(image, token)).await
    }
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        self.meter.call("rename", self.storage.rename(image, name)).await
    }
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        self.meter
            .call("set_metadata", self.storage.set_metadata(image, key, value))
            .await
    }
}
