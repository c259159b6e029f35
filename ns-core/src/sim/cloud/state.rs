//! What a simulated cloud holds, and the small questions about it.

use crate::model::{
    AvailabilityZone, CloudId, Hypervisor, Instance, Inventory, Network, Resource, ResourceKind, Subnet, VolumeType,
};
use crate::provider::{CreatedKind, Handle, Token};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The zone every simulated site has.
pub(crate) const ZONE: &str = "nova";

#[derive(Debug, Clone, Default)]
pub(crate) struct CloudState {
    pub(crate) site: String,
    pub(crate) inventory: Inventory,
    /// Which token a thing carries.
    pub(crate) tokens: BTreeMap<(CreatedKind, CloudId), Token>,
    /// Volumes whose adoption nobody has seen to its end: the cloud does not say yet where they lie, as Cinder does not while
    /// a volume is `managing`.
    pub(crate) adopting: BTreeSet<CloudId>,
    /// Tenants that the engine's own user may work in.
    pub(crate) access: BTreeSet<CloudId>,
    pub(crate) limits: BTreeMap<(CloudId, CreatedKind), u32>,
    /// What servers do inside.
    pub(crate) guests: BTreeMap<CloudId, Guest>,
    /// What servers will have become, and when.
    pub(crate) pending: BTreeMap<CloudId, (Timestamp, Becomes)>,
    next: u32,
}

/// What a server becomes by itself after some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Becomes {
    Running,
    Stopped,
}

/// The inside of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guest {
    pub(crate) console: Vec<String>,
    /// Images that are open while it runs, in device order.
    pub(crate) disks: Vec<u64>,
    /// Whether its system is up.
    pub(crate) up: bool,
    pub(crate) boots: u64,
    pub(crate) beats: u64,
    /// Ran when its site died.
    pub(crate) resumes: bool,
}

pub(crate) fn conflict(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, "sim.conflict", message)
}

pub(crate) fn rejected(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Rejected, "sim.rejected", message)
}

pub(crate) fn missing(what: &str, id: &str) -> Error {
    Error::new(ErrorKind::NotFound, "sim.not_found", format!("there is no {what} {id}"))
}

impl CloudState {
    /// A cloud with an external network, three compute nodes, and volume types `ceph` and `ceph-multi`.
    pub(crate) fn new(site: &str) -> Self {
        let mut cloud = Self {
            site: site.to_owned(),
            ..Self::default()
        };
        let hosts: Vec<_> = (1..=3).map(|n| format!("{site}-host-{n}")).collect();
        for (index, name) in hosts.iter().enumerate() {
            cloud.put(Resource::Hypervisor(Hypervisor {
                id: CloudId::new(format!("{site}-hypervisor-{}", index + 1)),
                name: name.clone(),
                available: true,
                vcpus: 64,
                vcpus_used: 0,
                memory_mib: 256 << 10,
                memory_mib_used: 0,
                traits: vec![],
            }));
        }
        cloud.put(Resource::AvailabilityZone(AvailabilityZone {
            id: ZONE.into(),
            name: ZONE.to_owned(),
            available: true,
            hosts,
        }));
        for (name, multiattach) in [("ceph", false), ("ceph-multi", true)] {
            let key = multiattach.then(|| ("multiattach".to_owned(), "<is> True".to_owned()));
            cloud.put(Resource::VolumeType(VolumeType {
                id: CloudId::new(format!("{site}-type-{name}")),
                name: name.to_owned(),
                multiattach,
                extra_specs: key.into_iter().collect(),
            }));
        }
        let (network, tenant) = (
            CloudId::new(format!("{site}-public")),
            CloudId::new(format!("{site}-admin")),
        );
        cloud.put(Resource::Network(Network {
            id: network.clone(),
            name: "public".to_owned(),
            tenant_id: tenant.clone(),
            external: true,
            shared: false,
            mtu: Some(1500),
        }));
        // Sites differ in their outside addresses.
        let octet = 100 + site.bytes().map(u32::from).sum::<u32>() % 100;
        cloud.put(Resource::Subnet(Subnet {
            id: CloudId::new(format!("{site}-public-subnet")),
            name: "public".to_owned(),
            network_id: network,
            tenant_id: tenant,
            cidr: format!("172.24.{octet}.0/24"),
            ip_version: 4,
            gateway_ip: Some(format!("172.24.{octet}.1")),
            dhcp: false,
            allocation_pools: vec![(format!("172.24.{octet}.10"), format!("172.24.{octet}.250"))],
            dns_nameservers: vec![],
            host_routes: vec![],
        }));
        cloud
    }

    pub(crate) fn put(&mut self, resource: Resource) {
        self.inventory.insert(resource);
    }

    pub(crate) fn id(&mut self, what: &str) -> CloudId {
        self.next += 1;
        CloudId::new(format!("{}-{what}-{:04}", self.site, self.next))
    }

