//! What most cloud cases need around the thing they are about: a tenant, a network, volumes, servers.

use super::bench::CloudBench;
use crate::Result;
use crate::conformance::fixture::broken;
use crate::model::{CloudId, SecurityGroupRule};
use crate::provider::{Handle, Ref, RuleSpec, Spec};
use std::collections::BTreeMap;

pub(super) fn known(id: &CloudId) -> Ref {
    Ref::Known(id.clone())
}

pub(super) fn rule(ingress: bool, protocol: Option<&str>, port: Option<u32>) -> SecurityGroupRule {
    SecurityGroupRule {
        ingress,
        ip_version: 4,
        protocol: protocol.map(str::to_owned),
        port_min: port,
        port_max: port,
        remote_cidr: None,
        remote_group_id: None,
    }
}

pub(super) fn plain(rule: SecurityGroupRule) -> RuleSpec {
    RuleSpec {
        rule,
        remote_group: None,
    }
}

/// A tenant with a network.
pub(super) struct Stage {
    pub(super) tenant: CloudId,
    pub(super) network: CloudId,
    pub(super) subnet: CloudId,
}

impl Stage {
    /// A tenant in which the provider may work, with a network and a subnet `10.77.0.0/24`.
    pub(super) async fn new(b: &CloudBench<'_>) -> Result<Self> {
        let tenant = tenant(b).await?;
        let network = Spec::Network {
            tenant: known(&tenant),
            name: b.name("network"),
            mtu: Some(1400),
        };
        let network = b.create("network", &network).await?.id;
        let subnet = b.create("subnet", &subnet(b, &tenant, &network, "10.77.0")).await?.id;
        Ok(Self {
            tenant,
            network,
            subnet,
        })
    }

    /// A port with an address of its own.
    pub(super) fn port_spec(&self, b: &CloudBench<'_>, what: &str, last: u8) -> Spec {
        Spec::Port {
            tenant: known(&self.tenant),
            network: known(&self.network),
            name: b.name(what),
            fixed_ips: vec![(known(&self.subnet), format!("10.77.0.{last}"))],
            mac: None,
            security_groups: vec![],
        }
    }

    pub(super) async fn port(&self, b: &CloudBench<'_>, what: &str, last: u8) -> Result<CloudId> {
        Ok(b.create(what, &self.port_spec(b, what, last)).await?.id)
    }

    /// A router to the external network with an interface in the subnet.
    pub(super) async fn router(&self, b: &CloudBench<'_>) -> Result<CloudId> {
        let router = Spec::Router {
            tenant: known(&self.tenant),
            name: b.name("router"),
            external_network: Some(Ref::Known(b.fixture().external_network())),
        };
        let router = b.create("router", &router).await?.id;
        let interface = Spec::RouterInterface {
            tenant: known(&self.tenant),
            router: known(&router),
            subnet: known(&self.subnet),
        };
        b.create("interface", &interface).await?;
        Ok(router)
    }

    pub(super) fn flavor_spec(&self, b: &CloudBench<'_>) -> Spec {
        Spec::Flavor {
            tenant: known(&self.tenant),
            name: b.name("flavor"),
            vcpus: 1,
            memory_mib: 256,
            disk_gib: 0,
            ephemeral_gib: 0,
            swap_mib: 0,
            extra_specs: BTreeMap::new(),
        }
    }

    /// A bootable image, adopted.
    pub(super) async fn boot_volume(&self, b: &CloudBench<'_>, what: &str) -> Result<Handle> {
        let image = b.fixture().bootable_image().await?;
        let mut spec = b.adoption(&self.tenant, &image);
        spec.name = b.name(what);
        spec.bootable = true;
        spec.image_metadata = b.fixture().image_metadata();
        b.adopt(what, &spec).await
    }

    /// An empty image, adopted.
    pub(super) async fn data_volume(&self, b: &CloudBench<'_>, what: &str, shared: bool) -> Result<Handle> {
        let image = b.fixture().blank_image(1 << 30).await?;
        let mut spec = b.adoption(&self.tenant, &image);
        spec.name = b.name(what);
        spec.volume_type = b.fixture().volume_type(shared);
        b.adopt(what, &spec).await
    }

    pub(super) fn server_spec(
        &self,
        b: &CloudBench<'_>,
        what: &str,
        flavor: &CloudId,
        port: &CloudId,
        volumes: &[&Handle],
    ) -> Spec {
        Spec::Server {
            tenant: known(&self.tenant),
            name: b.name(what),
            flavor: known(flavor),
            keypair: None,
            ports: vec![known(port)],
            volumes: volumes.iter().map(|v| known(&v.id)).collect(),
            availability_zone: None,
            host: None,
            server_group: None,
            metadata: BTreeMap::from([("conformance".to_owned(), "yes".to_owned())]),
            user_data: None,
        }
    }

