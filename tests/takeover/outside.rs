//! The outside of several engines: one process holds the simulated sites, and engines in other processes call them over a
//! socket. One call, one connection. A call that has arrived is carried out, whatever becomes of its caller.

use anyhow::Context;
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use ns_core::model::{CloudId, ReplicationId, ReplicationMode, Resource, ResourceKind, StorageRef};
use ns_core::provider::{
    AdoptSpec, CloudCapabilities, CloudProvider, CloudReport, Content, CreatedKind, Decision, Handle, ImageState, Mark,
    PairingOffer, ReplicationStatus, SnapshotInfo, Spec, StorageCapabilities, StorageProvider, StorageReport, Token,
};
use ns_core::sim::SimWorld;
use ns_core::{Error, ErrorKind, ErrorRecord, Providers, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    site: String,
    verb: String,
    arguments: Vec<Value>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Done(Value),
    Failed(Box<ErrorRecord>),
}

/// What was made outside, by token: one thing, or the step was done twice.
#[derive(Debug, Default)]
pub(crate) struct Made(Mutex<BTreeMap<String, BTreeSet<String>>>);

impl Made {
    fn note(&self, token: &Token, id: &str) {
        let mut made = self.0.lock().expect("nobody panics with it");
        made.entry(token.as_str().to_owned()).or_default().insert(id.to_owned());
    }

    /// The tokens that several things were made for.
    pub(crate) fn twice(&self) -> Vec<String> {
        let made = self.0.lock().expect("nobody panics with it");
        made.iter()
            .filter(|(_, ids)| ids.len() > 1)
            .map(|(token, ids)| format!("{token}: {ids:?}"))
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("nobody panics with it").len()
    }
}

/// Serves until the runtime ends.
pub(crate) fn serve(world: SimWorld, made: Arc<Made>, socket: &Path) -> anyhow::Result<()> {
    let listener = UnixListener::bind(socket).with_context(|| format!("listen on {}", socket.display()))?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (world, made) = (world.clone(), made.clone());
            tokio::spawn(async move {
                let mut text = Vec::new();
                let request: Request = match stream.read_to_end(&mut text).await {
                    // Whoever was killed before it had said all has not called.
                    Ok(_) => match serde_json::from_slice(&text) {
                        Ok(request) => request,
                        Err(_) => return,
                    },
                    Err(_) => return,
                };
                let reply = match answer(&world, &made, &request).await {
                    Ok(value) => Reply::Done(value),
                    Err(error) => Reply::Failed(Box::new(error.to_record())),
                };
                let text = serde_json::to_vec(&reply).expect("a reply is JSON");
                // The caller may be gone.
                let _ = stream.write_all(&text).await;
            });
        }
    });
    Ok(())
}

fn bad(e: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, "outside.json", e.to_string())
}

