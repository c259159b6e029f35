//! What runs on the first cloud: five services of together 40 instances, as their owners made them.

use anyhow::{Context, Result};
use ns_core::model::{CloudId, SecurityGroupRule};
use ns_core::provider::{Ref, RuleSpec, Spec};
use ns_core::sim::{NewVolume, SimWorld};
use std::collections::BTreeMap;

/// Instances that are alike.
struct Tier {
    name: &'static str,
    count: usize,
    /// Which of the service's networks they are on.
    networks: &'static [usize],
    /// Sizes of their data volumes in GiB, beside the boot volume.
    data: &'static [u64],
    /// How many of them have a floating IP.
    floating: usize,
    /// Whether all of them share one more volume.
    shared: bool,
    vcpus: u32,
}

/// A service: a tenant with its networks and instances.
struct Service {
    name: &'static str,
    networks: &'static [(&'static str, &'static str)],
    tiers: &'static [Tier],
}

const fn tier(name: &'static str, count: usize, vcpus: u32) -> Tier {
    Tier {
        name,
        count,
        networks: &[0],
        data: &[],
        floating: 0,
        shared: false,
        vcpus,
    }
}

const SERVICES: &[Service] = &[
    Service {
        name: "shop",
        networks: &[("front", "10.20.0"), ("back", "10.21.0")],
        tiers: &[
            Tier {
                floating: 2,
                ..tier("web", 6, 1)
            },
            Tier {
                networks: &[0, 1],
                ..tier("app", 4, 2)
            },
            Tier {
                networks: &[1],
                data: &[8],
                shared: true,
                ..tier("db", 2, 4)
            },
        ],
    },
    Service {
        name: "payments",
        networks: &[("edge", "10.30.0"), ("ledger", "10.31.0")],
        tiers: &[
            Tier {
                floating: 1,
                ..tier("gate", 3, 1)
            },
            Tier {
                networks: &[0, 1],
                ..tier("core", 3, 2)
            },
            Tier {
                networks: &[1],
                data: &[4, 4],
                ..tier("ledger", 2, 4)
            },
        ],
    },
    Service {
        name: "warehouse",
        networks: &[("floor", "10.40.0")],
        tiers: &[
            tier("picker", 8, 1),
            Tier {
                data: &[4],
                ..tier("stock", 2, 2)
            },
        ],
    },
    Service {
        name: "mail",
        networks: &[("mx", "10.50.0")],
        tiers: &[
            Tier {
                floating: 2,
                ..tier("relay", 2, 1)
            },
            Tier {
                data: &[4],
                ..tier("box", 4, 1)
            },
        ],
    },
    Service {
        name: "archive",
        networks: &[("vault", "10.60.0")],
        tiers: &[Tier {
            data: &[16],
            ..tier("shelf", 4, 1)
        }],
    },
];

fn known(id: &CloudId) -> Ref {
    Ref::Known(id.clone())
}

/// A service as it is on the cloud.
#[derive(Debug)]
pub(super) struct Built {
    /// Its name, which is its tenant's.
    pub(super) name: &'static str,
    /// Its instances.
    pub(super) servers: Vec<CloudId>,
    tenant: CloudId,
    /// Network, subnet, and the first three parts of its addresses.
    networks: Vec<(CloudId, CloudId, &'static str)>,
    security_group: CloudId,
    flavors: BTreeMap<u32, CloudId>,
    /// The last part of the last address that was given.
    address: u32,
}

/// Puts all services onto site `a`, in the order in which they are protected.
pub(super) fn build(sim: &SimWorld) -> Result<Vec<Built>> {
    sim.make(
        "a",
        &Spec::Keypair {
            name: "operations".to_owned(),
            public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample operations".to_owned(),
        },
    )?;
    SERVICES.iter().map(|service| raise(sim, service)).collect()
}

fn raise(sim: &SimWorld, service: &Service) -> Result<Built> {
    let mut built = found(sim, service)?;
    for tier in service.tiers {
        let shared = match tier.shared {
            true => Some(built.volume(sim, &format!("{}-shared", tier.name), 1, "ceph-multi")?),
            false => None,
        };
        for number in 1..=tier.count {
            built.server(sim, tier, number, shared.as_ref())?;
        }
    }
    Ok(built)
}

/// What a service's instances stand on: tenant, networks behind a router, a security group.
fn found(sim: &SimWorld, service: &Service) -> Result<Built> {
    let make = |spec: &Spec| sim.make("a", spec);
    let tenant = make(&Spec::Tenant {
        name: service.name.to_owned(),
        description: String::new(),
    })?;
    let router = make(&Spec::Router {
        tenant: known(&tenant),
        name: format!("{}-edge", service.name),
        external_network: Some(Ref::Known("a-public".into())),
    })?;
    let mut networks = Vec::new();
    for (name, range) in service.networks {
        let network = make(&Spec::Network {
            tenant: known(&tenant),
            name: (*name).to_owned(),
            mtu: Some(1450),
        })?;
        let subnet = make(&Spec::Subnet {
            tenant: known(&tenant),
            network: known(&network),
            name: format!("{name}-4"),
            cidr: format!("{range}.0/24"),
            ip_version: 4,
            gateway_ip: Some(format!("{range}.1")),
            dhcp: true,
            allocation_pools: vec![(format!("{range}.10"), format!("{range}.250"))],
            dns_nameservers: vec!["10.0.0.53".to_owned()],
            host_routes: vec![],
        })?;
        make(&Spec::RouterInterface {
            tenant: known(&tenant),
            router: known(&router),
            subnet: known(&subnet),
        })?;
        networks.push((network, subnet, *range));
    }
    let security_group = make(&Spec::SecurityGroup {
        tenant: known(&tenant),
        name: service.name.to_owned(),
        description: String::new(),
    })?;
    make(&Spec::SecurityGroupRules {
        tenant: known(&tenant),
        group: known(&security_group),
        rules: vec![RuleSpec {
            rule: SecurityGroupRule {
                ingress: true,
                ip_version: 4,
                protocol: Some("tcp".to_owned()),
                port_min: Some(443),
                port_max: Some(443),
                remote_cidr: None,
                remote_group_id: None,
            },
            remote_group: None,
        }],
    })?;
    Ok(Built {
        name: service.name,
        servers: Vec::new(),
        tenant,
        networks,
        security_group,
        flavors: BTreeMap::new(),
        address: 9,
    })
}

impl Built {
    /// A volume that is attached to nothing.
    pub(super) fn volume(&self, sim: &SimWorld, name: &str, size_gib: u64, volume_type: &str) -> Result<CloudId> {
        let new = NewVolume {
            tenant: &self.tenant,
            name,
            size_gib,
            volume_type,
            bootable: false,
            marker: name,
            from_image: false,
        };
        Ok(sim.make_volume("a", &new)?)
    }

