//! Connections that the engine keeps itself: checked before they are registered, sealed, made again by an engine that was started
//! anew or by another one on the store, rotated, sealed anew, gone with their cluster; and the metadata of volumes.

use async_trait::async_trait;
use ns_core::model::{
    Actor, Cluster, ClusterId, ConnectionSettings, ConnectionState, ConnectorField, Half, KeyReference,
    ReplicationMode, UserRole,
};
use ns_core::ports::Clock;
use ns_core::provider::{Storage, StorageConnector};
use ns_core::sealing::{FixedKeys, HostKey, KeySource, Secrets};
use ns_core::session::{ClusterRequest, Connection, HalfConnection, VolumeMetadataRequest};
use ns_core::sim::{Part, SimClock, SimWorld};
use ns_core::store::{MemoryStore, Store, Write};
use ns_core::{Engine, EngineBuilder, Error, ErrorKind, Providers, Session, Settings};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "horse-17-staple";
const SPARE: &str = "cow-4-battery";
const NEW: &str = "sheep-99-correct";

struct World {
    sim: SimWorld,
    clock: SimClock,
    store: Arc<MemoryStore>,
}

impl World {
    fn new() -> Self {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), 7);
        sim.sample_group(2).unwrap();
        for site in ["a", "b"] {
            sim.set_password(site, Part::Cloud, PASSWORD);
            sim.set_password(site, Part::Storage, PASSWORD);
        }
        Self {
            sim,
            clock,
            store: Arc::default(),
        }
    }

    fn builder(&self) -> EngineBuilder {
        let connector = Arc::new(self.sim.connector());
        Engine::builder(self.store.clone())
            .clock(Arc::new(self.clock.clone()))
            .cloud_connector(connector.clone())
            .storage_connector(connector)
    }

    fn engine(&self, keys: impl KeySource + 'static) -> Engine {
        self.builder().key_source(Arc::new(keys)).build().unwrap()
    }

    /// What is stored but the audit trail, which also tells of what was refused.
    async fn documents(&self) -> Vec<(String, String, String)> {
        let mut all = self.everything().await;
        all.retain(|(kind, ..)| kind != "audit");
        all
    }

    async fn everything(&self) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        for kind in ns_core::engine::DOCUMENTS {
            for record in self.store.list(kind, None, 10_000).await.unwrap() {
                all.push((record.kind, record.id, record.body));
            }
        }
        all
    }

    async fn stored(&self, id: &ClusterId) -> Value {
        let record = self.store.get("connection", id.as_str()).await.unwrap().unwrap();
        serde_json::from_str(&record.body).unwrap()
    }

    /// Puts a changed connection into the store, as somebody who can write there.
    async fn tamper(&self, id: &ClusterId, body: &Value) {
        let write = Write::Put {
            kind: "connection".to_owned(),
            id: id.to_string(),
            expected: None,
            body: body.to_string(),
        };
        self.store.commit(vec![write]).await.unwrap();
    }

    /// Until something holds, for at most so many seconds of the world's clock.
    async fn until(&self, seconds: u64, what: &str, holds: impl AsyncFn() -> bool) {
        for _ in 0..seconds {
            if holds().await {
                return;
            }
            self.clock.sleep(Duration::from_secs(1)).await;
        }
        panic!("not within {seconds} s: {what}");
    }
}

fn key(n: u8) -> HostKey {
    HostKey::new(format!("key-{n}"), &[n; 32])
}

fn keys(n: u8) -> FixedKeys {
    FixedKeys::new(key(n))
}

fn anna(engine: &Engine) -> Session {
    engine.session(Actor::admin("anna"))
}

fn half(kind: &str, site: &str) -> HalfConnection {
    HalfConnection {
        kind: kind.to_owned(),
        settings: ConnectionSettings::new().with("site", site),
        secrets: Secrets::new().with("password", PASSWORD).with("spare", SPARE),
    }
}

fn connection(site: &str) -> Connection {
    Connection {
        cloud: half("simulated", site),
        storage: half("sim-rbd", site),
    }
}

fn request(name: &str) -> ClusterRequest {
    ClusterRequest {
        name: name.into(),
        owner_group_id: "shop".into(),
        note: String::new(),
    }
}

fn password(text: &str) -> Secrets {
    Secrets::new().with("password", text)
}

#[track_caller]
fn refusal(error: &Error) -> (ErrorKind, &str, Option<&str>) {
    assert!(error.remedy().is_some(), "{error}");
    let told = format!("{error} {error:?}");
    for secret in [PASSWORD, SPARE, NEW] {
        assert!(!told.contains(secret), "{told}");
    }
    (error.kind(), error.code(), error.field())
}

