//! How well the product is: what an operator looks at first, and what a monitoring program asks for again and again.

use super::{ClusterId, GroupId, LicenseInfo, PlanStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How bad a finding is, from what is only said to what keeps recovery from working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Somebody is waited for; nothing is wrong.
    Info,
    /// Something will go wrong if nobody looks.
    Warning,
    /// Protection or recovery does not work, or data are in danger.
    Critical,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code, e.g. `cluster.cloud_unreachable`.
    pub code: String,
    /// How bad it is.
    pub severity: FindingSeverity,
    /// What kind of thing it is about: `store`, `cluster`, `group`, `plan`, `job`, `volume` or `license`.
    pub about: String,
    /// The thing's id; empty for what there is one of.
    pub id: String,
    /// For people.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A cluster as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHealth {
    /// Which.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// Whether its cloud answers.
    pub cloud_answers: bool,
    /// Whether its storage answers.
    pub storage_answers: bool,
    /// How long ago its inventory was complete, in seconds; none when it never was.
    pub sync_age_seconds: Option<i64>,
    /// By how many seconds the cloud's clock is ahead; none when it does not answer.
    pub clock_skew_seconds: Option<i64>,
    /// Whether the replication service of its storage works (OPS-32); none when it does not answer.
    pub replication_healthy: Option<bool>,
    /// The peers of its storage.
    pub peers: Vec<String>,
}

/// A group as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupHealth {
    /// Which.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// The status of its plan; none without one, or while a cluster of it does not answer.
    pub plan_status: Option<PlanStatus>,
    /// How old its newest recovery point is, in seconds; none when there is none.
    pub point_age_seconds: Option<i64>,
    /// Its recovery point objective, in seconds.
    pub rpo_seconds: u64,
}

/// The answer to "is all well?" (OPS-30).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// When it was looked.
    pub at: Timestamp,
    /// The version of this library.
    pub version: String,
    /// The engine that looked.
    pub node: String,
    /// Whom to ask for help (OPS-39); what the host gave.
    pub support_contact: Option<String>,
    /// The worst of the findings; none when all is well.
    pub worst: Option<FindingSeverity>,
    /// What is not as it should be, worst first.
    pub findings: Vec<Finding>,
    /// The clusters that the actor sees.
    pub clusters: Vec<ClusterHealth>,
    /// The groups that the actor sees.
    pub groups: Vec<GroupHealth>,
    /// The licence; none for those who may not look at it.
    pub license: Option<LicenseInfo>,
}
