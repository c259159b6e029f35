//! What planning asks for each volume, port and instance, found once for all of them: a group may have ten thousand.

use super::recovery::RecoveryInputs;
use crate::model::{CloudId, FloatingIp, Instance, ServerGroup};
use std::collections::BTreeMap;
use std::ops::Deref;

/// The inputs of a recovery, with what is looked up in them.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    inputs: RecoveryInputs<'a>,
    writers: BTreeMap<&'a CloudId, Vec<&'a Instance>>,
    floating_ips: BTreeMap<&'a CloudId, Vec<&'a FloatingIp>>,
    server_groups: BTreeMap<&'a CloudId, &'a ServerGroup>,
}

impl<'a> Lookup<'a> {
    pub(super) fn of(inputs: &RecoveryInputs<'a>) -> Self {
        let inventory = inputs.inventory;
        let mut writers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for instance in inventory.instances.values() {
            for volume in &instance.volume_ids {
                writers.entry(volume).or_default().push(instance);
            }
        }
        let mut floating_ips: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for floating in inventory.floating_ips.values() {
            if let Some(port) = &floating.port_id {
                floating_ips.entry(port).or_default().push(floating);
            }
        }
        let mut server_groups = BTreeMap::new();
        for group in inventory.server_groups.values() {
            for member in &group.members {
                server_groups.entry(member).or_insert(group);
            }
        }
        Self {
            inputs: *inputs,
            writers,
            floating_ips,
            server_groups,
        }
    }

    /// Everything on the Source that may write to a volume: also instances that are left out of this recovery, for a volume has
    /// one writing side only.
    pub(super) fn writers(&self, volume: &CloudId) -> &[&'a Instance] {
        self.writers.get(volume).map_or(&[], Vec::as_slice)
    }

    /// The floating IPs that lead to a port.
    pub(super) fn floating_ips(&self, port: &CloudId) -> &[&'a FloatingIp] {
        self.floating_ips.get(port).map_or(&[], Vec::as_slice)
    }

    /// The server group that an instance is in.
    pub(super) fn server_group(&self, instance: &CloudId) -> Option<&'a ServerGroup> {
        self.server_groups.get(instance).copied()
    }
}

impl<'a> Deref for Lookup<'a> {
    type Target = RecoveryInputs<'a>;

    fn deref(&self) -> &Self::Target {
        &self.inputs
    }
}