#[tokio::test]
async fn cl_02_cl_03_cl_08_a_connection_is_checked_without_being_kept_and_registered_only_when_it_is_good() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let clusters = session.clusters();
    let report = clusters.connect_and_check(&connection("a")).await.unwrap();
    assert_eq!(
        (report.storage.storage_id.as_str(), report.warnings.len()),
        ("sim-storage-a", 0)
    );
    assert_eq!(world.documents().await, []);

    type Change = fn(&mut Connection);
    let mistakes: [(Change, ErrorKind, &str, &str); 9] = [
        (
            |c| c.cloud.kind = "vsphere".into(),
            ErrorKind::Invalid,
            "connection.kind",
            "cloud.kind",
        ),
        (
            |c| c.storage.kind = String::new(),
            ErrorKind::Invalid,
            "connection.kind",
            "storage.kind",
        ),
        (
            |c| c.cloud.settings = ConnectionSettings::new(),
            ErrorKind::Invalid,
            "connection.required",
            "cloud.settings.site",
        ),
        (
            |c| c.storage.settings = c.storage.settings.clone().with("sight", "a"),
            ErrorKind::Invalid,
            "connection.unknown",
            "storage.settings.sight",
        ),
        (
            |c| c.cloud.settings = c.cloud.settings.clone().with("password", PASSWORD),
            ErrorKind::Invalid,
            "connection.secret_as_setting",
            "cloud.settings.password",
        ),
        (
            |c| c.cloud.secrets = password(""),
            ErrorKind::Invalid,
            "connection.required",
            "cloud.secrets.password",
        ),
        (
            |c| c.cloud.settings = ConnectionSettings::new().with("site", "password=horse-17-staple"),
            ErrorKind::Invalid,
            "connection.secret_in_setting",
            "cloud.settings.site",
        ),
        (
            |c| c.storage.settings = ConnectionSettings::new().with("site", "z"),
            ErrorKind::Invalid,
            "sim.site",
            "storage.settings.site",
        ),
        (
            |c| c.storage.secrets = password(NEW),
            ErrorKind::Unauthenticated,
            "sim.unauthenticated",
            "credentials",
        ),
    ];
    for (change, kind, code, field) in mistakes {
        let mut wrong = connection("a");
        change(&mut wrong);
        let checked = clusters.connect_and_check(&wrong).await.unwrap_err();
        assert_eq!(refusal(&checked), (kind, code, Some(field)));
        let added = clusters.add(request("seoul"), wrong).await.unwrap_err();
        assert_eq!(refusal(&added), (kind, code, Some(field)));
    }
    assert_eq!(world.documents().await, []);

    let cluster = clusters.add(request("seoul"), connection("a")).await.unwrap();
    assert_eq!(
        (
            cluster.platform.as_str(),
            cluster.storage_kind.as_str(),
            cluster.connection
        ),
        ("simulated", "sim-rbd", ConnectionState::Active)
    );
    assert!(cluster.sync.complete_at().is_some(), "CL-09");
    let taken = clusters.add(request("seoul"), connection("b")).await.unwrap_err();
    assert_eq!(
        refusal(&taken),
        (ErrorKind::Conflict, "name.taken", Some("name")),
        "CL-05"
    );
    for (name, code) in [
        ("", "name.length"),
        ("a b", "name.characters"),
        ("a:b", "name.characters"),
    ] {
        let error = clusters.add(request(name), connection("b")).await.unwrap_err();
        assert_eq!(refusal(&error), (ErrorKind::Invalid, code, Some("name")), "CL-04");
    }
    let info = clusters.connection(&cluster.id).await.unwrap().unwrap();
    assert_eq!(info.cloud.settings.get("site"), Some("a"));
    assert_eq!((info.cloud.secrets.len(), info.cloud.key_id.as_str()), (2, "key-1"));
}

#[tokio::test]
async fn sec_08_an_http_address_needs_a_yes_and_gives_a_warning() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let mut plain = connection("a");
    plain.cloud.settings = plain.cloud.settings.with("address", "http://10.0.0.1:5000");
    let error = session.clusters().connect_and_check(&plain).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (
            ErrorKind::Invalid,
            "connection.plain_http",
            Some("cloud.settings.address")
        )
    );
    plain.cloud.settings = plain.cloud.settings.with("allow_http", "true");
    let report = session.clusters().connect_and_check(&plain).await.unwrap();
    assert_eq!(report.warnings[0].code, "connection.plain_http");
}

#[tokio::test]
async fn cl_08_a_portal_learns_what_to_ask_for() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let connectors = anna(&engine).clusters().connectors();
    let halves: Vec<_> = connectors.iter().map(|c| (c.half, c.kind.as_str())).collect();
    assert_eq!(halves, [(Half::Cloud, "simulated"), (Half::Storage, "sim-rbd")]);
    let json = serde_json::to_value(&connectors[0].fields).unwrap();
    assert_eq!(
        json[0],
        json!({"name": "site", "kind": "text", "required": true, "about": json[0]["about"]})
    );
}

