//! Two small clusters, a group and a plan with which nothing is wrong; tests break one thing of it.

use jiff::Timestamp;
use ns_core::model::{
    AvailabilityZone, CloudId, Cluster, ConnectionState, DataPoint, ExecutionType, Flavor, FloatingIp, Hypervisor,
    Instance, InstanceMapping, Inventory, JobDefinition, JobType, Network, ParentPolicy, PlanAssessment, PlanStatus,
    Port, PowerState, ProtectionGroup, RecoveryPlan, ReplicatedVolume, ReplicationId, ReplicationMode, Resource,
    ResourceMapping, Router, SnapshotInterval, StorageRef, Subnet, SyncState, Tenant, Volume, VolumeType,
};
use ns_core::provider::TenantQuota;
use ns_core::rules::{GroupFacts, Mirroring, PlanCapabilities, PlanFacts, PlanInputs, PlanWorld, Replication, Site};
use std::collections::{BTreeMap, BTreeSet};

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub fn id(text: &str) -> CloudId {
    CloudId::from(text)
}

pub fn cluster(name: &str) -> Cluster {
    Cluster {
        id: name.into(),
        name: name.into(),
        owner_group_id: "owner".into(),
        note: String::new(),
        platform: "openstack".into(),
        storage_kind: "ceph-rbd".into(),
        storage_id: format!("fsid-{name}"),
        inactive_because: None,
        connection: ConnectionState::Active,
        sync: SyncState::Done { at: at(0) },
        registered_at: at(0),
        modified_at: None,
    }
}

pub fn flavor(name: &str, vcpus: u32, memory_mib: u64) -> Flavor {
    Flavor {
        id: id(name),
        name: name.into(),
        vcpus,
        memory_mib,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        public: true,
        extra_specs: BTreeMap::new(),
    }
}

pub fn tenant(name: &str) -> Tenant {
    Tenant {
        id: id(name),
        name: name.into(),
        enabled: true,
        tags: vec![],
    }
}

pub fn volume(name: &str, users: &[&str]) -> Volume {
    Volume {
        id: id(name),
        name: name.into(),
        tenant_id: id("shop"),
        size_gib: 10,
        status: "in-use".into(),
        volume_type: "ceph".into(),
        bootable: true,
        multiattach: users.len() > 1,
        attachments: users.iter().map(|user| (id(user), "/dev/vda".into())).collect(),
        volume_group_id: None,
        source_snapshot_id: None,
        metadata: BTreeMap::new(),
        image_metadata: BTreeMap::new(),
        storage: Some(StorageRef::new(format!("rbd:volumes/volume-{name}"))),
    }
}

pub fn instance(name: &str, volumes: &[&str]) -> Instance {
    Instance {
        id: id(name),
        name: name.into(),
        tenant_id: id("shop"),
        power: PowerState::Running,
        status: "ACTIVE".into(),
        flavor: flavor("small", 2, 4096),
        availability_zone: "az-a".into(),
        host: None,
        keypair: None,
        volume_ids: volumes.iter().map(|v| id(v)).collect(),
        boots_from_volume: true,
        port_ids: vec![id(&format!("port-{name}"))],
        metadata: BTreeMap::new(),
        user_data: None,
        fault: None,
    }
}

pub fn network(name: &str, external: bool) -> Network {
    Network {
        id: id(name),
        name: name.into(),
        tenant_id: id("shop"),
        external,
        shared: false,
        mtu: None,
    }
}

pub fn hypervisor(name: &str, vcpus: u64, memory_mib: u64) -> Hypervisor {
    Hypervisor {
        id: id(name),
        name: name.into(),
        available: true,
        vcpus,
        vcpus_used: 2,
        memory_mib,
        memory_mib_used: 1024,
        traits: vec![],
    }
}

pub fn floating_ip(address: &str, network: &str, port: Option<&str>) -> FloatingIp {
    FloatingIp {
        id: id(address),
        name: address.into(),
        address: address.into(),
        tenant_id: id("shop"),
        network_id: id(network),
        port_id: port.map(id),
    }
}

fn port(instance: &str) -> Port {
    Port {
        id: id(&format!("port-{instance}")),
        name: String::new(),
        tenant_id: id("shop"),
        network_id: id("inside"),
        device_id: instance.into(),
        device_owner: "compute:nova".into(),
        mac: "fa:16:3e:00:00:01".into(),
        fixed_ips: vec![(id("subnet"), "10.0.0.5".into())],
        security_group_ids: vec![],
    }
}

