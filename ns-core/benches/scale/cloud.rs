//! A cloud that holds nothing: each thing of it is made when it is asked for, so that what is measured is the engine's.

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use ns_core::model::{
    AvailabilityZone, CloudId, Flavor, Hypervisor, Instance, Network, Port, PowerState, Resource, ResourceKind,
    SecurityGroup, SecurityGroupRule, StorageRef, Subnet, Tenant, Volume, VolumeType,
};
use ns_core::provider::{
    AdoptSpec, CloudCapabilities, CloudProvider, CloudReport, CreatedKind, Handle, Notice, Spec, Token,
};
use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

pub(crate) const VOLUMES_EACH: u64 = 4;
const PER_TENANT: u64 = 10_000;
const PER_HOST: u64 = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct BigCloud {
    instances: u64,
    /// An instance that was renamed so many times.
    pub(crate) renamed: AtomicU64,
    notices: Mutex<Option<mpsc::UnboundedReceiver<Notice>>>,
}

impl BigCloud {
    pub(crate) fn new(instances: u64) -> (Self, mpsc::UnboundedSender<Notice>) {
        let (tell, notices) = mpsc::unbounded_channel();
        let cloud = Self {
            instances,
            renamed: AtomicU64::new(0),
            notices: Mutex::new(Some(notices)),
        };
        (cloud, tell)
    }

    /// How many things of a kind there are.
    fn count(&self, kind: ResourceKind) -> u64 {
        match kind {
            ResourceKind::Instance | ResourceKind::Port => self.instances,
            ResourceKind::Volume => self.instances * VOLUMES_EACH,
            ResourceKind::Hypervisor => self.instances / PER_HOST + 1,
            ResourceKind::Tenant | ResourceKind::Network | ResourceKind::Subnet | ResourceKind::SecurityGroup => {
                self.instances / PER_TENANT + 1
            }
            ResourceKind::AvailabilityZone | ResourceKind::VolumeType | ResourceKind::Flavor => 1,
            _ => 0,
        }
    }

    fn make(&self, kind: ResourceKind, n: u64) -> Resource {
        let name = |what: &str| format!("{what}-{n:06}");
        match kind {
            ResourceKind::Instance => {
                let renamed = if n == 7 {
                    self.renamed.load(Ordering::Relaxed)
                } else {
                    0
                };
                Resource::Instance(Instance {
                    id: id("instance", n),
                    name: format!("web-{n:06}-{renamed}"),
                    tenant_id: tenant(n),
                    power: PowerState::Running,
                    status: "ACTIVE".to_owned(),
                    flavor: flavor(),
                    availability_zone: "nova".to_owned(),
                    host: Some(format!("compute-{:04}", n / PER_HOST)),
                    keypair: None,
                    volume_ids: (0..VOLUMES_EACH).map(|v| id("volume", n * VOLUMES_EACH + v)).collect(),
                    boots_from_volume: true,
                    port_ids: vec![id("port", n)],
                    metadata: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
                    user_data: None,
                    fault: None,
                })
            }
            ResourceKind::Volume => {
                let instance = n / VOLUMES_EACH;
                Resource::Volume(Volume {
                    id: id("volume", n),
                    name: name("volume"),
                    tenant_id: tenant(instance),
                    size_gib: 20,
                    status: "in-use".to_owned(),
                    volume_type: "ceph".to_owned(),
                    bootable: n.is_multiple_of(VOLUMES_EACH),
                    multiattach: false,
                    attachments: vec![(id("instance", instance), format!("/dev/vd{}", n % VOLUMES_EACH))],
                    volume_group_id: None,
                    source_snapshot_id: None,
                    metadata: BTreeMap::new(),
                    image_metadata: BTreeMap::new(),
                    storage: Some(StorageRef::new(format!("rbd:volumes/volume-{}", id("volume", n)))),
                })
            }
            ResourceKind::Port => Resource::Port(Port {
                id: id("port", n),
                name: name("port"),
                tenant_id: tenant(n),
                network_id: id("network", n / PER_TENANT),
                device_id: id("instance", n).to_string(),
                device_owner: "compute:nova".to_owned(),
                mac: format!("fa:16:3e:{:02x}:{:02x}:{:02x}", n >> 16, (n >> 8) & 255, n & 255),
                fixed_ips: vec![(
                    id("subnet", n / PER_TENANT),
                    format!("10.{}.{}.{}", n / PER_TENANT, (n % PER_TENANT) / 250, 2 + n % 250),
                )],
                security_group_ids: vec![id("security-group", n / PER_TENANT)],
            }),
            ResourceKind::Hypervisor => Resource::Hypervisor(Hypervisor {
                id: id("hypervisor", n),
                name: format!("compute-{n:04}"),
                available: true,
                vcpus: 1_000_000,
                vcpus_used: 0,
                memory_mib: 1_000_000_000,
                memory_mib_used: 0,
                traits: Vec::new(),
            }),
            ResourceKind::Tenant => Resource::Tenant(Tenant {
                id: id("tenant", n),
                name: name("tenant"),
                enabled: true,
                tags: Vec::new(),
            }),
            ResourceKind::Network => Resource::Network(Network {
                id: id("network", n),
                name: name("network"),
                tenant_id: id("tenant", n),
                external: false,
                shared: false,
                mtu: Some(1500),
            }),
            ResourceKind::Subnet => Resource::Subnet(Subnet {
                id: id("subnet", n),
                name: name("subnet"),
                network_id: id("network", n),
                tenant_id: id("tenant", n),
                cidr: format!("10.{n}.0.0/16"),
                ip_version: 4,
                gateway_ip: Some(format!("10.{n}.0.1")),
                dhcp: true,
                allocation_pools: Vec::new(),
                dns_nameservers: Vec::new(),
                host_routes: Vec::new(),
            }),
            ResourceKind::SecurityGroup => Resource::SecurityGroup(SecurityGroup {
                id: id("security-group", n),
                name: name("security-group"),
                description: String::new(),
                tenant_id: id("tenant", n),
                rules: vec![SecurityGroupRule {
                    ingress: true,
                    ip_version: 4,
                    protocol: Some("tcp".to_owned()),
                    port_min: Some(443),
                    port_max: Some(443),
                    remote_cidr: None,
                    remote_group_id: None,
                }],
            }),
            ResourceKind::VolumeType => Resource::VolumeType(VolumeType {
                id: id("volume-type", n),
                name: "ceph".to_owned(),
                multiattach: false,
                extra_specs: BTreeMap::new(),
            }),
            ResourceKind::Flavor => Resource::Flavor(flavor()),
            // Everything else there is none of.
            _ => Resource::AvailabilityZone(AvailabilityZone {
                id: CloudId::from("nova"),
                name: "nova".to_owned(),
                available: true,
                hosts: (0..self.count(ResourceKind::Hypervisor))
                    .map(|h| format!("compute-{h:04}"))
                    .collect(),
            }),
        }
    }
}

