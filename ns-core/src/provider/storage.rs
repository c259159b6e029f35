//! The port of a replicated storage: one instance stands for one side (one Ceph cluster).

use super::Token;
use crate::Result;
use crate::model::{ReplicationId, ReplicationMode, StorageRef};
use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// What a storage provider can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageCapabilities {
    /// How it can replicate.
    pub modes: Vec<ReplicationMode>,
    /// A replica can be cloned from a replicated snapshot without promoting it: drills need it.
    pub clone_replica: bool,
}

impl StorageCapabilities {
    /// A provider with these.
    #[must_use]
    pub const fn new(modes: Vec<ReplicationMode>, clone_replica: bool) -> Self {
        Self { modes, clone_replica }
    }
}

/// What a connection check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReport {
    /// The storage's own identity (Ceph: the fsid).
    pub storage_id: String,
    /// The name this side has for its peers.
    pub site_name: String,
    /// Pools that can replicate, as [`StorageRef::pool`] names them. A replica lies in the pool of the same name.
    pub pools: Vec<String>,
    /// How many more bytes pools take, where the storage tells (LIM-03).
    #[serde(default)]
    pub free_bytes: BTreeMap<String, u64>,
    /// Identities or site names of the peers of every pool.
    pub peers: Vec<String>,
    /// Whether the replication service of this side works.
    pub replication_healthy: bool,
    /// Rights that replication needs and the user lacks; empty is good.
    pub missing_rights: Vec<String>,
    /// Things to tell the operator, e.g. that deletions at the source are followed at once.
    pub warnings: Vec<String>,
}

/// The side of a replicated image, as its own storage says now (never from a cached status).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writable; the source of replication.
    Primary,
    /// Read only; a replica, or a demoted primary.
    Secondary,
    /// Not replicated; writable.
    Unreplicated,
}

/// What a storage knows of one image for certain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageState {
    /// The image.
    pub storage: StorageRef,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Its side.
    pub role: Role,
    /// How it replicates, if it does.
    pub replication: Option<(ReplicationId, ReplicationMode)>,
    /// The image it is a clone of.
    pub parent: Option<StorageRef>,
    /// Key-value pairs kept with the image.
    pub metadata: BTreeMap<String, String>,
}

/// What a storage reports of replication. May be stale: judge by `reported_at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationStatus {
    /// The side, read now.
    pub role: Role,
    /// What goes on.
    pub phase: ReplicationPhase,
    /// The time whose writes are on this side for certain; on a primary now. None before the first copy is complete, or
    /// where the mode cannot tell.
    pub synced_to: Option<Timestamp>,
    /// When the replication service reported last; none if never.
    pub reported_at: Option<Timestamp>,
    /// Bytes that were written and had not arrived when the service reported last; what was written since is not in it. None
    /// where the service does not count them: an invented number is worse than none.
    #[serde(default)]
    pub bytes_behind: Option<u64>,
    /// The service's own words.
    pub description: String,
}

/// What goes on between an image and its peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum ReplicationPhase {
    /// The first full copy runs.
    InitialCopy {
        /// 0 to 100, where known.
        percent: Option<u8>,
    },
    /// A complete copy is kept up to date.
    Replicating,
    /// This side is primary.
    Primary,
    /// Both sides are demoted; nobody writes.
    Demoted,
    /// Both sides were primary and have different writes.
    SplitBrain,
    /// The service reports another error.
    Error,
    /// Nothing is known.
    Unknown,
}

/// A point in the stream of writes of an image, made on the primary and proved on the replica with
/// [`StorageProvider::arrived`]. Opaque text of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(String);

impl Mark {
    /// Wraps the provider's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The provider's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An operator's recorded decision, without which nothing that can lose data is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Identifies the journal entry that holds it.
    pub id: String,
    /// Who decided.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// A user snapshot of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Name, unique within the image.
    pub name: String,
    /// When it was made, to the second.
    pub taken_at: Timestamp,
    /// Size of the image then, in bytes.
    pub size_bytes: u64,
}

/// What an image holds, or held at a snapshot, from its first byte to its last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// How much it is, in bytes; holes count as zeros.
    pub bytes: u64,
    /// Its digest (SHA-256, hexadecimal): equal on both sides exactly when the content is. Only digests of one kind of storage
    /// can be compared.
    pub sha256: String,
}

/// A secret with which one side accepts the other as its peer.
#[derive(Debug, Clone)]
pub struct PairingOffer {
    /// The site that made it.
    pub site_name: String,
    /// The secret itself.
    pub secret: SecretString,
}

