//! Metadata of the storage behind volume types: proposed, verified on entry, read (CL-16, OPEN-14).

use super::audit::Act;
use super::clusters::Clusters;
use super::plans::is_peer;
use crate::engine::{StoredConnection, kinds, put, remove};
use crate::model::{Cluster, ClusterId, KeyReference, ReplicationMode, StorageRef, Volume, VolumeMetadata};
use crate::provider::StorageReport;
use crate::rules::{Area, Verb};
use crate::sealing::looks_like_a_secret;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What an operator enters for a volume type (CL-16). [`Clusters::propose_volume_metadata`] fills in what is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeMetadataRequest {
    /// The volume type, by name.
    pub volume_type: String,
    /// The kind of storage.
    pub storage_kind: String,
    /// The storage's own identity (Ceph: the fsid).
    pub storage_id: String,
    /// Where its monitors answer, if that is to be kept.
    pub mon_hosts: Option<Vec<String>>,
    /// The pool of the type's volumes.
    pub pool: String,
    /// As whom the storage is used, if that is to be kept.
    pub client: Option<String>,
    /// Where that user's key is, if that is to be kept; never the key.
    pub keyring: Option<KeyReference>,
    /// How volumes of the type are mirrored.
    pub mode: ReplicationMode,
    /// The other cluster of the pair, once it is registered: both storages must be peers then.
    pub peer: Option<ClusterId>,
}

/// The document of a volume type's metadata.
pub(super) fn metadata_id(cluster: &ClusterId, volume_type: &str) -> String {
    format!("{cluster}/{volume_type}")
}

fn refused(code: &str, field: &str, message: String) -> Error {
    Error::new(ErrorKind::Refused, code, message).with_field(field)
}