/// As long as the ids of real clouds.
pub(crate) fn id(kind: &str, n: u64) -> CloudId {
    CloudId::from(format!("{n:08}-7c2a-4f6e-9b1d-{kind:0>12}"))
}

fn tenant(instance: u64) -> CloudId {
    id("tenant", instance / PER_TENANT)
}

fn flavor() -> Flavor {
    Flavor {
        id: id("flavor", 0),
        name: "m1.small".to_owned(),
        vcpus: 1,
        memory_mib: 2048,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        public: true,
        extra_specs: BTreeMap::new(),
    }
}

fn unsupported<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "bench", "nothing is made here"))
}

#[async_trait]
impl CloudProvider for BigCloud {
    fn platform(&self) -> &'static str {
        "openstack"
    }

    fn capabilities(&self) -> CloudCapabilities {
        CloudCapabilities::all()
    }

    async fn check(&self) -> Result<CloudReport> {
        Ok(CloudReport {
            new_tenant: Default::default(),
            cloud_id: format!("big-{}", self.instances),
            user: "bench".to_owned(),
            missing_rights: Vec::new(),
            excess_rights: Vec::new(),
            clock_skew_seconds: 0,
            services: Vec::new(),
            warnings: Vec::new(),
        })
    }

    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        let all = kinds
            .iter()
            .flat_map(move |kind| (0..self.count(*kind)).map(move |n| Ok(self.make(*kind, n))));
        stream::iter(all).boxed()
    }

    async fn get(&self, kind: ResourceKind, wanted: &CloudId) -> Result<Option<Resource>> {
        let n: Option<u64> = wanted.as_str().get(..8).and_then(|n| n.parse().ok());
        Ok(n.filter(|n| *n < self.count(kind)).map(|n| self.make(kind, n)))
    }

    async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        let notices = self.notices.lock().ok().and_then(|mut n| n.take());
        let Some(notices) = notices else { return unsupported() };
        Ok(stream::unfold(notices, |mut from| async move { Some((Ok(from.recv().await?), from)) }).boxed())
    }

    async fn create(&self, _: &Spec, _: &Token) -> Result<Handle> {
        unsupported()
    }

    async fn find(&self, _: CreatedKind, _: Option<&CloudId>, _: &Token) -> Result<Option<Handle>> {
        unsupported()
    }

    async fn remove(&self, _: &Handle, _: &Token) -> Result<()> {
        unsupported()
    }

    async fn adopt(&self, _: &AdoptSpec, _: &Token) -> Result<Handle> {
        unsupported()
    }

    async fn release(&self, _: &CloudId) -> Result<()> {
        unsupported()
    }

    async fn start(&self, _: &CloudId) -> Result<()> {
        unsupported()
    }

    async fn stop(&self, _: &CloudId) -> Result<()> {
        unsupported()
    }

    async fn console(&self, _: &CloudId, _: u32) -> Result<String> {
        unsupported()
    }
}