#[tokio::test]
async fn cl_22_sec_02_no_store_document_shows_a_secret_and_none_opens_for_another_object() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let connected = connection("a");
    assert!(!format!("{connected:?}").contains(PASSWORD));
    let a = session.clusters().add(request("seoul"), connected).await.unwrap().id;
    let b = session
        .clusters()
        .add(request("busan"), connection("b"))
        .await
        .unwrap()
        .id;
    for (kind, id, body) in world.everything().await {
        for secret in [PASSWORD, SPARE] {
            assert!(!body.contains(secret), "{kind} {id}: {body}");
        }
    }
    let info = session.clusters().connection(&a).await.unwrap().unwrap();
    assert!(!serde_json::to_string(&info).unwrap().contains("ciphertext"));
    assert!(!format!("{engine:?}").contains(PASSWORD));

    // Whoever can write to the store can neither give the secrets to another cluster or half, nor have them sent elsewhere.
    let whole = world.stored(&a).await;
    let tampered: [fn(&mut Value, &Value); 3] = [
        |c, b| c["cloud"]["sealed"] = b["cloud"]["sealed"].clone(),
        |c, _| c["cloud"]["sealed"] = c["storage"]["sealed"].clone(),
        |c, _| c["cloud"]["settings"]["site"] = json!("b"),
    ];
    let other = world.stored(&b).await;
    for tamper in tampered {
        let mut body = whole.clone();
        tamper(&mut body, &other);
        world.tamper(&a, &body).await;
        let next = world.engine(keys(1));
        next.reconnect().await.unwrap();
        let cluster = anna(&next).clusters().get(&a).await.unwrap();
        assert_eq!(cluster.connection, ConnectionState::Inactive);
        assert_eq!(cluster.inactive_because.unwrap().code, "sealing.cannot_open");
        anna(&engine).clusters().probe(&a).await.unwrap();
    }
}

#[tokio::test]
async fn cl_22_without_a_key_source_nothing_is_kept() {
    let world = World::new();
    let engine = world.builder().build().unwrap();
    let session = anna(&engine);
    session.clusters().connect_and_check(&connection("a")).await.unwrap();
    let error = session
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Refused, "connection.no_keys", Some("key_source"))
    );
    assert_eq!(world.documents().await, []);
    let error = session.clusters().reseal_connections().await.unwrap_err();
    assert_eq!(error.code(), "connection.no_keys");
}

#[tokio::test]
async fn cl_08_cl_11_a_new_engine_connects_by_itself_and_says_why_it_cannot() {
    let world = World::new();
    let first = world.engine(keys(1));
    let id = anna(&first)
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap()
        .id;
    first.shutdown().await;

    let second = world.engine(keys(1));
    second.start().await.unwrap();
    anna(&second).clusters().sync(&id).await.unwrap();
    second.shutdown().await;

    // With another key, of another host.
    let third = world.engine(keys(2));
    third.start().await.unwrap();
    let session = anna(&third);
    let cluster = session.clusters().get(&id).await.unwrap();
    let why = cluster.inactive_because.clone().unwrap();
    assert_eq!(
        (cluster.connection, why.code.as_str()),
        (ConnectionState::Inactive, "sealing.key_unknown")
    );
    assert!(why.message.contains("key-1") && why.remedy.is_some(), "{why:?}");
    let error = session.clusters().sync(&id).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "sealing.key_unknown")
    );
    assert_eq!(session.clusters().probe(&id).await.unwrap(), ConnectionState::Inactive);
    third.shutdown().await;

    // Without a connector for it.
    let fourth = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .cloud_connector(Arc::new(world.sim.connector()))
        .key_source(Arc::new(keys(1)))
        .build()
        .unwrap();
    fourth.reconnect().await.unwrap();
    let cluster = anna(&fourth).clusters().get(&id).await.unwrap();
    assert_eq!(cluster.inactive_because.unwrap().code, "connection.kind");

    // What the embedding program gives stands above it.
    let providers = Providers {
        cloud: world.sim.cloud("a"),
        storage: world.sim.storage("a"),
    };
    fourth.attach(&id, providers);
    fourth.reconnect().await.unwrap();
    anna(&fourth).clusters().sync(&id).await.unwrap();
    assert_eq!(
        anna(&fourth).clusters().probe(&id).await.unwrap(),
        ConnectionState::Active
    );
    assert_eq!(anna(&fourth).clusters().get(&id).await.unwrap().inactive_because, None);
}