    /// A running server on a boot volume of its own.
    pub(super) async fn server(&self, b: &CloudBench<'_>) -> Result<Server> {
        let flavor = b.create("flavor", &self.flavor_spec(b)).await?.id;
        let port = self.port(b, "port", 20).await?;
        let volume = self.boot_volume(b, "boot").await?;
        let spec = self.server_spec(b, "server", &flavor, &port, &[&volume]);
        let handle = b.create("server", &spec).await?;
        Ok(Server {
            handle,
            port,
            volume,
            flavor,
        })
    }
}

/// A server and what it is made of.
pub(super) struct Server {
    pub(super) handle: Handle,
    pub(super) port: CloudId,
    pub(super) volume: Handle,
    pub(super) flavor: CloudId,
}

/// A tenant in which the provider may work.
pub(super) async fn tenant(b: &CloudBench<'_>) -> Result<CloudId> {
    let tenant = Spec::Tenant {
        name: b.name("tenant"),
        description: "made by the conformance suite".to_owned(),
    };
    let tenant = b.create("tenant", &tenant).await?.id;
    let access = Spec::TenantAccess { tenant: known(&tenant) };
    b.create("access", &access).await?;
    Ok(tenant)
}

pub(super) fn subnet(b: &CloudBench<'_>, tenant: &CloudId, network: &CloudId, prefix: &str) -> Spec {
    Spec::Subnet {
        tenant: known(tenant),
        network: known(network),
        name: b.name("subnet"),
        cidr: format!("{prefix}.0/24"),
        ip_version: 4,
        gateway_ip: Some(format!("{prefix}.1")),
        dhcp: true,
        allocation_pools: vec![(format!("{prefix}.10"), format!("{prefix}.99"))],
        dns_nameservers: vec!["192.0.2.53".to_owned()],
        host_routes: vec![("198.51.100.0/24".to_owned(), format!("{prefix}.9"))],
    }
}

/// One thing of every kind that is made with `create`, except servers: name, spec and handle, in the order of making.
pub(super) async fn one_of_each(b: &CloudBench<'_>) -> Result<Vec<(String, Spec, Handle)>> {
    let mut made: Vec<(String, Spec, Handle)> = vec![];
    let id = |made: &[(String, Spec, Handle)], what: &str| {
        let found = made.iter().find(|(name, ..)| name == what);
        found
            .map(|(.., handle)| handle.id.clone())
            .ok_or_else(|| broken(format!("no {what} was made")))
    };
    macro_rules! make {
        ($what:literal, $spec:expr) => {{
            let spec = $spec;
            let handle = b.create($what, &spec).await?;
            made.push(($what.to_owned(), spec, handle));
        }};
    }
    make!(
        "tenant",
        Spec::Tenant {
            name: b.name("tenant"),
            description: "made by the conformance suite".to_owned(),
        }
    );
    let tenant = id(&made, "tenant")?;
    make!("access", Spec::TenantAccess { tenant: known(&tenant) });
    make!(
        "network",
        Spec::Network {
            tenant: known(&tenant),
            name: b.name("network"),
            mtu: Some(1400),
        }
    );
    let network = id(&made, "network")?;
    make!("subnet", subnet(b, &tenant, &network, "10.77.0"));
    let stage = Stage {
        subnet: id(&made, "subnet")?,
        tenant: tenant.clone(),
        network,
    };
    make!(
        "router",
        Spec::Router {
            tenant: known(&tenant),
            name: b.name("router"),
            external_network: Some(Ref::Known(b.fixture().external_network())),
        }
    );
    make!(
        "interface",
        Spec::RouterInterface {
            tenant: known(&tenant),
            router: known(&id(&made, "router")?),
            subnet: known(&stage.subnet),
        }
    );
    make!(
        "group",
        Spec::SecurityGroup {
            tenant: known(&tenant),
            name: b.name("group"),
            description: "made by the conformance suite".to_owned(),
        }
    );
    let group = id(&made, "group")?;
    make!(
        "rules",
        Spec::SecurityGroupRules {
            tenant: known(&tenant),
            group: known(&group),
            rules: vec![plain(rule(true, Some("tcp"), Some(22))), plain(rule(false, None, None))],
        }
    );
    make!(
        "keypair",
        Spec::Keypair {
            name: b.name("keypair"),
            public_key: PUBLIC_KEY.to_owned(),
        }
    );
    make!("flavor", stage.flavor_spec(b));
    let mut port = stage.port_spec(b, "port", 30);
    if let Spec::Port { security_groups, .. } = &mut port {
        security_groups.push(known(&group));
    }
    make!("port", port);
    make!(
        "address",
        Spec::FloatingIp {
            tenant: known(&tenant),
            external_network: Ref::Known(b.fixture().external_network()),
            address: None,
            port: known(&id(&made, "port")?),
        }
    );
    make!(
        "servers",
        Spec::ServerGroup {
            tenant: known(&tenant),
            name: b.name("servers"),
            policy: "anti-affinity".to_owned(),
        }
    );
    Ok(made)
}

/// A valid public key whose private half nobody has.
pub(super) const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl conformance";
