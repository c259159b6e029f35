//! Which protection groups may be made, changed and deleted (§4, LIM-01, LIM-02).

use super::{Warning, check_new_name, first, invalid, list, no_jobs, refused};
use crate::model::{
    CloudId, Cluster, ClusterId, ConnectionState, Instance, IntervalUnit, Inventory, JobId, PlanId, ProtectionGroup,
    SyncState, Volume,
};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// RPO and RTO in minutes: up to a year, which also catches seconds given for minutes (OPEN-07).
pub const OBJECTIVE_MINUTES: RangeInclusive<u32> = 1..=366 * 24 * 60;

/// How many of a unit may lie between two recovery points: ten minutes or more, a year or less (OPEN-08).
#[must_use]
pub const fn interval_range(unit: IntervalUnit) -> RangeInclusive<u32> {
    match unit {
        IntervalUnit::Minutes => 10..=366 * 24 * 60,
        IntervalUnit::Hours => 1..=366 * 24,
        IntervalUnit::Days => 1..=366,
        IntervalUnit::Weeks => 1..=52,
        IntervalUnit::Months => 1..=12,
    }
}

/// What a group is judged by.
#[derive(Debug, Clone, Copy)]
pub struct GroupFacts<'a> {
    /// The Source cluster.
    pub source: &'a Cluster,
    /// Its inventory.
    pub inventory: &'a Inventory,
    /// All groups there are; the changed one may be among them.
    pub groups: &'a [ProtectionGroup],
    /// Volume groups of the cloud that the product made itself (LIM-01, CON-37).
    pub own_volume_groups: &'a BTreeSet<CloudId>,
    /// Recovery jobs of the group that [exist](super::job_exists) (PG-18); none for a new group.
    pub jobs: &'a [JobId],
}

/// Whether a group may be made, or changed to this.
///
/// # Errors
/// The first of [`group_violations`].
pub fn check_group(group: &ProtectionGroup, facts: &GroupFacts<'_>) -> Result<()> {
    first(group_violations(group, facts))
}

/// Everything that speaks against a group (PG-06 … PG-09, PG-12, PG-18 … PG-20, PG-25, LIM-01, LIM-02, OPEN-06 …
/// OPEN-08). The licence is judged apart (PG-10, PG-11).
#[must_use]
pub fn group_violations(group: &ProtectionGroup, facts: &GroupFacts<'_>) -> Vec<Error> {
    let others: Vec<_> = facts.groups.iter().filter(|other| other.id != group.id).collect();
    let mut found = Vec::new();
    let taken = others
        .iter()
        .filter(|g| g.owner_group_id == group.owner_group_id)
        .map(|g| g.name.as_str());
    found.extend(check_new_name("name", &group.name, taken).err());
    numbers(group, &mut found);
    found.extend(no_jobs("group.jobs", facts.jobs));
    if facts.source.id != group.source_cluster {
        found.push(
            invalid(
                "group.source",
                "source_cluster",
                "the Source of a group cannot be changed",
            )
            .with_remedy("make a new group on the other cluster"),
        );
        return found;
    }
    found.extend(source_ready(facts.source));
    let chosen = members(group, facts.inventory, &mut found);
    for other in others.iter().filter(|g| g.source_cluster == group.source_cluster) {
        for id in other.instances.iter().filter(|id| group.instances.contains(id)) {
            let message = format!("instance {id} is in the group {} already", other.name);
            found.push(
                refused("group.already_protected", field(id), message) // PG-08, PG-20
                    .with("group", &other.id)
                    .with_remedy("leave it out, or take it out of the other group first"),
            );
        }
    }
    one_project(&chosen, &mut found);
    for instance in chosen.values() {
        if !instance.boots_from_volume {
            let message = format!("instance {} does not boot from a volume", instance.name);
            found.push(
                refused("group.boot_from_volume", field(&instance.id), message)
                    .with_remedy("rebuild it on a volume: what lies on a compute node's disk cannot be replicated"),
            );
        }
    }
    volumes(&chosen, facts, &mut found);
    found
}