/// Keys that the host gives back later.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<std::sync::Mutex<Option<FixedKeys>>>);

impl KeySource for Shelf {
    fn current(&self) -> ns_core::Result<HostKey> {
        let keys = self.0.lock().unwrap();
        keys.as_ref().map_or_else(
            || {
                Err(Error::new(
                    ErrorKind::Unavailable,
                    "vault.away",
                    "the vault does not answer",
                ))
            },
            KeySource::current,
        )
    }
    fn key(&self, id: &ns_core::model::KeyId) -> ns_core::Result<HostKey> {
        self.current()?;
        self.0.lock().unwrap().as_ref().unwrap().key(id)
    }
}

#[tokio::test]
async fn cl_11_cl_24_what_could_not_be_connected_is_tried_again_and_comes_back() {
    let world = World::new();
    let shelf = Shelf::default();
    *shelf.0.lock().unwrap() = Some(keys(1));
    let first = world.engine(shelf.clone());
    let id = anna(&first)
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap()
        .id;
    first.shutdown().await;
    *shelf.0.lock().unwrap() = None;

    let engine = world.engine(shelf.clone());
    engine.start().await.unwrap();
    let session = anna(&engine);
    let cluster: Cluster = session.clusters().get(&id).await.unwrap();
    assert_eq!(cluster.inactive_because.unwrap().code, "vault.away");
    *shelf.0.lock().unwrap() = Some(keys(1));
    let is_active = async || session.clusters().get(&id).await.unwrap().connection == ConnectionState::Active;
    world.until(300, "the monitor sees it answer", is_active).await;
    assert_eq!(session.clusters().get(&id).await.unwrap().inactive_because, None);

    // A site that dies is told with its reason, too.
    world.sim.kill("a");
    let is_away = async || session.clusters().get(&id).await.unwrap().connection == ConnectionState::Inactive;
    world.until(300, "the monitor misses it", is_away).await;
    let why = session.clusters().get(&id).await.unwrap().inactive_because.unwrap();
    assert_eq!(why.code, "sim.unreachable");
    engine.shutdown().await;
}

#[tokio::test]
async fn cl_15_cl_14_a_rotation_changes_the_secret_and_nothing_else() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let clusters = session.clusters();
    let id = clusters.add(request("seoul"), connection("a")).await.unwrap().id;
    let before = (clusters.get(&id).await.unwrap(), world.stored(&id).await);
    world.sim.set_password("a", Part::Cloud, NEW);
    assert_eq!(clusters.probe(&id).await.unwrap(), ConnectionState::Inactive);

    clusters
        .rotate_credential(&id, Half::Cloud, &password(PASSWORD), &password(NEW))
        .await
        .unwrap();
    assert_eq!(clusters.probe(&id).await.unwrap(), ConnectionState::Active);
    let after = (clusters.get(&id).await.unwrap(), world.stored(&id).await);
    assert_eq!(after.0, before.0, "type, owner, name, address: all as before");
    for same in ["kind", "settings", "secret_names"] {
        assert_eq!(after.1["cloud"][same], before.1["cloud"][same]);
    }
    assert_eq!(after.1["storage"], before.1["storage"]);
    assert_ne!(after.1["cloud"]["sealed"], before.1["cloud"]["sealed"]);
    assert!(!after.1.to_string().contains(NEW));

    // The storage's, and the one that was not named is still there.
    world.sim.set_password("a", Part::Storage, NEW);
    let both = |text: &str, spare: &str| password(text).with("spare", spare);
    clusters
        .rotate_credential(&id, Half::Storage, &both(PASSWORD, SPARE), &both(NEW, "goat"))
        .await
        .unwrap();
    clusters
        .rotate_credential(
            &id,
            Half::Cloud,
            &Secrets::new().with("spare", SPARE),
            &Secrets::new().with("spare", "goat"),
        )
        .await
        .unwrap();
    let next = world.engine(keys(1));
    next.reconnect().await.unwrap();
    assert_eq!(
        anna(&next).clusters().probe(&id).await.unwrap(),
        ConnectionState::Active
    );
}