impl Clusters<'_> {
    /// What can be entered for the volume types of a cluster, as far as its storage, its inventory and its connection tell; a type
    /// whose pool nobody can tell is left out. No peer is proposed.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// for proposed in session.clusters().propose_volume_metadata(&id).await? {
    ///     session.clusters().enter_volume_metadata(&id, proposed).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster or one without inventory; those of [`Clusters::check`] for its storage.
    pub async fn propose_volume_metadata(&self, id: &ClusterId) -> Result<Vec<VolumeMetadataRequest>> {
        self.get(id).await?;
        let inner = &self.session.inner;
        let storage = inner.providers(id)?.storage;
        let report = self.check_storage(&storage).await?;
        let inventory = inner.inventory(id).await?;
        let stored = inner
            .records()
            .find::<StoredConnection>(kinds::CONNECTION, id.as_str())
            .await?;
        let access = stored.map(|(stored, _)| inner.connectors.access(&stored.storage));
        let access = access.unwrap_or_default();
        let modes = storage.capabilities().modes;
        let mode = match modes.contains(&ReplicationMode::Snapshot) {
            true => Some(ReplicationMode::Snapshot),
            false => modes.first().copied(),
        };
        let proposal = |volume_type: &str| {
            Some(VolumeMetadataRequest {
                volume_type: volume_type.to_owned(),
                storage_kind: storage.kind().to_owned(),
                storage_id: report.storage_id.clone(),
                mon_hosts: access.mon_hosts.clone(),
                pool: pool_of(volume_type, inventory.volumes.values(), &report)?,
                client: access.client.clone(),
                keyring: access.key.clone().map(|secret| KeyReference::Connection { secret }),
                mode: mode?,
                peer: None,
            })
        };
        let types = inventory.volume_types.values().map(|t| t.name.as_str());
        Ok(types.filter_map(proposal).collect())
    }

    /// Enters metadata of a volume type, in the place of what was entered before, once it was verified against the storage
    /// (CL-16): kind and identity are the storage's, the pool mirrors, the mode is one it has, and the storage of `peer`, if one is
    /// named, is its peer and mirrors the same pool.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, source: ns_core::model::ClusterId, target: ns_core::model::ClusterId)
    /// #     -> ns_core::Result<()> {
    /// let clusters = session.clusters();
    /// for mut entry in clusters.propose_volume_metadata(&source).await? {
    ///     entry.peer = Some(target.clone());
    ///     clusters.enter_volume_metadata(&source, entry).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster; `Invalid`, `metadata.volume_type`, for a type it does not have, `metadata.secret` for a
    /// text that looks like a secret (SEC-15), `metadata.secret_name` for a secret that its connection does not have; `Refused`,
    /// `metadata.storage_kind`, `metadata.storage_id`, `metadata.pool`, `metadata.mode`, `metadata.peer`, for what the storage says
    /// otherwise; those of [`Clusters::check`] for either storage.
    pub async fn enter_volume_metadata(
        &self,
        id: &ClusterId,
        request: VolumeMetadataRequest,
    ) -> Result<VolumeMetadata> {
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.enter_volume_metadata", id);
        self.session
            .change(act, async {
                let cluster = self.get(id).await?;
                let inner = &self.session.inner;
                check_texts(&request)?;
                let inventory = inner.inventory(id).await?;
                if !inventory.volume_types.values().any(|t| t.name == request.volume_type) {
                    let message = format!("the cluster has no volume type {}", request.volume_type);
                    return Err(Error::new(ErrorKind::Invalid, "metadata.volume_type", message)
                        .with_field("volume_type")
                        .with_remedy("use one of the cluster's, or synchronise it first"));
                }
                self.check_secret_name(id, request.keyring.as_ref()).await?;
                let storage = inner.providers(id)?.storage;
                let report = self.check_storage(&storage).await?;
                check_storage_says(&request, storage.kind(), &storage.capabilities().modes, &report)?;
                if let Some(peer) = &request.peer {
                    self.check_peer(&cluster, peer, &request.pool, &report).await?;
                }
                let metadata = VolumeMetadata {
                    cluster_id: cluster.id,
                    volume_type: request.volume_type,
                    storage_kind: request.storage_kind,
                    storage_id: request.storage_id,
                    mon_hosts: request.mon_hosts,
                    pool: request.pool,
                    client: request.client,
                    keyring: request.keyring,
                    mode: request.mode,
                    paired_with: request.peer,
                    verified_at: inner.clock.now(),
                };
                let document = metadata_id(id, &metadata.volume_type);
                inner
                    .records()
                    .commit(vec![put(kinds::VOLUME_METADATA, &document, None, &metadata)?])
                    .await?;
                Ok(metadata)
            })
            .await
    }

    /// What was entered for the volume types of a cluster (CL-16), in the order of their names.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// for entered in session.clusters().volume_metadata(&id).await? {
    ///     println!("{entered:?}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster.
    pub async fn volume_metadata(&self, id: &ClusterId) -> Result<Vec<VolumeMetadata>> {
        self.get(id).await?;
        self.stored_metadata(id).await
    }

    /// Forgets what was entered for a volume type; `Ok` when there was nothing.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// session.clusters().remove_volume_metadata(&id, "ceph").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster.
    pub async fn remove_volume_metadata(&self, id: &ClusterId, volume_type: &str) -> Result<()> {
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.remove_volume_metadata", id);
        self.session
            .change(act, async {
                self.get(id).await?;
                let write = remove(kinds::VOLUME_METADATA, &metadata_id(id, volume_type));
                self.session.inner.records().commit(vec![write]).await
            })
            .await
    }

    pub(super) async fn stored_metadata(&self, id: &ClusterId) -> Result<Vec<VolumeMetadata>> {
        let ours = |m: &VolumeMetadata| &m.cluster_id == id;
        self.session.inner.records().all(kinds::VOLUME_METADATA, ours).await
    }

    async fn check_secret_name(&self, id: &ClusterId, keyring: Option<&KeyReference>) -> Result<()> {
        let Some(KeyReference::Connection { secret }) = keyring else {
            return Ok(());
        };
        let connection = self.connection(id).await?;
        if connection.is_some_and(|c| c.storage.secrets.contains(secret)) {
            return Ok(());
        }
        let message = "the connection of the storage keeps no secret of this name";
        Err(Error::new(ErrorKind::Invalid, "metadata.secret_name", message)
            .with_field("keyring")
            .with_remedy("name one that it keeps, or say what the host calls its own"))
    }

    /// The pairing test (CL-16).
    async fn check_peer(&self, cluster: &Cluster, peer: &ClusterId, pool: &str, here: &StorageReport) -> Result<()> {
        let other = self.get(peer).await.map_err(|e| e.with_field("peer"))?;
        let refuse = |message: String| {
            refused("metadata.peer", "peer", message)
                .with("cluster", &cluster.id)
                .with("peer", peer)
                .with_remedy("pair both storages, and mirror the pool on both sides")
        };
        if other.id == cluster.id {
            return Err(refuse("a cluster is no peer of itself".to_owned()));
        }
        let there = self.check_storage(&self.session.inner.providers(peer)?.storage).await?;
        if !is_peer(here, &there) && !is_peer(&there, here) {
            return Err(refuse(format!(
                "the storages of {} and {} are not paired",
                cluster.name, other.name
            )));
        }
        if !there.pools.iter().any(|p| p == pool) {
            return Err(refuse(format!(
                "the storage of {} does not mirror the pool {pool}",
                other.name
            )));
        }
        Ok(())
    }
}

