//! Connections that the engine keeps: made of settings and secrets, checked, sealed, rotated, sealed anew.

use super::audit::Act;
use super::clusters::{ClusterRequest, Clusters, ConnectionReport};
use crate::engine::{Providers, StoredConnection, StoredHalf, kinds, put};
use crate::model::{Cluster, ClusterId, ConnectionInfo, ConnectionSettings, ConnectorInfo, Half};
use crate::rules::{Area, Verb, Warning};
use crate::sealing::Secrets;
use crate::{Error, ErrorKind, ErrorRecord, Result};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How to connect to one half of a cluster (CL-08). `Debug` shows names of secrets only.
///
/// ```
/// use ns_core::model::ConnectionSettings;
/// use ns_core::sealing::Secrets;
/// use ns_core::session::HalfConnection;
/// let cloud = HalfConnection {
///     kind: "openstack".to_owned(),
///     settings: ConnectionSettings::new().with("auth_url", "https://cloud.example:5000"),
///     secrets: Secrets::new().with("password", "horse-17"),
/// };
/// assert!(!format!("{cloud:?}").contains("horse"));
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HalfConnection {
    /// The connector: the platform of a cloud, the kind of a storage.
    pub kind: String,
    /// What is not secret.
    pub settings: ConnectionSettings,
    /// What is.
    pub secrets: Secrets,
}

/// How to connect to a cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its cloud.
    pub cloud: HalfConnection,
    /// Its storage.
    pub storage: HalfConnection,
}

/// What [`Clusters::reseal_connections`] did (SEC-02).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resealed {
    /// Connections that are sealed with the current key now, and were with another one.
    pub resealed: usize,
    /// Connections that were already.
    pub current: usize,
    /// Those that could not be sealed anew, and why; they are as they were.
    pub failed: Vec<(ClusterId, ErrorRecord)>,
}

/// Without secrets that are empty: a form sends those that nobody filled in.
fn given(secrets: &Secrets) -> Secrets {
    let filled = secrets.iter().filter(|(_, secret)| !secret.expose_secret().is_empty());
    filled.map(|(name, secret)| (name.to_owned(), secret.clone())).collect()
}

