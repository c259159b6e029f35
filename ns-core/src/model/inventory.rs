//! What a cloud holds, as far as recovery needs it. One struct per kind; [`Resource`] is any of them, [`Inventory`] all
//! of one cluster at one time.

use super::{CloudId, StorageRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! resources {
    ($($(#[$doc:meta])* $variant:ident($ty:ident) in $field:ident $([$serde:meta])? = $name:literal),* $(,)?) => {
        /// The kinds of things an inventory holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum ResourceKind {
            $($(#[$doc])* $variant),*
        }

        impl ResourceKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        /// One thing of an inventory.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", tag = "kind")]
        #[non_exhaustive]
        pub enum Resource {
            $($(#[$doc])* $variant($ty)),*
        }

        impl Resource {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> ResourceKind {
                match self { $(Self::$variant(_) => ResourceKind::$variant),* }
            }
            /// Its id in the cloud.
            #[must_use]
            pub const fn id(&self) -> &CloudId {
                match self { $(Self::$variant(r) => &r.id),* }
            }
            /// Its name in the cloud; not unique.
            #[must_use]
            pub fn name(&self) -> &str {
                match self { $(Self::$variant(r) => &r.name),* }
            }
        }

        /// Everything one cluster holds, by kind and id.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Inventory {
            $($(#[$doc])* $(#[$serde])? pub $field: BTreeMap<CloudId, $ty>),*
        }

        $(impl InventoryKind for $ty {
            const KIND: ResourceKind = ResourceKind::$variant;
            fn all_in(inventory: &Inventory) -> &BTreeMap<CloudId, Self> {
                &inventory.$field
            }
        })*

        impl Inventory {
            /// One thing, as any of them.
            #[must_use]
            pub fn get(&self, kind: ResourceKind, id: &CloudId) -> Option<Resource> {
                match kind { $(ResourceKind::$variant => self.$field.get(id).cloned().map(Resource::$variant)),* }
            }
            /// Whether exactly this is in it.
            #[must_use]
            pub fn holds(&self, resource: &Resource) -> bool {
                match resource { $(Resource::$variant(r) => self.$field.get(&r.id) == Some(r)),* }
            }
            /// Takes one thing out.
            pub fn remove(&mut self, kind: ResourceKind, id: &CloudId) -> Option<Resource> {
                match kind { $(ResourceKind::$variant => self.$field.remove(id).map(Resource::$variant)),* }
            }
            /// The ids of a kind, in order.
            pub fn ids(&self, kind: ResourceKind) -> Box<dyn Iterator<Item = &CloudId> + '_> {
                match kind { $(ResourceKind::$variant => Box::new(self.$field.keys())),* }
            }
            /// Adds or replaces one thing.
            pub fn insert(&mut self, resource: Resource) {
                match resource { $(Resource::$variant(r) => { self.$field.insert(r.id.clone(), r); }),* }
            }
            /// Everything, kind by kind.
            pub fn resources(&self) -> impl Iterator<Item = Resource> + '_ {
                std::iter::empty()$(.chain(self.$field.values().cloned().map(Resource::$variant)))*
            }
        }
    };
}

/// A kind of thing that an inventory holds, as a type: what typed lists of it are made of.
pub trait InventoryKind: super::Queryable + Clone + Send + Sync {
    /// The kind.
    const KIND: ResourceKind;
    /// All of it.
    fn all_in(inventory: &Inventory) -> &BTreeMap<CloudId, Self>;
}

resources! {
    /// Projects (INV-04).
    Tenant(Tenant) in tenants = "tenant",
    /// Availability zones (INV-03).
    AvailabilityZone(AvailabilityZone) in availability_zones = "availability_zone",
    /// Compute nodes with their capacity (INV-02).
    Hypervisor(Hypervisor) in hypervisors = "hypervisor",
    /// Networks (INV-05).
    Network(Network) in networks = "network",
    /// Subnets.
    Subnet(Subnet) in subnets = "subnet",
    /// Routers with their interfaces (INV-12).
    Router(Router) in routers = "router",
    /// Floating IPs.
    FloatingIp(FloatingIp) in floating_ips = "floating_ip",
    /// Ports.
    Port(Port) in ports = "port",
    /// Security groups with their rules (INV-07).
    SecurityGroup(SecurityGroup) in security_groups = "security_group",
    /// Flavours.
    Flavor(Flavor) in flavors = "flavor",
    /// Keypairs of the user that reads the inventory.
    Keypair(Keypair) in keypairs = "keypair",
    /// Volume types (INV-09).
    VolumeType(VolumeType) in volume_types = "volume_type",
    /// Volumes (INV-08).
    Volume(Volume) in volumes = "volume",
    /// Volume groups made in the cloud (INV-10).
    // Not written when there are none: manifests of recovery points that were made before there was this field hold.
    VolumeGroup(VolumeGroup) in volume_groups [serde(skip_serializing_if = "BTreeMap::is_empty")] = "volume_group",
    /// Volume snapshots made in the cloud (INV-11).
    VolumeSnapshot(VolumeSnapshot) in volume_snapshots = "volume_snapshot",
    /// Server groups (affinity).
    ServerGroup(ServerGroup) in server_groups = "server_group",
    /// Instances (INV-06).
    Instance(Instance) in instances = "instance",
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Id in the cloud.
    pub id: CloudId,
    /// Unique within its domain.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// Marker texts of the cloud (tags).
    #[serde(default)]
    pub tags: Vec<String>,
}

/// An availability zone; its name is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailabilityZone {
    /// Its name again.
    pub id: CloudId,
    /// Its name.
    pub name: String,
    /// Whether servers may be put there.
    pub available: bool,
    /// Compute hosts in it.
    pub hosts: Vec<String>,
}

/// A compute node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hypervisor {
    /// Id in the cloud.
    pub id: CloudId,
    /// Host name as the scheduler takes it.
    pub name: String,
    /// Enabled and up: able to take servers.
    pub available: bool,
    /// Total virtual processors (with overcommit).
    pub vcpus: u64,
    /// Virtual processors in use.
    pub vcpus_used: u64,
    /// Total memory in MiB (with overcommit).
    pub memory_mib: u64,
    /// Memory in use in MiB.
    pub memory_mib_used: u64,
    /// Properties that only matching flavours reach (OpenStack: traits required by an isolated aggregate).
    #[serde(default)]
    pub traits: Vec<String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// Whether routers may use it as their gateway.
    pub external: bool,
    /// Whether other tenants may use it.
    pub shared: bool,
    /// Largest packet in bytes, where known.
    pub mtu: Option<u32>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// The network it is part of.
    pub network_id: CloudId,
    /// Owner.
    pub tenant_id: CloudId,
    /// Address range, e.g. `10.0.0.0/24`.
    pub cidr: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// Gateway address, none when it has none.
    pub gateway_ip: Option<String>,
    /// Whether addresses are handed out by DHCP.
    pub dhcp: bool,
    /// Ranges that addresses are taken from: first and last.
    pub allocation_pools: Vec<(String, String)>,
    /// Name servers handed out.
    pub dns_nameservers: Vec<String>,
    /// Further routes: destination and next hop.
    pub host_routes: Vec<(String, String)>,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// The external network it leads to.
    pub external_network_id: Option<CloudId>,
    /// Subnets it connects.
    pub subnet_ids: Vec<CloudId>,
}

/// A floating IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloatingIp {
    /// Id in the cloud.
    pub id: CloudId,
    /// The address again.
    pub name: String,
    /// The outside address.
    pub address: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// The external network the address is of.
    pub network_id: CloudId,
    /// The port it leads to.
    pub port_id: Option<CloudId>,
}

/// A port: one network card of an instance, or one of the network's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// Its network.
    pub network_id: CloudId,
    /// The instance or router it serves; empty when unused.
    pub device_id: String,
    /// What kind of thing it serves, e.g. `compute:nova`.
    pub device_owner: String,
    /// Hardware address.
    pub mac: String,
    /// Subnet and address of each of its addresses.
    pub fixed_ips: Vec<(CloudId, String)>,
    /// Its security groups.
    pub security_group_ids: Vec<CloudId>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// Its rules.
    pub rules: Vec<SecurityGroupRule>,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// Into the instance (`true`) or out of it.
    pub ingress: bool,
    /// 4 or 6.
    pub ip_version: u8,
    /// Protocol name or number; none means any.
    pub protocol: Option<String>,
    /// First port, or ICMP type.
    pub port_min: Option<u32>,
    /// Last port, or ICMP code.
    pub port_max: Option<u32>,
    /// Address range of the other end; none means any.
    pub remote_cidr: Option<String>,
    /// Security group of the other end.
    pub remote_group_id: Option<CloudId>,
}

/// A flavour: the size of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flavor {
    /// Id in the cloud.
    pub id: CloudId,
    /// Unique name.
    pub name: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Root disk in GiB; 0 with boot from volume.
    pub disk_gib: u64,
    /// Ephemeral disk in GiB.
    pub ephemeral_gib: u64,
    /// Swap in MiB.
    pub swap_mib: u64,
    /// Whether every tenant may use it.
    pub public: bool,
    /// Scheduler hints and device options.
    pub extra_specs: BTreeMap<String, String>,
}

