//! Recovery points: moments to which a group can be brought back.

use super::{CloudId, GroupId, Inventory, JobId, PlanId, PointId, RecoveryPlan, ReplicationId, StorageRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the volumes of a point agree with each other (REP-13, OPEN-39).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Consistency {
    /// The guests' file systems were frozen.
    Application,
    /// All writers were stopped or paused.
    Crash,
    /// Volumes were snapshotted one after the other; `skew_ms` lies between the first and the last.
    Ordered {
        /// Milliseconds between the first and the last snapshot.
        skew_ms: u64,
    },
}

/// One volume's part of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointVolume {
    /// The Source volume.
    pub volume_id: CloudId,
    /// The identity both sides share.
    pub replication_id: ReplicationId,
    /// Name of the user snapshot on either side.
    pub snapshot: String,
    /// The copy-on-write clone on the Target that keeps this part even when the Source deletes its volume (the vault).
    pub vault: StorageRef,
}

/// A recovery point. It exists only once every part of it is proven to be on the Target (REP-15): a record of this
/// type is written last, so whatever a caller can choose can be recovered without the Source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// Our id.
    pub id: PointId,
    /// Of which group.
    pub group_id: GroupId,
    /// Made under which plan.
    pub plan_id: PlanId,
    /// The job that made it; the tokens of its vault clones come from it.
    pub job_id: JobId,
    /// When the first snapshot was taken: no later write is in it for certain, every earlier one is.
    pub taken_at: Timestamp,
    /// When it was complete on the Target.
    pub complete_at: Timestamp,
    /// How the volumes agree.
    pub consistency: Consistency,
    /// The volumes.
    pub volumes: BTreeMap<CloudId, PointVolume>,
    /// The plan as it was (REP-09, REP-10).
    pub plan: RecoveryPlan,
    /// The group's part of the Source inventory as it was: instances, volumes, networks, rules.
    pub inventory: Inventory,
    /// The digests of all this, looked at again before a job takes the point.
    pub manifest: Manifest,
    /// What the volumes held in the vault when they were read last (`points().verify`); empty until then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contents: BTreeMap<CloudId, PointContent>,
}

/// What a volume of a recovery point held when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointContent {
    /// How much it is, in bytes.
    pub bytes: u64,
    /// Its digest (SHA-256, hexadecimal).
    pub sha256: String,
    /// When it was read.
    pub read_at: Timestamp,
}

/// What a recovery point is made of, by digest (SHA-256, hexadecimal).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The digest of each part: `plan`, `inventory`, `times`, and `volume/ID` for each volume.
    pub parts: BTreeMap<String, String>,
    /// The digest over all of them, which names the point's content.
    pub digest: String,
}