impl Clusters<'_> {
    /// The connectors that the engine has, with what they ask for (CL-08): what a portal needs to draw its form.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ns_core::sim::{SimClock, SimWorld};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> ns_core::Result<()> {
    /// # let world = SimWorld::new(Arc::new(SimClock::new()), 7);
    /// use ns_core::{Actor, Engine, store::MemoryStore};
    /// let connector = Arc::new(world.connector());
    /// let engine = Engine::builder(Arc::new(MemoryStore::default()))
    ///     .cloud_connector(connector.clone())
    ///     .storage_connector(connector)
    ///     .build()?;
    /// let session = engine.session(Actor::admin("anna"));
    /// let kinds: Vec<_> = session.clusters().connectors().into_iter().map(|c| c.kind).collect();
    /// assert_eq!(kinds, ["simulated", "sim-rbd"]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn connectors(&self) -> Vec<ConnectorInfo> {
        self.session.inner.connectors.all()
    }

    /// Connects and checks the connection, before registration or later (CL-02). Nothing is kept.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, connection: ns_core::session::Connection) -> ns_core::Result<()> {
    /// let report = session.clusters().connect_and_check(&connection).await?;
    /// println!("works as {}", report.cloud.user);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for settings or secrets that the connectors do not take, are missing or have the wrong form (CL-08), an `http`
    /// address that is not allowed (SEC-08) and a setting that looks like a secret (SEC-15); those of [`Clusters::check`].
    pub async fn connect_and_check(&self, connection: &Connection) -> Result<ConnectionReport> {
        self.session.may(Area::Clusters, Verb::Create)?;
        let (providers, warnings) = self.connect(connection).await?;
        let report = self.check(&providers).await?;
        Ok(ConnectionReport { warnings, ..report })
    }

    /// Connects to a cluster, registers it when it passes [`Clusters::check`], and keeps the connection, its secrets sealed
    /// (CL-03, CL-22, SEC-02): every engine on the store that has the connectors and the key connects by itself from then on.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use ns_core::sim::{SimClock, SimWorld};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> ns_core::Result<()> {
    /// # let clock = SimClock::new();
    /// # let world = SimWorld::new(Arc::new(clock.clone()), 7);
    /// use ns_core::model::ConnectionSettings;
    /// use ns_core::sealing::{FixedKeys, HostKey, Secrets};
    /// use ns_core::session::{ClusterRequest, Connection, HalfConnection};
    /// use ns_core::{Actor, Engine, store::MemoryStore};
    ///
    /// let connector = Arc::new(world.connector()); // of a real cloud: OpenStackConnector and CephConnector
    /// let engine = Engine::builder(Arc::new(MemoryStore::default()))
    /// #   .clock(Arc::new(clock))
    ///     .cloud_connector(connector.clone())
    ///     .storage_connector(connector)
    ///     .key_source(Arc::new(FixedKeys::new(HostKey::random("2026-a")?)))
    ///     .build()?;
    /// let half = |kind: &str| HalfConnection {
    ///     kind: kind.to_owned(),
    ///     settings: ConnectionSettings::new().with("site", "a"),
    ///     secrets: Secrets::new().with("password", "horse-17"),
    /// };
    /// let connection = Connection { cloud: half("simulated"), storage: half("sim-rbd") };
    /// let request = ClusterRequest { name: "seoul".into(), owner_group_id: "ops".into(), note: String::new() };
    /// let session = engine.session(Actor::admin("anna"));
    /// let cluster = session.clusters().add(request, connection).await?;
    /// assert_eq!(session.clusters().connection(&cluster.id).await?.unwrap().cloud.secrets, ["password"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Clusters::connect_and_check`] and [`Clusters::register`]; `Refused`, `connection.no_keys`, when the engine has no
    /// key source; those of the key source.
    pub async fn add(&self, request: ClusterRequest, connection: Connection) -> Result<Cluster> {
        let act = Act::new(Area::Clusters, Verb::Create, "clusters.add", &request.name);
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let name = self.may_register(&request, &connection.cloud.kind).await?;
                inner.connectors.keys()?;
                let (providers, _) = self.connect(&connection).await?;
                let cluster = self.checked(request, name, &providers).await?;
                let seal = |half: Half, of: &HalfConnection| {
                    inner.seal((&cluster.id, half), &of.kind, &of.settings, &given(&of.secrets))
                };
                let stored = StoredConnection {
                    cloud: seal(Half::Cloud, &connection.cloud)?,
                    storage: seal(Half::Storage, &connection.storage)?,
                };
                let id = cluster.id.as_str();
                let writes = vec![
                    put(kinds::CLUSTER, id, Some(0), &cluster)?,
                    put(kinds::CONNECTION, id, Some(0), &stored)?,
                ];
                inner.records().commit(writes).await?;
                inner.attach_made(&cluster.id, &stored, providers);
                self.synchronise(&cluster.id).await?;
                self.get(&cluster.id).await
            })
            .await
    }

    /// The connection that is kept for a cluster, without its secrets; none when the embedding program gives the providers
    /// itself.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// if let Some(kept) = session.clusters().connection(&id).await? {
    ///     println!("{kept:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a cluster that is not there or not the actor's to see.
    pub async fn connection(&self, id: &ClusterId) -> Result<Option<ConnectionInfo>> {
        self.get(id).await?;
        let found = self
            .session
            .inner
            .records()
            .find::<StoredConnection>(kinds::CONNECTION, id.as_str())
            .await?;
        Ok(found.map(|(stored, _)| stored.info()))
    }

    /// Changes secrets of one half of a cluster (CL-15), and nothing else: connector, address and settings stay, and so does every
    /// secret that is not named. `previous` and `new` name the same secrets. What the half answers with the new ones is checked
    /// (CL-02) before anything is kept; engines on the same store use them within a
    /// [probe interval](crate::Settings::probe_interval).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use ns_core::model::Half;
    /// use ns_core::sealing::Secrets;
    ///
    /// let (previous, new) = (Secrets::new().with("password", "horse-17"), Secrets::new().with("password", "horse-18"));
    /// session.clusters().rotate_credential(&id, Half::Cloud, &previous, &new).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Nothing was changed after any of them. `NotFound`; `Refused`, `connection.not_kept`, when the embedding program gives the
    /// providers; `Invalid`, `connection.rotation`, when both do not name the same secrets, ones that are kept; `Denied`,
    /// `connection.previous`, when a previous one is not the one that is kept; those of [`Clusters::check`] for the new ones;
    /// `Refused`, `connection.other_storage`, when they lead to another storage; `Conflict` when somebody else rotated meanwhile.
    pub async fn rotate_credential(&self, id: &ClusterId, half: Half, previous: &Secrets, new: &Secrets) -> Result<()> {
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.rotate_credential", id);
        self.session.change(act, async {
        let cluster = self.get(id).await?;
        let inner = &self.session.inner;
        let keys = inner.connectors.keys()?;
        let (stored, version) = self.kept(id).await?;
        let kept = stored.half(half);
        let (previous, new) = (given(previous), given(new));
        check_names(kept, &previous, &new)?;
        let mut secrets = kept.open(keys, id, half)?;
        if !previous.are_those_of(&secrets) {
            tracing::warn!(cluster = %id, %half, actor = %self.session.actor.name, "a rotation gave wrong previous secrets");
            let message = "a previous secret is not the one that is kept";
            return Err(Error::new(ErrorKind::Denied, "connection.previous", message)
                .with_field("previous")
                .with("of", half)
                .with_remedy("enter the secret that is in use"));
        }
        for (name, secret) in new.iter() {
            secrets.insert(name, secret.clone());
        }
        self.keep(&cluster, half, (stored, version), &secrets).await?;
        tracing::info!(cluster = %id, %half, actor = %self.session.actor.name, "the secrets were rotated");
        Ok(())
    })
.await
    }

    /// Gives all secrets of one half of a cluster anew when those that are kept can be opened no more: the host's key is lost. What
    /// the half answers with them is checked as for [`rotate_credential`](Self::rotate_credential), and everything else stays.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use ns_core::model::Half;
    /// use ns_core::sealing::Secrets;
    ///
    /// session.clusters().replace_credential(&id, Half::Cloud, &Secrets::new().with("password", "horse-17")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Nothing was changed after any of them. `Denied` for anybody but an Admin; `Refused`, `connection.readable`, while the key is
    /// there; those of the key source but for a key that it does not have; those of [`rotate_credential`](Self::rotate_credential) but for the
    /// ones of previous secrets; `Invalid` with the field for secrets that are missing or unknown.
    pub async fn replace_credential(&self, id: &ClusterId, half: Half, secrets: &Secrets) -> Result<()> {
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.replace_credential", id);
        let replace = async {
            self.only_an_admin("secrets whose key is lost are given anew by an Admin")?;
            let cluster = self.get(id).await?;
            let inner = &self.session.inner;
            let (stored, version) = self.kept(id).await?;
            match stored.half(half).open(inner.connectors.keys()?, id, half) {
                Ok(_) => {
                    let message = "the secrets that are kept can be opened";
                    return Err(Error::new(ErrorKind::Refused, "connection.readable", message)
                        .with("of", half)
                        .with_remedy("change them with rotate_credential, which asks for the previous ones"));
                }
                Err(error) if matches!(error.code(), "sealing.key_unknown" | "sealing.cannot_open") => {
                    tracing::warn!(cluster = %id, %half, %error, "what is kept cannot be opened");
                }
                // A key source that does not answer, or declines, may give the key another time.
                Err(error) => return Err(error),
            }
            self.keep(&cluster, half, (stored, version), &given(secrets)).await?;
            tracing::info!(cluster = %id, %half, actor = %self.session.actor.name, "the secrets were given anew");
            Ok(())
        };
        self.session.change(act, replace).await
    }

    fn only_an_admin(&self, message: &str) -> Result<()> {
        if self.session.sees_everything() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Denied, "access.admin", message)
            .with_field("actor")
            .with_remedy("ask an Admin"))
    }

    /// The connection that is kept of a cluster, and its version.
    async fn kept(&self, id: &ClusterId) -> Result<(StoredConnection, u64)> {
        let records = self.session.inner.records();
        let found = records.find::<StoredConnection>(kinds::CONNECTION, id.as_str());
        found.await?.ok_or_else(not_kept)
    }

    /// Keeps other secrets of one half, once the half has answered well with them, and uses them.
    async fn keep(
        &self,
        cluster: &Cluster,
        half: Half,
        (stored, version): (StoredConnection, u64),
        secrets: &Secrets,
    ) -> Result<()> {
        let (inner, id) = (&self.session.inner, &cluster.id);
        let kept = stored.half(half);
        let (kind, settings) = (&kept.kind, &kept.settings);
        inner.connectors.check(half, kind, settings, secrets)?;
        let mut providers = inner.as_attached(id);
        match half {
            Half::Cloud => {
                let cloud = inner.connect_cloud(kind, settings, secrets).await?;
                self.check_cloud(&cloud).await?;
                providers = providers.map(|p| Providers { cloud, ..p });
            }
            Half::Storage => {
                let storage = inner.connect_storage(kind, settings, secrets).await?;
                let report = self.check_storage(&storage).await?;
                if report.storage_id != cluster.storage_id {
                    return Err(other_storage(cluster, &report.storage_id));
                }
                providers = providers.map(|p| Providers { storage, ..p });
            }
        }
        let rotated = kept.rotated(inner.connectors.keys()?, (id, half), secrets, inner.clock.now())?;
        let stored = stored.with(half, rotated);
        inner
            .records()
            .commit(vec![put(kinds::CONNECTION, id.as_str(), Some(version), &stored)?])
            .await?;
        match providers {
            Some(providers) => inner.attach_made(id, &stored, providers),
            // The other half did not work either: both are tried again.
            None => inner.reconnect().await?,
        }
        Ok(())
    }

    /// Seals every connection with the current key that is sealed with another one (SEC-02, re-keying), one after the other. It
    /// may be called again, and goes on where an earlier call stopped. With no failures, no connection needs the old keys any
    /// more.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, file: ns_core::sealing::KeyFile) -> ns_core::Result<()> {
    /// let new = file.add_key()?;
    /// let done = session.clusters().reseal_connections().await?;
    /// if done.failed.is_empty() {
    ///     file.drop_keys_but(&[new])?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for anybody but an Admin; `Refused`, `connection.no_keys`, without a key source; those of the key source for its
    /// current key; those of the store. What is wrong with one connection is in the answer.
    pub async fn reseal_connections(&self) -> Result<Resealed> {
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.reseal_connections", "");
        self.session
            .change(act, async {
                self.only_an_admin("connections are sealed anew by an Admin")?;
                let inner = &self.session.inner;
                inner.connectors.keys()?.current()?;
                let (mut done, mut after) = (Resealed::default(), None::<String>);
                loop {
                    let page = inner.store.list(kinds::CONNECTION, after.as_deref(), 100).await?;
                    let Some(last) = page.last() else { return Ok(done) };
                    after = Some(last.id.clone());
                    for record in &page {
                        let id = ClusterId::new(&record.id);
                        match self.reseal(&id).await {
                            Ok(true) => done.resealed += 1,
                            Ok(false) => done.current += 1,
                            Err(error)
                                if error.kind() == ErrorKind::NotFound && error.code() != "sealing.key_unknown" => {}
                            Err(error) => done.failed.push((id, error.to_record())),
                        }
                    }
                }
            })
            .await
    }

    /// Whether there was something to do.
    async fn reseal(&self, id: &ClusterId) -> Result<bool> {
        let inner = &self.session.inner;
        let keys = inner.connectors.keys()?;
        let is_current = |stored: &StoredConnection| -> Result<bool> {
            Ok(stored.cloud.sealed.is_current(keys)? && stored.storage.sealed.is_current(keys)?)
        };
        loop {
            let (stored, version) = inner
                .records()
                .existing::<StoredConnection>(kinds::CONNECTION, id.as_str())
                .await?;
            if is_current(&stored)? {
                return Ok(false);
            }
            let mut anew = stored.clone();
            for half in [Half::Cloud, Half::Storage] {
                anew = anew.with(half, stored.half(half).resealed(keys, id, half)?);
            }
            let write = put(kinds::CONNECTION, id.as_str(), Some(version), &anew)?;
            match inner.records().commit(vec![write]).await {
                // Somebody rotated, or seals too.
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                result => return result.map(|()| true),
            }
        }
    }

    /// The providers of a connection that is not kept yet, and what to tell the operator of its settings.
    async fn connect(&self, connection: &Connection) -> Result<(Providers, Vec<Warning>)> {
        let inner = &self.session.inner;
        let (cloud, storage) = (&connection.cloud, &connection.storage);
        let (cloud_secrets, storage_secrets) = (given(&cloud.secrets), given(&storage.secrets));
        let check = |half, of: &HalfConnection, secrets| inner.connectors.check(half, &of.kind, &of.settings, secrets);
        let mut warnings = check(Half::Cloud, cloud, &cloud_secrets)?;
        warnings.extend(check(Half::Storage, storage, &storage_secrets)?);
        let providers = Providers {
            cloud: inner
                .connect_cloud(&cloud.kind, &cloud.settings, &cloud_secrets)
                .await?,
            storage: inner
                .connect_storage(&storage.kind, &storage.settings, &storage_secrets)
                .await?,
        };
        Ok((providers, warnings))
    }
}