/// A keypair; its name is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keypair {
    /// Its name again.
    pub id: CloudId,
    /// Its name.
    pub name: String,
    /// The public half in OpenSSH form.
    pub public_key: String,
    /// Fingerprint.
    pub fingerprint: String,
}

/// A volume type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeType {
    /// Id in the cloud.
    pub id: CloudId,
    /// Unique name.
    pub name: String,
    /// Whether several instances may attach one volume.
    pub multiattach: bool,
    /// Options of the back end.
    pub extra_specs: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// Size in GiB, as the cloud counts.
    pub size_gib: u64,
    /// The cloud's own state word, e.g. `in-use`.
    pub status: String,
    /// Name of its type.
    pub volume_type: String,
    /// Whether an instance can boot from it.
    pub bootable: bool,
    /// Whether several instances may attach it.
    pub multiattach: bool,
    /// Instances it is attached to, with the device name each sees.
    pub attachments: Vec<(CloudId, String)>,
    /// The cloud's volume group it is in, if any (LIM-01).
    pub volume_group_id: Option<CloudId>,
    /// The volume snapshot it was made from, if any (LIM-02).
    pub source_snapshot_id: Option<CloudId>,
    /// Free key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Properties of the image it was made from; an adopted volume needs them put back.
    pub image_metadata: BTreeMap<String, String>,
    /// Where its bytes live, when the provider can tell.
    pub storage: Option<StorageRef>,
}

