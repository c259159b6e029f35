//! What happened on a cluster: the same shape whether the cloud told of it or a synchronisation found it (EVT-14).

use super::{CloudId, ClusterId, Resource, ResourceKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It was made.
    Added,
    /// It was changed.
    Changed,
    /// It was removed.
    Removed,
    /// An image of the storage became a volume (EVT-08); only the cloud can tell that from `Added`.
    Managed,
    /// A volume was let go of, its image stays (EVT-08); only the cloud can tell that from `Removed`.
    Unmanaged,
    /// A volume got another size (EVT-09).
    Resized,
    /// The state of a snapshot was set by hand (EVT-11); only the cloud can tell that from `Changed`.
    StatusReset,
}

/// How the engine came to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// A synchronisation found it.
    Synchronised,
    /// The cloud told of it, and what is there was read then.
    Told,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum ClusterChange {
    /// The cluster answers again (EVT-01).
    Connected,
    /// The cluster does not answer any more (EVT-01).
    Disconnected,
    /// So much changed at once that it is not told thing by thing, as with the first synchronisation: read the inventory anew.
    Reread,
    /// One thing (EVT-02 … EVT-11).
    Resource {
        /// Its kind.
        kind: ResourceKind,
        /// Its id in the cloud.
        id: CloudId,
        /// Its name; the last one it had when it was removed.
        name: String,
        /// What happened to it.
        happened: Happened,
        /// Which of its fields changed, by their names in its JSON form; empty unless it was there before and after.
        fields: Vec<String>,
        /// How the engine came to know.
        learned: Learned,
        /// What it is now; none when it was removed.
        resource: Option<Box<Resource>>,
    },
}

/// One event of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterEvent {
    /// Which cluster.
    pub cluster_id: ClusterId,
    /// Counts up from 1 within the cluster, without gaps: to go on reading where one stopped.
    pub position: u64,
    /// When the engine knew.
    pub at: Timestamp,
    /// What changed.
    pub change: ClusterChange,
}
