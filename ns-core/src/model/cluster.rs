//! A registered cloud with its storage.

use super::{ClusterId, OwnerGroupId};
use crate::ErrorRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether the cluster answers (CL-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// Connected.
    Active,
    /// The connection is lost.
    Inactive,
}

/// How far inventory synchronisation is (CL-12, OPEN-12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SyncState {
    /// Right after registration.
    Init,
    /// Synchronising.
    Running {
        /// When the inventory was complete last; none the first time. What was complete stays good meanwhile.
        #[serde(default)]
        complete_at: Option<Timestamp>,
    },
    /// The inventory is complete.
    Done {
        /// When it was completed.
        at: Timestamp,
    },
    /// The last attempt failed; the last good inventory is kept.
    Failed {
        /// Why.
        reason: String,
        /// When the inventory was complete last; none when it never was.
        #[serde(default)]
        complete_at: Option<Timestamp>,
    },
}

impl SyncState {
    /// When the inventory was complete last; none when it never was.
    #[must_use]
    pub const fn complete_at(&self) -> Option<Timestamp> {
        match self {
            Self::Init => None,
            Self::Done { at } => Some(*at),
            Self::Running { complete_at } | Self::Failed { complete_at, .. } => *complete_at,
        }
    }
}

/// One registered cloud together with the storage its volumes live on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Our id.
    pub id: ClusterId,
    /// Unique name (CL-04, CL-05).
    pub name: String,
    /// Who owns it (CL-07).
    pub owner_group_id: OwnerGroupId,
    /// Free text.
    pub note: String,
    /// What kind of cloud, as its provider names it, e.g. `openstack`.
    pub platform: String,
    /// What kind of storage, as its provider names it, e.g. `ceph-rbd`. Both sides of a plan must agree (PLAN-20).
    pub storage_kind: String,
    /// The storage's own identity (Ceph: the fsid), so that a cluster is not paired with itself.
    pub storage_id: String,
    /// Whether it answers.
    pub connection: ConnectionState,
    /// Why it does not answer (CL-11); none while it does, and where nobody has found out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_because: Option<ErrorRecord>,
    /// How far inventory synchronisation is.
    pub sync: SyncState,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When its name or note was changed last; none when they never were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
}