    /// Finds what carries a token.
    pub(crate) fn by_token(&self, kind: CreatedKind, token: &Token) -> Option<Handle> {
        let mut things = self.tokens.iter();
        let ((_, id), _) = things.find(|((k, _), t)| *k == kind && *t == token)?;
        let mut handle = self.handle(kind, id.clone());
        if self.adopting.contains(id) {
            handle.storage = None;
        }
        Some(handle)
    }

    pub(crate) fn handle(&self, kind: CreatedKind, id: CloudId) -> Handle {
        Handle {
            kind,
            tenant: self.tenant_of(kind, &id),
            storage: match kind {
                CreatedKind::Volume => self.inventory.volumes.get(&id).and_then(|v| v.storage.clone()),
                _ => None,
            },
            id,
        }
    }

    fn tenant_of(&self, kind: CreatedKind, id: &CloudId) -> Option<CloudId> {
        let all = &self.inventory;
        match kind {
            CreatedKind::TenantAccess => Some(id.clone()),
            CreatedKind::Network => all.networks.get(id).map(|n| n.tenant_id.clone()),
            CreatedKind::Subnet => all.subnets.get(id).map(|n| n.tenant_id.clone()),
            CreatedKind::Router => all.routers.get(id).map(|n| n.tenant_id.clone()),
            CreatedKind::RouterInterface => {
                let (router, _) = id.as_str().split_once('/')?;
                all.routers.get(&router.into()).map(|n| n.tenant_id.clone())
            }
            CreatedKind::SecurityGroup | CreatedKind::SecurityGroupRules => {
                all.security_groups.get(id).map(|n| n.tenant_id.clone())
            }
            CreatedKind::Port => all.ports.get(id).map(|n| n.tenant_id.clone()),
            CreatedKind::FloatingIp => all.floating_ips.get(id).map(|n| n.tenant_id.clone()),
            CreatedKind::Volume => all.volumes.get(id).map(|n| n.tenant_id.clone()),
            CreatedKind::Server => all.instances.get(id).map(|n| n.tenant_id.clone()),
            _ => None,
        }
    }

    /// Refuses when the tenant has as many things of the kind as it may have.
    pub(crate) fn check_limit(&self, kind: CreatedKind, tenant: &CloudId) -> Result<()> {
        let all = &self.inventory;
        let count = match kind {
            CreatedKind::Network => all.networks.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::Subnet => all.subnets.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::Router => all.routers.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::SecurityGroup => all.security_groups.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::Port => all.ports.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::FloatingIp => all.floating_ips.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::Volume => all.volumes.values().filter(|n| n.tenant_id == *tenant).count(),
            CreatedKind::Server => all.instances.values().filter(|n| n.tenant_id == *tenant).count(),
            _ => return Ok(()),
        };
        match self.limits.get(&(tenant.clone(), kind)) {
            Some(max) if count >= *max as usize => Err(Error::new(
                ErrorKind::Quota,
                "sim.quota",
                format!("Quota exceeded for {kind:?}: Requested 1, but already used {count} of {max}"),
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn server(&self, id: &CloudId) -> Result<&Instance> {
        self.inventory
            .instances
            .get(id)
            .ok_or_else(|| missing("server", id.as_str()))
    }

    /// Brings the use of the compute nodes up to date.
    pub(crate) fn count_use(&mut self) {
        for host in self.inventory.hypervisors.values_mut() {
            let here = |i: &&Instance| i.host.as_deref() == Some(host.name.as_str());
            let servers = self.inventory.instances.values().filter(here);
            let (vcpus, memory) = servers.fold((0, 0), |(vcpus, memory), i| {
                (vcpus + u64::from(i.flavor.vcpus), memory + i.flavor.memory_mib)
            });
            (host.vcpus_used, host.memory_mib_used) = (vcpus, memory);
        }
    }
}

/// Up to `limit` things of a kind from an id on.
pub(crate) fn page(all: &Inventory, kind: ResourceKind, from: Bound<&CloudId>, limit: usize) -> Vec<Resource> {
    use std::ops::Bound::Unbounded;
    macro_rules! of {
        ($($field:ident: $variant:ident),* $(,)?) => {
            match kind {
                $(ResourceKind::$variant => all.$field.range((from, Unbounded)).take(limit)
                    .map(|(_, r)| Resource::$variant(r.clone())).collect(),)*
            }
        };
    }
    of!(
        tenants: Tenant, availability_zones: AvailabilityZone, hypervisors: Hypervisor, networks: Network,
        subnets: Subnet, routers: Router, floating_ips: FloatingIp, ports: Port, security_groups: SecurityGroup,
        flavors: Flavor, keypairs: Keypair, volume_types: VolumeType, volumes: Volume,
        volume_groups: VolumeGroup, volume_snapshots: VolumeSnapshot, server_groups: ServerGroup, instances: Instance,
    )
}
