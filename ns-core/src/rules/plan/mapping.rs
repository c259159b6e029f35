//! The mapping of a plan against both inventories: what has no counterpart, and what has one that is gone. The same
//! holes refuse a new plan and put an old one into `Warning`.

use super::super::{Warning, invalid};
use super::{PlanWorld, capacity, networks};
use crate::model::{
    AvailabilityZone, CloudId, Flavor, Instance, InstanceMapping, Inventory, RecoveryPlan, ReplicatedVolume, Volume,
};
use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a hole is about: the flags of the rule book (PLAN-42, §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanFlag {
    /// Something was added to the group that the plan does not map yet.
    ResourceAdded,
    /// Something the plan maps is gone from the Source.
    ResourceRemoved,
    /// The tenant's name.
    TenantName,
    /// A zone.
    AvailabilityZone,
    /// A compute node.
    Node,
    /// An external network.
    ExternalNetwork,
    /// A floating address.
    FloatingIp,
    /// A volume type, or a volume that cannot be replicated or attached.
    Storage,
    /// A flavour.
    Flavor,
    /// Room for the instances.
    Capacity,
}

impl PlanFlag {
    /// The stable code of a reason about it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ResourceAdded => "plan.resource_added",
            Self::ResourceRemoved => "plan.resource_removed",
            Self::TenantName => "plan.tenant_name",
            Self::AvailabilityZone => "plan.availability_zone",
            Self::Node => "plan.node",
            Self::ExternalNetwork => "plan.external_network",
            Self::FloatingIp => "plan.floating_ip",
            Self::Storage => "plan.storage",
            Self::Flavor => "plan.flavor",
            Self::Capacity => "plan.capacity",
        }
    }
}

/// One thing that does not fit.
#[derive(Debug)]
pub struct PlanHole {
    /// What it is about.
    pub flag: PlanFlag,
    /// What is wrong, in which field, and what to do. Code `plan.mapping` when nothing is mapped, else the flag's.
    pub error: Error,
}

/// Collects holes.
pub(super) struct Holes(Vec<PlanHole>);

impl Holes {
    pub(super) fn unmapped(&mut self, flag: PlanFlag, field: String, what: &str, remedy: &str) {
        let error = invalid("plan.mapping", field, format!("{what} has no counterpart")).with_remedy(remedy);
        self.0.push(PlanHole { flag, error });
    }
    pub(super) fn add(&mut self, flag: PlanFlag, kind: ErrorKind, field: String, message: String, remedy: &str) {
        let error = Error::new(kind, flag.code(), message)
            .with_field(field)
            .with_remedy(remedy);
        self.0.push(PlanHole { flag, error });
    }
}

/// Every hole of a plan's mapping.
#[must_use]
pub fn plan_holes(plan: &RecoveryPlan, world: &PlanWorld<'_>) -> Vec<PlanHole> {
    let mut holes = Holes(Vec::new());
    tenant(plan, world, &mut holes);
    members(plan, world, &mut holes);
    let instances = instances(world);
    zones(plan, world, &instances, &mut holes);
    nodes(plan, world, &instances, &mut holes);
    flavors(plan, world, &instances, &mut holes);
    volumes(plan, world, &instances, &mut holes);
    networks::holes(plan, world, &instances, &mut holes);
    holes.0.extend(capacity::compute(plan, world));
    holes.0
}

/// The group's instances that the inventory has.
pub(super) fn instances<'a>(world: &PlanWorld<'a>) -> Vec<&'a Instance> {
    world
        .group
        .instances
        .iter()
        .filter_map(|id| world.source.inventory.instances.get(id))
        .collect()
}

/// The Target zone of an instance.
pub(super) fn zone_of<'a>(plan: &'a RecoveryPlan, instance: &Instance) -> Option<&'a str> {
    let own = plan
        .mapping
        .instances
        .get(&instance.id)
        .and_then(|m| m.availability_zone.as_ref());
    own.or_else(|| plan.mapping.availability_zones.get(&instance.availability_zone))
        .map(String::as_str)
}

pub(super) fn zone<'a>(inventory: &'a Inventory, name: &str) -> Option<&'a AvailabilityZone> {
    inventory.availability_zones.values().find(|zone| zone.name == name)
}

pub(super) fn flavor<'a>(inventory: &'a Inventory, name: &str) -> Option<&'a Flavor> {
    inventory.flavors.values().find(|flavor| flavor.name == name)
}

