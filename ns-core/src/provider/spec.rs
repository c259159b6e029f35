//! What can be made in a cloud, described so that planning can write it down before any of it exists.

use crate::model::{CloudId, SecurityGroupRule, StorageRef, TaskKey};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A thing that a spec refers to: known now, or made by another task of the same graph. The executor replaces the latter
/// before a provider sees the spec.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ref {
    /// The id in the cloud.
    Known(CloudId),
    /// The id of what this task makes.
    OutputOf(TaskKey),
}

impl Ref {
    /// The id.
    ///
    /// # Errors
    /// `Internal` when the executor did not replace it.
    pub fn id(&self) -> Result<&str> {
        match self {
            Self::Known(id) => Ok(id.as_str()),
            Self::OutputOf(task) => Err(Error::new(
                ErrorKind::Internal,
                "spec.unresolved",
                format!("the spec still refers to the output of task {task}"),
            )),
        }
    }
}

/// The kinds of things the product makes in a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CreatedKind {
    /// A tenant.
    Tenant,
    /// The right of the engine's own user to work in a tenant.
    TenantAccess,
    /// A network.
    Network,
    /// A subnet.
    Subnet,
    /// A router.
    Router,
    /// A subnet's connection to a router.
    RouterInterface,
    /// A security group, without rules.
    SecurityGroup,
    /// All rules of a security group.
    SecurityGroupRules,
    /// A keypair.
    Keypair,
    /// A flavour.
    Flavor,
    /// A port.
    Port,
    /// A floating IP.
    FloatingIp,
    /// A server group.
    ServerGroup,
    /// A volume, adopted from storage.
    Volume,
    /// A server.
    Server,
}

impl CreatedKind {
    /// The stable name in reports and histories.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::TenantAccess => "tenant_access",
            Self::Network => "network",
            Self::Subnet => "subnet",
            Self::Router => "router",
            Self::RouterInterface => "router_interface",
            Self::SecurityGroup => "security_group",
            Self::SecurityGroupRules => "security_group_rules",
            Self::Keypair => "keypair",
            Self::Flavor => "flavor",
            Self::Port => "port",
            Self::FloatingIp => "floating_ip",
            Self::ServerGroup => "server_group",
            Self::Volume => "volume",
            Self::Server => "server",
        }
    }
}

/// A rule of a security group to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSpec {
    /// The rule; its `remote_group_id` is ignored in favour of `remote_group`.
    pub rule: SecurityGroupRule,
    /// The security group of the other end.
    pub remote_group: Option<Ref>,
}

/// What to make. Every field is as in [`crate::model`] where not said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields repeat those of the model")]
pub enum Spec {
    /// A tenant (INV-22).
    Tenant { name: String, description: String },
    /// Lets the engine's own user work in a tenant.
    TenantAccess { tenant: Ref },
    /// A network (INV-23).
    Network {
        tenant: Ref,
        name: String,
        mtu: Option<u32>,
    },
    /// A subnet.
    Subnet {
        tenant: Ref,
        network: Ref,
        name: String,
        cidr: String,
        ip_version: u8,
        gateway_ip: Option<String>,
        dhcp: bool,
        allocation_pools: Vec<(String, String)>,
        dns_nameservers: Vec<String>,
        host_routes: Vec<(String, String)>,
    },
    /// A router (INV-23).
    Router {
        tenant: Ref,
        name: String,
        external_network: Option<Ref>,
    },
    /// Connects a subnet to a router, at the subnet's gateway address.
    RouterInterface { tenant: Ref, router: Ref, subnet: Ref },
    /// A security group; made without any rule, also without those the cloud adds by itself.
    SecurityGroup {
        tenant: Ref,
        name: String,
        description: String,
    },
    /// Gives a security group exactly these rules. Removed with its group.
    SecurityGroupRules {
        tenant: Ref,
        group: Ref,
        rules: Vec<RuleSpec>,
    },
    /// A keypair (INV-25).
    Keypair { name: String, public_key: String },
    /// A flavour; private to `tenant`.
    Flavor {
        tenant: Ref,
        name: String,
        vcpus: u32,
        memory_mib: u64,
        disk_gib: u64,
        ephemeral_gib: u64,
        swap_mib: u64,
        extra_specs: BTreeMap<String, String>,
    },
    /// A port.
    Port {
        tenant: Ref,
        network: Ref,
        name: String,
        /// Subnet and address.
        fixed_ips: Vec<(Ref, String)>,
        mac: Option<String>,
        security_groups: Vec<Ref>,
    },
    /// A floating IP that leads to a port.
    FloatingIp {
        tenant: Ref,
        external_network: Ref,
        address: Option<String>,
        port: Ref,
    },
    /// A server group.
    ServerGroup { tenant: Ref, name: String, policy: String },
    /// A server that boots from the first of `volumes` (INV-24). Removing it keeps its volumes and ports.
    Server {
        tenant: Ref,
        name: String,
        flavor: Ref,
        keypair: Option<Ref>,
        ports: Vec<Ref>,
        volumes: Vec<Ref>,
        availability_zone: Option<String>,
        host: Option<String>,
        server_group: Option<Ref>,
        metadata: BTreeMap<String, String>,
        user_data: Option<String>,
    },
}

