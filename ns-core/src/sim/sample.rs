//! A tenant with everything in it that recovery has to deal with, made quickly.

use super::user::NewVolume;
use super::world::SimWorld;
use crate::Result;
use crate::model::{CloudId, SecurityGroupRule};
use crate::provider::{Ref, RuleSpec, Spec};
use std::collections::BTreeMap;

/// What [`SimWorld::sample_group`] made on site `a`.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The tenant.
    pub tenant: CloudId,
    /// The external network of site `a`.
    pub external_network: CloudId,
    /// The tenant's network.
    pub network: CloudId,
    /// Its subnet.
    pub subnet: CloudId,
    /// Its router.
    pub router: CloudId,
    /// Its security group.
    pub security_group: CloudId,
    /// The keypair's name.
    pub keypair: CloudId,
    /// The flavour.
    pub flavor: CloudId,
    /// The servers, running.
    pub servers: Vec<SampleServer>,
    /// The volume that the first two servers share; none with fewer than two.
    pub shared_volume: Option<CloudId>,
}

/// One server of a sample.
#[derive(Debug, Clone)]
pub struct SampleServer {
    /// Its id.
    pub id: CloudId,
    /// Its port.
    pub port: CloudId,
    /// Its floating IP: the first server has one.
    pub floating_ip: Option<CloudId>,
    /// Its boot volume, a clone of an image; the guest prints this marker at boot.
    pub boot_volume: CloudId,
    /// Its data volume.
    pub data_volume: CloudId,
    /// The marker of its boot volume, e.g. `a-web-1`.
    pub marker: String,
}

impl Sample {
    /// Ids of the servers.
    #[must_use]
    pub fn server_ids(&self) -> Vec<CloudId> {
        self.servers.iter().map(|s| s.id.clone()).collect()
    }

    /// Ids of all volumes.
    #[must_use]
    pub fn volume_ids(&self) -> Vec<CloudId> {
        let own = self.servers.iter().flat_map(|s| [&s.boot_volume, &s.data_volume]);
        own.chain(&self.shared_volume).cloned().collect()
    }
}

fn known(id: &CloudId) -> Ref {
    Ref::Known(id.clone())
}

