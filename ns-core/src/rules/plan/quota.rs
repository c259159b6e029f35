//! What the tenant may hold that a recovery makes on the Target. Only what is certain is counted: what a recovery makes besides, such
//! as the ports of routers, comes on top.

use super::capacity::size;
use super::mapping::instances;
use super::{PlanWorld, RecoveryPlan};
use crate::model::Instance;
use crate::provider::TenantQuota;
use crate::{Error, ErrorKind};
use std::collections::BTreeSet;

/// One refusal for each limit that is too low. A plan that leads back to a tenant that is there makes none.
pub(super) fn violations(plan: &RecoveryPlan, world: &PlanWorld<'_>, quota: &TenantQuota) -> Vec<Error> {
    if plan.home.is_some() {
        return Vec::new();
    }
    let (source, members) = (world.source.inventory, instances(world));
    let sum = |of: &dyn Fn(&Instance) -> u64| members.iter().fold(0_u64, |sum, i| sum.saturating_add(of(i)));
    let volumes: BTreeSet<_> = members.iter().flat_map(|i| &i.volume_ids).collect();
    let gib = volumes.iter().filter_map(|id| source.volumes.get(*id));
    let gib = gib.fold(0_u64, |sum, volume| sum.saturating_add(volume.size_gib));
    let port_ids: BTreeSet<_> = members.iter().flat_map(|i| &i.port_ids).collect();
    let ports: Vec<_> = port_ids.iter().filter_map(|id| source.ports.get(*id)).collect();
    let networks: BTreeSet<_> = ports.iter().map(|port| &port.network_id).collect();
    let groups: BTreeSet<_> = ports.iter().flat_map(|port| &port.security_group_ids).collect();
    let leads_here = |port: &crate::model::CloudId| port_ids.contains(port);
    let floating = source
        .floating_ips
        .values()
        .filter(|ip| ip.port_id.as_ref().is_some_and(leads_here));
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let needed = [
        ("instances", count(members.len()), quota.instances),
        ("vcpus", sum(&|i| u64::from(size(plan, world, i).vcpus)), quota.vcpus),
        (
            "memory_mib",
            sum(&|i| size(plan, world, i).memory_mib),
            quota.memory_mib,
        ),
        ("volumes", count(volumes.len()), quota.volumes),
        ("volume_gib", gib, quota.volume_gib),
        ("networks", count(networks.len()), quota.networks),
        ("ports", count(port_ids.len()), quota.ports),
        ("floating_ips", count(floating.count()), quota.floating_ips),
        ("security_groups", count(groups.len()), quota.security_groups),
    ];
    let refused = |(what, needed, limit): (&str, u64, Option<u64>)| {
        let limit = limit.filter(|limit| needed > *limit)?;
        Some(
            Error::new(
                ErrorKind::Quota,
                "plan.quota",
                format!("a new tenant of the Target may hold {limit} {what}, and the recovery needs {needed}"),
            )
            .with_field("target_cluster")
            .with("quota", what)
            .with("needed", needed)
            .with("limit", limit)
            .with_remedy("raise the Target's default quotas for new tenants, or protect fewer instances in one group"),
        )
    };
    needed.into_iter().filter_map(refused).collect()
}
