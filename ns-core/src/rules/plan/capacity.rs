//! Room on the Target. Only what is certain is refused: a chosen node that is too small, a zone whose nodes are too
//! small together or one by one. Whether a packing exists is for the cloud's scheduler to find out.

use super::mapping::{PlanFlag, PlanHole, flavor, instances, zone, zone_of};
use super::{PlanWorld, RecoveryPlan};
use crate::model::{Flavor, Hypervisor, Instance};
use crate::{Error, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};

/// Virtual processors and memory in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Room {
    vcpus: u64,
    memory_mib: u64,
}

impl Room {
    fn of(flavor: &Flavor) -> Self {
        Self {
            vcpus: flavor.vcpus.into(),
            memory_mib: flavor.memory_mib,
        }
    }
    const fn free(h: &Hypervisor) -> Self {
        Self {
            vcpus: h.vcpus.saturating_sub(h.vcpus_used),
            memory_mib: h.memory_mib.saturating_sub(h.memory_mib_used),
        }
    }
    const fn plus(self, other: Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_add(other.vcpus),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
        }
    }
    const fn minus(self, other: Self) -> Self {
        Self {
            vcpus: self.vcpus.saturating_sub(other.vcpus),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
        }
    }
    const fn holds(self, other: Self) -> bool {
        self.vcpus >= other.vcpus && self.memory_mib >= other.memory_mib
    }
}

fn short(field: String, place: &str, needed: Room, free: Room) -> PlanHole {
    let error = Error::new(
        ErrorKind::Quota,
        PlanFlag::Capacity.code(),
        format!("{place} has not enough room"),
    )
    .with_field(field)
    .with("vcpus_needed", needed.vcpus)
    .with("vcpus_free", free.vcpus)
    .with("memory_mib_needed", needed.memory_mib)
    .with("memory_mib_free", free.memory_mib)
    .with_remedy("choose another place, make room there, or leave instances out");
    PlanHole {
        flag: PlanFlag::Capacity,
        error,
    }
}

/// The flavour that an instance will have.
pub(super) fn size<'a>(plan: &RecoveryPlan, world: &PlanWorld<'a>, instance: &'a Instance) -> &'a Flavor {
    let chosen = plan
        .mapping
        .instances
        .get(&instance.id)
        .and_then(|m| m.flavor.as_deref());
    chosen
        .and_then(|name| flavor(world.target.inventory, name))
        .unwrap_or(&instance.flavor)
}

/// Compute nodes and zones against flavours (PLAN-12, PLAN-65 … PLAN-67, PLAN-80 … PLAN-86). A stopped instance takes its
/// room as well. Without a list of nodes nothing is said.
pub(super) fn compute(plan: &RecoveryPlan, world: &PlanWorld<'_>) -> Vec<PlanHole> {
    let target = world.target.inventory;
    if target.hypervisors.is_empty() {
        return Vec::new();
    }
    let mut on_node: BTreeMap<&str, (Room, &Instance)> = BTreeMap::new();
    let mut in_zone: BTreeMap<&str, Vec<(Room, &Instance)>> = BTreeMap::new();
    for instance in instances(world) {
        let mapping = plan.mapping.instances.get(&instance.id);
        let room = Room::of(size(plan, world, instance));
        if let Some(host) = mapping.and_then(|m| m.host.as_deref()) {
            let (sum, _) = on_node.entry(host).or_insert((Room::default(), instance));
            *sum = sum.plus(room);
        } else if let Some(zone) = zone_of(plan, instance) {
            in_zone.entry(zone).or_default().push((room, instance));
        }
    }
    let node = |name: &str| target.hypervisors.values().find(|h| h.available && h.name == name);
    let mut holes = Vec::new();
    for (host, (needed, first)) in &on_node {
        // A node that is not there is a hole of its own.
        let Some(free) = node(host).map(Room::free) else {
            continue;
        };
        if !free.holds(*needed) {
            let field = format!("mapping.instances[{}].host", first.id);
            holes.push(short(field, &format!("the compute node {host}"), *needed, free));
        }
    }
    let left = |h: &Hypervisor| match on_node.get(h.name.as_str()) {
        Some((pinned, _)) => Room::free(h).minus(*pinned),
        None => Room::free(h),
    };
    for (name, wanted) in &in_zone {
        let Some(zone) = zone(target, name) else { continue };
        let member = |h: &&Hypervisor| h.available && (zone.hosts.is_empty() || zone.hosts.contains(&h.name));
        let rooms: Vec<Room> = target.hypervisors.values().filter(member).map(left).collect();
        let total = rooms.iter().copied().fold(Room::default(), Room::plus);
        let needed = wanted.iter().map(|(room, _)| *room).fold(Room::default(), Room::plus);
        let place = format!("the availability zone {name}");
        if let Some((room, instance)) = wanted
            .iter()
            .find(|(room, _)| !rooms.iter().any(|free| free.holds(*room)))
        {
            let field = format!("mapping.instances[{}].availability_zone", instance.id);
            let best = rooms
                .iter()
                .copied()
                .max_by_key(|free| (free.memory_mib, free.vcpus))
                .unwrap_or_default();
            holes.push(short(field, &format!("no compute node of {place}"), *room, best));
        } else if !total.holds(needed)
            && let Some((_, instance)) = wanted.first()
        {
            let field = format!("mapping.availability_zones[{}]", instance.availability_zone);
            holes.push(short(field, &place, needed, total));
        }
    }
    holes
}

/// LIM-03: in each pool whose free bytes are known, data × (retention + 2) must fit. What a plan has copied already has its room:
/// of that only the points count that are to be kept beside those of now.
pub(super) fn storage(
    plan: &RecoveryPlan,
    world: &PlanWorld<'_>,
    now: Option<&RecoveryPlan>,
    free: &BTreeMap<String, u64>,
) -> Vec<Error> {
    let ids: BTreeSet<_> = instances(world).iter().flat_map(|i| &i.volume_ids).collect();
    let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
    for volume in ids.into_iter().filter_map(|id| world.source.inventory.volumes.get(id)) {
        let retention = u64::from(plan.snapshot_retention);
        let copies = match now.filter(|now| now.volumes.contains_key(&volume.id)) {
            Some(now) => retention.saturating_sub(u64::from(now.snapshot_retention)),
            None => retention + 2,
        };
        let bytes = volume.size_gib.saturating_mul(1 << 30).saturating_mul(copies);
        if let Some(pool) = volume.storage.as_ref().and_then(|storage| storage.pool()) {
            let sum = needed.entry(pool).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    let short = needed.into_iter().filter_map(|(pool, needed)| {
        let free = *free.get(pool).filter(|free| needed > **free)?;
        Some((pool, needed, free))
    });
    let refusal = |(pool, needed, free): (&str, u64, u64)| {
        Error::new(
            ErrorKind::Quota,
            "plan.storage_capacity",
            format!("the pool {pool} of the Target's storage has not enough room"),
        )
        .with_field("snapshot_retention")
        .with("pool", pool)
        .with("bytes_needed", needed)
        .with("bytes_free", free)
        .with_remedy("keep fewer recovery points, or extend the Target's storage")
    };
    short.map(refusal).collect()
}