#[tokio::test]
async fn cl_15_cl_25_a_refused_rotation_changes_nothing() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let id = session
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap()
        .id;
    let before = world.documents().await;
    let nothing = Secrets::new;
    let refused = [
        (
            password("wrong"),
            password(NEW),
            ErrorKind::Denied,
            "connection.previous",
            "previous",
        ),
        (
            password("horse-17-stapl"),
            password(NEW),
            ErrorKind::Denied,
            "connection.previous",
            "previous",
        ),
        (
            password(PASSWORD).with("spare", "x"),
            password(NEW).with("spare", "y"),
            ErrorKind::Denied,
            "connection.previous",
            "previous",
        ),
        (
            nothing(),
            password(NEW),
            ErrorKind::Invalid,
            "connection.rotation",
            "previous",
        ),
        (
            nothing(),
            nothing(),
            ErrorKind::Invalid,
            "connection.rotation",
            "previous",
        ),
        (
            password(PASSWORD),
            nothing(),
            ErrorKind::Invalid,
            "connection.rotation",
            "new",
        ),
        (
            password(PASSWORD),
            password(""),
            ErrorKind::Invalid,
            "connection.rotation",
            "new",
        ),
        (
            password(PASSWORD),
            Secrets::new().with("spare", NEW),
            ErrorKind::Invalid,
            "connection.rotation",
            "new",
        ),
        (
            nothing().with("site", "a"),
            nothing().with("site", "b"),
            ErrorKind::Invalid,
            "connection.rotation",
            "new",
        ),
        // The endpoint does not take it.
        (
            password(PASSWORD),
            password(NEW),
            ErrorKind::Unauthenticated,
            "sim.unauthenticated",
            "credentials",
        ),
    ];
    for (previous, new, kind, code, field) in refused {
        for half in [Half::Cloud, Half::Storage] {
            let error = session
                .clusters()
                .rotate_credential(&id, half, &previous, &new)
                .await
                .unwrap_err();
            assert_eq!(refusal(&error), (kind, code, Some(field)));
        }
    }
    // A right is missing; the site is away; nobody of the group, and nobody who may.
    world.sim.take_right("a", Part::Cloud, "create servers");
    let spare = |text: &str| Secrets::new().with("spare", text);
    let rotate = async |session: &Session| {
        let clusters = session.clusters();
        let error = clusters
            .rotate_credential(&id, Half::Cloud, &spare(SPARE), &spare(NEW))
            .await;
        refusal(&error.unwrap_err()).1.to_owned()
    };
    assert_eq!(rotate(&session).await, "cluster.rights");
    world.sim.give_rights("a");
    world.sim.kill("a");
    assert_eq!(rotate(&session).await, "sim.unreachable");
    world.sim.revive("a");
    let as_of = |role, group: &str| engine.session(Actor::member("mina", role, [group.into()]));
    assert_eq!(rotate(&as_of(UserRole::Operator, "shop")).await, "access.role");
    assert_eq!(rotate(&as_of(UserRole::Manager, "bank")).await, "cluster.not_found");
    assert_eq!(world.documents().await, before);

    // A cluster whose connection the embedding program keeps.
    let providers = Providers {
        cloud: world.sim.cloud("b"),
        storage: world.sim.storage("b"),
    };
    let own = session
        .clusters()
        .register(request("busan"), providers)
        .await
        .unwrap()
        .id;
    assert_eq!(session.clusters().connection(&own).await.unwrap(), None);
    let error = session
        .clusters()
        .rotate_credential(&own, Half::Cloud, &password(PASSWORD), &password(NEW))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Refused, "connection.not_kept", Some("cluster_id"))
    );
}

/// Connects to the site of its settings, but for two passwords: one leads to another site, while the other is tried somebody
/// else changes the connection.
#[derive(Debug)]
struct Detour {
    sim: SimWorld,
    store: Arc<MemoryStore>,
}

#[async_trait]
impl StorageConnector for Detour {
    fn kind(&self) -> &'static str {
        "sim-rbd"
    }
    fn fields(&self) -> Vec<ConnectorField> {
        StorageConnector::fields(&self.sim.connector())
    }
    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> ns_core::Result<Storage> {
        match secrets.get("password").map(|p| p.expose_secret().to_owned()).as_deref() {
            Some("elsewhere") => return Ok(self.sim.storage("b")),
            Some("race") => {
                for record in self.store.list("connection", None, 10).await? {
                    let write = Write::Put {
                        kind: record.kind,
                        id: record.id,
                        expected: None,
                        body: record.body,
                    };
                    self.store.commit(vec![write]).await?;
                }
            }
            _ => {}
        }
        Ok(self.sim.storage(settings.get("site").unwrap_or_default()))
    }
}

#[tokio::test]
async fn cl_15_a_rotation_that_leads_elsewhere_or_comes_second_changes_nothing() {
    let world = World::new();
    let detour = Detour {
        sim: world.sim.clone(),
        store: world.store.clone(),
    };
    let builder = world.builder().key_source(Arc::new(keys(1)));
    let engine = builder.storage_connector(Arc::new(detour)).build().unwrap();
    let session = anna(&engine);
    let clusters = session.clusters();
    let id = clusters.add(request("seoul"), connection("a")).await.unwrap().id;
    let before = world.documents().await;
    for (new, kind, code) in [
        ("elsewhere", ErrorKind::Refused, "connection.other_storage"),
        ("race", ErrorKind::Conflict, "store.version"),
    ] {
        let error = clusters
            .rotate_credential(&id, Half::Storage, &password(PASSWORD), &password(new))
            .await
            .unwrap_err();
        assert_eq!((refusal(&error).0, refusal(&error).1), (kind, code));
        assert_eq!(world.documents().await, before);
    }
}

