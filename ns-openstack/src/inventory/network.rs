//! Networks and what hangs on them, as Neutron gives them. Neutron shows an administrator all tenants unasked.

use super::{Kind, nullable};
use crate::error::Service;
use crate::paging::{Item, List};
use crate::session::Session;
use ns_core::Result;
use ns_core::model::{self, CloudId, Resource, SecurityGroupRule};
use serde::Deserialize;
use std::collections::HashMap;

/// How many ids are put into one question; an address has room for a few dozen.
pub(super) const IDS_PER_QUESTION: usize = 40;

/// The items of a kind whose members need nothing more.
macro_rules! network_kind {
    ($wire:ident, $path:literal, $many:literal, $one:literal, |$w:ident| $make:expr) => {
        impl Item for $wire {
            fn marker(&self) -> &str {
                &self.id
            }
        }
        impl Kind for $wire {
            const SERVICE: Service = Service::Network;
            const PATH: &'static [&'static str] = &[$path];
            const MANY: &'static str = $many;
            const ONE: &'static str = $one;
            async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
                Ok(page.into_iter().map(|$w| $make).collect())
            }
        }
    };
}

#[derive(Deserialize)]
pub(super) struct Network {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    project_id: String,
    #[serde(rename = "router:external", default)]
    external: bool,
    #[serde(default)]
    shared: bool,
    mtu: Option<u32>,
}

network_kind!(Network, "networks", "networks", "network", |w| Resource::Network(
    model::Network {
        id: w.id.into(),
        name: w.name,
        tenant_id: w.project_id.into(),
        external: w.external,
        shared: w.shared,
        mtu: w.mtu.filter(|mtu| *mtu > 0),
    }
));

#[derive(Deserialize)]
struct Range {
    start: String,
    end: String,
}

#[derive(Deserialize)]
struct Route {
    destination: String,
    nexthop: String,
}

#[derive(Deserialize)]
pub(super) struct Subnet {
    id: String,
    #[serde(default)]
    name: String,
    network_id: String,
    #[serde(default)]
    project_id: String,
    cidr: String,
    ip_version: u8,
    gateway_ip: Option<String>,
    #[serde(default)]
    enable_dhcp: bool,
    #[serde(default)]
    allocation_pools: Vec<Range>,
    #[serde(default)]
    dns_nameservers: Vec<String>,
    #[serde(default)]
    host_routes: Vec<Route>,
}

network_kind!(Subnet, "subnets", "subnets", "subnet", |w| Resource::Subnet(
    model::Subnet {
        id: w.id.into(),
        name: w.name,
        network_id: w.network_id.into(),
        tenant_id: w.project_id.into(),
        cidr: w.cidr,
        ip_version: w.ip_version,
        gateway_ip: w.gateway_ip,
        dhcp: w.enable_dhcp,
        allocation_pools: w.allocation_pools.into_iter().map(|r| (r.start, r.end)).collect(),
        dns_nameservers: w.dns_nameservers,
        host_routes: w.host_routes.into_iter().map(|r| (r.destination, r.nexthop)).collect(),
    }
));

#[derive(Deserialize)]
pub(super) struct FloatingIp {
    id: String,
    floating_ip_address: String,
    #[serde(default)]
    project_id: String,
    floating_network_id: String,
    port_id: Option<String>,
}

network_kind!(FloatingIp, "floatingips", "floatingips", "floatingip", |w| {
    Resource::FloatingIp(model::FloatingIp {
        id: w.id.into(),
        name: w.floating_ip_address.clone(),
        address: w.floating_ip_address,
        tenant_id: w.project_id.into(),
        network_id: w.floating_network_id.into(),
        port_id: w.port_id.map(Into::into),
    })
});

#[derive(Deserialize)]
struct FixedIp {
    subnet_id: String,
    ip_address: String,
}

#[derive(Deserialize)]
pub(super) struct Port {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    project_id: String,
    network_id: String,
    #[serde(default, deserialize_with = "nullable")]
    device_id: String,
    #[serde(default, deserialize_with = "nullable")]
    device_owner: String,
    mac_address: String,
    #[serde(default)]
    fixed_ips: Vec<FixedIp>,
    #[serde(default)]
    security_groups: Vec<String>,
}

