//! Whether the volumes of a plan can be replicated at all: storages that know each other, pools that mirror (REP-01).

use super::mapping::instances;
use super::{PlanWorld, Replication, refused};
use crate::Error;
use std::collections::BTreeSet;

pub(super) fn violations(storages: &Replication<'_>, world: &PlanWorld<'_>) -> Vec<Error> {
    if !storages.paired {
        let message = "the storages of Source and Target are not paired: nothing would arrive";
        return vec![
            refused("plan.not_paired", "target_cluster", message)
                .with_remedy("pair them with offer_pairing and accept_pairing, or choose the Target that is the peer"),
        ];
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for instance in instances(world) {
        for id in instance.volume_ids.iter().filter(|id| seen.insert(*id)) {
            let volume = world.source.inventory.volumes.get(id);
            let Some(pool) = volume.and_then(|v| v.storage.as_ref()?.pool()) else {
                continue;
            };
            if storages.pools.iter().all(|p| p != pool) {
                let message = format!(
                    "volume {id} of instance {} lies in pool {pool}, which does not mirror on both sides",
                    instance.name
                );
                found.push(
                    refused(
                        "plan.not_mirrored",
                        format!("mapping.instances[{}]", instance.id),
                        message,
                    )
                    .with("volume", id)
                    .with_remedy("enable mirroring of the pool there, or move the volume to one that mirrors"),
                );
            }
        }
    }
    found
}