#[tokio::test]
async fn cl_15_another_engine_learns_of_a_rotation_within_a_probe_interval() {
    let world = World::new();
    let mut settings = Settings::default();
    settings.monitor = false;
    let node = |name: &str| {
        let builder = world.builder().key_source(Arc::new(keys(1))).settings(settings.clone());
        builder.node(name).build().unwrap()
    };
    let (here, there) = (node("here"), node("there"));
    here.start().await.unwrap();
    there.start().await.unwrap();
    let id = anna(&here)
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap()
        .id;
    let interval = settings.probe_interval + Duration::from_secs(2);
    world.clock.sleep(interval).await;
    anna(&there).clusters().sync(&id).await.unwrap();

    world.sim.set_password("a", Part::Cloud, NEW);
    anna(&here)
        .clusters()
        .rotate_credential(&id, Half::Cloud, &password(PASSWORD), &password(NEW))
        .await
        .unwrap();
    let error = anna(&there).clusters().sync(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    world.clock.sleep(interval).await;
    anna(&there).clusters().sync(&id).await.unwrap();

    anna(&here).clusters().delete(&id).await.unwrap();
    world.clock.sleep(interval).await;
    assert_eq!(
        anna(&there).clusters().get(&id).await.unwrap_err().code(),
        "cluster.not_found"
    );
    here.shutdown().await;
    there.shutdown().await;
}

#[tokio::test]
async fn sec_02_everything_is_sealed_anew_once_and_old_keys_can_go() {
    let world = World::new();
    let first = world.engine(keys(1));
    let a = anna(&first)
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap()
        .id;
    let b = anna(&first)
        .clusters()
        .add(request("busan"), connection("b"))
        .await
        .unwrap()
        .id;
    let engine = world.engine(keys(2).with_old(key(1)));
    engine.reconnect().await.unwrap();
    let session = anna(&engine);
    let manager = engine.session(Actor::member("mina", UserRole::Manager, ["shop".into()]));
    let error = manager.clusters().reseal_connections().await.unwrap_err();
    assert_eq!(refusal(&error), (ErrorKind::Denied, "access.admin", Some("actor")));

    // One of them does not open any more; the other is done all the same.
    let whole = world.stored(&b).await;
    let mut damaged = whole.clone();
    damaged["cloud"]["sealed"]["ciphertext"] = json!("AAAA");
    world.tamper(&b, &damaged).await;
    let done = session.clusters().reseal_connections().await.unwrap();
    assert_eq!((done.resealed, done.current), (1, 0));
    assert_eq!(
        (&done.failed[0].0, done.failed[0].1.code.as_str()),
        (&b, "sealing.cannot_open")
    );
    assert_eq!(world.stored(&b).await, damaged);
    world.tamper(&b, &whole).await;

    let done = session.clusters().reseal_connections().await.unwrap();
    assert_eq!((done.resealed, done.current, done.failed.len()), (1, 1, 0));
    let before = world.documents().await;
    let done = session.clusters().reseal_connections().await.unwrap();
    assert_eq!((done.resealed, done.current, done.failed.len()), (0, 2, 0));
    assert_eq!(world.documents().await, before, "again is nothing");
    for id in [&a, &b] {
        let info = session.clusters().connection(id).await.unwrap().unwrap();
        assert_eq!(
            (info.cloud.key_id.as_str(), info.storage.key_id.as_str()),
            ("key-2", "key-2")
        );
    }

    let last = world.engine(keys(2));
    last.reconnect().await.unwrap();
    for id in [&a, &b] {
        assert_eq!(anna(&last).clusters().probe(id).await.unwrap(), ConnectionState::Active);
    }
}

#[tokio::test]
async fn cl_19_a_deleted_cluster_leaves_no_connection_and_no_metadata() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let clusters = session.clusters();
    let id = clusters.add(request("seoul"), connection("a")).await.unwrap().id;
    for entry in clusters.propose_volume_metadata(&id).await.unwrap() {
        clusters.enter_volume_metadata(&id, entry).await.unwrap();
    }
    assert!(!clusters.volume_metadata(&id).await.unwrap().is_empty());
    world.sim.kill("a");
    clusters.delete(&id).await.unwrap();
    assert_eq!(world.documents().await, []);
    engine.reconnect().await.unwrap();
    assert_eq!(clusters.get(&id).await.unwrap_err().code(), "cluster.not_found");
}