fn field(id: &CloudId) -> String {
    format!("instances[{id}]")
}

fn numbers(group: &ProtectionGroup, found: &mut Vec<Error>) {
    let objective = |field, minutes| (field, minutes, IntervalUnit::Minutes, OBJECTIVE_MINUTES);
    let interval = group
        .snapshot_interval
        .map(|i| ("snapshot_interval", i.every, i.unit, interval_range(i.unit)));
    for (field, value, unit, range) in [
        objective("rpo_minutes", group.rpo_minutes),
        objective("rto_minutes", group.rto_minutes),
    ]
    .into_iter()
    .chain(interval)
    {
        if !range.contains(&value) {
            let remedy = format!("give {} to {} {unit}", range.start(), range.end());
            found.push(invalid("group.range", field, format!("{value} {unit} are out of range")).with_remedy(remedy));
        }
    }
}

/// PG-12, PG-25.
fn source_ready(source: &Cluster) -> Option<Error> {
    if source.connection == ConnectionState::Inactive {
        let message = format!("the Source cluster {} is not connected", source.name);
        return Some(
            refused("group.source_inactive", "source_cluster", message).with_remedy("restore the connection first"),
        );
    }
    let remedy = match &source.sync {
        // While it is read again what was complete stays good.
        SyncState::Done { .. } | SyncState::Running { complete_at: Some(_) } => return None,
        SyncState::Failed { .. } => "repair the cause and synchronise again",
        SyncState::Init | SyncState::Running { complete_at: None } => "wait until synchronisation is done",
    };
    let message = format!("the inventory of cluster {} is not complete", source.name);
    Some(refused("group.sync", "source_cluster", message).with_remedy(remedy))
}

/// The chosen instances that exist; complains about the others.
fn members<'a>(
    group: &ProtectionGroup,
    inventory: &'a Inventory,
    found: &mut Vec<Error>,
) -> BTreeMap<&'a CloudId, &'a Instance> {
    let mut chosen = BTreeMap::new();
    if group.instances.is_empty() {
        found.push(invalid("group.empty", "instances", "the group has no instances").with_remedy("name at least one"));
    }
    for id in &group.instances {
        match inventory.instances.get_key_value(id) {
            Some((id, instance)) if chosen.insert(id, instance).is_none() => {}
            Some(_) => found.push(
                invalid("group.duplicate", field(id), format!("instance {id} is named twice"))
                    .with_remedy("name it once"),
            ),
            None => found.push(
                Error::new(
                    ErrorKind::NotFound,
                    "group.instance",
                    format!("there is no instance {id} in the cluster"),
                )
                .with_field(field(id))
                .with_remedy("synchronise the cluster and choose again"),
            ),
        }
    }
    chosen
}

/// PG-09, PG-19.
fn one_project(chosen: &BTreeMap<&CloudId, &Instance>, found: &mut Vec<Error>) {
    let tenants: BTreeSet<_> = chosen.values().map(|i| &i.tenant_id).collect();
    if tenants.len() > 1 {
        found.push(
            refused(
                "group.one_project",
                "instances",
                "the instances are of different projects",
            )
            .with("projects", list(tenants))
            .with_remedy("make one group per project"),
        );
    }
}

