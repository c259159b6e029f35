//! Making things other than volumes and servers.

use super::state::{CloudState, conflict, missing, rejected};
use crate::model::{
    CloudId, Flavor, FloatingIp, Keypair, Network, Port, Resource, Router, SecurityGroup, SecurityGroupRule,
    ServerGroup, Subnet, Tenant,
};
use crate::provider::{CreatedKind, Ref, RuleSpec, Spec, Token};
use crate::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;

fn known(id: &Ref) -> Result<CloudId> {
    id.id().map(CloudId::from)
}

impl CloudState {
    /// Makes a thing. Without a token it is a user who makes it, and who may do so everywhere.
    pub(crate) fn make(&mut self, spec: &Spec, token: Option<&Token>) -> Result<CloudId> {
        if let Some(tenant) = spec.tenant() {
            let tenant = known(tenant)?;
            if !self.inventory.tenants.contains_key(&tenant) {
                return Err(missing("tenant", tenant.as_str()));
            }
            if token.is_some() && spec.kind() != CreatedKind::TenantAccess && !self.access.contains(&tenant) {
                let message = format!("the user has no role in tenant {tenant}");
                return Err(Error::new(ErrorKind::Denied, "sim.denied", message));
            }
            self.check_limit(spec.kind(), &tenant)?;
        }
        let id = self.make_one(spec, token)?;
        if let Some(token) = token {
            self.tokens.insert((spec.kind(), id.clone()), token.clone());
        }
        Ok(id)
    }

    fn make_one(&mut self, spec: &Spec, token: Option<&Token>) -> Result<CloudId> {
        match spec {
            Spec::Tenant { name, .. } => {
                if self.inventory.tenants.values().any(|t| t.name == *name) {
                    return Err(conflict(format!("there is a tenant {name} already")));
                }
                let id = self.id("tenant");
                let tags = token.iter().map(ToString::to_string).collect();
                let (name, enabled) = (name.clone(), true);
                self.put(Resource::Tenant(Tenant {
                    id: id.clone(),
                    name,
                    enabled,
                    tags,
                }));
                Ok(id)
            }
            Spec::TenantAccess { tenant } => {
                let id = known(tenant)?;
                self.access.insert(id.clone());
                Ok(id)
            }
            Spec::Network { tenant, name, mtu } => {
                let id = self.id("network");
                self.put(Resource::Network(Network {
                    id: id.clone(),
                    name: name.clone(),
                    tenant_id: known(tenant)?,
                    external: false,
                    shared: false,
                    mtu: mtu.or(Some(1450)),
                }));
                Ok(id)
            }
            Spec::Subnet { .. } => self.make_subnet(spec),
            Spec::Router {
                tenant,
                name,
                external_network,
            } => {
                let external = external_network.as_ref().map(known).transpose()?;
                if let Some(id) = &external {
                    self.external(id)?;
                }
                let id = self.id("router");
                self.put(Resource::Router(Router {
                    id: id.clone(),
                    name: name.clone(),
                    tenant_id: known(tenant)?,
                    external_network_id: external,
                    subnet_ids: vec![],
                }));
                Ok(id)
            }
            Spec::RouterInterface { tenant, router, subnet } => {
                self.connect(&known(tenant)?, &known(router)?, &known(subnet)?)
            }
            Spec::SecurityGroup {
                tenant,
                name,
                description,
            } => {
                let id = self.id("group");
                self.put(Resource::SecurityGroup(SecurityGroup {
                    id: id.clone(),
                    name: name.clone(),
                    description: description.clone(),
                    tenant_id: known(tenant)?,
                    rules: vec![],
                }));
                Ok(id)
            }
            Spec::SecurityGroupRules { group, rules, .. } => self.set_rules(&known(group)?, rules),
            Spec::Keypair { name, public_key } => {
                let id = CloudId::from(name.as_str());
                if self.inventory.keypairs.contains_key(&id) {
                    return Err(conflict(format!("there is a keypair {name} already")));
                }
                self.put(Resource::Keypair(Keypair {
                    id: id.clone(),
                    name: name.clone(),
                    public_key: public_key.clone(),
                    fingerprint: format!("sim:{:08x}", public_key.bytes().map(u32::from).sum::<u32>()),
                }));
                Ok(id)
            }
            Spec::Flavor {
                name,
                vcpus,
                memory_mib,
                disk_gib,
                ephemeral_gib,
                swap_mib,
                extra_specs,
                ..
            } => {
                if self.inventory.flavors.values().any(|f| f.name == *name) {
                    return Err(conflict(format!("there is a flavour {name} already")));
                }
                let id = self.id("flavor");
                self.put(Resource::Flavor(Flavor {
                    id: id.clone(),
                    name: name.clone(),
                    vcpus: *vcpus,
                    memory_mib: *memory_mib,
                    disk_gib: *disk_gib,
                    ephemeral_gib: *ephemeral_gib,
                    swap_mib: *swap_mib,
                    public: false,
                    extra_specs: extra_specs.clone(),
                }));
                Ok(id)
            }
            Spec::Port { .. } => self.make_port(spec),
            Spec::FloatingIp { .. } => self.make_floating_ip(spec),
            Spec::ServerGroup { name, policy, .. } => {
                let id = self.id("servergroup");
                let (name, policy) = (name.clone(), policy.clone());
                self.put(Resource::ServerGroup(ServerGroup {
                    id: id.clone(),
                    name,
                    policy,
                    members: vec![],
                }));
                Ok(id)
            }
            Spec::Server { .. } => Err(rejected("servers are made elsewhere")),
        }
    }