fn subnet() -> Subnet {
    Subnet {
        id: id("subnet"),
        name: "subnet".into(),
        network_id: id("inside"),
        tenant_id: id("shop"),
        cidr: "10.0.0.0/24".into(),
        ip_version: 4,
        gateway_ip: None,
        dhcp: true,
        allocation_pools: vec![],
        dns_nameservers: vec![],
        host_routes: vec![],
    }
}

/// `web` and `db` of project `shop`; `batch` runs there too, `alien` in another project.
fn source() -> Inventory {
    let router = Router {
        id: id("router"),
        name: "router".into(),
        tenant_id: id("shop"),
        external_network_id: Some(id("internet")),
        subnet_ids: vec![id("subnet")],
    };
    let mut inventory = Inventory::default();
    for resource in [
        Resource::Tenant(tenant("shop")),
        Resource::Instance(instance("web", &["web-root"])),
        Resource::Instance(instance("db", &["db-root", "db-data"])),
        Resource::Instance(instance("batch", &["batch-root"])),
        Resource::Instance(Instance {
            tenant_id: id("zoo"),
            ..instance("alien", &["alien-root"])
        }),
        Resource::Volume(volume("web-root", &["web"])),
        Resource::Volume(volume("db-root", &["db"])),
        Resource::Volume(volume("db-data", &["db"])),
        Resource::Volume(volume("batch-root", &["batch"])),
        Resource::Volume(volume("alien-root", &["alien"])),
        Resource::Port(port("web")),
        Resource::Port(port("db")),
        Resource::Network(network("inside", false)),
        Resource::Network(network("internet", true)),
        Resource::Subnet(subnet()),
        Resource::Router(router),
        Resource::FloatingIp(floating_ip("203.0.113.5", "internet", Some("port-web"))),
        Resource::FloatingIp(floating_ip("203.0.113.99", "elsewhere", None)),
    ] {
        inventory.insert(resource);
    }
    inventory
}

/// One zone of two nodes, each with room for three small instances.
fn target() -> Inventory {
    let zone = |name: &str, hosts: &[&str]| AvailabilityZone {
        id: id(name),
        name: name.into(),
        available: true,
        hosts: hosts.iter().map(|&h| h.to_owned()).collect(),
    };
    let mut inventory = Inventory::default();
    for resource in [
        Resource::Tenant(tenant("someone")),
        Resource::AvailabilityZone(zone("az-b", &["node-1", "node-2"])),
        Resource::AvailabilityZone(zone("az-c", &["node-3"])),
        Resource::Hypervisor(hypervisor("node-1", 8, 13 * 1024)),
        Resource::Hypervisor(hypervisor("node-2", 8, 13 * 1024)),
        Resource::Hypervisor(hypervisor("node-3", 64, 256 * 1024)),
        Resource::Flavor(flavor("small", 2, 4096)),
        Resource::Flavor(flavor("huge", 32, 128 * 1024)),
        Resource::Flavor(flavor("tiny", 1, 512)),
        Resource::VolumeType(VolumeType {
            id: id("type-1"),
            name: "ceph".into(),
            multiattach: false,
            extra_specs: BTreeMap::new(),
        }),
        Resource::Network(network("uplink", true)),
        Resource::Network(network("private", false)),
        Resource::FloatingIp(floating_ip("198.51.100.9", "uplink", Some("port-someone"))),
    ] {
        inventory.insert(resource);
    }
    inventory
}

pub struct World {
    pub source: Cluster,
    pub target: Cluster,
    pub source_inventory: Inventory,
    pub target_inventory: Inventory,
    pub group: ProtectionGroup,
    pub plan: RecoveryPlan,
    pub capabilities: PlanCapabilities,
    pub job_tenants: BTreeSet<CloudId>,
    pub own_volume_groups: BTreeSet<CloudId>,
    pub groups: Vec<ProtectionGroup>,
    pub plans: Vec<RecoveryPlan>,
    pub jobs: Vec<ns_core::model::JobId>,
    pub source_may_be_down: bool,
    pub target_free_bytes: BTreeMap<String, u64>,
    pub target_quota: TenantQuota,
    pub paired: bool,
    pub pools: Vec<String>,
    pub preparing: bool,
    pub mirroring: BTreeMap<CloudId, Mirroring>,
}

impl World {
    pub fn new() -> Self {
        let plan = plan();
        Self {
            source: cluster("seoul"),
            target: cluster("busan"),
            source_inventory: source(),
            target_inventory: target(),
            group: group("g1", &["web", "db"]),
            mirroring: plan.volumes.keys().map(|v| (v.clone(), Mirroring::Normal)).collect(),
            plan,
            capabilities: PlanCapabilities::all(),
            job_tenants: BTreeSet::new(),
            own_volume_groups: BTreeSet::new(),
            groups: vec![],
            plans: vec![],
            jobs: vec![],
            source_may_be_down: false,
            target_free_bytes: BTreeMap::new(),
            target_quota: TenantQuota::default(),
            paired: true,
            pools: vec!["images".into(), "volumes".into()],
            preparing: false,
        }
    }