fn volumes(chosen: &BTreeMap<&CloudId, &Instance>, facts: &GroupFacts<'_>, found: &mut Vec<Error>) {
    let users = users_of_volumes(facts.inventory);
    let mut missing = BTreeSet::new();
    let mut shared = BTreeSet::new();
    for instance in chosen.values() {
        for id in &instance.volume_ids {
            let strangers = users
                .get(id)
                .into_iter()
                .flatten()
                .copied()
                .filter(|user| !chosen.contains_key(user));
            for stranger in strangers {
                missing.insert(stranger);
                shared.insert(id);
            }
            match facts.inventory.volumes.get(id) {
                Some(volume) => found.extend(volume_violation(instance, volume, facts.own_volume_groups)),
                None => found.push(
                    Error::new(
                        ErrorKind::NotFound,
                        "group.volume",
                        format!("volume {id} is not in the inventory"),
                    )
                    .with_field(field(&instance.id))
                    .with_remedy("synchronise the cluster and choose again"),
                ),
            }
        }
    }
    if !missing.is_empty() {
        found.push(
            refused(
                "group.shared_volume",
                "instances",
                "instances that share a volume belong into one group",
            ) // PG-07
            .with("missing", list(missing))
            .with("volumes", list(shared))
            .with_remedy("add the missing instances"),
        );
    }
}

/// Who uses a volume, as instances and volumes say it: either list may be ahead of the other.
fn users_of_volumes(inventory: &Inventory) -> BTreeMap<&CloudId, BTreeSet<&CloudId>> {
    let mut users: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for instance in inventory.instances.values() {
        for volume in &instance.volume_ids {
            users.entry(volume).or_default().insert(&instance.id);
        }
    }
    for volume in inventory.volumes.values() {
        users
            .entry(&volume.id)
            .or_default()
            .extend(volume.attachments.iter().map(|(instance, _)| instance));
    }
    users
}

fn volume_violation(instance: &Instance, volume: &Volume, own_groups: &BTreeSet<CloudId>) -> Option<Error> {
    let (code, message, remedy) =
        if let Some(group) = volume.volume_group_id.as_ref().filter(|id| !own_groups.contains(*id)) {
            let message = format!(
                "volume {} of instance {} is in the volume group {group}",
                volume.id, instance.name
            );
            ("group.volume_group", message, "take the volume out of its volume group") // LIM-01
        } else if let Some(snapshot) = &volume.source_snapshot_id {
            let message = format!(
                "volume {} of instance {} was made from snapshot {snapshot}",
                volume.id, instance.name
            );
            (
                "group.volume_from_snapshot",
                message,
                "copy its contents to a volume of its own",
            ) // LIM-02
        } else {
            return None;
        };
    Some(
        refused(code, field(&instance.id), message)
            .with("volume", &volume.id)
            .with_remedy(remedy),
    )
}

/// What to tell about a group that is allowed (OPEN-07). Of an interval in months the longest counts.
#[must_use]
pub fn group_warnings(group: &ProtectionGroup) -> Vec<Warning> {
    let below = group
        .snapshot_interval
        .filter(|interval| u64::from(group.rpo_minutes) < interval.longest_minutes());
    let message = |interval| {
        format!(
            "recovery points come {interval}, the objective is {} minutes",
            group.rpo_minutes
        )
    };
    let remedy = "make recovery points more often, or raise the objective";
    below
        .map(|i| Warning::new("group.rpo_below_interval", "rpo_minutes", message(i), remedy))
        .into_iter()
        .collect()
}

/// Whether a group may be deleted (PG-22). A connection is not needed (CON-04).
///
/// # Errors
/// `Refused`, `group.plan`, while a plan exists for it.
pub fn check_group_delete(plans: &[PlanId]) -> Result<()> {
    if plans.is_empty() {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::Refused, "group.plan", "the group has a recovery plan")
            .with_field("group_id")
            .with("plans", list(plans))
            .with_remedy("delete the plan first"),
    )
}

/// PG-02: the instances of a cluster that no group protects.
pub fn unprotected<'a>(
    cluster: &ClusterId,
    inventory: &'a Inventory,
    groups: &[ProtectionGroup],
) -> impl Iterator<Item = &'a Instance> + use<'a> {
    let of_cluster = groups.iter().filter(|group| group.source_cluster == *cluster);
    let protected: BTreeSet<CloudId> = of_cluster.flat_map(|group| group.instances.iter().cloned()).collect();
    inventory
        .instances
        .values()
        .filter(move |instance| !protected.contains(&instance.id))
}
