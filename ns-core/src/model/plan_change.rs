//! What became of a recovery plan, version by version.

use super::{CloudId, PlanId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One part of a change of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum PlanChangePart {
    /// An instance left the group: by hand (PG-17), or because the Source has it no more (PLAN-83).
    InstanceLeft {
        /// The instance.
        instance: CloudId,
    },
    /// A volume is no member's any more (PLAN-93). It is not replicated into new recovery points; its replica stays until no
    /// recovery point needs it.
    VolumeLeft {
        /// The volume.
        volume: CloudId,
    },
    /// A volume that had left is a member's again, and its replica had stayed.
    VolumeReturned {
        /// The volume.
        volume: CloudId,
    },
    /// An operator changed the plan (PLAN-22).
    Updated {
        /// The fields that are different now; none when everything was looked at and left as it is (PLAN-24).
        fields: Vec<String>,
    },
}

/// A change of a recovery plan (PLAN-60): what it was before is with the recovery points that were made then (REP-09).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChange {
    /// Its id: the plan's and the version, so that ids are in the order of time.
    pub id: String,
    /// The plan.
    pub plan_id: PlanId,
    /// The version that the change made.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// Who: the name of an actor, or `engine`.
    pub actor: String,
    /// What.
    pub parts: Vec<PlanChangePart>,
}
