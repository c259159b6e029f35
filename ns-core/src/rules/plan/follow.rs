//! How a plan follows its group and its Source by itself (PLAN-60): level by level, not event by event. Whatever was told, told
//! twice or never told, what comes of it depends on how things are now.
//!
//! Of the 37 events of §5.3 most change nothing that a plan keeps: definitions of networks, routers, addresses, flavours and
//! servers are taken from the Source when a job or a recovery point is made, and what the Target lacks, has no room for or has
//! given away is a reason of the plan's state ([`assess`](super::assess)) as long as it is so. Mappings are never cleared: a zone
//! or an external network that comes back is good again. What changes is which instances and volumes belong to the plan.

use crate::model::{
    CloudId, InstanceMapping, Inventory, LeavingVolume, PlanChangePart, ProtectionGroup, RecoveryPlan, RecoveryPoint,
};
use std::collections::BTreeSet;

/// The instances of a group that its Source does not have any more (PLAN-83). None when it has none of them: that a whole group
/// was deleted is no wish to end its protection, and its recovery points are what is left of it.
#[must_use]
pub fn vanished(group: &ProtectionGroup, source: &Inventory) -> BTreeSet<CloudId> {
    let gone: BTreeSet<_> = group
        .instances
        .iter()
        .filter(|id| !source.instances.contains_key(*id))
        .cloned()
        .collect();
    if gone.len() == group.instances.len() {
        return BTreeSet::new();
    }
    gone
}

/// Makes a plan follow its group: what is no member's leaves it, what is one's again returns. `by_hand` tells whether an operator
/// took it out, knowing that its recovery points go with time.
pub fn follow(
    plan: &mut RecoveryPlan,
    group: &ProtectionGroup,
    source: &Inventory,
    by_hand: bool,
) -> Vec<PlanChangePart> {
    let mut parts = Vec::new();
    let members: BTreeSet<&CloudId> = group.instances.iter().collect();
    let left: Vec<CloudId> = (plan.mapping.instances.keys())
        .filter(|id| !members.contains(id))
        .cloned()
        .collect();
    for instance in left {
        plan.mapping.instances.remove(&instance);
        for mapping in plan.mapping.instances.values_mut() {
            mapping.boot_after.remove(&instance);
        }
        parts.push(PlanChangePart::InstanceLeft { instance });
    }
    // The volumes of a member that is not there now are not known.
    let Some(instances) = (group.instances.iter())
        .map(|id| source.instances.get(id))
        .collect::<Option<Vec<_>>>()
    else {
        return parts;
    };
    let wanted: BTreeSet<&CloudId> = instances.into_iter().flat_map(|i| &i.volume_ids).collect();
    let left: Vec<CloudId> = (plan.volumes.keys())
        .filter(|id| !wanted.contains(id))
        .cloned()
        .collect();
    for id in left {
        if let Some(volume) = plan.volumes.remove(&id) {
            let leaving = LeavingVolume {
                volume,
                vanished: !by_hand,
                releasing: false,
            };
            plan.leaving.insert(id.clone(), leaving);
            parts.push(PlanChangePart::VolumeLeft { volume: id });
        }
    }
    let back: Vec<CloudId> = (plan.leaving.iter())
        .filter(|(id, leaving)| wanted.contains(id) && !leaving.releasing)
        .map(|(id, _)| id.clone())
        .collect();
    for id in back {
        if let Some(leaving) = plan.leaving.remove(&id) {
            plan.volumes.insert(id.clone(), leaving.volume);
            parts.push(PlanChangePart::VolumeReturned { volume: id });
        }
    }
    parts
}

/// Group and plan for a recovery from a point: the members are those of the point, also such as left since; where they go is what
/// the plan says now, and what it said then where it says nothing now (REP-09).
pub fn as_of(group: &mut ProtectionGroup, plan: &mut RecoveryPlan, point: &RecoveryPoint) {
    let then = &point.plan.mapping;
    let now = &mut plan.mapping;
    group.instances.retain(|id| then.instances.contains_key(id));
    let left = then.instances.keys().filter(|id| !group.instances.contains(id));
    let left: Vec<CloudId> = left.cloned().collect();
    group.instances.extend(left);
    now.instances.retain(|id, _| then.instances.contains_key(id));
    for (id, mapping) in &then.instances {
        now.instances.entry(id.clone()).or_insert_with(|| InstanceMapping {
            // Compute nodes and zones come and go.
            host: None,
            ..mapping.clone()
        });
    }
    for mapping in now.instances.values_mut() {
        mapping.boot_after.retain(|id| then.instances.contains_key(id));
    }
    fill(&mut now.availability_zones, &then.availability_zones);
    fill(&mut now.volume_types, &then.volume_types);
    fill(&mut now.external_networks, &then.external_networks);
}

fn fill<K: Ord + Clone, V: Clone>(now: &mut std::collections::BTreeMap<K, V>, then: &std::collections::BTreeMap<K, V>) {
    for (key, value) in then {
        now.entry(key.clone()).or_insert_with(|| value.clone());
    }
}