/// CL-23: the Source is authenticated and registered, then the Target, then the metadata of the one and of the other.
#[tokio::test]
async fn cl_16_cl_23_open_14_the_order_of_registration() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let clusters = session.clusters();
    clusters.connect_and_check(&connection("a")).await.unwrap();
    let source = clusters.add(request("seoul"), connection("a")).await.unwrap();
    clusters.connect_and_check(&connection("b")).await.unwrap();
    let target = clusters.add(request("busan"), connection("b")).await.unwrap();
    let proposed = clusters.propose_volume_metadata(&source.id).await.unwrap();
    assert!(!proposed.is_empty());
    assert_eq!(
        clusters.propose_volume_metadata(&target.id).await.unwrap(),
        [],
        "nothing lies there yet that would tell which of its pools is meant"
    );
    for (here, there) in [(&source, &target), (&target, &source)] {
        for entry in proposed.clone() {
            assert_eq!(
                (entry.storage_kind.as_str(), entry.pool.as_str(), entry.mode),
                ("sim-rbd", "volumes", ReplicationMode::Snapshot)
            );
            assert_eq!(entry.client.as_deref(), Some("sim"));
            let entry = VolumeMetadataRequest {
                storage_id: here.storage_id.clone(),
                peer: Some(there.id.clone()),
                ..entry
            };
            let entered = clusters.enter_volume_metadata(&here.id, entry.clone()).await.unwrap();
            assert_eq!(entered.paired_with, Some(there.id.clone()));
            assert_eq!(
                entered.keyring,
                Some(KeyReference::Connection {
                    secret: "password".into()
                })
            );
            // Entered again it takes the place of what there was.
            clusters.enter_volume_metadata(&here.id, entry).await.unwrap();
        }
        assert_eq!(clusters.volume_metadata(&here.id).await.unwrap().len(), proposed.len());
    }
    let types = |id: &ClusterId| {
        let id = id.clone();
        let clusters = session.clusters();
        async move { clusters.volume_metadata(&id).await.unwrap() }
    };
    for metadata in types(&source.id).await {
        clusters
            .remove_volume_metadata(&source.id, &metadata.volume_type)
            .await
            .unwrap();
    }
    assert_eq!(types(&source.id).await, []);
}

#[tokio::test]
async fn cl_16_open_14_sec_15_metadata_is_verified_on_entry() {
    let world = World::new();
    let engine = world.engine(keys(1));
    let session = anna(&engine);
    let clusters = session.clusters();
    let id = clusters.add(request("seoul"), connection("a")).await.unwrap().id;
    let other = clusters.add(request("busan"), connection("b")).await.unwrap().id;
    let inventory = session.inventory().whole(&id).await.unwrap();
    let volume_type = inventory.volume_types.values().next().unwrap().name.clone();
    let good = VolumeMetadataRequest {
        volume_type,
        storage_kind: "sim-rbd".into(),
        storage_id: "sim-storage-a".into(),
        mon_hosts: None,
        pool: "volumes".into(),
        client: None,
        keyring: Some(KeyReference::Host {
            name: "vault:ceph/neverstop".into(),
        }),
        mode: ReplicationMode::Journal,
        peer: None,
    };
    // A key in the form that Ceph gives its keys, of no cluster.
    const SOME_KEY: &str = "AQAJCQkJCQkJCRAAKCkqKywtLi8wMTIzNDU2Nw==";
    type Change = Box<dyn Fn(&mut VolumeMetadataRequest)>;
    let (itself, unknown) = (id.clone(), ClusterId::new("nobody"));
    let mistakes: [(Change, &str, &str); 10] = [
        (
            Box::new(|m| m.volume_type = "tape".into()),
            "metadata.volume_type",
            "volume_type",
        ),
        (
            Box::new(|m| m.storage_kind = "nfs".into()),
            "metadata.storage_kind",
            "storage_kind",
        ),
        (
            Box::new(|m| m.storage_id = "sim-storage-b".into()),
            "metadata.storage_id",
            "storage_id",
        ),
        (Box::new(|m| m.pool = "scratch".into()), "metadata.pool", "pool"),
        (
            Box::new(|m| m.keyring = Some(KeyReference::Host { name: SOME_KEY.into() })),
            "metadata.secret",
            "keyring",
        ),
        (
            Box::new(|m| m.client = Some(format!("neverstop {SOME_KEY}"))),
            "metadata.secret",
            "client",
        ),
        (
            Box::new(|m| m.mon_hosts = Some(vec![SOME_KEY.into()])),
            "metadata.secret",
            "mon_hosts",
        ),
        (
            Box::new(|m| m.keyring = Some(KeyReference::Connection { secret: "key".into() })),
            "metadata.secret_name",
            "keyring",
        ),
        (
            Box::new(move |m| m.peer = Some(itself.clone())),
            "metadata.peer",
            "peer",
        ),
        (
            Box::new(move |m| m.peer = Some(unknown.clone())),
            "cluster.not_found",
            "peer",
        ),
    ];
    for (change, code, field) in mistakes {
        let mut wrong = good.clone();
        change(&mut wrong);
        let error = clusters.enter_volume_metadata(&id, wrong).await.unwrap_err();
        assert_eq!((refusal(&error).1, error.field()), (code, Some(field)));
        assert!(!format!("{error:?}").contains(SOME_KEY));
    }
    world.sim.mirror_pool("b", "volumes", false);
    let paired = VolumeMetadataRequest {
        peer: Some(other),
        ..good.clone()
    };
    let error = clusters.enter_volume_metadata(&id, paired).await.unwrap_err();
    assert_eq!(refusal(&error), (ErrorKind::Refused, "metadata.peer", Some("peer")));
    assert_eq!(clusters.volume_metadata(&id).await.unwrap(), []);

    let viewer = engine.session(Actor::member("vera", UserRole::Viewer, ["shop".into()]));
    let error = viewer
        .clusters()
        .enter_volume_metadata(&id, good.clone())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "access.role");
    let entered = clusters.enter_volume_metadata(&id, good).await.unwrap();
    assert_eq!((entered.paired_with, entered.mon_hosts), (None, None));
    assert_eq!(viewer.clusters().volume_metadata(&id).await.unwrap().len(), 1);
}

