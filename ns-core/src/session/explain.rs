//! The dry run: what a job would do, and what would be lost, before anybody says yes.

use crate::model::CloudId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a volume would lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeLoss {
    /// The Source volume.
    pub volume_id: CloudId,
    /// All writes up to this time are on the Target; none: not known.
    pub synced_to: Option<Timestamp>,
    /// Seconds of writes that would be lost at most, from `synced_to` to now; 0 for a planned failover.
    pub lost_seconds: Option<i64>,
}

/// What a job would do. Nothing was touched to find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// How: `drill`, `planned failover`, `forced failover`, `failover to a recovery point`.
    pub kind: String,
    /// The steps in an order in which they would be done, one sentence each.
    pub steps: Vec<String>,
    /// The loss per volume.
    pub loss: Vec<VolumeLoss>,
    /// What the promotion would rest on.
    pub evidence: Vec<String>,
    /// Why it would be refused now; empty when it may be created.
    pub refusals: Vec<crate::ErrorRecord>,
}