    fn external(&self, id: &CloudId) -> Result<()> {
        match self.inventory.networks.get(id) {
            None => Err(missing("network", id.as_str())),
            Some(n) if !n.external => Err(rejected(format!("network {id} is not external"))),
            Some(_) => Ok(()),
        }
    }

    fn make_subnet(&mut self, spec: &Spec) -> Result<CloudId> {
        let Spec::Subnet {
            tenant,
            network,
            name,
            cidr,
            ip_version,
            gateway_ip,
            dhcp,
            allocation_pools,
            dns_nameservers,
            host_routes,
        } = spec
        else {
            return Err(rejected("not a subnet"));
        };
        let network_id = known(network)?;
        if !self.inventory.networks.contains_key(&network_id) {
            return Err(missing("network", network_id.as_str()));
        }
        let taken = self
            .inventory
            .subnets
            .values()
            .any(|s| s.network_id == network_id && s.cidr == *cidr);
        if taken {
            return Err(rejected(format!("{cidr} overlaps with another subnet of the network")));
        }
        let id = self.id("subnet");
        self.put(Resource::Subnet(Subnet {
            id: id.clone(),
            name: name.clone(),
            network_id,
            tenant_id: known(tenant)?,
            cidr: cidr.clone(),
            ip_version: *ip_version,
            gateway_ip: gateway_ip.clone(),
            dhcp: *dhcp,
            allocation_pools: match allocation_pools.is_empty() {
                true => whole_range(cidr).into_iter().collect(),
                false => allocation_pools.clone(),
            },
            dns_nameservers: dns_nameservers.clone(),
            host_routes: host_routes.clone(),
        }));
        Ok(id)
    }

    fn connect(&mut self, tenant: &CloudId, router: &CloudId, subnet: &CloudId) -> Result<CloudId> {
        let id = CloudId::new(format!("{router}/{subnet}"));
        let place = self
            .inventory
            .subnets
            .get(subnet)
            .ok_or_else(|| missing("subnet", subnet.as_str()))?;
        let network_id = place.network_id.clone();
        let gateway = place
            .gateway_ip
            .clone()
            .ok_or_else(|| rejected(format!("subnet {subnet} has no gateway")))?;
        if self.address_taken(subnet, &gateway) {
            return Err(conflict(format!("{gateway} is taken in subnet {subnet}")));
        }
        let device = self
            .inventory
            .routers
            .get_mut(router)
            .ok_or_else(|| missing("router", router.as_str()))?;
        device.subnet_ids.push(subnet.clone());
        let port = self.id("port");
        let mac = self.mac(&port);
        self.put(Resource::Port(Port {
            id: port,
            name: String::new(),
            tenant_id: tenant.clone(),
            network_id,
            device_id: router.to_string(),
            device_owner: "network:router_interface".to_owned(),
            mac,
            fixed_ips: vec![(subnet.clone(), gateway)],
            security_group_ids: vec![],
        }));
        Ok(id)
    }

    fn set_rules(&mut self, group: &CloudId, rules: &[RuleSpec]) -> Result<CloudId> {
        let resolve = |spec: &RuleSpec| {
            let remote_group_id = spec.remote_group.as_ref().map(known).transpose()?;
            Ok(SecurityGroupRule {
                remote_group_id,
                ..spec.rule.clone()
            })
        };
        let mut rules = rules.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        rules.sort();
        rules.dedup();
        let found = self.inventory.security_groups.get_mut(group);
        found.ok_or_else(|| missing("security group", group.as_str()))?.rules = rules;
        Ok(group.clone())
    }

    fn address_taken(&self, subnet: &CloudId, address: &str) -> bool {
        let ports = self.inventory.ports.values();
        ports
            .flat_map(|p| &p.fixed_ips)
            .any(|(s, a)| s == subnet && a == address)
    }

    fn free_address(&self, subnet: &CloudId, taken: impl Fn(&str) -> bool) -> Result<String> {
        let place = self
            .inventory
            .subnets
            .get(subnet)
            .ok_or_else(|| missing("subnet", subnet.as_str()))?;
        for (first, last) in &place.allocation_pools {
            let (Ok(first), Ok(last)) = (first.parse::<Ipv4Addr>(), last.parse::<Ipv4Addr>()) else {
                continue;
            };
            let free = (first.to_bits()..=last.to_bits())
                .map(|bits| Ipv4Addr::from_bits(bits).to_string())
                .find(|a| place.gateway_ip.as_ref() != Some(a) && !taken(a));
            if let Some(address) = free {
                return Ok(address);
            }
        }
        Err(Error::new(
            ErrorKind::Quota,
            "sim.addresses",
            format!("subnet {subnet} has no free address"),
        ))
    }