/// The pool of a type's volumes: the one that all of them lie in, or, when there are none, the only one of the storage.
fn pool_of<'a>(volume_type: &str, volumes: impl Iterator<Item = &'a Volume>, report: &StorageReport) -> Option<String> {
    let pools: BTreeSet<&str> = volumes
        .filter(|volume| volume.volume_type == volume_type)
        .filter_map(|volume| volume.storage.as_ref().and_then(StorageRef::pool))
        .collect();
    let known: Vec<&str> = match pools.is_empty() {
        true => report.pools.iter().map(String::as_str).collect(),
        false => pools.into_iter().collect(),
    };
    match known[..] {
        [pool] => Some(pool.to_owned()),
        _ => None,
    }
}

/// Everybody who sees the cluster reads all of it.
fn check_texts(request: &VolumeMetadataRequest) -> Result<()> {
    let host = match &request.keyring {
        Some(KeyReference::Host { name } | KeyReference::Connection { secret: name }) => Some(name),
        None => None,
    };
    let texts = request
        .mon_hosts
        .iter()
        .flatten()
        .map(|text| ("mon_hosts", text))
        .chain(request.client.iter().map(|text| ("client", text)))
        .chain(host.map(|text| ("keyring", text)));
    for (field, text) in texts {
        if looks_like_a_secret(text) {
            let message = format!("{field} looks as if a key or a password stood in it");
            return Err(Error::new(ErrorKind::Invalid, "metadata.secret", message)
                .with_field(field)
                .with_remedy("give a reference to the key: secrets belong to the connection, where they are sealed"));
        }
    }
    Ok(())
}

fn check_storage_says(
    request: &VolumeMetadataRequest,
    kind: &str,
    modes: &[ReplicationMode],
    report: &StorageReport,
) -> Result<()> {
    if request.storage_kind != kind {
        let message = format!("the storage is of the kind {kind}");
        return Err(refused("metadata.storage_kind", "storage_kind", message).with_remedy("enter this kind"));
    }
    if request.storage_id != report.storage_id {
        let message = format!("the storage calls itself {}", report.storage_id);
        return Err(refused("metadata.storage_id", "storage_id", message)
            .with_remedy("enter this identity, or look whether it is the storage that you mean"));
    }
    if !report.pools.contains(&request.pool) {
        let message = format!("the storage does not mirror the pool {}", request.pool);
        return Err(refused("metadata.pool", "pool", message)
            .with("pools", report.pools.join(","))
            .with_remedy("enter a pool that mirrors, or enable mirroring on it"));
    }
    if !modes.contains(&request.mode) {
        let message = "the storage does not mirror in this mode".to_owned();
        return Err(refused("metadata.mode", "mode", message).with_remedy("choose a mode that it has"));
    }
    Ok(())
}