impl SimWorld {
    /// Makes a tenant `shop` on site `a` with a network behind a router, a security group with rules, and `servers` running
    /// servers `web-1`, `web-2`, …, each with a boot volume that is a clone of an image and a data volume, the first with a
    /// floating IP, the first two with a shared volume.
    ///
    /// # Errors
    /// As the cloud says.
    pub fn sample_group(&self, servers: usize) -> Result<Sample> {
        let make = |spec: &Spec| self.make("a", spec);
        let name = |text: &str| text.to_owned();
        let tenant = make(&Spec::Tenant {
            name: name("shop"),
            description: String::new(),
        })?;
        let t = || known(&tenant);
        let external_network = CloudId::from("a-public");
        let network = make(&Spec::Network {
            tenant: t(),
            name: name("front"),
            mtu: Some(1400),
        })?;
        let subnet = make(&Spec::Subnet {
            tenant: t(),
            network: known(&network),
            name: name("front-4"),
            cidr: name("10.20.0.0/16"),
            ip_version: 4,
            gateway_ip: Some(name("10.20.0.1")),
            dhcp: true,
            allocation_pools: vec![(name("10.20.1.50"), name("10.20.200.249"))],
            dns_nameservers: vec![name("10.0.0.53")],
            host_routes: vec![],
        })?;
        let router = make(&Spec::Router {
            tenant: t(),
            name: name("edge"),
            external_network: Some(known(&external_network)),
        })?;
        make(&Spec::RouterInterface {
            tenant: t(),
            router: known(&router),
            subnet: known(&subnet),
        })?;
        let security_group = make(&Spec::SecurityGroup {
            tenant: t(),
            name: name("web"),
            description: name("web servers"),
        })?;
        let rule = |ingress, protocol: Option<&str>, port| SecurityGroupRule {
            ingress,
            ip_version: 4,
            protocol: protocol.map(str::to_owned),
            port_min: port,
            port_max: port,
            remote_cidr: None,
            remote_group_id: None,
        };
        let plain = |rule| RuleSpec {
            rule,
            remote_group: None,
        };
        let from_peers = RuleSpec {
            rule: rule(true, Some("tcp"), Some(5432)),
            remote_group: Some(known(&security_group)),
        };
        make(&Spec::SecurityGroupRules {
            tenant: t(),
            group: known(&security_group),
            rules: vec![
                plain(rule(true, Some("tcp"), Some(80))),
                plain(rule(false, None, None)),
                from_peers,
            ],
        })?;
        let keypair = make(&Spec::Keypair {
            name: name("shop-key"),
            public_key: name("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAISample shop"),
        })?;
        let flavor = make(&Spec::Flavor {
            tenant: t(),
            name: name("shop.small"),
            vcpus: 2,
            memory_mib: 2048,
            disk_gib: 0,
            ephemeral_gib: 0,
            swap_mib: 0,
            extra_specs: BTreeMap::new(),
        })?;
        let mut sample = Sample {
            tenant,
            external_network,
            network,
            subnet,
            router,
            security_group,
            keypair,
            flavor,
            servers: vec![],
            shared_volume: None,
        };
        if servers >= 2 {
            sample.shared_volume = Some(self.make_volume(
                "a",
                &NewVolume {
                    tenant: &sample.tenant,
                    name: "shared",
                    size_gib: 1,
                    volume_type: "ceph-multi",
                    bootable: false,
                    marker: "a-shared",
                    from_image: false,
                },
            )?);
        }
        for index in 0..servers {
            let server = self.sample_server(&sample, index)?;
            sample.servers.push(server);
        }
        Ok(sample)
    }

    fn sample_server(&self, sample: &Sample, index: usize) -> Result<SampleServer> {
        let name = format!("web-{}", index + 1);
        let marker = format!("a-{name}");
        let volume = |what: &str, bootable, marker: &str| {
            let name = format!("{name}-{what}");
            let new = NewVolume {
                tenant: &sample.tenant,
                name: &name,
                size_gib: 1,
                volume_type: "ceph",
                bootable,
                marker,
                from_image: bootable,
            };
            self.make_volume("a", &new)
        };
        let boot_volume = volume("boot", true, &marker)?;
        let data_volume = volume("data", false, &format!("{marker}-data"))?;
        let port = self.make(
            "a",
            &Spec::Port {
                tenant: known(&sample.tenant),
                network: known(&sample.network),
                name: format!("{name}-port"),
                fixed_ips: vec![(
                    known(&sample.subnet),
                    format!("10.20.{}.{}", 1 + index / 200, 50 + index % 200),
                )],
                mac: Some(format!("fa:16:3e:20:{:02x}:{:02x}", index / 256, index % 256)),
                security_groups: vec![known(&sample.security_group)],
            },
        )?;
        let floating_ip = match index {
            0 => Some(self.make(
                "a",
                &Spec::FloatingIp {
                    tenant: known(&sample.tenant),
                    external_network: known(&sample.external_network),
                    address: None,
                    port: known(&port),
                },
            )?),
            _ => None,
        };
        let mut volumes = vec![known(&boot_volume), known(&data_volume)];
        volumes.extend(sample.shared_volume.iter().filter(|_| index < 2).map(known));
        let id = self.make(
            "a",
            &Spec::Server {
                tenant: known(&sample.tenant),
                name,
                flavor: known(&sample.flavor),
                keypair: Some(known(&sample.keypair)),
                ports: vec![known(&port)],
                volumes,
                availability_zone: None,
                host: None,
                server_group: None,
                metadata: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
                user_data: None,
            },
        )?;
        Ok(SampleServer {
            id,
            port,
            floating_ip,
            boot_volume,
            data_volume,
            marker,
        })
    }
}