fn not_kept() -> Error {
    let message = "the engine keeps no connection of this cluster: the program that embeds it does";
    Error::new(ErrorKind::Refused, "connection.not_kept", message)
        .with_field("cluster_id")
        .with_remedy("change the secret there, and give new providers with Engine::attach")
}

fn other_storage(cluster: &Cluster, found: &str) -> Error {
    let message = "with the new secrets another storage answers";
    Error::new(ErrorKind::Refused, "connection.other_storage", message)
        .with_field("new")
        .with("registered", &cluster.storage_id)
        .with("found", found)
        .with_remedy("give secrets of the same storage; for another one, register another cluster")
}

/// A rotation replaces secrets that are kept, each given as it was and as it is to be.
fn check_names(kept: &StoredHalf, previous: &Secrets, new: &Secrets) -> Result<()> {
    let names = |secrets: &Secrets| secrets.names().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (names(previous), names(new));
    let all_kept = after.iter().all(|name| kept.secret_names.contains(name));
    if !after.is_empty() && before == after && all_kept {
        return Ok(());
    }
    let message = "previous and new do not name the same secrets, ones that are kept";
    Err(Error::new(ErrorKind::Invalid, "connection.rotation", message)
        .with_field(if before.is_empty() { "previous" } else { "new" })
        .with("kept", kept.secret_names.join(","))
        .with_remedy("give each secret that is to change as it was and as it is to be"))
}
