//! Recovery plans: how a protection group maps onto the Target cluster, and in which order it boots.

use super::{CloudId, ClusterId, GroupId, Home, PlanId, ReadinessCheck, ReplicationId, StorageRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How replication ships data (REP-04).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationMode {
    /// Point by point: what was written since the last mirror snapshot is not on the Target yet.
    Snapshot,
    /// Write by write.
    Journal,
}

/// What to do with a volume whose image is a clone of another image (a Glance image): mirroring needs the parent too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentPolicy {
    /// Copy the parent's data into the volume's image on the Source, once (PLAN-14, REP-14).
    Flatten,
    /// Refuse such volumes: nothing on the Source is changed.
    Refuse,
}

/// Whether and how an instance is started after recovery (PLAN-06).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceMapping {
    /// Started after recovery, or recovered and left stopped.
    pub boot: bool,
    /// Instances that must be up before this one is made (PLAN-07, OPEN-16). No cycles.
    #[serde(default)]
    pub boot_after: BTreeSet<CloudId>,
    /// Seconds to wait after the last of `boot_after` is up, and ready.
    #[serde(default)]
    pub boot_delay_seconds: u32,
    /// When this instance is ready: whatever boots after it waits for that. None: as soon as it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<ReadinessCheck>,
    /// Target compute node; none lets the cloud's scheduler choose (PLAN-12).
    #[serde(default)]
    pub host: Option<String>,
    /// Target availability zone for this instance; none takes the plan's mapping of zones.
    #[serde(default)]
    pub availability_zone: Option<String>,
    /// Target flavour name; none matches by size and creates one if none fits (OPEN-15).
    #[serde(default)]
    pub flavor: Option<String>,
}

impl Default for InstanceMapping {
    fn default() -> Self {
        Self {
            boot: true,
            boot_after: BTreeSet::new(),
            boot_delay_seconds: 0,
            ready: None,
            host: None,
            availability_zone: None,
            flavor: None,
        }
    }
}

/// Which Target thing stands for which Source thing (PLAN-08 … PLAN-12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceMapping {
    /// Name of the tenant that a failover creates on the Target; a drill adds a suffix.
    pub tenant_name: String,
    /// Target zone by Source zone.
    pub availability_zones: BTreeMap<String, String>,
    /// Target volume type by Source volume type (names).
    pub volume_types: BTreeMap<String, String>,
    /// Target external network (id) by Source external network (id).
    pub external_networks: BTreeMap<CloudId, CloudId>,
    /// Target floating address by Source floating address; those not named get any free address at failover.
    #[serde(default)]
    pub floating_ips: BTreeMap<String, String>,
    /// Per instance.
    pub instances: BTreeMap<CloudId, InstanceMapping>,
}

/// A volume of the plan as it is replicated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicatedVolume {
    /// The Source volume.
    pub volume_id: CloudId,
    /// Where the Source volume's bytes live.
    pub source: StorageRef,
    /// The identity both sides share.
    pub replication_id: ReplicationId,
    /// Where the replica lives on the Target.
    pub target: StorageRef,
}

/// A volume that left a plan's group while its replica is still there (PG-17, PLAN-93).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingVolume {
    /// As it was replicated.
    pub volume: ReplicatedVolume,
    /// Nobody took it out: the Source has it no more, or it was detached there. By mistake or by ransom, perhaps: the newest
    /// recovery point that holds it is kept, whatever the retention count says, until the plan is updated by hand.
    pub vanished: bool,
    /// Its replica is being removed: no recovery point needs it.
    pub releasing: bool,
}

/// A recovery plan (PLAN-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPlan {
    /// Our id.
    pub id: PlanId,
    /// Name (PLAN-04).
    pub name: String,
    /// The group it recovers; one plan per group (PLAN-21).
    pub group_id: GroupId,
    /// Where it recovers to; never the group's own cluster (OPEN-29).
    pub target_cluster: ClusterId,
    /// How many recovery points are kept: 1 to 48 (PLAN-05).
    pub snapshot_retention: u32,
    /// How volumes are replicated.
    pub replication_mode: ReplicationMode,
    /// What to do with cloned volumes.
    pub parent_policy: ParentPolicy,
    /// The mapping.
    pub mapping: ResourceMapping,
    /// Replicated volumes by Source volume; filled by the initial mirroring (PLAN-14).
    pub volumes: BTreeMap<CloudId, ReplicatedVolume>,
    /// Volumes that left the group and whose replicas are still there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaving: BTreeMap<CloudId, LeavingVolume>,
    /// Set on a plan that leads back after a failover: what it leads back to (OPEN-01).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    /// Counts up with every change, so that a recovery point can say which plan it was made with (REP-09).
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

/// The state of a plan (PLAN-40 … PLAN-44).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Mirroring is normal; jobs may be made.
    Normal,
    /// Initial replication runs, or mirroring is abnormal.
    Prepare,
    /// Something was added to the group, or the Target changed.
    Warning,
    /// The Target cluster is Inactive.
    Critical,
    /// The Source cluster is Inactive; jobs may be made.
    Emergency,
}

/// One reason for a plan's status, readable and with a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReason {
    /// The status this reason asks for.
    pub status: PlanStatus,
    /// Stable code, e.g. `plan.target_inactive`.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A plan's status with everything that speaks for it (PLAN-45).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanAssessment {
    /// The status shown.
    pub status: PlanStatus,
    /// Every reason, also those that lost by precedence; empty when `Normal`.
    pub reasons: Vec<PlanReason>,
}