/// One side of a replicated storage. See [`crate::provider`] for what holds for every method.
#[async_trait]
pub trait StorageProvider: Debug + Send + Sync {
    /// The kind of storage, e.g. `ceph-rbd`. Both sides of a plan must be of one kind (PLAN-20).
    fn kind(&self) -> &'static str;

    /// What this provider can do.
    fn capabilities(&self) -> StorageCapabilities;

    /// Checks connection, rights, pools, peers and the replication service.
    async fn check(&self) -> Result<StorageReport>;

    /// Makes a secret that lets another side become the peer of this one (REP-01).
    async fn offer_pairing(&self) -> Result<PairingOffer>;

    /// Becomes the peer of the side that made the offer, both ways. `Ok` when it is already.
    ///
    /// # Errors
    /// `Conflict` when another peer is there; `Rejected` for an offer of this very side or one that cannot be read.
    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()>;

    /// What is certain about an image; none when it does not exist.
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>>;

    /// The image on this side with this replication identity, whatever its name is now.
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>>;

    /// Begins to replicate an image (REP-03).
    ///
    /// # Errors
    /// `Refused` for a clone of an image that is not replicated: flatten it first. `Conflict` when it replicates in the
    /// other mode.
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId>;

    /// Ends replication of a primary (REP-05); the peer's replica goes away by itself, which the caller proves with
    /// [`StorageProvider::find_replica`] there. `Ok` when it does not replicate or does not exist.
    ///
    /// # Errors
    /// `Refused` on a secondary.
    async fn disable_replication(&self, image: &StorageRef) -> Result<()>;

    /// What replication reports of an image; on a secondary this is where `synced_to` tells the age of its data.
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus>;

    /// Takes a user snapshot of a primary. `Ok` with the existing one when the name is taken.
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo>;

    /// The user snapshots of an image on this side, oldest first.
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>>;

    /// Reads all that an image held at a user snapshot. This moves as much data as the image is large. **Cancellation**: dropping
    /// the future ends the reading.
    ///
    /// # Errors
    /// `NotFound` when the image or the snapshot is not there.
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content>;

    /// Removes a user snapshot of a primary or of an image of this side's own. `Ok` when it is gone.
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()>;

    /// Sends everything written so far, and the named user snapshot, towards the replica. The mark covers both.
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark>;

    /// Whether the replica on this side holds everything that the mark covers, proved from snapshot facts or replay
    /// positions, not from health words.
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool>;

    /// Makes a primary read only. The mark covers all its writes and the demotion itself. Calling again on the demoted
    /// image gives a mark that covers the same.
    ///
    /// # Errors
    /// `Refused` for an image that is a replica of a living primary.
    async fn demote(&self, image: &StorageRef) -> Result<Mark>;

    /// Makes a replica writable after a planned hand-over. `demotion` is the peer's mark; it is checked again here.
    /// `Ok` when the image is primary already.
    ///
    /// # Errors
    /// `Refused` while the demotion has not arrived.
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()>;

    /// Makes a replica writable although the peer may still be primary. Writes that have not arrived are lost; the peer must
    /// be kept read only from now on. `Ok` when the image is primary already.
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()>;

    /// Throws away this side's copy and copies everything from the peer again. Only for a secondary whose writes are
    /// decided to be lost. `Ok` as soon as the copy is requested; [`StorageProvider::status`] tells the rest. While it runs
    /// the image may not exist.
    ///
    /// # Errors
    /// `Refused` on a primary.
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()>;

    /// Makes a copy-on-write clone of a user snapshot, beside its parent, named by the token and marked with it. The
    /// parent's replication is not touched.
    ///
    /// # Errors
    /// `NotFound` when the snapshot is not there.
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef>;

    /// Finds the image made with this token, whatever its name is now.
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>>;

    /// Makes an image independent of its parent. `Ok` when it has none.
    async fn flatten(&self, image: &StorageRef) -> Result<()>;

    /// Removes an image that was made with this token, with its user snapshots. `Ok` when it is gone.
    ///
    /// # Errors
    /// `Refused` when the image does not carry the token, or replicates. `Conflict` while it is in use or has clones.
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()>;

    /// Gives a writable image another name on this side. `Ok` when it has it already.
    ///
    /// # Errors
    /// `Conflict` when another image has the name.
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()>;

    /// Keeps a key-value pair with a writable image; none removes the key.
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()>;
}

/// A shared storage provider.
pub type Storage = Arc<dyn StorageProvider>;
