//! Listening to a cloud that tells of its changes, when its secrets are rotated (CL-15, EVT-13).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use ns_core::model::{CloudId, ConnectionSettings, ConnectorField, Half, Resource, ResourceKind};
use ns_core::ports::Clock;
use ns_core::provider::{
    AdoptSpec, Cloud, CloudCapabilities, CloudConnector, CloudProvider, CloudReport, CreatedKind, Handle, Notice, Spec,
    Token,
};
use ns_core::sealing::{FixedKeys, HostKey, Secrets};
use ns_core::session::{ClusterRequest, Connection, HalfConnection};
use ns_core::sim::{SimClock, SimWorld};
use ns_core::store::MemoryStore;
use ns_core::{Actor, Engine, Result, Settings};
use secrecy::ExposeSecret;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// With which passwords somebody began to listen, and with which somebody listens now.
#[derive(Debug, Clone, Default)]
struct Ears(Arc<Mutex<(Vec<String>, Vec<String>)>>);

impl Ears {
    fn began(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }
    fn open(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

/// One that listens, until it is dropped.
struct Ear(Ears, String);

impl Drop for Ear {
    fn drop(&mut self) {
        let open = &mut self.0.0.lock().unwrap().1;
        let place = open.iter().position(|password| *password == self.1).unwrap();
        open.remove(place);
    }
}

/// A cloud that would tell of its changes, and never has any: as a broker does, it goes on with whoever is there.
#[derive(Debug)]
struct Telling {
    cloud: Cloud,
    password: String,
    ears: Ears,
}

#[async_trait]
impl CloudProvider for Telling {
    fn platform(&self) -> &'static str {
        self.cloud.platform()
    }
    fn capabilities(&self) -> CloudCapabilities {
        self.cloud.capabilities()
    }
    async fn check(&self) -> Result<CloudReport> {
        self.cloud.check().await
    }
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        self.cloud.inventory(kinds)
    }
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        self.cloud.get(kind, id).await
    }
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        self.cloud.create(spec, token).await
    }
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        self.cloud.find(kind, tenant, token).await
    }
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        self.cloud.remove(handle, token).await
    }
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        self.cloud.adopt(spec, token).await
    }
    async fn release(&self, volume: &CloudId) -> Result<()> {
        self.cloud.release(volume).await
    }
    async fn start(&self, server: &CloudId) -> Result<()> {
        self.cloud.start(server).await
    }
    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.cloud.stop(server).await
    }
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        self.cloud.console(server, lines).await
    }
    async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        let ear = Ear(self.ears.clone(), self.password.clone());
        let mut ears = self.ears.0.lock().unwrap();
        ears.0.push(self.password.clone());
        ears.1.push(self.password.clone());
        // Pending for as long as somebody holds it.
        Ok(stream::unfold(ear, |ear| async move {
            let _held = &ear;
            std::future::pending().await
        })
        .boxed())
    }
}

#[derive(Debug)]
struct Connector {
    sim: SimWorld,
    ears: Ears,
}

#[async_trait]
impl CloudConnector for Connector {
    fn platform(&self) -> &'static str {
        CloudConnector::platform(&self.sim.connector())
    }
    fn fields(&self) -> Vec<ConnectorField> {
        CloudConnector::fields(&self.sim.connector())
    }
    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Cloud> {
        Ok(Arc::new(Telling {
            cloud: CloudConnector::connect(&self.sim.connector(), settings, secrets).await?,
            password: secrets.get("password").unwrap().expose_secret().to_owned(),
            ears: self.ears.clone(),
        }))
    }
}

/// Until something holds, for at most so many seconds of the world's clock.
async fn until(clock: &SimClock, seconds: u64, what: &str, holds: impl Fn() -> bool) {
    for _ in 0..seconds {
        if holds() {
            return;
        }
        clock.sleep(Duration::from_secs(1)).await;
    }
    panic!("not within {seconds} s: {what}");
}

/// CL-15, EVT-13: once the password is another one nobody listens with the old one any more, and nothing else is connected anew.
#[tokio::test]
async fn cl_15_evt_13_a_rotation_reaches_whoever_listens() {
    let clock = SimClock::new();
    let sim = SimWorld::new(Arc::new(clock.clone()), 7);
    sim.sample_group(1).unwrap();
    let ears = Ears::default();
    let connector = Connector {
        sim: sim.clone(),
        ears: ears.clone(),
    };
    let settings = Settings::default();
    let (watch, sync) = (settings.watch_interval, settings.sync_interval);
    let engine = Engine::builder(Arc::new(MemoryStore::default()))
        .clock(Arc::new(clock.clone()))
        .cloud_connector(Arc::new(connector))
        .storage_connector(Arc::new(sim.connector()))
        .key_source(Arc::new(FixedKeys::new(HostKey::new("key", &[1; 32]))))
        .settings(settings)
        .build()
        .unwrap();
    engine.start().await.unwrap();
    let session = engine.session(Actor::admin("anna"));
    let half = |kind: &str| HalfConnection {
        kind: kind.to_owned(),
        settings: ConnectionSettings::new().with("site", "a"),
        secrets: Secrets::new().with("password", "old"),
    };
    let connection = Connection {
        cloud: half("simulated"),
        storage: half("sim-rbd"),
    };
    let request = ClusterRequest {
        name: "seoul".into(),
        owner_group_id: "shop".into(),
        note: String::new(),
    };
    let id = session.clusters().add(request, connection).await.unwrap().id;
    until(&clock, 120, "somebody listens", || ears.open() == ["old"]).await;
    clock.sleep(sync * 2).await;
    assert_eq!(
        (ears.began(), ears.open()),
        (vec!["old".to_owned()], vec!["old".to_owned()])
    );

    let (old, new) = (
        Secrets::new().with("password", "old"),
        Secrets::new().with("password", "new"),
    );
    session
        .clusters()
        .rotate_credential(&id, Half::Cloud, &old, &new)
        .await
        .unwrap();
    until(&clock, watch.as_secs() + 60, "the new password is used", || {
        ears.open() == ["new"]
    })
    .await;
    session
        .clusters()
        .rotate_credential(&id, Half::Storage, &old, &new)
        .await
        .unwrap();
    clock.sleep(sync * 2).await;
    assert_eq!(
        (ears.began(), ears.open()),
        (vec!["old".to_owned(), "new".to_owned()], vec!["new".to_owned()])
    );
    engine.shutdown().await;
}