/// A volume group (OpenStack: a Cinder group), not LVM's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGroup {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// The cloud's own state word.
    pub status: String,
    /// Types that its volumes may have, by id.
    pub volume_type_ids: Vec<CloudId>,
}

/// A snapshot of a volume, made in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Of which volume.
    pub volume_id: CloudId,
    /// The cloud's own state word.
    pub status: String,
    /// When it was made, where the cloud tells.
    pub created_at: Option<Timestamp>,
}

/// A server group: instances that are kept together or apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerGroup {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// `affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`.
    pub policy: String,
    /// Its instances.
    pub members: Vec<CloudId>,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// It runs, or is paused in memory: it may write.
    Running,
    /// It is off: it cannot write.
    Stopped,
    /// It is being made or changed.
    Changing,
    /// The cloud says it is in error; it may still write.
    Error,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Id in the cloud.
    pub id: CloudId,
    /// Name.
    pub name: String,
    /// Owner.
    pub tenant_id: CloudId,
    /// Whether it runs.
    pub power: PowerState,
    /// The cloud's own state word, e.g. `ACTIVE`.
    pub status: String,
    /// Its size, as it was when it was made.
    pub flavor: Flavor,
    /// Its zone.
    pub availability_zone: String,
    /// The compute node it runs on, when known.
    pub host: Option<String>,
    /// Name of its keypair.
    pub keypair: Option<String>,
    /// Attached volumes in device order; the first is the boot volume when `boots_from_volume`.
    pub volume_ids: Vec<CloudId>,
    /// Whether it boots from its first volume. An instance that does not cannot be recovered.
    pub boots_from_volume: bool,
    /// Its ports, in card order.
    pub port_ids: Vec<CloudId>,
    /// Free key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// User data as given at creation, base64, where the cloud tells.
    pub user_data: Option<String>,
    /// Why it is in error, in the cloud's words.
    pub fault: Option<String>,
}