    /// One more instance of a tier, by the tier's name.
    pub(super) fn another(&mut self, sim: &SimWorld, tier: &str, number: usize) -> Result<CloudId> {
        let service = SERVICES.iter().find(|s| s.name == self.name);
        let tier = service.and_then(|s| s.tiers.iter().find(|t| t.name == tier));
        let tier = tier.context("the service has no such tier")?;
        self.server(sim, tier, number, None)
    }

    fn server(&mut self, sim: &SimWorld, tier: &Tier, number: usize, shared: Option<&CloudId>) -> Result<CloudId> {
        let name = format!("{}-{number}", tier.name);
        let boot = NewVolume {
            tenant: &self.tenant,
            name: &format!("{name}-boot"),
            size_gib: 2,
            volume_type: "ceph",
            bootable: true,
            marker: &format!("{}/{name}", self.name),
            from_image: true,
        };
        let mut volumes = vec![sim.make_volume("a", &boot)?];
        for (index, gib) in tier.data.iter().enumerate() {
            volumes.push(self.volume(sim, &format!("{name}-data-{}", index + 1), *gib, "ceph")?);
        }
        volumes.extend(shared.cloned());
        let mut ports = Vec::new();
        for index in tier.networks {
            self.address += 1;
            let (network, subnet, range) = &self.networks[*index];
            ports.push(sim.make(
                "a",
                &Spec::Port {
                    tenant: known(&self.tenant),
                    network: known(network),
                    name: format!("{name}-port"),
                    fixed_ips: vec![(known(subnet), format!("{range}.{}", self.address))],
                    mac: None,
                    security_groups: vec![known(&self.security_group)],
                },
            )?);
        }
        if number <= tier.floating {
            let floating = Spec::FloatingIp {
                tenant: known(&self.tenant),
                external_network: Ref::Known("a-public".into()),
                address: None,
                port: known(&ports[0]),
            };
            sim.make("a", &floating)?;
        }
        let server = Spec::Server {
            tenant: known(&self.tenant),
            name,
            flavor: known(&self.flavor(sim, tier.vcpus)?),
            keypair: Some(Ref::Known("operations".into())),
            ports: ports.iter().map(known).collect(),
            volumes: volumes.iter().map(known).collect(),
            availability_zone: None,
            host: None,
            server_group: None,
            metadata: BTreeMap::new(),
            user_data: None,
        };
        let id = sim.make("a", &server)?;
        self.servers.push(id.clone());
        Ok(id)
    }

    /// The service's flavour of so many processors.
    fn flavor(&mut self, sim: &SimWorld, vcpus: u32) -> Result<CloudId> {
        if let Some(id) = self.flavors.get(&vcpus) {
            return Ok(id.clone());
        }
        let flavor = Spec::Flavor {
            tenant: known(&self.tenant),
            name: format!("{}.{vcpus}", self.name),
            vcpus,
            memory_mib: u64::from(vcpus) * 2048,
            disk_gib: 0,
            ephemeral_gib: 0,
            swap_mib: 0,
            extra_specs: BTreeMap::new(),
        };
        let id = sim.make("a", &flavor)?;
        self.flavors.insert(vcpus, id.clone());
        Ok(id)
    }
}
