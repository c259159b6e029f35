//! The providers as one engine process sees them: the simulated ones, behind faults that a network and a service have, and
//! under the auditor's eyes. What a provider does is untouched; only whether, when and how often it is asked, and what of
//! its answer arrives.

use crate::audit::Request;
use crate::faults::{Fault, FaultKind};
use crate::mutants::{Wrap, wrapped};
use crate::node::Life;
use crate::shared::Shared;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use ns_core::model::{CloudId, ReplicationId, ReplicationMode, Resource, ResourceKind, StorageRef};
use ns_core::model::{JobId, TaskKey};
use ns_core::ports::Clock;
use ns_core::provider::{
    AdoptSpec, Cloud, CloudCapabilities, CloudProvider, CloudReport, Content, CreatedKind, Decision, Handle,
    ImageState, Mark, PairingOffer, ReplicationPhase, ReplicationStatus, SnapshotInfo, Spec, Storage,
    StorageCapabilities, StorageProvider, StorageReport, Token,
};
use ns_core::sim::Part;
use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a client waits for an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way of every call.
#[derive(Debug, Clone)]
struct Way {
    shared: Arc<Shared>,
    life: Life,
    site: &'static str,
    part: Part,
}

fn lost(verb: &str) -> Error {
    Error::new(ErrorKind::Timeout, "sim.lost", format!("no answer to {verb}")).with_remedy("look whether it was done")
}

/// What a planted bug decides.
fn by_itself() -> Decision {
    Decision {
        id: "by itself".to_owned(),
        operator: "engine".to_owned(),
        reason: String::new(),
    }
}

impl Way {
    /// The token that is really used.
    fn token(&self, token: &Token) -> Token {
        if !wrapped(Wrap::TokenIgnored) {
            return token.clone();
        }
        let unique = format!("{}/{}", token.as_str(), self.shared.clock.now());
        Token::of(&JobId::new("planted"), &TaskKey::new(unique))
    }

    const fn request<'r>(&self, verb: &'static str, changes: bool) -> Request<'r> {
        Request {
            site: self.site,
            part: self.part,
            verb,
            changes,
            image: None,
            token: None,
            decision: None,
            kind: None,
        }
    }

    fn fault(&self, verb: &'static str, changes: bool) -> Option<Fault> {
        self.shared.board().at_call(self.site, verb, changes)
    }

    async fn call<T, F>(&self, request: Request<'_>, ask: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send,
    {
        // Seen when the process decides to ask: one that is stopped right now asks later, and cannot know.
        if request.changes {
            self.shared.asks(&request);
        }
        self.life.runs().await;
        let fault = self.fault(request.verb, request.changes);
        let answer = self.life.request(self.suffer(request.verb, fault.as_ref(), &ask)).await;
        if request.changes {
            self.shared.asked(&request, answer.is_ok());
        }
        answer
    }

    async fn suffer<T, F>(&self, verb: &str, fault: Option<&Fault>, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let Some(fault) = fault else { return ask().await };
        let clock = &self.shared.clock;
        let count = || self.shared.board().count(fault.kind);
        if let Some(kind) = fault.kind.error() {
            count();
            clock.sleep(Duration::from_millis(50)).await;
            return Err(Error::new(
                kind,
                "sim.injected",
                format!("{verb} failed as the seed wants it"),
            ));
        }
        match fault.kind {
            FaultKind::TimeoutDone => {
                ask().await?;
                count();
                clock.sleep(PATIENCE).await;
                Err(lost(verb))
            }
            FaultKind::NeverDone => {
                count();
                clock.sleep(PATIENCE).await;
                Err(lost(verb))
            }
            FaultKind::Hang => {
                count();
                std::future::pending().await
            }
            FaultKind::DoneHang => {
                ask().await?;
                count();
                std::future::pending().await
            }
            FaultKind::Late => {
                let answer = ask().await;
                count();
                clock.sleep(Duration::from_secs(5 + fault.roll % 100)).await;
                answer
            }
            FaultKind::Slow => {
                count();
                clock.sleep(Duration::from_secs(5 + fault.roll % 100)).await;
                ask().await
            }
            FaultKind::Twice => {
                let first = ask().await;
                count();
                match ask().await {
                    Ok(second) => Ok(second),
                    Err(_) => first,
                }
            }
            FaultKind::DeathAnywhere | FaultKind::DeathWithOrphans => {
                count();
                let orphans = fault.kind == FaultKind::DeathWithOrphans;
                let (life, clock, millis) = (self.life.clone(), clock.clone(), fault.roll % 400);
                tokio::spawn(async move {
                    clock.sleep(Duration::from_millis(millis)).await;
                    life.die(orphans);
                });
                ask().await
            }
            _ => ask().await,
        }
    }
}