    pub fn group_facts(&self) -> GroupFacts<'_> {
        GroupFacts {
            source: &self.source,
            inventory: &self.source_inventory,
            groups: &self.groups,
            own_volume_groups: &self.own_volume_groups,
            jobs: &self.jobs,
        }
    }

    pub fn plan_world(&self) -> PlanWorld<'_> {
        PlanWorld {
            group: &self.group,
            source: Site {
                cluster: &self.source,
                inventory: &self.source_inventory,
            },
            target: Site {
                cluster: &self.target,
                inventory: &self.target_inventory,
            },
            capabilities: &self.capabilities,
            job_tenants: &self.job_tenants,
        }
    }

    pub fn plan_inputs(&self) -> PlanInputs<'_> {
        PlanInputs {
            world: self.plan_world(),
            plans: &self.plans,
            jobs: &self.jobs,
            source_may_be_down: self.source_may_be_down,
            target_free_bytes: &self.target_free_bytes,
            target_quota: &self.target_quota,
            replication: Some(Replication {
                paired: self.paired,
                pools: &self.pools,
            }),
        }
    }

    pub fn plan_facts(&self) -> PlanFacts<'_> {
        PlanFacts {
            plan: &self.plan,
            world: self.plan_world(),
            preparing: self.preparing,
            mirroring: &self.mirroring,
        }
    }

    pub fn source_instance(&mut self, name: &str) -> &mut Instance {
        self.source_inventory.instances.get_mut(&id(name)).unwrap()
    }

    pub fn source_volume(&mut self, name: &str) -> &mut Volume {
        self.source_inventory.volumes.get_mut(&id(name)).unwrap()
    }

    pub fn mapping(&mut self, name: &str) -> &mut InstanceMapping {
        self.plan.mapping.instances.get_mut(&id(name)).unwrap()
    }
}

pub fn group(name: &str, instances: &[&str]) -> ProtectionGroup {
    ProtectionGroup {
        id: name.into(),
        name: name.into(),
        description: String::new(),
        owner_group_id: "owner".into(),
        source_cluster: "seoul".into(),
        instances: instances.iter().map(|i| id(i)).collect(),
        rpo_minutes: 60,
        rto_minutes: 120,
        snapshot_interval: Some(SnapshotInterval::minutes(30)),
        registered_at: at(0),
        modified_at: at(0),
    }
}

pub fn plan() -> RecoveryPlan {
    let replicated = |volume: &str| ReplicatedVolume {
        volume_id: id(volume),
        source: StorageRef::new(format!("rbd:volumes/volume-{volume}")),
        replication_id: ReplicationId::from(format!("global-{volume}")),
        target: StorageRef::new(format!("rbd:volumes/volume-{volume}")),
    };
    RecoveryPlan {
        id: "p1".into(),
        name: "plan-1".into(),
        group_id: "g1".into(),
        target_cluster: "busan".into(),
        snapshot_retention: 3,
        replication_mode: ReplicationMode::Snapshot,
        parent_policy: ParentPolicy::Flatten,
        mapping: ResourceMapping {
            tenant_name: "shop-recovered".into(),
            availability_zones: [("az-a".into(), "az-b".into())].into(),
            volume_types: [("ceph".into(), "ceph".into())].into(),
            external_networks: [(id("internet"), id("uplink"))].into(),
            floating_ips: [("203.0.113.5".into(), "198.51.100.5".into())].into(),
            instances: ["web", "db"].map(|i| (id(i), InstanceMapping::default())).into(),
        },
        volumes: ["web-root", "db-root", "db-data"]
            .map(|v| (id(v), replicated(v)))
            .into(),
        leaving: BTreeMap::new(),
        home: None,
        version: 1,
        created_at: at(0),
        modified_at: at(0),
    }
}

pub fn job(job_type: JobType, data_point: DataPoint) -> JobDefinition {
    JobDefinition {
        job_type,
        execution: ExecutionType::Immediate,
        data_point,
        group_id: "g1".into(),
        plan_id: "p1".into(),
        force: None,
        exclude: BTreeSet::new(),
    }
}

pub fn normal() -> PlanAssessment {
    PlanAssessment {
        status: PlanStatus::Normal,
        reasons: vec![],
    }
}