fn mapped<'a>(plan: &'a RecoveryPlan, instance: &Instance) -> Option<&'a InstanceMapping> {
    plan.mapping.instances.get(&instance.id)
}

/// PLAN-08, PLAN-61 … PLAN-63.
fn tenant(plan: &RecoveryPlan, world: &PlanWorld<'_>, holes: &mut Holes) {
    const FIELD: &str = "mapping.tenant_name";
    let name = plan.mapping.tenant_name.as_str();
    if name.trim().is_empty() {
        holes.unmapped(
            PlanFlag::TenantName,
            FIELD.to_owned(),
            "the project",
            "name the project to be made",
        );
    } else if let Some(taken) = world
        .target
        .inventory
        .tenants
        .values()
        .find(|t| t.name == name && !world.job_tenants.contains(&t.id))
    {
        let message = format!("the Target has a project {name} already ({})", taken.id);
        holes.add(
            PlanFlag::TenantName,
            ErrorKind::Conflict,
            FIELD.to_owned(),
            message,
            "choose another name",
        );
    }
}

/// Group and plan name the same instances, and the Source has them (PLAN-06, PG-16, PG-17).
fn members(plan: &RecoveryPlan, world: &PlanWorld<'_>, holes: &mut Holes) {
    let field = |id: &CloudId| format!("mapping.instances[{id}]");
    for id in &world.group.instances {
        if !plan.mapping.instances.contains_key(id) {
            let remedy = "say whether it is started after recovery";
            holes.unmapped(PlanFlag::ResourceAdded, field(id), &format!("instance {id}"), remedy);
        }
        if !world.source.inventory.instances.contains_key(id) {
            let message = format!("instance {id} is gone from the Source");
            let remedy = "take it out of the group, or synchronise the Source cluster";
            holes.add(
                PlanFlag::ResourceRemoved,
                ErrorKind::NotFound,
                field(id),
                message,
                remedy,
            );
        }
    }
    let members: BTreeSet<_> = world.group.instances.iter().collect();
    for id in plan.mapping.instances.keys().filter(|id| !members.contains(id)) {
        let message = format!("instance {id} is not in the group");
        holes.add(
            PlanFlag::ResourceRemoved,
            ErrorKind::Invalid,
            field(id),
            message,
            "take it out of the mapping",
        );
    }
}

/// PLAN-09, PLAN-64.
fn zones(plan: &RecoveryPlan, world: &PlanWorld<'_>, instances: &[&Instance], holes: &mut Holes) {
    const REMEDY: &str = "map it to an available zone of the Target cluster";
    let mut wanted: BTreeMap<String, Option<&str>> = BTreeMap::new();
    for instance in instances {
        let own = mapped(plan, instance).is_some_and(|m| m.availability_zone.is_some());
        let field = match own {
            true => format!("mapping.instances[{}].availability_zone", instance.id),
            false => format!("mapping.availability_zones[{}]", instance.availability_zone),
        };
        wanted.insert(field, zone_of(plan, instance));
    }
    for (field, name) in wanted {
        match name {
            None => holes.unmapped(PlanFlag::AvailabilityZone, field, "the availability zone", REMEDY),
            Some(name) => match zone(world.target.inventory, name) {
                Some(zone) if zone.available => {}
                Some(_) => {
                    let message = format!("the Target's availability zone {name} takes no servers now");
                    holes.add(PlanFlag::AvailabilityZone, ErrorKind::Refused, field, message, REMEDY);
                }
                None => {
                    let message = format!("the Target has no availability zone {name}");
                    holes.add(PlanFlag::AvailabilityZone, ErrorKind::NotFound, field, message, REMEDY);
                }
            },
        }
    }
}

/// PLAN-12, PLAN-68.
fn nodes(plan: &RecoveryPlan, world: &PlanWorld<'_>, instances: &[&Instance], holes: &mut Holes) {
    const REMEDY: &str = "choose a compute node of the zone, or none to let the cloud choose";
    for instance in instances {
        let Some(host) = mapped(plan, instance).and_then(|m| m.host.as_deref()) else {
            continue;
        };
        let field = format!("mapping.instances[{}].host", instance.id);
        let (kind, message) = match world.target.inventory.hypervisors.values().find(|h| h.name == host) {
            _ if !world.capabilities.choose_host => (
                ErrorKind::Unsupported,
                "the Target's cloud does not take a compute node".to_owned(),
            ),
            None => (ErrorKind::NotFound, format!("the Target has no compute node {host}")),
            Some(found) if !found.available => (
                ErrorKind::Refused,
                format!("the compute node {host} is down or disabled"),
            ),
            Some(_) => match zone_of(plan, instance).and_then(|name| zone(world.target.inventory, name)) {
                Some(zone) if !zone.hosts.is_empty() && !zone.hosts.iter().any(|h| h == host) => (
                    ErrorKind::Invalid,
                    format!("the compute node {host} is not in the zone {}", zone.name),
                ),
                _ => continue,
            },
        };
        holes.add(PlanFlag::Node, kind, field, message, REMEDY);
    }
}

