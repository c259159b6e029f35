//! How both clouds are at one moment, seen from outside the product: what has to be the same after a disaster and the way home.

use ns_core::model::{Inventory, PowerState};
use ns_core::sim::SimWorld;
use std::collections::BTreeMap;

/// Instances, addresses and volumes of both sites, and who may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// By project and name: whether it runs, its volumes and its addresses, inside and outside.
    pub(super) instances: BTreeMap<String, (bool, Vec<String>, Vec<String>)>,
    /// The second site's things by kind and name.
    spare: Vec<String>,
    /// How many replicated images are primary on the first site and on the second.
    pub(super) primary: (usize, usize),
}

impl Picture {
    pub(super) fn take(sim: &SimWorld) -> Self {
        let primary = |site| sim.replicas(site).iter().filter(|r| r.primary).count();
        let things = sim.inventory("b");
        let mut spare: Vec<_> = things
            .resources()
            .map(|r| format!("{} {}", r.kind().as_str(), r.name()))
            .collect();
        spare.sort();
        Self {
            instances: instances(&sim.inventory("a")),
            spare,
            primary: (primary("a"), primary("b")),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.instances.keys()
    }

    pub(super) fn running(&self) -> usize {
        self.instances.values().filter(|(runs, ..)| *runs).count()
    }
}

fn instances(all: &Inventory) -> BTreeMap<String, (bool, Vec<String>, Vec<String>)> {
    let named = |id| all.volumes.get(id).map(|v: &ns_core::model::Volume| v.name.clone());
    let seen = all.instances.values().map(|i| {
        let project = all.tenants.get(&i.tenant_id).map_or("", |t| t.name.as_str());
        let ports = i.port_ids.iter().filter_map(|p| all.ports.get(p));
        let inside = ports.flat_map(|p| p.fixed_ips.iter().map(|(_, address)| address.clone()));
        let floating = all.floating_ips.values();
        let outside = floating.filter(|f| f.port_id.as_ref().is_some_and(|p| i.port_ids.contains(p)));
        let addresses = inside.chain(outside.map(|f| f.address.clone())).collect();
        let volumes = i.volume_ids.iter().filter_map(named).collect();
        (
            format!("{project}/{}", i.name),
            (i.power == PowerState::Running, volumes, addresses),
        )
    });
    seen.collect()
}
