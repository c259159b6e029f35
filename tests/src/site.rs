//! One site of the lab through the product's own providers, and the instances that the tests protect.

use super::{Lab, SiteName};
use anyhow::{Context, Result, ensure};
use ns_ceph::{Ceph, CephConfig, Limits, PoolRef, Programs};
use ns_core::model::{CloudId, JobId, SecurityGroupRule, StorageRef, TaskKey};
use ns_core::provider::{AdoptSpec, Cloud, CreatedKind, Ref, RuleSpec, Spec, Storage, Token};
use ns_openstack::{OpenStack, OpenStackConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Which.
    pub name: SiteName,
    /// Its cloud.
    pub cloud: Cloud,
    /// Its storage.
    pub storage: Storage,
}

/// The instances that are protected: a real guest with two volumes and a floating IP, and two on the fake driver that
/// share a third volume.
#[derive(Debug, Clone)]
pub struct SourceGroup {
    /// Names of the instances, the real guest first.
    pub names: Vec<String>,
    /// The real guest's server.
    pub guest: CloudId,
    /// The real guest's floating address.
    pub address: String,
}

impl Site {
    /// Connects to a site of the lab.
    ///
    /// # Errors
    /// When the lab's files are not as expected.
    pub fn connect(lab: &Lab, name: SiteName) -> Result<Self> {
        Self::connect_as(lab, name, &lab.cloud_name(name))
    }

    /// As [`connect`](Self::connect), and listens to the cloud's notifications.
    ///
    /// # Errors
    /// When the lab's files are not as expected.
    pub fn listening(lab: &Lab, name: SiteName) -> Result<Self> {
        Self::connect_as(lab, name, &lab.listening_cloud_name(name))
    }

    fn connect_as(lab: &Lab, name: SiteName, cloud: &str) -> Result<Self> {
        let mut config = OpenStackConfig::from_clouds_yaml(Some(&lab.clouds_yaml()), cloud)?;
        config.allow_http = true;
        let ceph = CephConfig {
            conf: lab.ceph_conf(name),
            user: "neverstop".to_owned(),
            keyring: lab.keyring(name, "neverstop"),
            admin: None,
            pools: vec![PoolRef::new("volumes")],
            site_name: format!("site-{}", name.letter()),
            limits: Limits::default(),
            programs: Programs::default(),
            mirror_daemon: None,
        };
        Ok(Self {
            name,
            cloud: Arc::new(OpenStack::new(config)?),
            storage: Arc::new(Ceph::new(ceph)?),
        })
    }

    async fn make(&self, key: &str, spec: Spec) -> Result<Ref> {
        let handle = self
            .cloud
            .create(&spec, &token(key))
            .await
            .with_context(|| format!("creating {key}"))?;
        Ok(Ref::Known(handle.id))
    }

    async fn volume(
        &self,
        lab: &Lab,
        tenant: &Ref,
        name: &str,
        volume_type: &str,
        guest_image: Option<&str>,
    ) -> Result<Ref> {
        let image = format!("volumes/e2e-{name}");
        match guest_image {
            // As cinder does it: a clone of the Glance image, which cannot be mirrored before it is flattened.
            Some(id) => {
                let parent = format!("images/{id}@snap");
                lab.rbd(
                    self.name,
                    &["clone", "--rbd-default-clone-format", "2", &parent, &image],
                )?;
                lab.rbd(self.name, &["resize", "--size", "1G", &image])?;
            }
            None => {
                lab.rbd(self.name, &["create", "--size", "1G", &image])?;
            }
        }
        let image_metadata = if guest_image.is_some() {
            BTreeMap::from([
                ("image_name".to_owned(), "lab-guest".to_owned()),
                ("hw_disk_bus".to_owned(), "virtio".to_owned()),
            ])
        } else {
            BTreeMap::new()
        };
        let spec = AdoptSpec {
            tenant: tenant.clone(),
            storage: StorageRef::new(format!("rbd:{image}")),
            name: name.to_owned(),
            volume_type: volume_type.to_owned(),
            bootable: !name.contains("data") && !name.contains("shared"),
            availability_zone: None,
            metadata: BTreeMap::new(),
            image_metadata,
        };
        let handle = self
            .cloud
            .adopt(&spec, &token(name))
            .await
            .with_context(|| format!("adopting {name}"))?;
        Ok(Ref::Known(handle.id))
    }