/// OPEN-15.
fn flavors(plan: &RecoveryPlan, world: &PlanWorld<'_>, instances: &[&Instance], holes: &mut Holes) {
    for instance in instances {
        let Some(name) = mapped(plan, instance).and_then(|m| m.flavor.as_deref()) else {
            continue;
        };
        if flavor(world.target.inventory, name).is_none() {
            let field = format!("mapping.instances[{}].flavor", instance.id);
            let remedy = "choose a flavour of the Target cluster, or none to match by size";
            holes.add(
                PlanFlag::Flavor,
                ErrorKind::NotFound,
                field,
                format!("the Target has no flavour {name}"),
                remedy,
            );
        }
    }
}

/// Flavours that are smaller than what the instance has now.
pub(super) fn small_flavors(plan: &RecoveryPlan, world: &PlanWorld<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    for instance in instances(world) {
        let chosen = mapped(plan, instance).and_then(|m| m.flavor.as_deref());
        let Some(target) = chosen.and_then(|name| flavor(world.target.inventory, name)) else {
            continue;
        };
        if target.vcpus < instance.flavor.vcpus || target.memory_mib < instance.flavor.memory_mib {
            let message = format!(
                "flavour {} is smaller than what instance {} has now",
                target.name, instance.name
            );
            let field = format!("mapping.instances[{}].flavor", instance.id);
            found.push(Warning::new(
                "plan.flavor_smaller",
                field,
                message,
                "choose a flavour at least as large",
            ));
        }
    }
    found
}

/// PLAN-10, PLAN-92, PLAN-96, PLAN-97.
fn volumes(plan: &RecoveryPlan, world: &PlanWorld<'_>, instances: &[&Instance], holes: &mut Holes) {
    let mut types = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (instance, id) in instances
        .iter()
        .flat_map(|i| i.volume_ids.iter().map(move |id| (i, id)))
    {
        if !seen.insert(id) {
            continue;
        }
        let field = format!("mapping.instances[{}]", instance.id);
        let Some(volume) = world.source.inventory.volumes.get(id) else {
            let message = format!("volume {id} of instance {} is not in the inventory", instance.name);
            holes.add(
                PlanFlag::Storage,
                ErrorKind::NotFound,
                field,
                message,
                "synchronise the Source cluster",
            );
            continue;
        };
        types.insert(volume.volume_type.as_str());
        if let Some((kind, message, remedy)) = unusable(volume, plan.volumes.get(id), world) {
            holes.add(PlanFlag::Storage, kind, field, message, remedy);
        }
    }
    for source in types {
        const REMEDY: &str = "map it to a volume type of the Target cluster";
        let field = format!("mapping.volume_types[{source}]");
        match plan.mapping.volume_types.get(source) {
            None => holes.unmapped(PlanFlag::Storage, field, &format!("volume type {source}"), REMEDY),
            Some(target) if world.target.inventory.volume_types.values().all(|t| &t.name != target) => {
                let message = format!("the Target has no volume type {target}");
                holes.add(PlanFlag::Storage, ErrorKind::NotFound, field, message, REMEDY);
            }
            Some(_) => {}
        }
    }
}

fn unusable(
    volume: &Volume,
    replicated: Option<&ReplicatedVolume>,
    world: &PlanWorld<'_>,
) -> Option<(ErrorKind, String, &'static str)> {
    if volume.storage.is_none() && replicated.is_none() {
        let message = format!("it is not known where volume {} is stored", volume.id);
        return Some((
            ErrorKind::Refused,
            message,
            "use volumes of a storage that the cluster's provider knows",
        ));
    }
    if volume.attachments.len() > 1 && !world.capabilities.multiattach {
        let message = format!(
            "volume {} is shared, and the Target's cloud cannot share volumes",
            volume.id
        );
        return Some((ErrorKind::Unsupported, message, "choose another Target cluster"));
    }
    None
}
