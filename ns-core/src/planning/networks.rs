//! The networks of a recovery: tenant, networks, subnets, routers, security groups, ports, floating IPs.
//!
//! A drill gets networks of its own without any way out (OPEN-17): no router, no floating IP. Addresses and hardware
//! addresses are those of the Source, so that guests find themselves at home.

use super::graph::{Action, Side, TaskGraph};
use super::lookup::Lookup;
use crate::model::{CloudId, Port, SecurityGroup, TaskKey};
use crate::provider::{Ref, RuleSpec, Spec};
use crate::{Error, ErrorKind, Result};

/// How the tasks begin that connect a subnet to a router.
const ROUTER_INTERFACE: &str = "router-interface/";

/// Adds a task that makes something on the Target.
pub(super) fn create(
    graph: &mut TaskGraph,
    key: String,
    spec: Spec,
    after: impl IntoIterator<Item = TaskKey>,
) -> TaskKey {
    let after: Vec<TaskKey> = after.into_iter().collect();
    graph.add(
        key,
        Action::Create {
            side: Side::Target,
            spec,
        },
        &after,
    )
}

fn missing(what: &str, id: &CloudId) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "inventory.incomplete",
        format!("{what} {id} is not in the inventory"),
    )
    .with_remedy("synchronise the Source cluster and make a new recovery point")
}

/// Adds the tenant, and the right to work in it; gives the task to wait for.
pub(super) fn tenant(graph: &mut TaskGraph, inputs: &Lookup<'_>) -> (Ref, TaskKey) {
    let name = match inputs.isolated {
        true => format!("{}-drill-{}", inputs.plan.mapping.tenant_name, inputs.suffix),
        false => inputs.plan.mapping.tenant_name.clone(),
    };
    let description = format!("made by NeverStop job {}", inputs.job_id);
    let tenant = create(graph, "tenant".to_owned(), Spec::Tenant { name, description }, []);
    let tenant_ref = Ref::OutputOf(tenant.clone());
    let access = create(
        graph,
        "tenant-access".to_owned(),
        Spec::TenantAccess {
            tenant: tenant_ref.clone(),
        },
        [tenant],
    );
    (tenant_ref, access)
}

/// Adds a port with its network, subnets and security groups; for a failover also the way out. Gives the port's task.
pub(super) fn port(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    tenant: &(Ref, TaskKey),
    port: &Port,
) -> Result<TaskKey> {
    let network = network(graph, inputs, tenant, &port.network_id)?;
    let mut after = vec![tenant.1.clone(), network.clone()];
    let mut fixed_ips = Vec::new();
    for (subnet_id, address) in &port.fixed_ips {
        let subnet = TaskKey::new(format!("subnet/{subnet_id}"));
        if !graph.tasks.contains_key(&subnet) {
            return Err(missing("subnet", subnet_id));
        }
        fixed_ips.push((Ref::OutputOf(subnet.clone()), address.clone()));
        after.push(subnet);
    }
    let mut security_groups = Vec::new();
    for id in &port.security_group_ids {
        let group = security_group(graph, inputs, tenant, id)?;
        security_groups.push(Ref::OutputOf(group));
        after.push(TaskKey::new(format!("security-group-rules/{id}")));
    }
    let spec = Spec::Port {
        tenant: tenant.0.clone(),
        network: Ref::OutputOf(network),
        name: port.name.clone(),
        fixed_ips,
        mac: Some(port.mac.clone()),
        security_groups,
    };
    let key = create(graph, format!("port/{}", port.id), spec, after);
    Ok(key)
}

/// Adds the floating IPs that lead to a port; none in an isolated recovery.
pub(super) fn floating_ips(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    tenant: &(Ref, TaskKey),
    port: &Port,
    port_task: &TaskKey,
) -> Result<Vec<TaskKey>> {
    if inputs.isolated {
        return Ok(Vec::new());
    }
    let mut tasks = Vec::new();
    for floating in inputs.floating_ips(&port.id) {
        let Some(external) = inputs.plan.mapping.external_networks.get(&floating.network_id) else {
            return Err(unmapped_external(&floating.network_id));
        };
        let mut after = vec![tenant.1.clone(), port_task.clone()];
        // The address only works once the port's network has its way out.
        let ways_out = graph.tasks.range(TaskKey::new(ROUTER_INTERFACE)..);
        let ways_out = ways_out
            .map(|(key, _)| key.clone())
            .take_while(|k| k.as_str().starts_with(ROUTER_INTERFACE));
        let leads_out = |way: &TaskKey| {
            let mut subnets = port.fixed_ips.iter().map(|(subnet, _)| subnet.as_str());
            subnets.any(|subnet| way.as_str().rsplit('/').next() == Some(subnet))
        };
        after.extend(ways_out.filter(leads_out));
        let spec = Spec::FloatingIp {
            tenant: tenant.0.clone(),
            external_network: Ref::Known(external.clone()),
            address: inputs.plan.mapping.floating_ips.get(&floating.address).cloned(),
            port: Ref::OutputOf(port_task.clone()),
        };
        tasks.push(create(graph, format!("floating-ip/{}", floating.address), spec, after));
    }
    Ok(tasks)
}

