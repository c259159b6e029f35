//! The state of a plan (PLAN-40 … PLAN-45).

use super::PlanWorld;
use super::mapping::{PlanFlag, instances, plan_holes};
use crate::model::{CloudId, ConnectionState, PlanAssessment, PlanReason, PlanStatus, RecoveryPlan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How the replication of one volume stands (REP-17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Mirroring {
    /// It is being copied for the first time, or waits for that.
    InitialCopy {
        /// How far, 0 to 100, where known.
        percent: Option<u8>,
    },
    /// It replicates.
    Normal,
    /// It does not.
    Abnormal {
        /// Why.
        reason: String,
    },
}

/// What a plan's state follows from.
#[derive(Debug, Clone, Copy)]
pub struct PlanFacts<'a> {
    /// The plan.
    pub plan: &'a RecoveryPlan,
    /// What surrounds it.
    pub world: PlanWorld<'a>,
    /// Work that prepares the plan (initial mirroring, flatten) is queued or runs.
    pub preparing: bool,
    /// The replication of the plan's volumes, as far as it is known.
    pub mirroring: &'a BTreeMap<CloudId, Mirroring>,
}

/// Where a reason stands among others. The first that applies is shown; with the Source down mirroring is always abnormal,
/// and neither that nor an unhandled warning may block a failover (PLAN-45).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Critical,
    InitialCopy,
    Emergency,
    Abnormal,
    Warning,
}

impl Rank {
    const fn status(self) -> PlanStatus {
        match self {
            Self::Critical => PlanStatus::Critical,
            Self::InitialCopy | Self::Abnormal => PlanStatus::Prepare,
            Self::Emergency => PlanStatus::Emergency,
            Self::Warning => PlanStatus::Warning,
        }
    }
}

/// The state of a plan with every reason, also those that lost.
#[must_use]
pub fn assess(facts: &PlanFacts<'_>) -> PlanAssessment {
    let mut found = Vec::new();
    let mut add = |rank: Rank, code: &str, message: String, remedy: &str| {
        let reason = PlanReason {
            status: rank.status(),
            code: code.to_owned(),
            message,
            remedy: remedy.to_owned(),
        };
        found.push((rank, reason));
    };
    let (source, target) = (facts.world.source.cluster, facts.world.target.cluster);
    if target.connection == ConnectionState::Inactive {
        let message = format!("the Target cluster {} is not connected", target.name);
        add(
            Rank::Critical,
            "plan.target_inactive",
            message,
            "restore the connection to the Target cluster",
        );
    }
    if source.connection == ConnectionState::Inactive {
        let message = format!("the Source cluster {} is not connected", source.name);
        add(
            Rank::Emergency,
            "plan.source_inactive",
            message,
            "restore the connection, or fail over",
        );
    }
    replication(facts, &mut add);
    for hole in plan_holes(facts.plan, &facts.world) {
        let remedy = hole.error.remedy().unwrap_or("update the plan");
        let at = hole
            .error
            .field()
            .map(|field| format!(" ({field})"))
            .unwrap_or_default();
        add(
            Rank::Warning,
            hole.flag.code(),
            format!("{}{at}", hole.error.message()),
            remedy,
        );
    }
    found.sort_by_key(|(rank, _)| *rank);
    PlanAssessment {
        status: found.first().map_or(PlanStatus::Normal, |(rank, _)| rank.status()),
        reasons: found.into_iter().map(|(_, reason)| reason).collect(),
    }
}

fn replication(facts: &PlanFacts<'_>, add: &mut impl FnMut(Rank, &str, String, &str)) {
    let plan = facts.plan;
    let never = plan.volumes.is_empty();
    if facts.preparing || never {
        let message = "the volumes are being mirrored for the first time".to_owned();
        add(
            Rank::InitialCopy,
            "plan.initial_replication",
            message,
            "wait until initial replication has ended",
        );
    }
    for id in plan.volumes.keys() {
        let (rank, code, message, remedy) = match facts.mirroring.get(id) {
            Some(Mirroring::Normal) => continue,
            Some(Mirroring::InitialCopy { percent }) => {
                let far = percent.map(|p| format!(", {p} % are done")).unwrap_or_default();
                let message = format!("volume {id} is being copied for the first time{far}");
                (
                    Rank::InitialCopy,
                    "plan.initial_replication",
                    message,
                    "wait until initial replication has ended",
                )
            }
            Some(Mirroring::Abnormal { reason }) => {
                let message = format!("volume {id} does not replicate: {reason}");
                (
                    Rank::Abnormal,
                    "plan.mirroring",
                    message,
                    "repair replication, or take the Target's data as it is: by a failover with a force right",
                )
            }
            None => {
                let message = format!("it is not known whether volume {id} replicates");
                (
                    Rank::Abnormal,
                    "plan.mirroring",
                    message,
                    "check the storage of both clusters",
                )
            }
        };
        add(rank, code, message, remedy);
    }
    // While the plan is being prepared its volumes come one by one; afterwards a missing one was added since.
    if facts.preparing || never {
        return;
    }
    let wanted: BTreeSet<_> = instances(&facts.world)
        .into_iter()
        .flat_map(|i| &i.volume_ids)
        .collect();
    for id in wanted.into_iter().filter(|id| !plan.volumes.contains_key(*id)) {
        let message = format!("volume {id} was added and is not replicated yet");
        add(
            Rank::Warning,
            PlanFlag::ResourceAdded.code(),
            message,
            "update the plan",
        );
    }
}
