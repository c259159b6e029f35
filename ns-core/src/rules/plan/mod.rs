//! Which recovery plans may be made, changed and deleted (§5.1), and what state a plan is in (§5.2).

mod assess;
mod boot;
mod capacity;
mod follow;
mod mapping;
mod networks;
mod quota;
mod replication;

pub use assess::{Mirroring, PlanFacts, assess};
pub use follow::{as_of, follow, vanished};
pub use mapping::{PlanFlag, PlanHole, plan_holes};

use super::{Warning, check_new_name, first, invalid, no_jobs, refused};
use crate::model::{
    CloudId, Cluster, ConnectionState, Inventory, JobId, ProtectionGroup, RecoveryPlan, ReplicationMode,
};
use crate::provider::TenantQuota;
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// How many recovery points a plan keeps (PLAN-05).
pub const RETENTION: RangeInclusive<u32> = 1..=48;

/// A cluster with what it holds.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The last good inventory of it.
    pub inventory: &'a Inventory,
}

/// What the providers of both sides can do, as far as plans ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanCapabilities {
    /// How both storages can replicate.
    pub modes: Vec<ReplicationMode>,
    /// Replicas can be cloned without promoting them: drills and recovery points need it.
    pub clone_replica: bool,
    /// The Target's cloud adopts storage images as volumes.
    pub adopt: bool,
    /// The Target's cloud puts a server on a chosen compute node.
    pub choose_host: bool,
    /// The Target's cloud gives a floating IP its address.
    pub choose_floating_ip: bool,
    /// The Target's cloud attaches a volume to several servers.
    pub multiattach: bool,
    /// The engine can look whether recovered servers are ready.
    pub probe_readiness: bool,
}

impl PlanCapabilities {
    /// Everything: for judging a plan whose providers cannot be asked.
    #[must_use]
    pub fn all() -> Self {
        Self {
            modes: vec![ReplicationMode::Snapshot, ReplicationMode::Journal],
            clone_replica: true,
            adopt: true,
            choose_host: true,
            choose_floating_ip: true,
            multiattach: true,
            probe_readiness: true,
        }
    }
}

/// Everything around a plan that rules on it look at.
#[derive(Debug, Clone, Copy)]
pub struct PlanWorld<'a> {
    /// The group it recovers.
    pub group: &'a ProtectionGroup,
    /// Where the group runs.
    pub source: Site<'a>,
    /// Where it is recovered to.
    pub target: Site<'a>,
    /// What the providers can do.
    pub capabilities: &'a PlanCapabilities,
    /// Tenants on the Target that jobs of this plan made and still use: their names are no collision.
    pub job_tenants: &'a BTreeSet<CloudId>,
}

/// What a plan is judged by when it is made or changed.
#[derive(Debug, Clone, Copy)]
pub struct PlanInputs<'a> {
    /// What surrounds it.
    pub world: PlanWorld<'a>,
    /// All plans whose groups have the same owner; the changed one may be among them.
    pub plans: &'a [RecoveryPlan],
    /// Recovery jobs of the plan that [exist](super::job_exists) (PLAN-28); none for a new plan.
    pub jobs: &'a [JobId],
    /// The operator changes the Target side of the mapping although the Source is down (PLAN-25). Never for a new plan.
    pub source_may_be_down: bool,
    /// Free bytes of the pools of the Target's storage, as far as its provider can tell (LIM-03).
    pub target_free_bytes: &'a BTreeMap<String, u64>,
    /// What a tenant may hold that a recovery makes on the Target.
    pub target_quota: &'a TenantQuota,
    /// What both storages say about replication; none when they were not asked.
    pub replication: Option<Replication<'a>>,
}

/// What the storages of both sides say about replication.
#[derive(Debug, Clone, Copy)]
pub struct Replication<'a> {
    /// One of them has the other as its peer.
    pub paired: bool,
    /// Pools that replicate on both sides.
    pub pools: &'a [String],
}

/// Whether a plan may be made or changed like this.
///
/// # Errors
/// The first of [`plan_violations`].
pub fn check_plan(plan: &RecoveryPlan, inputs: &PlanInputs<'_>) -> Result<()> {
    first(plan_violations(plan, inputs))
}