/// A cloud as one process sees it.
#[derive(Debug)]
struct NodeCloud {
    way: Way,
    cloud: Cloud,
}

/// A storage as one process sees it.
#[derive(Debug)]
struct NodeStorage {
    way: Way,
    storage: Storage,
    /// What status was last told of an image.
    seen: Mutex<BTreeMap<StorageRef, ReplicationStatus>>,
}

/// The providers of a site as one process sees them.
#[must_use]
pub fn providers(shared: &Arc<Shared>, life: &Life, site: &'static str) -> ns_core::Providers {
    let way = |part| Way {
        shared: shared.clone(),
        life: life.clone(),
        site,
        part,
    };
    ns_core::Providers {
        cloud: Arc::new(NodeCloud {
            way: way(Part::Cloud),
            cloud: shared.sim.cloud(site),
        }),
        storage: Arc::new(NodeStorage {
            way: way(Part::Storage),
            storage: shared.sim.storage(site),
            seen: Mutex::default(),
        }),
    }
}

#[async_trait]
impl CloudProvider for NodeCloud {
    fn platform(&self) -> &'static str {
        self.cloud.platform()
    }
    fn capabilities(&self) -> CloudCapabilities {
        self.cloud.capabilities()
    }
    async fn check(&self) -> Result<CloudReport> {
        self.way
            .call(self.way.request("check", false), || self.cloud.check())
            .await
    }
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        let guard = futures::stream::once(async move {
            let read = self.way.request("inventory", false);
            self.way.call(read, || async { Ok(()) }).await
        });
        let items = self.cloud.inventory(kinds).then(move |item| async move {
            self.way.life.runs().await;
            item
        });
        let refused = guard.filter_map(|ok| async move { ok.err().map(Err) });
        refused.chain(items).boxed()
    }
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        self.way
            .call(self.way.request("get", false), || self.cloud.get(kind, id))
            .await
    }
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        let request = Request {
            token: Some(token),
            kind: Some(spec.kind()),
            ..self.way.request("create", true)
        };
        let used = self.way.token(token);
        let made = self.way.call(request, || self.cloud.create(spec, &used)).await;
        match (made, spec) {
            (Err(e), Spec::Tenant { name, .. } | Spec::Keypair { name, .. }) if wrapped(Wrap::AdoptsForeign) => {
                let there = self.way.shared.sim.inventory(self.way.site);
                let taken = there.resources().find(|r| r.name() == name);
                taken.map_or(Err(e), |r| {
                    Ok(Handle {
                        kind: spec.kind(),
                        id: r.id().clone(),
                        tenant: None,
                        storage: None,
                    })
                })
            }
            (made, _) => made,
        }
    }
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        if wrapped(Wrap::FindsNothing) {
            return Ok(None);
        }
        self.way
            .call(self.way.request("find", false), || self.cloud.find(kind, tenant, token))
            .await
    }
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        let request = Request {
            token: Some(token),
            ..self.way.request("remove", true)
        };
        self.way.call(request, || self.cloud.remove(handle, token)).await
    }
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        let request = Request {
            token: Some(token),
            image: Some(&spec.storage),
            ..self.way.request("adopt", true)
        };
        let used = self.way.token(token);
        self.way.call(request, || self.cloud.adopt(spec, &used)).await
    }
    async fn release(&self, volume: &CloudId) -> Result<()> {
        self.way
            .call(self.way.request("release", true), || self.cloud.release(volume))
            .await
    }
    async fn start(&self, server: &CloudId) -> Result<()> {
        self.way
            .call(self.way.request("start", true), || self.cloud.start(server))
            .await
    }
    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.way
            .call(self.way.request("stop", true), || self.cloud.stop(server))
            .await
    }
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        self.way
            .call(self.way.request("console", false), || self.cloud.console(server, lines))
            .await
    }
}

impl NodeStorage {
    const fn look<'r>(&self, verb: &'static str) -> Request<'r> {
        self.way.request(verb, false)
    }
    const fn change<'r>(&self, verb: &'static str, image: &'r StorageRef) -> Request<'r> {
        Request {
            image: Some(image),
            ..self.way.request(verb, true)
        }
    }
}