network_kind!(Port, "ports", "ports", "port", |w| Resource::Port(model::Port {
    id: w.id.into(),
    name: w.name,
    tenant_id: w.project_id.into(),
    network_id: w.network_id.into(),
    device_id: w.device_id,
    device_owner: w.device_owner,
    mac: w.mac_address,
    fixed_ips: w
        .fixed_ips
        .into_iter()
        .map(|ip| (ip.subnet_id.into(), ip.ip_address))
        .collect(),
    security_group_ids: w.security_groups.into_iter().map(Into::into).collect(),
}));

#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) id: String,
    direction: String,
    ethertype: String,
    protocol: Option<String>,
    port_range_min: Option<u32>,
    port_range_max: Option<u32>,
    remote_ip_prefix: Option<String>,
    remote_group_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) description: String,
}

impl From<&Rule> for SecurityGroupRule {
    fn from(w: &Rule) -> Self {
        Self {
            ingress: w.direction == "ingress",
            ip_version: if w.ethertype == "IPv6" { 6 } else { 4 },
            protocol: w.protocol.clone(),
            port_min: w.port_range_min,
            port_max: w.port_range_max,
            remote_cidr: w.remote_ip_prefix.clone(),
            remote_group_id: w.remote_group_id.clone().map(Into::into),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) project_id: String,
    #[serde(default)]
    pub(crate) security_group_rules: Vec<Rule>,
}

network_kind!(
    SecurityGroup,
    "security-groups",
    "security_groups",
    "security_group",
    |w| {
        Resource::SecurityGroup(model::SecurityGroup {
            rules: w.security_group_rules.iter().map(Into::into).collect(),
            id: w.id.into(),
            name: w.name,
            description: w.description,
            tenant_id: w.project_id.into(),
        })
    }
);

#[derive(Deserialize)]
struct Gateway {
    network_id: String,
}

#[derive(Deserialize)]
pub(super) struct Router {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    project_id: String,
    external_gateway_info: Option<Gateway>,
}

impl Item for Router {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Router {
    const SERVICE: Service = Service::Network;
    const PATH: &'static [&'static str] = &["routers"];
    const MANY: &'static str = "routers";
    const ONE: &'static str = "router";

    /// A router does not name its subnets: its ports do.
    async fn resources(session: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let mut subnets: HashMap<String, Vec<CloudId>> = HashMap::new();
        let ids: Vec<_> = page.iter().map(|r| r.id.clone()).collect();
        for port in ports_of(session, &ids).await? {
            // router_interface, router_interface_distributed, ha_router_replicated_interface; not the gateway's.
            if port.device_owner.starts_with("network:") && port.device_owner.contains("interface") {
                let here = subnets.entry(port.device_id).or_default();
                here.extend(port.fixed_ips.into_iter().map(|ip| CloudId::from(ip.subnet_id)));
            }
        }
        let router = |w: Self| {
            let mut subnet_ids = subnets.remove(&w.id).unwrap_or_default();
            subnet_ids.sort();
            subnet_ids.dedup();
            model::Router {
                id: w.id.into(),
                name: w.name,
                tenant_id: w.project_id.into(),
                external_network_id: w.external_gateway_info.map(|g| g.network_id.into()),
                subnet_ids,
            }
        };
        Ok(page.into_iter().map(router).map(Resource::Router).collect())
    }
}

/// A port, as far as its device is concerned.
#[derive(Deserialize)]
pub(super) struct DevicePort {
    pub(super) id: String,
    pub(super) device_id: String,
    #[serde(default)]
    device_owner: String,
    pub(super) mac_address: String,
    #[serde(default)]
    fixed_ips: Vec<FixedIp>,
}

impl Item for DevicePort {
    fn marker(&self) -> &str {
        &self.id
    }
}

/// The ports of these devices.
pub(super) async fn ports_of(session: &Session, devices: &[String]) -> Result<Vec<DevicePort>> {
    let mut ports = Vec::new();
    for some in devices.chunks(IDS_PER_QUESTION) {
        let mut list = List::new(Service::Network, &["ports"], "ports");
        for field in ["id", "device_id", "device_owner", "mac_address", "fixed_ips"] {
            list = list.with("fields", field);
        }
        for id in some {
            list = list.with("device_id", id);
        }
        ports.extend(list.all::<DevicePort>(session).await?);
    }
    Ok(ports)
}
