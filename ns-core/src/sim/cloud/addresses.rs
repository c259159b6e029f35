//! Making subnets, ports, router interfaces and floating IPs: everything that has an address.

use super::create::known;
use super::state::{CloudState, conflict, missing, rejected};
use crate::model::{CloudId, FloatingIp, Port, Resource, Router, Subnet};
use crate::provider::Spec;
use crate::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;

impl CloudState {
    pub(crate) fn external(&self, id: &CloudId) -> Result<()> {
        match self.inventory.networks.get(id) {
            None => Err(missing("network", id.as_str())),
            Some(n) if !n.external => Err(rejected(format!("network {id} is not external"))),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn make_subnet(&mut self, spec: &Spec) -> Result<CloudId> {
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

    pub(crate) fn connect(&mut self, tenant: &CloudId, router: &CloudId, subnet: &CloudId) -> Result<CloudId> {
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

    pub(crate) fn make_port(&mut self, spec: &Spec) -> Result<CloudId> {
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

    pub(crate) fn make_floating_ip(&mut self, spec: &Spec) -> Result<CloudId> {
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