    /// Makes the tenant `e2e` with its networks, volumes and three running instances.
    ///
    /// # Errors
    /// When the cloud refuses something; a lab that was used before has to be purged first.
    pub async fn make_group(&self, lab: &Lab) -> Result<SourceGroup> {
        let used = self.cloud.find(CreatedKind::Tenant, None, &token("tenant")).await?;
        ensure!(
            used.is_none(),
            "an earlier run used this lab: cargo xtask lab purge, then cargo xtask lab up"
        );
        let external = Ref::Known(lab.fact(self.name, "networks/public")?.into());
        let tenant = self
            .make(
                "tenant",
                Spec::Tenant {
                    name: "e2e".into(),
                    description: "end to end".into(),
                },
            )
            .await?;
        self.make("access", Spec::TenantAccess { tenant: tenant.clone() })
            .await?;
        let network = self
            .make(
                "network",
                Spec::Network {
                    tenant: tenant.clone(),
                    name: "e2e-net".into(),
                    mtu: None,
                },
            )
            .await?;
        let subnet = Spec::Subnet {
            tenant: tenant.clone(),
            network: network.clone(),
            name: "e2e-subnet".into(),
            cidr: "10.77.1.0/24".into(),
            ip_version: 4,
            gateway_ip: Some("10.77.1.1".into()),
            dhcp: true,
            allocation_pools: vec![("10.77.1.10".into(), "10.77.1.200".into())],
            dns_nameservers: vec![],
            host_routes: vec![],
        };
        let subnet = self.make("subnet", subnet).await?;
        let router = Spec::Router {
            tenant: tenant.clone(),
            name: "e2e-router".into(),
            external_network: Some(external.clone()),
        };
        let router = self.make("router", router).await?;
        self.make(
            "interface",
            Spec::RouterInterface {
                tenant: tenant.clone(),
                router,
                subnet: subnet.clone(),
            },
        )
        .await?;
        let group = Spec::SecurityGroup {
            tenant: tenant.clone(),
            name: "e2e-open".into(),
            description: String::new(),
        };
        let group = self.make("security-group", group).await?;
        let rule = |ingress| RuleSpec {
            rule: SecurityGroupRule {
                ingress,
                ip_version: 4,
                protocol: None,
                port_min: None,
                port_max: None,
                remote_cidr: None,
                remote_group_id: None,
            },
            remote_group: None,
        };
        let rules = vec![rule(true), rule(false)];
        self.make(
            "rules",
            Spec::SecurityGroupRules {
                tenant: tenant.clone(),
                group: group.clone(),
                rules,
            },
        )
        .await?;
        let guest_image = lab.fact(self.name, "images/lab-guest")?;
        let shared = self.volume(lab, &tenant, "shared", "ceph-multi", None).await?;
        let mut servers = Vec::new();
        let mut address = String::new();
        for (index, name) in ["guest", "fake-1", "fake-2"].into_iter().enumerate() {
            let real = index == 0;
            let (image, flavor) = if real {
                (Some(guest_image.as_str()), "libvirt.lab")
            } else {
                (None, "m1.lab")
            };
            let mut volumes = vec![
                self.volume(lab, &tenant, &format!("{name}-boot"), "ceph", image)
                    .await?,
            ];
            volumes.push(if real {
                self.volume(lab, &tenant, "guest-data", "ceph", None).await?
            } else {
                shared.clone()
            });
            let port = Spec::Port {
                tenant: tenant.clone(),
                network: network.clone(),
                name: format!("{name}-port"),
                fixed_ips: vec![(subnet.clone(), format!("10.77.1.{}", 20 + index))],
                mac: Some(format!("fa:16:3e:77:00:{:02x}", 20 + index)),
                security_groups: vec![group.clone()],
            };
            let port = self.make(&format!("port-{name}"), port).await?;
            let server = Spec::Server {
                tenant: tenant.clone(),
                name: format!("e2e-{name}"),
                flavor: Ref::Known(lab.fact(self.name, &format!("flavors/{flavor}"))?.into()),
                keypair: None,
                ports: vec![port.clone()],
                volumes,
                availability_zone: None,
                host: None,
                server_group: None,
                metadata: BTreeMap::from([("role".to_owned(), name.to_owned())]),
                user_data: None,
            };
            let server = self.make(&format!("server-{name}"), server).await?;
            servers.push(server);
            if real {
                let spec = Spec::FloatingIp {
                    tenant: tenant.clone(),
                    external_network: external.clone(),
                    address: None,
                    port,
                };
                let handle = self.cloud.create(&spec, &token("floating-ip")).await?;
                let found = self
                    .cloud
                    .get(ns_core::model::ResourceKind::FloatingIp, &handle.id)
                    .await?;
                address = found.context("the floating IP is gone")?.name().to_owned();
            }
        }
        let guest = servers.first().context("no server")?.id()?.into();
        Ok(SourceGroup {
            names: ["guest", "fake-1", "fake-2"].map(|n| format!("e2e-{n}")).to_vec(),
            guest,
            address,
        })
    }
}

/// The token of a thing that the tests make themselves.
fn token(key: &str) -> Token {
    Token::of(&JobId::new("end-to-end-source"), &TaskKey::new(key))
}