async fn answer(world: &SimWorld, made: &Made, request: &Request) -> Result<Value> {
    fn get<T: DeserializeOwned>(request: &Request, n: usize) -> Result<T> {
        serde_json::from_value(request.arguments.get(n).cloned().unwrap_or_default()).map_err(bad)
    }
    fn give<T: Serialize>(value: T) -> Result<Value> {
        serde_json::to_value(value).map_err(bad)
    }
    macro_rules! do_it {
        ($on:expr, $verb:ident $(, $n:literal: $t:ty)*) => {
            give($on.$verb($(&get::<$t>(request, $n)?),*).await?)
        };
    }
    let (cloud, storage) = (world.cloud(&request.site), world.storage(&request.site));
    match request.verb.as_str() {
        "cloud.check" => do_it!(cloud, check),
        "cloud.inventory" => {
            let kinds: Vec<ResourceKind> = get(request, 0)?;
            give(cloud.inventory(&kinds).try_collect::<Vec<Resource>>().await?)
        }
        "cloud.get" => give(cloud.get(get(request, 0)?, &get(request, 1)?).await?),
        "cloud.create" => {
            let token = get(request, 1)?;
            let handle = cloud.create(&get(request, 0)?, &token).await?;
            made.note(&token, handle.id.as_str());
            give(handle)
        }
        "cloud.find" => {
            let tenant: Option<CloudId> = get(request, 1)?;
            give(cloud.find(get(request, 0)?, tenant.as_ref(), &get(request, 2)?).await?)
        }
        "cloud.remove" => do_it!(cloud, remove, 0: Handle, 1: Token),
        "cloud.adopt" => {
            let token = get(request, 1)?;
            let handle = cloud.adopt(&get(request, 0)?, &token).await?;
            made.note(&token, handle.id.as_str());
            give(handle)
        }
        "cloud.release" => do_it!(cloud, release, 0: CloudId),
        "cloud.start" => do_it!(cloud, start, 0: CloudId),
        "cloud.stop" => do_it!(cloud, stop, 0: CloudId),
        "cloud.console" => give(cloud.console(&get(request, 0)?, get(request, 1)?).await?),
        "storage.check" => do_it!(storage, check),
        "storage.image" => do_it!(storage, image, 0: StorageRef),
        "storage.find_replica" => do_it!(storage, find_replica, 0: ReplicationId),
        "storage.enable_replication" => give(storage.enable_replication(&get(request, 0)?, get(request, 1)?).await?),
        "storage.disable_replication" => do_it!(storage, disable_replication, 0: StorageRef),
        "storage.status" => do_it!(storage, status, 0: StorageRef),
        "storage.snapshot" => do_it!(storage, snapshot, 0: StorageRef, 1: String),
        "storage.snapshots" => do_it!(storage, snapshots, 0: StorageRef),
        "storage.content" => do_it!(storage, content, 0: StorageRef, 1: String),
        "storage.remove_snapshot" => do_it!(storage, remove_snapshot, 0: StorageRef, 1: String),
        "storage.ship" => {
            let snapshot: Option<String> = get(request, 1)?;
            give(storage.ship(&get(request, 0)?, snapshot.as_deref()).await?)
        }
        "storage.arrived" => do_it!(storage, arrived, 0: StorageRef, 1: Mark),
        "storage.demote" => do_it!(storage, demote, 0: StorageRef),
        "storage.promote" => do_it!(storage, promote, 0: StorageRef, 1: Mark),
        "storage.force_promote" => do_it!(storage, force_promote, 0: StorageRef, 1: Decision),
        "storage.resync" => do_it!(storage, resync, 0: StorageRef, 1: Decision),
        "storage.clone_snapshot" => {
            let token = get(request, 2)?;
            let image = storage
                .clone_snapshot(&get(request, 0)?, &get::<String>(request, 1)?, &token)
                .await?;
            // By what stays when the cloud that adopts it gives it another name. One that is gone by now was made before.
            if let Some(key) = world.image_key(&request.site, &image) {
                made.note(&token, &format!("image {key}"));
            }
            give(image)
        }
        "storage.find" => do_it!(storage, find, 0: Token),
        "storage.flatten" => do_it!(storage, flatten, 0: StorageRef),
        "storage.remove" => do_it!(storage, remove, 0: StorageRef, 1: Token),
        "storage.rename" => do_it!(storage, rename, 0: StorageRef, 1: StorageRef),
        "storage.set_metadata" => {
            let value: Option<String> = get(request, 2)?;
            give(
                storage
                    .set_metadata(&get(request, 0)?, &get::<String>(request, 1)?, value.as_deref())
                    .await?,
            )
        }
        verb => Err(bad(format!("there is no verb {verb}"))),
    }
}

/// A site as another process sees it.
#[derive(Debug, Clone)]
struct Remote {
    socket: PathBuf,
    site: String,
    modes: Vec<ReplicationMode>,
}

/// The providers of a site that another process serves.
pub(crate) fn remote(socket: &Path, site: &str) -> Providers {
    let remote = Arc::new(Remote {
        socket: socket.to_owned(),
        site: site.to_owned(),
        modes: vec![ReplicationMode::Snapshot, ReplicationMode::Journal],
    });
    Providers {
        cloud: remote.clone(),
        storage: remote,
    }
}

