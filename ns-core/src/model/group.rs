//! Protection groups: instances that are protected and recovered together.

use super::{CloudId, ClusterId, GroupId, OwnerGroupId, SnapshotInterval};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A set of instances of the Source cluster that are protected together (PG-01, PG-13).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionGroup {
    /// Our id.
    pub id: GroupId,
    /// Name, unique within the owner group (PG-06, OPEN-06).
    pub name: String,
    /// Free text.
    pub description: String,
    /// Who owns it.
    pub owner_group_id: OwnerGroupId,
    /// Where the instances run.
    pub source_cluster: ClusterId,
    /// The members.
    pub instances: Vec<CloudId>,
    /// Recovery point objective in minutes (OPEN-07).
    pub rpo_minutes: u32,
    /// Recovery time objective in minutes (OPEN-07).
    pub rto_minutes: u32,
    /// How often a recovery point is made; none means by hand only (REP-12, OPEN-08).
    #[serde(
        default,
        alias = "snapshot_interval_minutes",
        deserialize_with = "SnapshotInterval::stored"
    )]
    pub snapshot_interval: Option<SnapshotInterval>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// A group that misses its recovery point objective (OPEN-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpoBreach {
    /// What was written after this was not on the Target when the breach was seen.
    pub kept_to: Timestamp,
    /// When it was seen.
    pub seen_at: Timestamp,
}