/// Everything that speaks against a plan (PLAN-04 … PLAN-13, PLAN-18 … PLAN-21, PLAN-25 … PLAN-28, OPEN-29, LIM-03).
#[must_use]
pub fn plan_violations(plan: &RecoveryPlan, inputs: &PlanInputs<'_>) -> Vec<Error> {
    let mut found = Vec::new();
    let others = || inputs.plans.iter().filter(|other| other.id != plan.id);
    found.extend(check_new_name("name", &plan.name, others().map(|p| p.name.as_str())).err());
    if !RETENTION.contains(&plan.snapshot_retention) {
        let message = format!("{} recovery points cannot be kept", plan.snapshot_retention);
        found.push(invalid("plan.retention", "snapshot_retention", message).with_remedy("keep 1 to 48"));
    }
    found.extend(no_jobs("plan.jobs", inputs.jobs));
    if let Some(other) = others().find(|other| other.group_id == plan.group_id) {
        let message = format!("the group has the plan {} already", other.name);
        found.push(
            refused("plan.one_per_group", "group_id", message)
                .with("plan", &other.id)
                .with_remedy("change that plan instead"),
        );
    }
    if inputs.world.group.id != plan.group_id || inputs.world.target.cluster.id != plan.target_cluster {
        found.push(Error::new(
            ErrorKind::Internal,
            "plan.facts",
            "the facts are of another group or Target",
        ));
        return found;
    }
    found.extend(clusters(inputs));
    found.extend(capabilities(plan, inputs.world.capabilities));
    found.extend(boot::violations(plan, inputs.world.group));
    found.extend(plan_holes(plan, &inputs.world).into_iter().map(|hole| hole.error));
    let now = inputs.plans.iter().find(|known| known.id == plan.id);
    found.extend(quota::violations(plan, &inputs.world, inputs.target_quota));
    found.extend(capacity::storage(plan, &inputs.world, now, inputs.target_free_bytes));
    found.extend(
        inputs
            .replication
            .iter()
            .flat_map(|r| replication::violations(r, &inputs.world)),
    );
    found
}

/// PLAN-18, PLAN-20, PLAN-25, PLAN-27, PLAN-33, OPEN-29.
fn clusters(inputs: &PlanInputs<'_>) -> Vec<Error> {
    let (source, target) = (inputs.world.source.cluster, inputs.world.target.cluster);
    let mut found = Vec::new();
    for (side, field, cluster, needed) in [
        ("Source", "source_cluster", source, !inputs.source_may_be_down),
        ("Target", "target_cluster", target, true),
    ] {
        if needed && cluster.connection == ConnectionState::Inactive {
            let message = format!("the {side} cluster {} is not connected", cluster.name);
            found.push(
                refused("plan.cluster_inactive", field, message)
                    .with("cluster", &cluster.id)
                    .with_remedy("restore the connection first"),
            );
        }
    }
    if source.id == target.id || source.storage_id == target.storage_id {
        let code = if source.id == target.id {
            "plan.same_cluster"
        } else {
            "plan.same_storage"
        };
        found.push(
            refused(
                code,
                "target_cluster",
                "Source and Target are the same: nothing would be protected",
            )
            .with_remedy("choose another Target cluster"),
        );
    } else if source.storage_kind != target.storage_kind {
        let message = format!(
            "the Source stores on {}, the Target on {}",
            source.storage_kind, target.storage_kind
        );
        found.push(
            refused("plan.storage_kind", "target_cluster", message)
                .with_remedy("choose a Target with the same kind of storage"),
        );
    }
    found
}

fn capabilities(plan: &RecoveryPlan, can: &PlanCapabilities) -> Vec<Error> {
    let unsupported =
        |code, field: &str, message: String| Error::new(ErrorKind::Unsupported, code, message).with_field(field);
    let mut found = Vec::new();
    if !can.modes.contains(&plan.replication_mode) {
        let message = format!("the storages cannot both replicate in {:?} mode", plan.replication_mode);
        found
            .push(unsupported("plan.replication_mode", "replication_mode", message).with_remedy("choose another mode"));
    }
    if !can.adopt {
        let message = "the Target's cloud cannot adopt replicated volumes".to_owned();
        found.push(unsupported("plan.adopt", "target_cluster", message).with_remedy("choose another Target cluster"));
    }
    found
}

/// What to tell about a plan that is allowed (CON-10).
#[must_use]
pub fn plan_warnings(plan: &RecoveryPlan, world: &PlanWorld<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    for (source, target) in plan
        .mapping
        .volume_types
        .iter()
        .filter(|(source, target)| source != target)
    {
        let message = format!("volume type {source} becomes {target}: check that it serves as well");
        let field = format!("mapping.volume_types[{source}]");
        found.push(Warning::new(
            "plan.volume_type_differs",
            field,
            message,
            "map it to the type of the same name",
        ));
    }
    found.extend(mapping::small_flavors(plan, world));
    found.extend(boot::waits_for_the_stopped(plan));
    found.extend(boot::useless_checks(plan, world.capabilities.probe_readiness));
    if !world.capabilities.clone_replica {
        let message = "replicas cannot be cloned: no drills and no recovery points are possible";
        found.push(Warning::new(
            "plan.no_drills",
            "target_cluster",
            message,
            "use a storage that can clone replicas",
        ));
    }
    found
}

/// Whether a plan may be deleted (PLAN-30). A connection is not needed (PLAN-33): what cannot be reached is listed.
///
/// # Errors
/// `Refused`, `plan.jobs`, while recovery jobs of it exist.
pub fn check_plan_delete(jobs: &[JobId]) -> Result<()> {
    no_jobs("plan.jobs", jobs).map_or(Ok(()), Err)
}