impl Remote {
    async fn call<T: DeserializeOwned>(&self, verb: &str, arguments: Value) -> Result<T> {
        let request = Request {
            site: self.site.clone(),
            verb: verb.to_owned(),
            arguments: arguments.as_array().cloned().unwrap_or_default(),
        };
        let talk = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(&serde_json::to_vec(&request)?).await?;
            stream.shutdown().await?;
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await?;
            std::io::Result::Ok(text)
        };
        let lost = |e: &dyn std::fmt::Display| Error::new(ErrorKind::Unavailable, "outside.lost", e.to_string());
        let text = talk.await.map_err(|e| lost(&e))?;
        match serde_json::from_slice(&text).map_err(|e| lost(&e))? {
            Reply::Done(value) => serde_json::from_value(value).map_err(bad),
            Reply::Failed(error) => Err((*error).into()),
        }
    }
}

#[async_trait]
impl CloudProvider for Remote {
    fn platform(&self) -> &'static str {
        "simulated"
    }
    fn capabilities(&self) -> CloudCapabilities {
        CloudCapabilities::all()
    }
    async fn check(&self) -> Result<CloudReport> {
        self.call("cloud.check", json!([])).await
    }
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        let all = async move {
            let found: Result<Vec<Resource>> = self.call("cloud.inventory", json!([kinds])).await;
            let found: Vec<Result<Resource>> = match found {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            stream::iter(found)
        };
        stream::once(all).flatten().boxed()
    }
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        self.call("cloud.get", json!([kind, id])).await
    }
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        self.call("cloud.create", json!([spec, token])).await
    }
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        self.call("cloud.find", json!([kind, tenant, token])).await
    }
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        self.call("cloud.remove", json!([handle, token])).await
    }
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        self.call("cloud.adopt", json!([spec, token])).await
    }
    async fn release(&self, volume: &CloudId) -> Result<()> {
        self.call("cloud.release", json!([volume])).await
    }
    async fn start(&self, server: &CloudId) -> Result<()> {
        self.call("cloud.start", json!([server])).await
    }
    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.call("cloud.stop", json!([server])).await
    }
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        self.call("cloud.console", json!([server, lines])).await
    }
}

#[async_trait]
impl StorageProvider for Remote {
    fn kind(&self) -> &'static str {
        "sim-rbd"
    }
    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities::new(self.modes.clone(), true)
    }
    async fn check(&self) -> Result<StorageReport> {
        self.call("storage.check", json!([])).await
    }
    // Sites are paired by the process that has them; their secrets do not travel.
    async fn offer_pairing(&self) -> Result<PairingOffer> {
        Err(Error::new(ErrorKind::Unsupported, "outside.pairing", "not from here"))
    }
    async fn accept_pairing(&self, _: &PairingOffer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "outside.pairing", "not from here"))
    }
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        self.call("storage.image", json!([image])).await
    }
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        self.call("storage.find_replica", json!([id])).await
    }
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        self.call("storage.enable_replication", json!([image, mode])).await
    }
    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        self.call("storage.disable_replication", json!([image])).await
    }
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        self.call("storage.status", json!([image])).await
    }
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        self.call("storage.snapshot", json!([image, name])).await
    }
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        self.call("storage.snapshots", json!([image])).await
    }
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        self.call("storage.content", json!([image, snapshot])).await
    }
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        self.call("storage.remove_snapshot", json!([image, name])).await
    }
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        self.call("storage.ship", json!([image, snapshot])).await
    }
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        self.call("storage.arrived", json!([replica, mark])).await
    }
    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        self.call("storage.demote", json!([image])).await
    }
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        self.call("storage.promote", json!([image, demotion])).await
    }
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.call("storage.force_promote", json!([image, decision])).await
    }
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.call("storage.resync", json!([image, decision])).await
    }
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        self.call("storage.clone_snapshot", json!([image, snapshot, token]))
            .await
    }
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        self.call("storage.find", json!([token])).await
    }
    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        self.call("storage.flatten", json!([image])).await
    }
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        self.call("storage.remove", json!([image, token])).await
    }
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        self.call("storage.rename", json!([image, name])).await
    }
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        self.call("storage.set_metadata", json!([image, key, value])).await
    }
}
