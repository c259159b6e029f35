//! What is known of the storage behind a volume type of a cluster (CL-16, OPEN-14).

use super::{ClusterId, ReplicationMode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the key of a storage user is: a reference, never the key (SEC-15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kept_in")]
pub enum KeyReference {
    /// In the sealed connection of the cluster's storage.
    Connection {
        /// The secret's name there.
        secret: String,
    },
    /// With the host: a keyring file, an entry of its vault.
    Host {
        /// What the host calls it.
        name: String,
    },
}

/// The storage behind one volume type of a cluster, as it was entered and verified (CL-16, OPEN-14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMetadata {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The volume type, by name.
    pub volume_type: String,
    /// The kind of storage, e.g. `ceph-rbd`.
    pub storage_kind: String,
    /// The storage's own identity (Ceph: the fsid).
    pub storage_id: String,
    /// Where its monitors answer; none where nobody said so: a provider that was made by the embedding program does not tell.
    pub mon_hosts: Option<Vec<String>>,
    /// The pool of the type's volumes.
    pub pool: String,
    /// As whom the storage is used; none where nobody said so.
    pub client: Option<String>,
    /// Where that user's key is; none where nobody said so.
    pub keyring: Option<KeyReference>,
    /// How volumes of the type are mirrored.
    pub mode: ReplicationMode,
    /// The cluster whose storage was found to be the peer of this one; none when no pair was named.
    pub paired_with: Option<ClusterId>,
    /// When all this was verified against the storage.
    pub verified_at: Timestamp,
}