/// SEC-02, CL-15: with the host's key the secrets are lost, and nothing else is: an Admin gives them anew, one half after the other.
/// Nobody gets around giving the previous ones as long as they can be opened.
#[tokio::test]
async fn sec_02_cl_15_secrets_are_given_anew_when_their_key_is_lost() {
    let world = World::new();
    let first = world.engine(keys(1));
    let id = anna(&first)
        .clusters()
        .add(request("seoul"), connection("a"))
        .await
        .unwrap()
        .id;
    let before = world.stored(&id).await;
    let both = |password: &str| Secrets::new().with("password", password).with("spare", SPARE);
    let all = both(PASSWORD);
    let readable = anna(&first).clusters().replace_credential(&id, Half::Cloud, &all).await;
    let readable = readable.unwrap_err();
    assert_eq!(
        (readable.kind(), readable.code()),
        (ErrorKind::Refused, "connection.readable")
    );
    assert!(readable.remedy().is_some_and(|r| r.contains("rotate_credential")));
    first.shutdown().await;

    // A key source that is only away is no lost key.
    let away = world.engine(Shelf::default());
    let error = anna(&away).clusters().replace_credential(&id, Half::Cloud, &all).await;
    assert_eq!(error.unwrap_err().code(), "vault.away");
    away.shutdown().await;

    let engine = world.engine(keys(2));
    engine.start().await.unwrap();
    let session = anna(&engine);
    let lost = session.clusters().get(&id).await.unwrap().inactive_because.unwrap();
    assert_eq!(lost.code, "sealing.key_unknown");
    let rotated = session.clusters().rotate_credential(&id, Half::Cloud, &all, &all).await;
    assert_eq!(rotated.unwrap_err().code(), "sealing.key_unknown");
    let manager = engine.session(Actor::member("mina", UserRole::Manager, ["shop".into()]));
    for (session, secrets, kind) in [
        (&manager, all.clone(), ErrorKind::Denied),
        (&session, both("wrong"), ErrorKind::Unauthenticated),
        (&session, Secrets::new(), ErrorKind::Invalid),
        (&session, all.clone().with("other", "x"), ErrorKind::Invalid),
    ] {
        let refused = session.clusters().replace_credential(&id, Half::Cloud, &secrets).await;
        assert_eq!(refused.unwrap_err().kind(), kind);
        assert_eq!(world.stored(&id).await, before);
    }

    session
        .clusters()
        .replace_credential(&id, Half::Cloud, &all)
        .await
        .unwrap();
    let between = world.stored(&id).await;
    assert_eq!(between["storage"], before["storage"]);
    assert_eq!(between["cloud"]["settings"], before["cloud"]["settings"]);
    session
        .clusters()
        .replace_credential(&id, Half::Storage, &all)
        .await
        .unwrap();
    assert_eq!(session.clusters().probe(&id).await.unwrap(), ConnectionState::Active);
    session.clusters().sync(&id).await.unwrap();
    assert_eq!(session.clusters().reseal_connections().await.unwrap().current, 1);
    engine.shutdown().await;
}