    fn mac(&self, id: &CloudId) -> String {
        let hash = id
            .as_str()
            .bytes()
            .fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
        let [_, b, c, d] = hash.to_be_bytes();
        format!("fa:16:3e:{b:02x}:{c:02x}:{d:02x}")
    }

    fn make_port(&mut self, spec: &Spec) -> Result<CloudId> {
        let Spec::Port {
            tenant,
            network,
            name,
            fixed_ips,
            mac,
            security_groups,
        } = spec
        else {
            return Err(rejected("not a port"));
        };
        let network_id = known(network)?;
        if !self.inventory.networks.contains_key(&network_id) {
            return Err(missing("network", network_id.as_str()));
        }
        let mut addresses = vec![];
        for (subnet, address) in fixed_ips {
            let subnet = known(subnet)?;
            if self
                .inventory
                .subnets
                .get(&subnet)
                .is_none_or(|s| s.network_id != network_id)
            {
                return Err(rejected(format!("subnet {subnet} is not of network {network_id}")));
            }
            if self.address_taken(&subnet, address) {
                return Err(conflict(format!(
                    "IpAddressAlreadyAllocated: {address} in subnet {subnet}"
                )));
            }
            addresses.push((subnet, address.clone()));
        }
        if addresses.is_empty() {
            let subnet = self.inventory.subnets.values().find(|s| s.network_id == network_id);
            if let Some(subnet) = subnet.map(|s| s.id.clone()) {
                let address = self.free_address(&subnet, |a| self.address_taken(&subnet, a))?;
                addresses.push((subnet, address));
            }
        }
        let on_network = |p: &&Port| p.network_id == network_id;
        if let Some(mac) = mac
            && self.inventory.ports.values().filter(on_network).any(|p| p.mac == *mac)
        {
            return Err(conflict(format!("MacAddressInUse: {mac}")));
        }
        let groups = security_groups.iter().map(known).collect::<Result<Vec<_>>>()?;
        if let Some(group) = groups.iter().find(|g| !self.inventory.security_groups.contains_key(*g)) {
            return Err(missing("security group", group.as_str()));
        }
        let id = self.id("port");
        self.put(Resource::Port(Port {
            id: id.clone(),
            name: name.clone(),
            tenant_id: known(tenant)?,
            network_id,
            device_id: String::new(),
            device_owner: String::new(),
            mac: mac.clone().unwrap_or_else(|| self.mac(&id)),
            fixed_ips: addresses,
            security_group_ids: groups,
        }));
        Ok(id)
    }

    fn make_floating_ip(&mut self, spec: &Spec) -> Result<CloudId> {
        let Spec::FloatingIp {
            tenant,
            external_network,
            address,
            port,
        } = spec
        else {
            return Err(rejected("not a floating IP"));
        };
        let (network_id, port) = (known(external_network)?, known(port)?);
        self.external(&network_id)?;
        let inside = self
            .inventory
            .ports
            .get(&port)
            .ok_or_else(|| missing("port", port.as_str()))?;
        let routed = |r: &Router| {
            r.external_network_id.as_ref() == Some(&network_id)
                && inside.fixed_ips.iter().any(|(subnet, _)| r.subnet_ids.contains(subnet))
        };
        if !self.inventory.routers.values().any(routed) {
            return Err(rejected(format!(
                "port {port} cannot be reached from external network {network_id}"
            )));
        }
        let taken = |a: &str| self.inventory.floating_ips.values().any(|f| f.address == a);
        let subnet = self
            .inventory
            .subnets
            .values()
            .find(|s| s.network_id == network_id)
            .map(|s| s.id.clone());
        let address = match (address, subnet) {
            (Some(address), _) if taken(address) => {
                return Err(conflict(format!("IpAddressAlreadyAllocated: {address}")));
            }
            (Some(address), _) => address.clone(),
            (None, Some(subnet)) => self.free_address(&subnet, taken)?,
            (None, None) => return Err(rejected(format!("network {network_id} has no subnet"))),
        };
        let id = self.id("fip");
        self.put(Resource::FloatingIp(FloatingIp {
            id: id.clone(),
            name: address.clone(),
            address,
            tenant_id: known(tenant)?,
            network_id,
            port_id: Some(port),
        }));
        Ok(id)
    }
}

/// The usual allocation pool of an IPv4 range: all but the network, the first and the broadcast address.
fn whole_range(cidr: &str) -> Option<(String, String)> {
    let (base, bits) = cidr.split_once('/')?;
    let (base, bits) = (
        base.parse::<Ipv4Addr>().ok()?,
        bits.parse::<u32>().ok().filter(|b| (1..=30).contains(b))?,
    );
    let last = base.to_bits() | (u32::MAX >> bits);
    let text = |bits| Ipv4Addr::from_bits(bits).to_string();
    Some((text(base.to_bits() + 2), text(last - 1)))
}