#[async_trait]
impl StorageProvider for NodeStorage {
    fn kind(&self) -> &'static str {
        self.storage.kind()
    }
    fn capabilities(&self) -> StorageCapabilities {
        self.storage.capabilities()
    }
    async fn check(&self) -> Result<StorageReport> {
        self.way.call(self.look("check"), || self.storage.check()).await
    }
    async fn offer_pairing(&self) -> Result<PairingOffer> {
        self.storage.offer_pairing().await
    }
    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()> {
        self.storage.accept_pairing(offer).await
    }
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        self.way.call(self.look("image"), || self.storage.image(image)).await
    }
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        self.way
            .call(self.look("find_replica"), || self.storage.find_replica(id))
            .await
    }
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        let request = self.change("enable_replication", image);
        self.way
            .call(request, || self.storage.enable_replication(image, mode))
            .await
    }
    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        let request = self.change("disable_replication", image);
        self.way.call(request, || self.storage.disable_replication(image)).await
    }
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        self.way.life.runs().await;
        let fault = self.way.fault("status", false);
        let way = self.way.suffer("status", fault.as_ref(), || self.storage.status(image));
        let mut status = self.way.life.request(way).await?;
        let before = self.seen.lock().unwrap().insert(image.clone(), status.clone());
        match fault.map(|f| f.kind) {
            Some(FaultKind::StaleStatus) => {
                if let Some(before) = before {
                    self.way.shared.board().count(FaultKind::StaleStatus);
                    return Ok(before);
                }
            }
            Some(FaultKind::FalseSplitBrain) => {
                self.way.shared.board().count(FaultKind::FalseSplitBrain);
                status.phase = ReplicationPhase::SplitBrain;
                "split-brain".clone_into(&mut status.description);
            }
            _ => {}
        }
        if status.phase == ReplicationPhase::SplitBrain && wrapped(Wrap::SplitBrainResyncs) {
            self.resync(image, &by_itself()).await?;
        }
        Ok(status)
    }
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        self.way
            .call(self.change("snapshot", image), || self.storage.snapshot(image, name))
            .await
    }
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        self.way
            .call(self.look("snapshots"), || self.storage.snapshots(image))
            .await
    }
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        self.way
            .call(self.look("content"), || self.storage.content(image, snapshot))
            .await
    }
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        self.way
            .call(self.change("remove_snapshot", image), || {
                self.storage.remove_snapshot(image, name)
            })
            .await
    }
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        self.way
            .call(self.change("ship", image), || self.storage.ship(image, snapshot))
            .await
    }
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        self.way
            .call(self.look("arrived"), || self.storage.arrived(replica, mark))
            .await
    }
    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        self.way
            .call(self.change("demote", image), || self.storage.demote(image))
            .await
    }
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        let promoted = self
            .way
            .call(self.change("promote", image), || self.storage.promote(image, demotion))
            .await;
        match promoted {
            Err(_) if wrapped(Wrap::RefusedIsForced) => self.force_promote(image, &by_itself()).await,
            promoted => promoted,
        }
    }
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        let request = Request {
            decision: Some(decision),
            ..self.change("force_promote", image)
        };
        self.way
            .call(request, || self.storage.force_promote(image, decision))
            .await
    }
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        let request = Request {
            decision: Some(decision),
            ..self.change("resync", image)
        };
        self.way.call(request, || self.storage.resync(image, decision)).await
    }
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        let request = Request {
            token: Some(token),
            ..self.change("clone_snapshot", image)
        };
        let used = self.way.token(token);
        self.way
            .call(request, || self.storage.clone_snapshot(image, snapshot, &used))
            .await
    }
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        if wrapped(Wrap::FindsNothing) {
            return Ok(None);
        }
        self.way.call(self.look("find"), || self.storage.find(token)).await
    }
    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        self.way
            .call(self.change("flatten", image), || self.storage.flatten(image))
            .await
    }
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        let request = Request {
            token: Some(token),
            ..self.change("remove", image)
        };
        self.way.call(request, || self.storage.remove(image, token)).await
    }
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        self.way
            .call(self.change("rename", image), || self.storage.rename(image, name))
            .await
    }
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        self.way
            .call(self.change("set_metadata", image), || {
                self.storage.set_metadata(image, key, value)
            })
            .await
    }
}