fn unmapped_external(id: &CloudId) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "plan.mapping",
        format!("the external network {id} has no counterpart"),
    )
    .with_field(format!("mapping.external_networks[{id}]"))
    .with_remedy("map it to an external network of the Target cluster")
}

fn network(graph: &mut TaskGraph, inputs: &Lookup<'_>, tenant: &(Ref, TaskKey), id: &CloudId) -> Result<TaskKey> {
    let key = TaskKey::new(format!("network/{id}"));
    if graph.tasks.contains_key(&key) {
        return Ok(key);
    }
    let network = inputs
        .inventory
        .networks
        .get(id)
        .ok_or_else(|| missing("network", id))?;
    let spec = Spec::Network {
        tenant: tenant.0.clone(),
        name: network.name.clone(),
        mtu: network.mtu,
    };
    let key = create(graph, key.to_string(), spec, [tenant.1.clone()]);
    for subnet in inputs.inventory.subnets.values().filter(|s| &s.network_id == id) {
        let spec = Spec::Subnet {
            tenant: tenant.0.clone(),
            network: Ref::OutputOf(key.clone()),
            name: subnet.name.clone(),
            cidr: subnet.cidr.clone(),
            ip_version: subnet.ip_version,
            gateway_ip: subnet.gateway_ip.clone(),
            dhcp: subnet.dhcp,
            allocation_pools: subnet.allocation_pools.clone(),
            dns_nameservers: subnet.dns_nameservers.clone(),
            host_routes: subnet.host_routes.clone(),
        };
        let task = create(
            graph,
            format!("subnet/{}", subnet.id),
            spec,
            [tenant.1.clone(), key.clone()],
        );
        if !inputs.isolated {
            routers(graph, inputs, tenant, &subnet.id, &task)?;
        }
    }
    Ok(key)
}

/// The routers that connect a subnet, with their gateway and this interface.
fn routers(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    tenant: &(Ref, TaskKey),
    subnet: &CloudId,
    subnet_task: &TaskKey,
) -> Result<()> {
    for router in inputs
        .inventory
        .routers
        .values()
        .filter(|r| r.subnet_ids.contains(subnet))
    {
        let external_network = match &router.external_network_id {
            None => None,
            Some(id) => {
                let target = inputs
                    .plan
                    .mapping
                    .external_networks
                    .get(id)
                    .ok_or_else(|| unmapped_external(id))?;
                Some(Ref::Known(target.clone()))
            }
        };
        let spec = Spec::Router {
            tenant: tenant.0.clone(),
            name: router.name.clone(),
            external_network,
        };
        let task = create(graph, format!("router/{}", router.id), spec, [tenant.1.clone()]);
        let spec = Spec::RouterInterface {
            tenant: tenant.0.clone(),
            router: Ref::OutputOf(task.clone()),
            subnet: Ref::OutputOf(subnet_task.clone()),
        };
        let key = format!("{ROUTER_INTERFACE}{}/{subnet}", router.id);
        create(graph, key, spec, [tenant.1.clone(), task, subnet_task.clone()]);
    }
    Ok(())
}

/// A security group with its rules, and every group its rules speak of. Groups come first, rules when all groups are
/// there, so that groups may refer to each other.
fn security_group(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    tenant: &(Ref, TaskKey),
    id: &CloudId,
) -> Result<TaskKey> {
    let mut todo = vec![id.clone()];
    while let Some(id) = todo.pop() {
        let key = TaskKey::new(format!("security-group/{id}"));
        if graph.tasks.contains_key(&key) {
            continue;
        }
        let group = inputs
            .inventory
            .security_groups
            .get(&id)
            .ok_or_else(|| missing("security group", &id))?;
        // Every tenant has a group named `default` of its own, which cannot be made; the Source's keeps its rules under
        // another name.
        let name = if group.name == "default" {
            "default-recovered".to_owned()
        } else {
            group.name.clone()
        };
        let spec = Spec::SecurityGroup {
            tenant: tenant.0.clone(),
            name,
            description: group.description.clone(),
        };
        create(graph, key.to_string(), spec, [tenant.1.clone()]);
        let remote: Vec<CloudId> = group.rules.iter().filter_map(|r| r.remote_group_id.clone()).collect();
        rules(graph, tenant, group, &remote);
        todo.extend(remote);
    }
    Ok(TaskKey::new(format!("security-group/{id}")))
}

fn rules(graph: &mut TaskGraph, tenant: &(Ref, TaskKey), group: &SecurityGroup, remote: &[CloudId]) {
    let key_of = |id: &CloudId| TaskKey::new(format!("security-group/{id}"));
    let rules = group
        .rules
        .iter()
        .map(|rule| RuleSpec {
            rule: rule.clone(),
            remote_group: rule.remote_group_id.as_ref().map(|id| Ref::OutputOf(key_of(id))),
        })
        .collect();
    let after: Vec<TaskKey> = [tenant.1.clone(), key_of(&group.id)]
        .into_iter()
        .chain(remote.iter().map(key_of))
        .collect();
    let spec = Spec::SecurityGroupRules {
        tenant: tenant.0.clone(),
        group: Ref::OutputOf(key_of(&group.id)),
        rules,
    };
    create(graph, format!("security-group-rules/{}", group.id), spec, after);
}