impl Spec {
    /// What kind of thing this makes.
    #[must_use]
    pub const fn kind(&self) -> CreatedKind {
        match self {
            Self::Tenant { .. } => CreatedKind::Tenant,
            Self::TenantAccess { .. } => CreatedKind::TenantAccess,
            Self::Network { .. } => CreatedKind::Network,
            Self::Subnet { .. } => CreatedKind::Subnet,
            Self::Router { .. } => CreatedKind::Router,
            Self::RouterInterface { .. } => CreatedKind::RouterInterface,
            Self::SecurityGroup { .. } => CreatedKind::SecurityGroup,
            Self::SecurityGroupRules { .. } => CreatedKind::SecurityGroupRules,
            Self::Keypair { .. } => CreatedKind::Keypair,
            Self::Flavor { .. } => CreatedKind::Flavor,
            Self::Port { .. } => CreatedKind::Port,
            Self::FloatingIp { .. } => CreatedKind::FloatingIp,
            Self::ServerGroup { .. } => CreatedKind::ServerGroup,
            Self::Server { .. } => CreatedKind::Server,
        }
    }

    /// The tenant it is made in, where it is made in one.
    #[must_use]
    pub const fn tenant(&self) -> Option<&Ref> {
        match self {
            Self::Tenant { .. } | Self::Keypair { .. } => None,
            Self::TenantAccess { tenant }
            | Self::Network { tenant, .. }
            | Self::Subnet { tenant, .. }
            | Self::Router { tenant, .. }
            | Self::RouterInterface { tenant, .. }
            | Self::SecurityGroup { tenant, .. }
            | Self::SecurityGroupRules { tenant, .. }
            | Self::Flavor { tenant, .. }
            | Self::Port { tenant, .. }
            | Self::FloatingIp { tenant, .. }
            | Self::ServerGroup { tenant, .. }
            | Self::Server { tenant, .. } => Some(tenant),
        }
    }

    /// Everything it refers to.
    pub fn refs_mut(&mut self) -> Vec<&mut Ref> {
        match self {
            Self::Tenant { .. } | Self::Keypair { .. } => vec![],
            Self::TenantAccess { tenant }
            | Self::Network { tenant, .. }
            | Self::SecurityGroup { tenant, .. }
            | Self::Flavor { tenant, .. }
            | Self::ServerGroup { tenant, .. } => vec![tenant],
            Self::Subnet { tenant, network, .. } => vec![tenant, network],
            Self::Router {
                tenant,
                external_network,
                ..
            } => [Some(tenant), external_network.as_mut()]
                .into_iter()
                .flatten()
                .collect(),
            Self::RouterInterface { tenant, router, subnet } => vec![tenant, router, subnet],
            Self::SecurityGroupRules { tenant, group, rules } => {
                let remote = rules.iter_mut().filter_map(|r| r.remote_group.as_mut());
                [tenant, group].into_iter().chain(remote).collect()
            }
            Self::Port {
                tenant,
                network,
                fixed_ips,
                security_groups,
                ..
            } => [tenant, network]
                .into_iter()
                .chain(fixed_ips.iter_mut().map(|(subnet, _)| subnet))
                .chain(security_groups)
                .collect(),
            Self::FloatingIp {
                tenant,
                external_network,
                port,
                ..
            } => vec![tenant, external_network, port],
            Self::Server {
                tenant,
                flavor,
                keypair,
                ports,
                volumes,
                server_group,
                ..
            } => [tenant, flavor]
                .into_iter()
                .chain(keypair)
                .chain(ports)
                .chain(volumes)
                .chain(server_group)
                .collect(),
        }
    }
}

/// How a storage image becomes a volume of the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptSpec {
    /// The tenant that owns the volume.
    pub tenant: Ref,
    /// The image; must be writable (a replica is promoted first).
    pub storage: StorageRef,
    /// Name of the volume.
    pub name: String,
    /// Name of its volume type.
    pub volume_type: String,
    /// Whether an instance can boot from it.
    pub bootable: bool,
    /// Zone of the volume, where the cloud has zones for volumes.
    pub availability_zone: Option<String>,
    /// Free key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Properties of the image it was once made from; clouds forget them on adoption.
    pub image_metadata: BTreeMap<String, String>,
}

/// Something that the product made in a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// What it is.
    pub kind: CreatedKind,
    /// Its id. For things without one of their own the provider composes it, e.g. `<router>/<subnet>`.
    pub id: CloudId,
    /// The tenant it is in.
    pub tenant: Option<CloudId>,
    /// For a volume: where its bytes live now. Adoption may rename the image.
    pub storage: Option<StorageRef>,
}
