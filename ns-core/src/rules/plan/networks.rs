//! The outside of a plan's networks: external networks and floating addresses.

use super::PlanWorld;
use super::mapping::{Holes, PlanFlag};
use crate::ErrorKind;
use crate::model::{FloatingIp, Instance, RecoveryPlan};
use std::collections::BTreeSet;

/// PLAN-11, PLAN-69 … PLAN-75, PLAN-90, PLAN-91. What a failover connects: the routers of every network that an instance
/// has a card in, and the floating IPs of its cards.
pub(super) fn holes(plan: &RecoveryPlan, world: &PlanWorld<'_>, instances: &[&Instance], holes: &mut Holes) {
    let source = world.source.inventory;
    let ports: BTreeSet<_> = instances.iter().flat_map(|i| &i.port_ids).collect();
    let inside: BTreeSet<_> = ports
        .iter()
        .filter_map(|id| source.ports.get(*id))
        .map(|p| &p.network_id)
        .collect();
    let subnets: BTreeSet<_> = source
        .subnets
        .values()
        .filter(|s| inside.contains(&s.network_id))
        .map(|s| &s.id)
        .collect();
    let routers = source
        .routers
        .values()
        .filter(|r| r.subnet_ids.iter().any(|id| subnets.contains(id)));
    let floating: Vec<_> = source
        .floating_ips
        .values()
        .filter(|f| f.port_id.as_ref().is_some_and(|id| ports.contains(id)))
        .collect();
    let outside = routers
        .filter_map(|r| r.external_network_id.as_ref())
        .chain(floating.iter().map(|f| &f.network_id));
    let there = &world.target.inventory.subnets;
    for id in outside.collect::<BTreeSet<_>>() {
        const REMEDY: &str = "map it to an external network of the Target cluster";
        let field = format!("mapping.external_networks[{id}]");
        match plan.mapping.external_networks.get(id) {
            None => holes.unmapped(
                PlanFlag::ExternalNetwork,
                field,
                &format!("external network {id}"),
                REMEDY,
            ),
            Some(target) if world.target.inventory.networks.get(target).is_none_or(|n| !n.external) => {
                let message = format!("the Target has no external network {target}");
                holes.add(PlanFlag::ExternalNetwork, ErrorKind::NotFound, field, message, REMEDY);
            }
            // A Target that shows no subnets at all does not tell.
            Some(target) if !there.is_empty() && there.values().all(|s| &s.network_id != target) => {
                let message = format!("the Target's external network {target} has no subnet: it gives no addresses");
                holes.add(PlanFlag::ExternalNetwork, ErrorKind::Refused, field, message, REMEDY);
            }
            Some(_) => {}
        }
    }
    let ours: BTreeSet<_> = floating.iter().map(|f| f.address.as_str()).collect();
    addresses(plan, world, &ours, holes);
}

/// Floating addresses that the plan wants on the Target.
fn addresses(plan: &RecoveryPlan, world: &PlanWorld<'_>, ours: &BTreeSet<&str>, holes: &mut Holes) {
    let mut wanted = BTreeSet::new();
    for (source, target) in &plan.mapping.floating_ips {
        let taken = world
            .target
            .inventory
            .floating_ips
            .values()
            .find(|f| &f.address == target);
        let (kind, message, remedy) = if !world.capabilities.choose_floating_ip {
            let message = "the Target's cloud does not take a floating address".to_owned();
            (
                ErrorKind::Unsupported,
                message,
                "leave it out: any free address is taken then",
            )
        } else if !ours.contains(source.as_str()) {
            let message = format!("no instance of the group has the floating address {source}");
            (ErrorKind::Invalid, message, "take it out of the mapping")
        } else if !wanted.insert(target) {
            (
                ErrorKind::Conflict,
                format!("the address {target} is mapped twice"),
                "choose another address",
            )
        } else if taken.is_some_and(|f| !world.job_tenants.contains(&f.tenant_id) && !is_at_home(plan, world, f)) {
            (
                ErrorKind::Conflict,
                format!("the address {target} is in use on the Target"),
                "choose another address",
            )
        } else {
            continue;
        };
        holes.add(
            PlanFlag::FloatingIp,
            kind,
            format!("mapping.floating_ips[{source}]"),
            message,
            remedy,
        );
    }
}

/// Whether an address is that of an original instance, to which a plan that leads back leads: it has it still.
fn is_at_home(plan: &RecoveryPlan, world: &PlanWorld<'_>, address: &FloatingIp) -> bool {
    let ports = &world.target.inventory.ports;
    let port = address.port_id.as_ref().and_then(|id| ports.get(id));
    let original =
        |device: &str| (plan.home.iter()).any(|home| home.instances.values().any(|was| was.as_str() == device));
    port.is_some_and(|port| original(&port.device_id))
}
